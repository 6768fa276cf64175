//! The times of leases and clocks: sections `[lease]` and `[quorum]`.

use super::problem::Problems;
use super::raw::{Decimal, RawLease, RawQuorum};
use super::span::{Span, text};
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

const DEFAULT_TTL: Duration = Duration::from_secs(10);
const MIN_TTL: Duration = Duration::from_millis(100);
const MAX_TTL: Duration = Duration::from_secs(60);
const MAX_WAIT: Duration = Duration::from_secs(60);
const CLOCK_SKEW: Duration = Duration::from_secs(10);
const DRIFT: Drift = Drift { ppm: 10_000 };

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MILLISECOND: Duration = Duration::from_millis(1);
/// Loss is announced 20 ms before the end, so a lease shorter than twice that is mostly loss.
const SHORTEST_TTL: Duration = Duration::from_millis(40);
/// Below this a lease is a matter of network delays; above, a restarted master is out for a day.
const MAX_TTL_BOUNDS: RangeInclusive<Duration> = MIN_TTL..=DAY;
/// A fifth: clocks that drift more are broken.
const MOST_DRIFT: f64 = 0.2;

/// How long leases run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lease {
    /// The TTL of an acquire that names none.
    pub default_ttl: Duration,
    /// The shortest TTL a client may ask for.
    pub min_ttl: Duration,
    /// The longest TTL a client may ask for; the quarantine of a restarted master follows from it.
    pub max_ttl: Duration,
    /// Bound on how much faster one clock runs than another.
    pub drift: Drift,
    /// The longest an acquire may wait in the queue.
    pub max_wait: Duration,
    /// How long a lease may be extended in all; `None`: for ever.
    pub max_hold: Option<Duration>,
}

/// How sure clocks are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quorum {
    /// SKEW: bound on the difference between any two clocks of replicas and masters.
    pub clock_skew: Duration,
}

/// Bound on how much faster one clock runs than another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Drift {
    ppm: u32,
}

impl Lease {
    pub(super) fn parse(raw: &RawLease, problems: &mut Problems) -> Self {
        let bounds = |least| least..=DAY;
        let min_ttl =
            Span::within(raw.min_ttl, MIN_TTL, bounds(SHORTEST_TTL), "lease.min_ttl", problems);
        let max_ttl = Span::within(raw.max_ttl, MAX_TTL, MAX_TTL_BOUNDS, "lease.max_ttl", problems);
        // Unset, the default gives way to the bounds; set, it is checked against them.
        let unset = DEFAULT_TTL.max(min_ttl).min(max_ttl);
        let lease = Self {
            default_ttl: raw.default_ttl.map_or(unset, |span| span.0),
            min_ttl,
            max_ttl,
            drift: Drift::parse(raw.drift, problems),
            max_wait: Span::within(
                raw.max_wait,
                MAX_WAIT,
                bounds(Duration::ZERO),
                "lease.max_wait",
                problems,
            ),
            max_hold: raw.max_hold.map(|span| span.0),
        };
        lease.check_order(raw.default_ttl, problems);
        lease
    }

    /// What is unset contradicts nothing, nor does what is wrong by itself.
    fn check_order(&self, default: Option<Span>, problems: &mut Problems) {
        let hold = self.max_hold.unwrap_or(Duration::MAX);
        let default_above = default.map_or(Duration::ZERO, |span| span.0);
        let default_below = default.map_or(Duration::MAX, |span| span.0);
        for (less, low, greater, high) in [
            ("lease.min_ttl", self.min_ttl, "lease.max_ttl", self.max_ttl),
            ("lease.default_ttl", default_above, "lease.max_ttl", self.max_ttl),
            ("lease.min_ttl", self.min_ttl, "lease.default_ttl", default_below),
            ("lease.min_ttl", self.min_ttl, "lease.max_hold", hold),
        ] {
            if low > high && !problems.concern(less) && !problems.concern(greater) {
                let (low, high) = (text(low), text(high));
                problems
                    .add(less, format!("is {low}, above {greater} = {high}; change one of them"));
            }
        }
    }
}

impl Quorum {
    pub(super) fn parse(raw: &RawQuorum, problems: &mut Problems) -> Self {
        let bounds = MILLISECOND..=Duration::from_secs(60 * 60);
        let key = "quorum.clock_skew";
        Self { clock_skew: Span::within(raw.clock_skew, CLOCK_SKEW, bounds, key, problems) }
    }
}

