//! Static bearer tokens: the file has a name and a hash for each, so that whoever reads the file has none.
//!
//! ```toml
//! [[tokens]]
//! name = "ci"
//! sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
//! ```
//!
//! A plain hash is right because tokens are random, 256 bits as [`new_token`] makes them: nothing can be
//! guessed, so nothing need be slow. Several tokens may bear one name, while one replaces another.

use super::identity::Identity;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;

type Hash = [u8; 32];

/// What tokens of [`new_token`] begin with, so that a leaked one is recognised.
const PREFIX: &str = "hft_";

/// The identities, by the hash of their token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tokens(HashMap<Hash, Arc<Identity>>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTokens {
    #[serde(default)]
    tokens: Vec<RawToken>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawToken {
    name: String,
    sha256: String,
}

impl Tokens {
    /// Reads the file's text; all that is wrong with it is told together.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        // The error's own text shows the line, where a careless hand may have left the token itself.
        let raw: RawTokens = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1));
            format!("line {line}: {}", error.message())
        })?;
        let (mut tokens, mut problems) = (HashMap::new(), Vec::new());
        for (place, RawToken { name, sha256 }) in raw.tokens.iter().enumerate() {
            let identity = Identity::of_token(name);
            if identity.is_none() {
                problems.push(format!(
                    "tokens[{place}].name: must be 1 to 250 bytes without control characters"
                ));
            }
            let hash = hash_of(sha256);
            if hash.is_none() {
                problems.push(format!(
                    "tokens[{place}].sha256: must be 64 hexadecimal digits, as `holdfastd token` \
                     prints them"
                ));
            }
            if let (Some(identity), Some(hash)) = (identity, hash)
                && tokens.insert(hash, Arc::new(identity)).is_some()
            {
                problems.push(format!("tokens[{place}].sha256: stands here twice"));
            }
        }
        match problems.is_empty() {
            true => Ok(Self(tokens)),
            false => Err(problems.join("; ")),
        }
    }

    /// Whose token it is.
    pub(super) fn identity(&self, token: &str) -> Option<&Arc<Identity>> {
        self.0.get(&Hash::from(Sha256::digest(token)))
    }
}

fn hash_of(hex: &str) -> Option<Hash> {
    if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, digits) in hash.iter_mut().zip(hex.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(hash)
}

/// A token that was made this moment.
#[derive(Debug)]
pub struct NewToken {
    /// For its bearer, and for nobody else.
    pub token: String,
    /// For the file.
    pub entry: String,
}

/// Makes a token of 256 random bits. `None`: the name does not fit.
pub fn new_token(name: &str) -> Option<NewToken> {
    Identity::of_token(name)?;
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("no system that can run this is without entropy");
    let token = format!("{PREFIX}{}", hexadecimal(&bytes));
    let name = toml::Value::String(name.to_owned());
    let sha256 = hexadecimal(&Sha256::digest(&token));
    Some(NewToken { token, entry: format!("[[tokens]]\nname = {name}\nsha256 = \"{sha256}\"\n") })
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_token_is_known_by_its_entry_and_by_nothing_less() {
        let NewToken { token, entry } = new_token("c\"i").unwrap();
        let other = new_token("other").unwrap();
        let tokens = Tokens::parse(&format!("{entry}{}", other.entry)).unwrap();

        assert_eq!(&**tokens.identity(&token).unwrap().name(), "token:c\"i");
        assert_eq!(&**tokens.identity(&other.token).unwrap().name(), "token:other");
        let hash = hexadecimal(&Sha256::digest(&token));
        for wrong in ["", "hft_", &token[..token.len() - 1], &token.to_uppercase(), &hash] {
            assert_eq!(tokens.identity(wrong), None, "{wrong}");
        }
        assert!(!entry.contains(&token[8..]));
        assert!(new_token("").is_none());
    }

    #[test]
    fn all_that_is_wrong_is_told_and_no_token_is_shown() {
        let entry = new_token("a").unwrap().entry;
        let text = format!("{entry}{entry}[[tokens]]\nname = ''\nsha256 = 'hft_secret'");
        let problems = Tokens::parse(&text).unwrap_err();
        for problem in ["tokens[1].sha256: stands here twice", "tokens[2].name", "tokens[2].sha256"]
        {
            assert!(problems.contains(problem), "{problems}");
        }
        let careless = Tokens::parse("[[tokens]]\nname = 'a'\nsha256 = hft_secret").unwrap_err();
        assert!(careless.starts_with("line 3: "), "{careless}");
        assert!(!problems.contains("secret") && !careless.contains("secret"), "{careless}");
        let unknown = Tokens::parse("[[tokens]]\nname = 'a'\ntoken = 'hft_secret'").unwrap_err();
        assert!(unknown.contains("sha256") && !unknown.contains("hft_secret"), "{unknown}");
    }
}
