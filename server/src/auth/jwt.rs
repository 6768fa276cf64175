//! JWT: signed by a key of the JWKS file, for this audience, of a subject, not expired.
//!
//! Each key has exactly one algorithm, which is never taken from the token: HS256, RS256 or EdDSA. What was
//! verified is remembered until it expires. Deliberately absent: fetching keys from anywhere.

use super::gate::Unauthenticated;
use super::identity::Identity;
use crate::config;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Shorter secrets can be guessed from one token.
const MIN_SECRET_BYTES: usize = 32;
/// 2,048 bits: shorter moduli are no longer safe.
const MIN_MODULUS_BYTES: usize = 256;
/// Verified tokens that are remembered, with their claims; then all are forgotten and verified again.
const MAX_REMEMBERED: usize = 4_096;
/// A longer one is verified each time: its claims would take too much room.
const MAX_REMEMBERED_BYTES: usize = 4_096;
/// After so many tokens that were not seen before, addresses that have been silent for a second are forgotten.
const TIDY_EVERY: u32 = 10_000;
/// A signature costs up to a tenth of a millisecond to verify: so many a second of one address, remembered ones
/// not among them, leave time for everybody else.
const MAX_VERIFIED_PER_SECOND: NonZeroU32 = NonZeroU32::new(1_000).expect("not zero");

/// Whose token it is, and the second in which it expires, by its hash.
type Remembered = HashMap<[u8; 32], (Arc<Identity>, u64)>;

/// The keys, and what is demanded.
pub(super) struct Jwt {
    keys: Vec<Key>,
    remembered: Mutex<Remembered>,
    verified: DefaultKeyedRateLimiter<IpAddr>,
    unseen: AtomicU32,
    leeway: u64,
}

struct Key {
    id: Option<String>,
    key: DecodingKey,
    validation: Validation,
}

impl Jwt {
    /// Reads the keys; those that cannot be used are told in `warnings`.
    pub(super) fn parse(
        jwks: &str,
        config: &config::Jwt,
        warnings: &mut Vec<String>,
    ) -> Result<Self, String> {
        let set: RawJwks = serde_json::from_str(jwks).map_err(|error| {
            // Its own text may show a piece of a key.
            format!("is no JWKS: line {}, column {}", error.line(), error.column())
        })?;
        let mut keys: Vec<Key> = Vec::new();
        for (place, raw) in set.keys.into_iter().enumerate() {
            match Key::parse(raw, config) {
                Ok(key) if key.id.is_some() && keys.iter().any(|other| other.id == key.id) => {
                    return Err(format!("keys[{place}]: its kid stands here twice"));
                }
                Ok(key) => keys.push(key),
                Err(why) => warnings.push(format!("keys[{place}] is not used: {why}")),
            }
        }
        if keys.is_empty() {
            let why = warnings.join("; ");
            return Err(format!("has no key that can be used (HS256, RS256 or EdDSA). {why}"));
        }
        let verified = RateLimiter::keyed(Quota::per_second(MAX_VERIFIED_PER_SECOND));
        let leeway = config.leeway.as_secs();
        let (remembered, unseen) = (Mutex::default(), AtomicU32::new(0));
        Ok(Self { keys, remembered, verified, unseen, leeway })
    }

    /// Whose token it is, sent from this address; else why it is not accepted.
    pub(super) fn identity(
        &self,
        token: &str,
        from: Option<IpAddr>,
    ) -> Result<Arc<Identity>, Unauthenticated> {
        let hash = <[u8; 32]>::from(Sha256::digest(token));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let remembered = self.remembered().get(&hash).cloned();
        if let Some((identity, expires)) = remembered
            && now < expires.saturating_add(self.leeway)
        {
            return Ok(identity);
        }
        if self.unseen.fetch_add(1, Ordering::Relaxed) % TIDY_EVERY == TIDY_EVERY - 1 {
            self.verified.retain_recent();
        }
        if from.is_some_and(|address| self.verified.check_key(&address).is_err()) {
            return Err(Unauthenticated::TooMany);
        }
        let (identity, expires) = self.verify(token).map_err(|why| {
            Unauthenticated::Unproved(format!("the bearer token is not accepted: {why}"))
        })?;
        let identity = Arc::new(identity);
        if token.len() > MAX_REMEMBERED_BYTES {
            return Ok(identity);
        }
        let mut remembered = self.remembered();
        if remembered.len() >= MAX_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(hash, (Arc::clone(&identity), expires));
        Ok(identity)
    }

