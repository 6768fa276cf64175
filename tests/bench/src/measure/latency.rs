//! Every latency of a slice, and what can be said of them: exact quantiles, because a slice is short
//! enough to keep them all.

use std::time::Duration;

/// Latencies in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Latencies(Vec<u64>);

impl Latencies {
    pub(crate) fn push(&mut self, latency: Duration) {
        self.0.push(latency.as_nanos().try_into().unwrap_or(u64::MAX));
    }

    pub(crate) fn append(&mut self, mut other: Latencies) {
        self.0.append(&mut other.0);
    }

    /// The same in order of size.
    pub(crate) fn sorted(mut self) -> Sorted {
        self.0.sort_unstable();
        Sorted(self.0)
    }
}

/// Latencies in order of size.
#[derive(Debug)]
pub(crate) struct Sorted(Vec<u64>);

impl Sorted {
    /// The smallest latency that this share of all is not above; `None` of nothing.
    pub(crate) fn quantile(&self, share: f64) -> Option<Duration> {
        let rank = (self.0.len() as f64 * share).ceil() as usize;
        let index = rank.saturating_sub(1).min(self.0.len().checked_sub(1)?);
        self.0.get(index).copied().map(Duration::from_nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_list() {
        let mut latencies = Latencies::default();
        for micros in [40, 10, 30, 20] {
            latencies.push(Duration::from_micros(micros));
        }
        let sorted = latencies.sorted();
        for (share, micros) in
            [(0.0, 10), (0.25, 10), (0.5, 20), (0.51, 30), (0.999, 40), (1.0, 40)]
        {
            assert_eq!(sorted.quantile(share), Some(Duration::from_micros(micros)), "{share}");
        }
        assert_eq!(Latencies::default().sorted().quantile(0.5), None);
    }
}
