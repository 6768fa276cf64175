//! The page token of a list: how far the masters were scanned, as text.
//!
//! It comes back to any replica, so everything is in it, and no replica keeps anything. The check at
//! its end tells a token for another prefix or other masters from one that fits; it is no secret, and
//! need not be: whoever forges one lists from an odd place.

use crate::grpc::masters::MasterNames;
use holdfast_engine::{MasterId, MasterSet};
use sha2::{Digest, Sha256};

/// How much of the digest a token carries.
const CHECK_BYTES: usize = 4;

/// How far a list has come: masters one after the other, each step by step. A step is never torn apart:
/// asked again from the same cursor, a master may show other names, and some of these for the only time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The master that is scanned.
    pub master: MasterId,
    /// Which of its steps; zero is the first.
    pub cursor: u64,
    /// Masters before this one that could not be scanned to their end.
    pub skipped: MasterSet,
}

impl Position {
    /// Nothing was scanned yet.
    pub fn start() -> Self {
        Self { master: MasterId(0), cursor: 0, skipped: MasterSet::default() }
    }

    /// As text, for whoever lists this prefix.
    pub fn token(self, prefix: &str, masters: &MasterNames) -> String {
        let Self { master, cursor, skipped } = self;
        let skipped = skipped.iter().fold(0_u32, |bits, master| bits | 1 << master.0);
        let fields = format!("{}.{cursor}.{skipped}", master.0);
        let check = check(&fields, prefix, masters);
        format!("{fields}.{check}")
    }

    /// What [`token`](Self::token) made for the same prefix and masters; `None` for any other text.
    pub fn parse(token: &str, prefix: &str, masters: &MasterNames) -> Option<Self> {
        let (fields, told) = token.rsplit_once('.')?;
        if told != check(fields, prefix, masters) {
            return None;
        }
        let mut fields = fields.split('.');
        let mut number = || fields.next()?.parse::<u64>().ok();
        let (master, cursor, skipped) = (number()?, number()?, number()?);
        let master = MasterId(u8::try_from(master).ok()?);
        let skipped = (0..u8::try_from(masters.len()).ok()?)
            .filter(|index| skipped >> index & 1 == 1)
            .map(MasterId)
            .collect();
        let ends = fields.next().is_none() && master.index() < masters.len();
        ends.then_some(Self { master, cursor, skipped })
    }
}

fn check(fields: &str, prefix: &str, masters: &MasterNames) -> String {
    let mut hash = Sha256::new();
    for part in [fields, prefix].into_iter().chain(masters.iter().map(|(_, name)| name)) {
        // So that no part can be mistaken for the end of the one before.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize()[..CHECK_BYTES].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masters(names: &[&str]) -> MasterNames {
        MasterNames::new(names.iter().map(|name| ((*name).to_owned(), Vec::new())))
    }

    fn position() -> Position {
        let skipped = [MasterId(0), MasterId(2)].into_iter().collect();
        Position { master: MasterId(2), cursor: u64::MAX, skipped }
    }

    #[test]
    fn a_token_comes_back_as_the_position_it_was() {
        let masters = masters(&["a", "b", "c"]);
        for position in [Position::start(), position()] {
            for prefix in ["", "orders/", "1.2.3"] {
                let token = position.token(prefix, &masters);
                assert_eq!(Position::parse(&token, prefix, &masters), Some(position), "{token}");
            }
        }
    }

    #[test]
    fn a_token_fits_one_prefix_and_the_masters_in_their_order() {
        let token = position().token("orders/", &masters(&["a", "b", "c"]));
        for (prefix, names) in [
            ("orders", &["a", "b", "c"][..]),
            ("", &["a", "b", "c"]),
            ("orders/", &["a", "c", "b"]),
            ("orders/", &["a", "b"]),
            ("orders/", &["a", "b", "c", "d"]),
        ] {
            assert_eq!(
                Position::parse(&token, prefix, &masters(names)),
                None,
                "{prefix} {names:?}"
            );
        }
    }

    #[test]
    fn a_token_with_any_character_changed_is_none() {
        let masters = masters(&["a", "b", "c"]);
        let token = position().token("orders/", &masters);
        for index in 0..token.len() {
            for with in ["", "0", "1", "a", ".", "-", "+", " "] {
                let changed = format!("{}{with}{}", &token[..index], &token[index + 1..]);
                let parsed = Position::parse(&changed, "orders/", &masters);
                assert!(changed == token || parsed.is_none(), "{changed}");
            }
        }
        for text in ["", ".", "...", "0.0.0", "0.0.0.", "0.0.0.00000000", "\u{e9}"] {
            assert_eq!(Position::parse(text, "orders/", &masters), None, "{text}");
        }
    }

    #[test]
    fn a_forged_token_names_no_master_that_is_not_there() {
        let masters = masters(&["a", "b", "c"]);
        for fields in ["3.0.0", "256.0.0", "0.0.0.0", "0.0", "0.-1.0", "x.0.0"] {
            let token = format!("{fields}.{}", check(fields, "", &masters));
            assert_eq!(Position::parse(&token, "", &masters), None, "{token}");
        }
        let fields = format!("2.0.{}", u64::MAX);
        let token = format!("{fields}.{}", check(&fields, "", &masters));
        assert_eq!(Position::parse(&token, "", &masters).unwrap().skipped.len(), 3);
    }
}