    fn verify(&self, token: &str) -> Result<(Identity, u64), String> {
        let header = decode_header(token).map_err(|_| "it is no JWT".to_owned())?;
        let key = match (&header.kid, &self.keys[..]) {
            (None, [only]) => only,
            (None, _) => return Err("it does not say which key signed it (kid)".to_owned()),
            (kid, keys) => {
                let found = keys.iter().find(|key| key.id == *kid);
                found.ok_or_else(|| "it is signed by a key that is not known (kid)".to_owned())?
            }
        };
        let claims = decode::<Map<String, Value>>(token, &key.key, &key.validation)
            .map_err(|error| error.to_string())?
            .claims;
        let expires = claims.get("exp").and_then(Value::as_f64).unwrap_or_default() as u64;
        let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default().to_owned();
        let identity = Identity::of_jwt(&subject, claims);
        let identity = identity
            .ok_or_else(|| "sub must be 1 to 252 bytes without control characters".to_owned())?;
        Ok((identity, expires))
    }

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwt").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

/// Key by key: one that cannot be read must not hide the others.
#[derive(serde::Deserialize)]
struct RawJwks {
    keys: Vec<Value>,
}

impl Key {
    fn parse(raw: Value, config: &config::Jwt) -> Result<Self, String> {
        let jwk: Jwk = serde_json::from_value(raw).map_err(|_| "it is no JWK".to_owned())?;
        let algorithm = algorithm_of(&jwk)?;
        let key = DecodingKey::from_jwk(&jwk).map_err(|error| error.to_string())?;
        strong_enough(&key)?;
        let mut validation = Validation::new(algorithm);
        validation.leeway = config.leeway.as_secs();
        validation.validate_nbf = true;
        validation.set_audience(&[&config.audience]);
        let mut required = vec!["exp", "sub", "aud"];
        if let Some(issuer) = &config.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        validation.set_required_spec_claims(&required);
        Ok(Self { id: jwk.common.key_id, key, validation })
    }
}

/// The one algorithm of a key: what it says itself, or what its kind is for.
fn algorithm_of(jwk: &Jwk) -> Result<Algorithm, String> {
    if matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption)) {
        return Err("it is for encryption".to_owned());
    }
    let (expected, algorithm) = match &jwk.algorithm {
        AlgorithmParameters::OctetKey(_) => (KeyAlgorithm::HS256, Algorithm::HS256),
        AlgorithmParameters::RSA(_) => (KeyAlgorithm::RS256, Algorithm::RS256),
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            (KeyAlgorithm::EdDSA, Algorithm::EdDSA)
        }
        _ => return Err("its kind (kty) is for none of HS256, RS256, EdDSA".to_owned()),
    };
    match jwk.common.key_algorithm {
        Some(other) if other != expected => Err(format!("{other} is none of HS256, RS256, EdDSA")),
        _ => Ok(algorithm),
    }
}

fn strong_enough(key: &DecodingKey) -> Result<(), String> {
    use jsonwebtoken::{AlgorithmFamily, DecodingKeyKind};
    match (key.family(), key.kind()) {
        (AlgorithmFamily::Hmac, DecodingKeyKind::SecretOrDer(secret))
            if secret.len() < MIN_SECRET_BYTES =>
        {
            Err(format!("a secret must have at least {MIN_SECRET_BYTES} bytes"))
        }
        (_, DecodingKeyKind::RsaModulusExponent { n, .. }) if n.len() < MIN_MODULUS_BYTES => {
            Err("an RSA key must have at least 2048 bits".to_owned())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::time::Duration;

    fn parse(jwks: &str) -> Result<(Jwt, Vec<String>), String> {
        let config = config::Jwt {
            jwks_file: PathBuf::new(),
            issuer: None,
            audience: "holdfast".to_owned(),
            leeway: Duration::from_secs(30),
        };
        let mut warnings = Vec::new();
        Jwt::parse(jwks, &config, &mut warnings).map(|jwt| (jwt, warnings))
    }

    fn secret(id: &str, length: usize) -> String {
        let text = "YWFh".repeat(length / 3);
        format!(r#"{{"kty":"oct","kid":"{id}","k":"{text}"}}"#)
    }

    #[test]
    fn keys_that_cannot_be_used_are_left_out_and_named() {
        let (good, short) = (secret("good", 33), secret("short", 30));
        let others = r#"{"kty":"RSA","kid":"weak","n":"sXch","e":"AQAB"},
            {"kty":"oct","alg":"HS512","kid":"other","k":"YWFh"},
            {"kty":"oct","use":"enc","kid":"enc","k":"YWFh"}, {"kty":"EC"}, 7"#;
        let (jwt, warnings) = parse(&format!(r#"{{"keys":[{short},{good},{others}]}}"#)).unwrap();
        assert_eq!(jwt.keys.len(), 1);
        for (place, why) in [
            (0, "32 bytes"),
            (2, "2048 bits"),
            (3, "HS512"),
            (4, "encryption"),
            (5, "keys[5]"),
            (6, "no JWK"),
        ] {
            let told = warnings.iter().find(|text| text.contains(&format!("keys[{place}]")));
            assert!(told.is_some_and(|told| told.contains(why)), "{place} {why}: {warnings:?}");
        }
        assert!(warnings.iter().all(|text| !text.contains("YWFh")), "{warnings:?}");
    }

    #[test]
    fn a_set_without_a_key_is_refused_and_so_is_one_of_two_minds() {
        for (jwks, why) in [
            (String::new(), "no JWKS"),
            (r#"{"keys":[]}"#.to_owned(), "no key"),
            (format!(r#"{{"keys":[{}]}}"#, secret("a", 3)), "no key"),
            (format!(r#"{{"keys":[{},{}]}}"#, secret("a", 33), secret("a", 36)), "twice"),
        ] {
            let told = parse(&jwks).expect_err("refused");
            assert!(told.contains(why) && !told.contains("YWFh"), "{told}");
        }
    }

    #[test]
    fn strangers_cannot_have_signatures_verified_for_ever() {
        let (jwt, _) = parse(&format!(r#"{{"keys":[{}]}}"#, secret("a", 33))).unwrap();
        let from = |last| Some(IpAddr::from([10, 0, 0, last]));
        let refused = (0..1_000_000)
            .any(|_| matches!(jwt.identity("a.b.c", from(1)), Err(Unauthenticated::TooMany)));
        assert!(refused);
        let other = jwt.identity("a.b.c", from(2)).unwrap_err();
        assert!(matches!(other, Unauthenticated::Unproved(_)), "another address is not concerned");
    }
}
