//! The form in which a lease's metadata rests on the masters: one protobuf message with the map, in
//! the order of its keys, so that equal metadata is equal bytes; behind it, who wrote it.

use prost::Message;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Clone, PartialEq, Message)]
struct Stored {
    #[prost(btree_map = "string, string", tag = "1")]
    entries: BTreeMap<String, String>,
}

/// The rest of the same message: what no client can write.
#[derive(Clone, PartialEq, Message)]
struct Signature {
    #[prost(string, tag = "2")]
    identity: String,
}

/// No metadata is no bytes.
pub(super) fn encode(entries: BTreeMap<String, String>) -> Arc<[u8]> {
    Stored { entries }.encode_to_vec().into()
}

/// The same metadata, written by `identity`.
pub(super) fn signed(bytes: &[u8], identity: &str) -> Arc<[u8]> {
    let signature = Signature { identity: identity.to_owned() }.encode_to_vec();
    [bytes, &signature].concat().into()
}

/// Who wrote it; empty if that is not known.
pub(super) fn signature(bytes: &[u8]) -> String {
    Signature::decode(bytes).map(|signature| signature.identity).unwrap_or_default()
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
    fn who_wrote_it_is_no_entry_and_no_entry_says_who_wrote_it() {
        let entries: BTreeMap<String, String> = [("identity".into(), "jwt:root".into())].into();
        let stored = encode(entries.clone());
        assert_eq!(signature(&stored), "");

        let stored = signed(&stored, "token:ci");
        assert_eq!((signature(&stored).as_str(), decode(&stored)), ("token:ci", entries));
        assert_eq!(signature(&signed(&[], "cert:a")), "cert:a");
        assert_eq!(signature(&[0xff; 9]), "");
    }

    #[test]
    fn garbage_is_no_metadata() {
        for garbage in [&[0xff; 9][..], b"\x0a\x05ab", &[0x08, 1]] {
            assert_eq!(decode(garbage), BTreeMap::new(), "{garbage:?}");
        }
    }
}
