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
use std::io::{self, Write};
use std::time::Duration;

/// A lease as the scripts see it.
pub(super) fn lease_text(lease: LeaseHash) -> [u8; 32] {
    hexadecimal(u128::from_be_bytes(*lease.as_bytes()))
}

/// A nonce as the scripts see it: its kind (`a`cquired or `r`e-attached), then 60 bits of hex.
pub(super) fn nonce_text(nonce: Nonce) -> [u8; 16] {
    if nonce == Nonce::SHARED {
        return [b'0'; 16];
    }
    let mut text = hexadecimal(u128::from(nonce.to_bits()));
    text[0] = if nonce.is_reattached() { b'r' } else { b'a' };
    text
}

/// A ballot as the scripts see it.
pub(super) fn ballot_text(ballot: Ballot) -> [u8; 16] {
    decimal(ballot.0)
}

// Written for every master of every call: `format!` takes several times as long.

fn hexadecimal<const N: usize>(mut number: u128) -> [u8; N] {
    let mut text = [0; N];
    for digit in text.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 15) as usize];
        number >>= 4;
    }
    text
}

/// The last digits, if there are more.
fn decimal<const N: usize>(mut number: u64) -> [u8; N] {
    let mut text = [0; N];
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    text
}

/// The record of a lock that is granted where there is none, piece by piece.
pub(super) fn write_new_record(
    claim: &Claim,
    nonce: Nonce,
    ballot: Ballot,
    to: &mut impl Write,
) -> io::Result<()> {
    to.write_all(b"HF1")?;
    to.write_all(&lease_text(claim.lease))?;
    to.write_all(&nonce_text(nonce))?;
    // First, ballot, token and the ballot of its info.
    for _ in 0..4 {
        to.write_all(&ballot_text(ballot))?;
    }
    to.write_all(&decimal::<10>(claim.ttl.as_millis() as u64))?;
    write_info(&claim.info, to)
}

/// The last fields of a record.
pub(super) fn write_info(info: &Info, to: &mut impl Write) -> io::Result<()> {
    to.write_all(&decimal::<3>(info.holder.len() as u64))?;
    to.write_all(info.holder.as_bytes())?;
    to.write_all(&info.metadata)
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
    use holdfast_engine::Resource;

    const BALLOT: Ballot = Ballot(1_800_000_000_000_001);

    fn record(nonce: Nonce, holder: &str) -> Vec<u8> {
        let info = Info { holder: holder.into(), metadata: [0, 255, 1].as_slice().into() };
        let claim = Claim {
            resource: Resource::new("r"),
            lease: LeaseHash::of("secret"),
            ttl: Duration::from_secs(10),
            info,
        };
        let mut record = Vec::new();
        write_new_record(&claim, nonce, BALLOT, &mut record).unwrap();
        record
    }

    #[test]
    fn what_is_packed_is_read_back() {
        for nonce in [Nonce::SHARED, Nonce::acquired(99), Nonce::reattached(u64::MAX)] {
            for holder in ["", "me", "größe ☃"] {
                let lock = parse(&record(nonce, holder)).unwrap();
                assert_eq!(lock.lease, LeaseHash::of("secret"));
                assert_eq!(lock.nonce, nonce);
                let ballots = [lock.first, lock.ballot, lock.token, lock.info_ballot];
                assert_eq!(ballots, [BALLOT; 4]);
                assert_eq!(lock.ttl, Duration::from_secs(10));
                assert_eq!(&*lock.info.holder, holder);
                assert_eq!(&*lock.info.metadata, &[0, 255, 1]);
            }
        }
    }

    #[test]
    fn numbers_have_the_width_of_their_fields() {
        assert_eq!(&ballot_text(Ballot(70)), b"0000000000000070");
        assert_eq!(&lease_text(LeaseHash::from_bytes([0xa1; 16])), &b"a1".repeat(16)[..]);
        assert_eq!(&nonce_text(Nonce::SHARED), b"0000000000000000");
        assert_eq!(&nonce_text(Nonce::acquired(0xbcd)), b"a000000000000bcd");
        assert_eq!(&nonce_text(Nonce::reattached(1)), b"r000000000000001");
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
