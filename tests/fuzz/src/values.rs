//! Values of fields, with a taste for the edges: names that are a byte too long, characters that are
//! nearly control characters, durations that are none, tokens of the future, bytes that were messages.
//!
//! Deliberately absent: which of them are right. That is for the oracles.

use prop::sample::{Index, select};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use prost_types::Duration;
use std::collections::BTreeMap;

/// A text near a limit of so many bytes, or far from it, or with something odd inside.
pub fn text(limit: usize) -> BoxedStrategy<String> {
    let odd = select(vec![
        "\0",
        "\n",
        "\t",
        "\u{1f}",
        " ",
        "~",
        "\u{7f}",
        "\u{80}",
        "\u{85}",
        "\u{9f}",
        "\u{a0}",
        "\u{2028}",
        "\u{202e}",
        "\u{feff}",
        "\u{10ffff}",
        "ß",
        "é",
        "鎖",
        "🔒",
        "%s",
        "{}",
        "'",
        "\"",
        "\\",
        "*",
        "[a]",
        "?",
        ":",
        "holdfast:",
        "holdfast:st",
        "redlock:",
    ]);
    let near = (limit.saturating_sub(3)..=limit + 3).boxed();
    let filler = select(vec!["a", "ß", "鎖", "🔒", "\u{7f}", " "]);
    prop_oneof![
        4 => select(vec!["r", "orders/42", "a:b", "x y"]).prop_map(str::to_owned),
        1 => Just(String::new()),
        3 => vec(odd, 1..4).prop_map(|parts| parts.concat()),
        2 => "[a-z/:0-9]{0,20}",
        1 => ".{0,20}",
        3 => (near, filler.clone()).prop_map(|(bytes, filler)| fill(bytes, filler)),
        1 => (0..limit * 4, filler).prop_map(|(bytes, filler)| fill(bytes, filler)),
    ]
    .boxed()
}

/// So many bytes, of this and, if it does not fit, of `x`.
fn fill(bytes: usize, filler: &str) -> String {
    let mut text = filler.repeat(bytes / filler.len());
    text.push_str(&"x".repeat(bytes - text.len()));
    text
}

/// Whole numbers of 64 bits, near the edges of narrower ones.
pub fn number() -> BoxedStrategy<u64> {
    let edges: Vec<u64> = [0, 7, 8, 16, 31, 32, 53, 62, 63]
        .into_iter()
        .flat_map(|bits| [(1_u64 << bits) - 1, 1 << bits, (1 << bits) + 1])
        .chain([u64::MAX - 1, u64::MAX])
        .collect();
    prop_oneof![3 => select(edges), 1 => any::<u64>(), 2 => 0..100_u64].boxed()
}

/// The seconds or the nanoseconds of a duration, signed.
fn signed() -> BoxedStrategy<i64> {
    let limit = 315_576_000_000;
    let edges = vec![0, 1, 59, 60, 61, 999_999_999, 1_000_000_000, limit, limit + 1, i64::MAX];
    let sign = |(number, minus): (i64, bool)| if minus { -number } else { number };
    prop_oneof![
        3 => (select(edges), prop::bool::weighted(0.3)).prop_map(sign),
        2 => -2..70_i64,
        1 => any::<i64>(),
        1 => Just(i64::MIN),
    ]
    .boxed()
}

/// A duration as protobuf has it, right or wrong, or none.
pub fn duration() -> BoxedStrategy<Option<Duration>> {
    let right = |millis: u64| Duration {
        seconds: (millis / 1_000) as i64,
        nanos: (millis % 1_000 * 1_000_000) as i32,
    };
    let edges = vec![0, 1, 99, 100, 101, 59_999, 60_000, 60_001];
    let any = (signed(), signed()).prop_map(|(seconds, nanos)| Duration {
        seconds,
        nanos: i32::try_from(nanos).unwrap_or(if nanos < 0 { i32::MIN } else { i32::MAX }),
    });
    let nearly = (select(edges.clone()), -1..=1_i32).prop_map(move |(millis, by)| {
        let mut duration = right(millis);
        duration.nanos += by;
        duration
    });
    prop_oneof![
        3 => Just(None),
        3 => select(edges).prop_map(move |millis| Some(right(millis))),
        2 => nearly.prop_map(Some),
        2 => (0..80_000_u64).prop_map(move |millis| Some(right(millis))),
        3 => any.prop_map(Some),
    ]
    .boxed()
}

