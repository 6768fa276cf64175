//! The wire of Redis: values, their bytes, and the commands that a client sends.
//!
//! Deliberately absent: reading values. That is what is tested.

use crate::values::number;
use prop::sample::select;
use proptest::collection::vec;
use proptest::prelude::*;

/// A value of RESP2 or RESP3.
#[derive(Debug, Clone, PartialEq)]
pub enum Resp {
    /// `+`
    Simple(String),
    /// `-`
    Error(String),
    /// `:`
    Int(i64),
    /// `$`
    Bulk(Vec<u8>),
    /// `$-1`
    Nil,
    /// `*-1`
    NoArray,
    /// `*`
    Array(Vec<Resp>),
    /// `%`, its keys and values in turn.
    Map(Vec<Resp>),
    /// `~`
    Set(Vec<Resp>),
    /// `_`, `,`, `#`, `(` or `=`: the whole line.
    Line(&'static str),
}

/// A text as a bulk string.
pub fn bulk(text: impl AsRef<[u8]>) -> Resp {
    Resp::Bulk(text.as_ref().to_vec())
}

impl Resp {
    /// As it goes over the wire.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Simple(text) => bytes.extend(format!("+{text}\r\n").as_bytes()),
            Self::Error(text) => bytes.extend(format!("-{text}\r\n").as_bytes()),
            Self::Int(number) => bytes.extend(format!(":{number}\r\n").as_bytes()),
            Self::Bulk(text) => {
                bytes.extend(format!("${}\r\n", text.len()).as_bytes());
                bytes.extend(text);
                bytes.extend(b"\r\n");
            }
            Self::Nil => bytes.extend(b"$-1\r\n"),
            Self::NoArray => bytes.extend(b"*-1\r\n"),
            Self::Array(values) => write_all('*', values.len(), values, bytes),
            Self::Map(values) => write_all('%', values.len() / 2, values, bytes),
            Self::Set(values) => write_all('~', values.len(), values, bytes),
            Self::Line(line) => bytes.extend(format!("{line}\r\n").as_bytes()),
        }
    }
}

fn write_all(kind: char, count: usize, values: &[Resp], bytes: &mut Vec<u8>) {
    bytes.extend(format!("{kind}{count}\r\n").as_bytes());
    values.iter().for_each(|value| value.write(bytes));
}

/// Any value that is well formed.
pub fn value() -> BoxedStrategy<Resp> {
    let errors = vec![
        "ERR",
        "ERR wrong",
        "NOSCRIPT No matching script.",
        "NOPERM x",
        "NOAUTH x",
        "READONLY x",
        "LOADING x",
        "OOM x",
        "BUSY x",
        "MOVED 1 a:1",
        "WRONGTYPE x",
        "",
        " ",
        "\u{fffd}\u{7f}",
    ];
    let lines = vec![
        "_",
        ",1.5",
        ",nan",
        ",-inf",
        "#t",
        "#f",
        "(99999999999999999999999",
        "=5\r\ntxt:a",
        "!5\r\nERR x",
    ];
    let leaf = prop_oneof![
        2 => "[A-Z]{0,8}".prop_map(Resp::Simple),
        2 => select(errors).prop_map(|text| Resp::Error(text.to_owned())),
        2 => number().prop_map(|number| Resp::Int(number as i64)),
        2 => number().prop_map(|number| bulk(number.to_string())),
        2 => select(vec!["OK", "HELD", "READ", "VOTING", "", " ", "-1", "+1", "1e3", "0x10", "nan"])
            .prop_map(bulk),
        1 => vec(any::<u8>(), 0..24).prop_map(Resp::Bulk),
        1 => (0..70_000_usize).prop_map(|bytes| Resp::Bulk(vec![b'7'; bytes])),
        1 => Just(Resp::Nil),
        1 => Just(Resp::NoArray),
        1 => select(lines).prop_map(Resp::Line),
    ];
    let deep = (leaf.clone(), 0..98_usize)
        .prop_map(|(leaf, depth)| (0..depth).fold(leaf, |inner, _| Resp::Array(vec![inner])));
    let tree = leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            4 => vec(inner.clone(), 0..7).prop_map(Resp::Array),
            1 => vec(inner.clone(), 0..4).prop_map(Resp::Set),
            1 => vec((inner.clone(), inner), 0..3).prop_map(|pairs| {
                Resp::Map(pairs.into_iter().flat_map(|(key, value)| [key, value]).collect())
            }),
        ]
    });
    prop_oneof![8 => tree, 1 => deep].boxed()
}

/// Takes the next command of a client out of what has arrived; `None`: it has not arrived whole. Clients
/// send arrays of bulk strings and nothing else.
pub fn take_command(arrived: &mut Vec<u8>) -> Option<Vec<Vec<u8>>> {
    let mut rest = arrived.as_slice();
    let count = take_length(&mut rest, b'*')?;
    let mut parts = Vec::new();
    for _ in 0..count {
        let length = take_length(&mut rest, b'$')?;
        parts.push(rest.get(..length)?.to_vec());
        rest = rest.get(length + 2..)?;
    }
    let taken = arrived.len() - rest.len();
    arrived.drain(..taken);
    Some(parts)
}

fn take_length(rest: &mut &[u8], kind: u8) -> Option<usize> {
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let (line, behind) = rest.split_at(end);
    let digits = line.strip_prefix(&[kind])?;
    *rest = &behind[2..];
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_commands_are_as_redis_writes_them() {
        let value =
            Resp::Array(vec![bulk("a"), Resp::Int(-1), Resp::Nil, Resp::Error("E x".into())]);
        assert_eq!(value.encode(), b"*4\r\n$1\r\na\r\n:-1\r\n$-1\r\n-E x\r\n");
        let mut arrived = b"*1\r\n$4\r\nINFO\r\n*2\r\n$3\r\nGET\r\n$1\r\n".to_vec();
        assert_eq!(take_command(&mut arrived), Some(vec![b"INFO".to_vec()]));
        assert_eq!(take_command(&mut arrived), None);
        arrived.extend(b"k\r\n");
        assert_eq!(take_command(&mut arrived), Some(vec![b"GET".to_vec(), b"k".to_vec()]));
        assert!(arrived.is_empty());
    }
}
