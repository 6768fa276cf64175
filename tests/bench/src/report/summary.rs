//! Medians and spread over the repetitions of a slice.

use crate::sample::Sample;

/// One figure of one slice, over its repetitions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) most: f64,
}

impl Spread {
    /// `None` of nothing.
    pub(super) fn of(figures: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Some(Spread { median: f64::midpoint(low, high), least, most })
    }
}

/// One figure of one slice of all the samples.
pub(super) fn figure(
    samples: &[Sample],
    (point, system, size): (&str, &str, u64),
    name: &str,
) -> Option<Spread> {
    let same =
        |sample: &&Sample| sample.point == point && sample.system == system && sample.size == size;
    let repetitions = samples.iter().filter(same);
    Spread::of(repetitions.filter_map(|sample| sample.figures.get(name).copied()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let spread = |figures: &[f64]| Spread::of(figures.iter().copied());
        let odd = Spread { median: 2.0, least: 1.0, most: 9.0 };
        assert_eq!(spread(&[9.0, 1.0, 2.0]), Some(odd));
        let even = Spread { median: 2.5, least: 1.0, most: 9.0 };
        assert_eq!(spread(&[9.0, 1.0, 2.0, 3.0]), Some(even));
        assert_eq!(spread(&[]), None);
    }

    #[test]
    fn repetitions_of_one_slice_are_summed_up_and_no_others() {
        let sample = |system: &str, size, repetition, rate| Sample {
            point: "own".to_owned(),
            system: system.to_owned(),
            size,
            repetition,
            figures: [("rate".to_owned(), rate)].into(),
        };
        let samples = [
            sample("a", 1, 1, 5.0),
            sample("a", 1, 2, 7.0),
            sample("a", 2, 1, 99.0),
            sample("b", 1, 1, 99.0),
        ];
        let spread = Spread { median: 6.0, least: 5.0, most: 7.0 };
        assert_eq!(figure(&samples, ("own", "a", 1), "rate"), Some(spread));
        assert_eq!(figure(&samples, ("own", "a", 1), "latency"), None);
        assert_eq!(figure(&samples, ("own", "c", 1), "rate"), None);
    }
}
