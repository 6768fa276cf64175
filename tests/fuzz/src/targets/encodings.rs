//! Target `encodings`: bytes that are, were or never will be a message of a method: garbage, cut short,
//! with bits that flipped and parts that repeat. They are refused, or read as what they say, with memory
//! in proportion to their length.
//!
//! What the transport says of bytes that are no message is in `calls`.

use super::requests::Desk;
use crate::hunt::{Found, Plan, Verdict, hunt};
use crate::memory;
use crate::messages::message;
use crate::rules::Message;
use crate::statuses;
use crate::values::{Damage, damages, garbage};
use proptest::prelude::*;

/// The largest message that the transport lets through.
const LARGEST: usize = 64 * 1_024;
/// An entry of a map takes four bytes on the wire, and a hundred in a tree.
const PER_BYTE: usize = 64;
const CONSTANT_BYTES: usize = 128 * 1_024;
const WALL_MICROS: u64 = 1_800_000_000_000_000;
const SKEW_MICROS: u64 = 10_000_000;

/// Hunts.
pub(super) fn run(plan: &Plan) -> Result<(), Found> {
    let desk = Desk::new();
    hunt(plan, &case(), |case| check(&desk, &case))
}

/// Bytes for the method of a message.
#[derive(Debug, Clone)]
enum Case {
    Damaged(Message, Vec<Damage>),
    Garbage(Message, Vec<u8>),
}

fn case() -> impl Strategy<Value = Case> {
    let message = || message(WALL_MICROS, SKEW_MICROS);
    prop_oneof![
        3 => (message(), damages()).prop_map(|(message, damages)| Case::Damaged(message, damages)),
        1 => (message(), fields()).prop_map(|(message, bytes)| Case::Garbage(message, bytes)),
        1 => (message(), garbage(LARGEST)).prop_map(|(message, bytes)| Case::Garbage(message, bytes)),
    ]
}

/// Looks like protobuf: fields of every number and wire type, with contents of any kind.
fn fields() -> impl Strategy<Value = Vec<u8>> {
    let field =
        (0..9_u8, 0..8_u8, garbage(64), any::<bool>()).prop_map(|(number, kind, content, told)| {
            let mut field = vec![number << 3 | kind];
            if told {
                field.push(content.len().min(127) as u8);
            }
            field.extend(content.into_iter().take(127));
            field
        });
    prop_oneof![
        3 => prop::collection::vec(field, 1..8).prop_map(|fields| fields.concat()),
        // The smallest entries there are, each with a key of its own.
        1 => (1..9_u8, 0..8_000_u16).prop_map(|(number, count)| {
            let entry = |n: u16| {
                let [high, low] = (n % 16_384).to_be_bytes();
                [number << 3 | 2, 4, 0x0a, 2, high & 0x7f, low & 0x7f]
            };
            (0..count).flat_map(entry).collect()
        }),
        // Groups within groups.
        1 => (1..9_u8, 0..LARGEST).prop_map(|(number, depth)| vec![number << 3 | 3; depth]),
    ]
}

fn check(desk: &Desk, case: &Case) -> Verdict {
    let (message, bytes) = match case {
        Case::Garbage(message, bytes) => (message, bytes.clone()),
        Case::Damaged(message, damages) => {
            let mut bytes = message.encode();
            damages.iter().for_each(|damage| damage.befall(&mut bytes));
            (message, bytes)
        }
    };
    let limit = CONSTANT_BYTES + PER_BYTE * bytes.len();
    match memory::within(limit, || message.decode_alike(&bytes))? {
        // A page token that is not empty is not the oracle's business.
        Ok(Message::List(list)) if !list.page_token.is_empty() => {
            match desk.read(Message::List(list)) {
                Ok(()) => Err("a page token that the server never made is read".to_owned()),
                Err(status) => statuses::in_the_contract(&status),
            }
        }
        Ok(message) => desk.check(&message),
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_proto::v1::AcquireRequest;

    #[test]
    fn memory_out_of_proportion_is_found() {
        let bytes: Vec<u8> = fields_with_entries();
        let message = Message::Acquire(AcquireRequest::default());
        assert!(memory::within(bytes.len(), || message.decode_alike(&bytes)).is_err());
    }

    fn fields_with_entries() -> Vec<u8> {
        (0..1_000_u16).flat_map(|n| [0x32, 4, 0x0a, 2, (n / 100) as u8, (n % 100) as u8]).collect()
    }
}
