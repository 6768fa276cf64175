//! Medians and spread over the repetitions of a slice.

use std::collections::BTreeMap;

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

/// A figure of a slice: point, system, size, name.
pub(super) type Figure<'a> = (&'a str, &'a str, u64, &'a str);

/// Its spread over the repetitions.
pub(super) fn spread(samples: &[Sample], figure: Figure<'_>) -> Option<Spread> {
    Spread::of(by_repetition(samples, figure).into_values())
}

/// What a function makes of some figures of the same repetition, over the repetitions in which all of
/// them were measured.
pub(super) fn spread_of(
    samples: &[Sample],
    figures: &[Figure<'_>],
    function: impl Fn(&[f64]) -> f64,
) -> Option<Spread> {
    let series: Vec<_> = figures.iter().map(|figure| by_repetition(samples, *figure)).collect();
    let repetitions = series.first()?.keys();
    let together = repetitions.filter_map(|repetition| {
        let of = |figures: &BTreeMap<u32, f64>| figures.get(repetition).copied();
        let of_each: Option<Vec<f64>> = series.iter().map(of).collect();
        of_each.map(|figures| function(&figures))
    });
    Spread::of(together)
}

fn by_repetition(
    samples: &[Sample],
    (point, system, size, name): Figure<'_>,
) -> BTreeMap<u32, f64> {
    let same =
        |sample: &&Sample| sample.point == point && sample.system == system && sample.size == size;
    let repetitions = samples.iter().filter(same);
    let figure = |sample: &Sample| Some((sample.repetition, *sample.figures.get(name)?));
    repetitions.filter_map(figure).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let odd = Spread { median: 2.0, least: 1.0, most: 9.0 };
        assert_eq!(Spread::of([9.0, 1.0, 2.0]), Some(odd));
        let even = Spread { median: 2.5, least: 1.0, most: 9.0 };
        assert_eq!(Spread::of([9.0, 1.0, 2.0, 3.0]), Some(even));
        assert_eq!(Spread::of([]), None);
    }

    fn sample(system: &str, repetition: u32, rate: f64) -> Sample {
        let (point, system) = ("own".to_owned(), system.to_owned());
        Sample { point, system, size: 1, repetition, figures: [("rate".to_owned(), rate)].into() }
    }

    #[test]
    fn repetitions_of_one_slice_are_summed_up_and_no_others() {
        let other = Sample { size: 2, ..sample("a", 1, 99.0) };
        let samples = [sample("a", 1, 5.0), sample("a", 2, 7.0), sample("b", 1, 99.0), other];
        let expected = Spread { median: 6.0, least: 5.0, most: 7.0 };
        assert_eq!(spread(&samples, ("own", "a", 1, "rate")), Some(expected));
        assert_eq!(spread(&samples, ("own", "a", 1, "latency")), None);
        assert_eq!(spread(&samples, ("own", "c", 1, "rate")), None);
        assert_eq!(spread(&samples, ("renewals", "a", 1, "rate")), None);
    }

    #[test]
    fn ratios_are_of_the_same_repetition() {
        // Twice as fast in each, on a machine that was twice as slow in the second.
        let samples = [
            sample("a", 1, 8.0),
            sample("b", 1, 4.0),
            sample("a", 2, 4.0),
            sample("b", 2, 2.0),
            sample("a", 3, 1.0),
        ];
        let figures = [("own", "a", 1, "rate"), ("own", "b", 1, "rate")];
        let ratio = spread_of(&samples, &figures, |figures| figures[0] / figures[1]);
        assert_eq!(ratio, Some(Spread { median: 2.0, least: 2.0, most: 2.0 }));
        let figures = [("own", "a", 1, "rate"), ("own", "c", 1, "rate")];
        assert_eq!(spread_of(&samples, &figures, |figures| figures[0]), None);
    }
}