impl Drift {
    fn parse(raw: Option<Decimal>, problems: &mut Problems) -> Self {
        let Some(Decimal(drift)) = raw else { return DRIFT };
        if !(0.0..=MOST_DRIFT).contains(&drift) {
            problems.add(
                "lease.drift",
                format!("is {drift}; it must be a fraction from 0 to {MOST_DRIFT}, such as 0.01"),
            );
        }
        // Rounded up, for a bound must hold; but 0.07 × 10⁶ is a hair above 70,000 only in floats.
        Self { ppm: (drift * 1e6 - 1e-6).ceil() as u32 }
    }

    /// In parts per million, rounded up.
    pub fn ppm(self) -> u32 {
        self.ppm
    }

    /// As a fraction, such as 0.01.
    pub fn fraction(self) -> f64 {
        f64::from(self.ppm) / 1e6
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fraction().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::read;

    fn parse(toml: &str) -> Result<Lease, String> {
        let mut problems = Problems::default();
        let lease = Lease::parse(&read(toml)?, &mut problems);
        problems.or(lease).map_err(|errors| errors.to_string())
    }

    #[test]
    fn defaults_are_those_of_the_contract() {
        let lease = parse("").unwrap();
        assert_eq!(lease.default_ttl, Duration::from_secs(10));
        assert_eq!(lease.min_ttl, Duration::from_millis(100));
        assert_eq!(lease.max_ttl, Duration::from_secs(60));
        assert_eq!(lease.max_wait, Duration::from_secs(60));
        assert_eq!(lease.max_hold, None);
        assert_eq!((lease.drift.ppm(), lease.drift.to_string().as_str()), (10_000, "0.01"));
    }

    #[test]
    fn an_unset_default_ttl_gives_way() {
        assert_eq!(parse("max_ttl = '5s'").unwrap().default_ttl, Duration::from_secs(5));
        assert_eq!(parse("min_ttl = '20s'").unwrap().default_ttl, Duration::from_secs(20));
        assert_eq!(parse("max_ttl = '30s'").unwrap().default_ttl, Duration::from_secs(10));
    }

    #[test]
    fn drift_is_rounded_up() {
        for (drift, ppm) in [("0", 0), ("0.07", 70_000), ("0.2", 200_000), ("0.0000001", 1)] {
            assert_eq!(parse(&format!("drift = {drift}")).unwrap().drift.ppm(), ppm, "{drift}");
        }
    }

    #[test]
    fn contradictions_are_refused() {
        for (toml, expected) in [
            (
                "default_ttl = '10s'\nmax_ttl = '5s'",
                "lease.default_ttl: is 10s, above lease.max_ttl = 5s; change one of them",
            ),
            (
                "min_ttl = '2s'\ndefault_ttl = '1s'",
                "lease.min_ttl: is 2s, above lease.default_ttl = 1s; change one of them",
            ),
            (
                "min_ttl = '2m'",
                "lease.min_ttl: is 120s, above lease.max_ttl = 60s; change one of them",
            ),
            (
                "max_hold = '10ms'",
                "lease.min_ttl: is 100ms, above lease.max_hold = 10ms; change one of them",
            ),
            ("max_ttl = '10ms'", "lease.max_ttl: is 10ms; it must be from 100ms to 24h"),
            ("max_ttl = '2d'", "lease.max_ttl: is 48h; it must be from 100ms to 24h"),
            ("min_ttl = '0s'", "lease.min_ttl: is 0s; it must be from 40ms to 24h"),
            ("max_wait = '2d'", "lease.max_wait: is 48h; it must be from 0s to 24h"),
            (
                "drift = 0.3",
                "lease.drift: is 0.3; it must be a fraction from 0 to 0.2, such as 0.01",
            ),
            (
                "drift = nan",
                "lease.drift: is NaN; it must be a fraction from 0 to 0.2, such as 0.01",
            ),
            ("drift = -1", "lease.drift: is -1; it must be a fraction from 0 to 0.2, such as 0.01"),
        ] {
            assert_eq!(parse(toml).unwrap_err(), expected);
        }
    }

    #[test]
    fn skew_is_bounded() {
        let raw = toml::from_str("clock_skew = '0s'").unwrap();
        let mut problems = Problems::default();
        Quorum::parse(&raw, &mut problems);
        assert_eq!(
            problems.or(()).unwrap_err().to_string(),
            "quorum.clock_skew: is 0s; it must be from 1ms to 1h"
        );
    }
}