/// A token, seen from this moment: past, present, a little or far too new.
pub fn token(wall_micros: u64, skew_micros: u64) -> BoxedStrategy<u64> {
    let edge = wall_micros + skew_micros;
    prop_oneof![
        2 => Just(0),
        2 => Just(wall_micros),
        3 => edge - 2..=edge + 2,
        2 => number(),
    ]
    .boxed()
}

/// Metadata around its limit of so many bytes.
pub fn metadata(limit: usize) -> BoxedStrategy<BTreeMap<String, String>> {
    let near = (0..=limit, limit - 2..=limit + 2).prop_map(|(key, all)| {
        let key = key.min(all);
        BTreeMap::from([("k".repeat(key), "v".repeat(all - key))])
    });
    prop_oneof![
        4 => Just(BTreeMap::new()),
        3 => btree_map("[a-c]{0,2}", text(8), 0..4),
        2 => near,
        1 => btree_map(text(16), text(limit / 4), 0..8),
    ]
    .boxed()
}

/// What was done to bytes that were right.
#[derive(Debug, Clone)]
pub enum Damage {
    /// Cut short.
    Cut(Index),
    /// One byte is another.
    Set(Index, u8),
    /// One bit is another.
    Flip(Index, u8),
    /// Something was put in.
    Insert(Index, Vec<u8>),
    /// Something was taken out.
    Remove(Index, usize),
    /// Some of it is there twice.
    Repeat(Index, usize),
}

impl Damage {
    /// Does it.
    pub fn befall(&self, bytes: &mut Vec<u8>) {
        let place = |index: &Index| if bytes.is_empty() { 0 } else { index.index(bytes.len()) };
        match self {
            Self::Cut(at) => bytes.truncate(place(at)),
            Self::Set(at, byte) => {
                let at = place(at);
                bytes.iter_mut().skip(at).take(1).for_each(|old| *old = *byte);
            }
            Self::Flip(at, bit) => {
                let at = place(at);
                bytes.iter_mut().skip(at).take(1).for_each(|old| *old ^= 1 << (bit % 8));
            }
            Self::Insert(at, new) => {
                let at = place(at);
                bytes.splice(at..at, new.iter().copied());
            }
            Self::Remove(at, count) => {
                let at = place(at);
                let end = (at + count).min(bytes.len());
                bytes.drain(at..end);
            }
            Self::Repeat(at, count) => {
                let at = place(at);
                let end = (at + count).min(bytes.len());
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
        }
    }
}

/// Some damages, one after the other.
pub fn damages() -> BoxedStrategy<Vec<Damage>> {
    let at = any::<Index>;
    let one = prop_oneof![
        at().prop_map(Damage::Cut),
        (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        (at(), any::<u8>()).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        (at(), vec(any::<u8>(), 1..12)).prop_map(|(at, new)| Damage::Insert(at, new)),
        (at(), 1..20_usize).prop_map(|(at, count)| Damage::Remove(at, count)),
        (at(), 1..40_usize).prop_map(|(at, count)| Damage::Repeat(at, count)),
    ];
    vec(one, 1..4).boxed()
}

/// Bytes of no origin, few or many.
pub fn garbage(most: usize) -> BoxedStrategy<Vec<u8>> {
    prop_oneof![
        6 => vec(any::<u8>(), 0..40),
        2 => (any::<u8>(), 0..most).prop_map(|(byte, count)| vec![byte; count]),
        1 => (vec(any::<u8>(), 1..8), 0..most / 8).prop_map(|(part, times)| part.repeat(times)),
    ]
    .boxed()
}
