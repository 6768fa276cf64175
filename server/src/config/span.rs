//! Durations as they are written in configuration: "10s", "250ms", "1m 30s".

use super::problem::Problems;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

/// A duration on its way in or out.
#[derive(Clone, Copy)]
pub(super) struct Span(pub(super) Duration);

impl Span {
    /// What was configured, or the default; a problem if it is out of bounds.
    pub(super) fn within(
        configured: Option<Self>,
        default: Duration,
        bounds: RangeInclusive<Duration>,
        key: &str,
        problems: &mut Problems,
    ) -> Duration {
        let Some(Self(value)) = configured else { return default };
        if !bounds.contains(&value) {
            let (least, most) = (text(*bounds.start()), text(*bounds.end()));
            problems.add(key, format!("is {}; it must be from {least} to {most}", text(value)));
        }
        value
    }
}

/// The shortest exact way to write a duration in one unit.
pub(super) fn text(duration: Duration) -> String {
    let units = [(3_600_000_000_000, "h"), (1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")];
    match duration.as_nanos() {
        0 => "0s".to_owned(),
        nanos => units
            .into_iter()
            .find(|(size, _)| nanos.is_multiple_of(*size))
            .map_or_else(|| format!("{nanos}ns"), |(size, unit)| format!("{}{unit}", nanos / size)),
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&text(self.0))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(SpanVisitor)
    }
}

struct SpanVisitor;

impl Visitor<'_> for SpanVisitor {
    type Value = Span;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration in quotes with its unit, such as \"10s\" or \"250ms\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Span, E> {
        humantime::parse_duration(text).map(Span).map_err(|_| {
            E::custom(format!(
                "\"{text}\" is no duration; it must be a number with its unit, such as \"10s\" or \"250ms\""
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_exact_and_read_back() {
        for (duration, expected) in [
            (Duration::from_secs(7_200), "2h"),
            (Duration::from_secs(60), "60s"),
            (Duration::from_millis(1_500), "1500ms"),
            (Duration::from_micros(7), "7us"),
            (Duration::from_nanos(1), "1ns"),
            (Duration::ZERO, "0s"),
        ] {
            assert_eq!(text(duration), expected);
            assert_eq!(humantime::parse_duration(expected).unwrap(), duration);
        }
    }
}
