//! The form in which a lease's metadata rests on the masters: one protobuf message with the map, in
//! the order of its keys, so that equal metadata is equal bytes.

use prost::Message;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Clone, PartialEq, Message)]
struct Stored {
    #[prost(btree_map = "string, string", tag = "1")]
    entries: BTreeMap<String, String>,
}

/// No metadata is no bytes.
pub(super) fn encode(entries: BTreeMap<String, String>) -> Arc<[u8]> {
    Stored { entries }.encode_to_vec().into()
}

/// What cannot be read is shown as none: it is for people, and no lock depends on it.
pub(super) fn decode(bytes: &[u8]) -> BTreeMap<String, String> {
    Stored::decode(bytes).map(|stored| stored.entries).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_survives_the_way_there_and_back() {
        let entries: BTreeMap<String, String> =
            [("b", "2"), ("a", "1"), ("", "")].map(|(k, v)| (k.into(), v.into())).into();

        assert_eq!(decode(&encode(entries.clone())), entries);
        assert!(encode(BTreeMap::new()).is_empty());
    }

    #[test]
    fn garbage_is_no_metadata() {
        for garbage in [&[0xff; 9][..], b"\x0a\x05ab", &[0x08, 1]] {
            assert_eq!(decode(garbage), BTreeMap::new(), "{garbage:?}");
        }
    }
}
