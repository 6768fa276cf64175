//! The packed form of a lock on Redis: fixed-width text fields, so that a script reads it with
//! `string.sub` and writes it with one concatenation.
//!
//! ```text
//! 'HF1' | lease 32 hex | nonce 16 | first 16 | ballot 16 | token 16 | info_ballot 16 | ttl ms 10
//!       | holder length 3 | holder | metadata
//! ```
//! Offsets stand in `lua/acquire.lua` and its neighbours too. A value without the magic is the lock
//! of another Redlock library.

use holdfast_engine::{Ballot, Claim, Info, LeaseHash, Lock, Nonce};
use std::time::Duration;

/// A lease as the scripts see it.
pub(super) fn lease_text(lease: LeaseHash) -> String {
    hexadecimal(lease.as_bytes())
}

/// A nonce as the scripts see it: its kind (`a`cquired or `r`e-attached), then 60 bits of hex.
pub(super) fn nonce_text(nonce: Nonce) -> String {
    if nonce == Nonce::SHARED {
        return "0".repeat(16);
    }
    let kind = if nonce.is_reattached() { "r" } else { "a" };
    let mut text = hexadecimal(&nonce.to_bits().to_be_bytes());
    text.replace_range(..1, kind);
    text
}

/// A ballot as the scripts see it.
pub(super) fn ballot_text(ballot: Ballot) -> String {
    let digits = ballot.0.to_string();
    // A time of this century in microseconds has them all.
    if digits.len() == 16 { digits } else { format!("{digits:0>16}") }
}

/// Written for every master of every call: `format!` takes several times as long.
fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles.map(|nibble| char::from(DIGITS[usize::from(nibble)])).collect()
}

/// The record of a lock that is granted where there is none.
pub(super) fn new_record(claim: &Claim, nonce: Nonce, ballot: Ballot) -> Vec<u8> {
    let ballot = ballot_text(ballot);
    let mut bytes = Vec::with_capacity(192);
    for field in ["HF1", &lease_text(claim.lease), &nonce_text(nonce)] {
        bytes.extend_from_slice(field.as_bytes());
    }
    // First, ballot, token and the ballot of its info.
    for _ in 0..4 {
        bytes.extend_from_slice(ballot.as_bytes());
    }
    bytes.extend_from_slice(format!("{:010}", claim.ttl.as_millis()).as_bytes());
    bytes.extend_from_slice(&info_bytes(&claim.info));
    bytes
}

/// The last fields of a record.
pub(super) fn info_bytes(info: &Info) -> Vec<u8> {
    let mut bytes = format!("{:03}{}", info.holder.len(), info.holder).into_bytes();
    bytes.extend_from_slice(&info.metadata);
    bytes
}

/// Reads a record. `None`: not one of ours.
pub(super) fn parse(record: &[u8]) -> Option<Lock> {
    let rest = record.strip_prefix(b"HF1")?;
    let (lease, rest) = rest.split_at_checked(32)?;
    let (nonce, rest) = rest.split_at_checked(16)?;
    let (first, rest) = rest.split_at_checked(16)?;
    let (ballot, rest) = rest.split_at_checked(16)?;
    let (token, rest) = rest.split_at_checked(16)?;
    let (info_ballot, rest) = rest.split_at_checked(16)?;
    let (ttl, rest) = rest.split_at_checked(10)?;
    let (holder_length, rest) = rest.split_at_checked(3)?;
    let (holder, metadata) = rest.split_at_checked(number(holder_length)? as usize)?;
    Some(Lock {
        lease: parse_lease(lease)?,
        nonce: parse_nonce(nonce)?,
        first: Ballot(number(first)?),
        ballot: Ballot(number(ballot)?),
        token: Ballot(number(token)?),
        info_ballot: Ballot(number(info_ballot)?),
        ttl: Duration::from_millis(number(ttl)?),
        info: Info { holder: String::from_utf8_lossy(holder).into(), metadata: metadata.into() },
    })
}

fn text(bytes: &[u8]) -> Option<&str> {
    str::from_utf8(bytes).ok()
}

/// Digits only: Rust's own parsers take a sign as well.
fn number(digits: &[u8]) -> Option<u64> {
    text(digits).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}

pub(super) fn parse_lease(hex: &[u8]) -> Option<LeaseHash> {
    let bits = u128::from_str_radix(parse_hexadecimal(hex)?, 16).ok()?;
    Some(LeaseHash::from_bytes(bits.to_be_bytes()))
}

fn parse_hexadecimal(digits: &[u8]) -> Option<&str> {
    text(digits).filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn parse_nonce(field: &[u8]) -> Option<Nonce> {
    let (kind, hex) = text(field)?.split_at_checked(1)?;
    let bits = u64::from_str_radix(parse_hexadecimal(hex.as_bytes())?, 16).ok()?;
    match kind {
        "a" => Some(Nonce::acquired(bits)),
        "r" => Some(Nonce::reattached(bits)),
        "0" if bits == 0 => Some(Nonce::SHARED),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(nonce: Nonce, holder: &str) -> Vec<u8> {
        let lease = lease_text(LeaseHash::of("secret"));
        let (first, ballot) = (ballot_text(Ballot(7)), ballot_text(Ballot(1_800_000_000_000_001)));
        let nonce = nonce_text(nonce);
        let head = format!("HF1{lease}{nonce}{first}{ballot}{ballot}{first}0000010000");
        let info = Info { holder: holder.into(), metadata: [0, 255, 1].as_slice().into() };
        [head.into_bytes(), info_bytes(&info)].concat()
    }

    #[test]
    fn what_is_packed_is_read_back() {
        for nonce in [Nonce::SHARED, Nonce::acquired(99), Nonce::reattached(u64::MAX)] {
            for holder in ["", "me", "größe ☃"] {
                let lock = parse(&record(nonce, holder)).unwrap();
                assert_eq!(lock.lease, LeaseHash::of("secret"));
                assert_eq!(lock.nonce, nonce);
                assert_eq!(lock.first, Ballot(7));
                assert_eq!(lock.token, Ballot(1_800_000_000_000_001));
                assert_eq!(lock.ttl, Duration::from_secs(10));
                assert_eq!(&*lock.info.holder, holder);
                assert_eq!(&*lock.info.metadata, &[0, 255, 1]);
            }
        }
    }

    #[test]
    fn anything_else_is_foreign() {
        let ours = record(Nonce::SHARED, "me");
        assert_eq!(parse(b"some-uuid"), None);
        assert_eq!(parse(&ours[..100]), None);
        assert_eq!(parse(b"HF1"), None);
    }

    #[test]
    fn a_sign_is_no_digit() {
        let ours = record(Nonce::acquired(99), "me");
        for first_of_field in [3, 36, 51, 67, 83, 99, 115, 125] {
            let mut odd = ours.clone();
            odd[first_of_field] = b'+';
            assert!(parse(&ours).is_some() && parse(&odd).is_none(), "{first_of_field}");
        }
    }
}
