//! What the scripts ask and answer, by the heads of the Lua files: requests, right answers, and the
//! oracle that tells whether an answer could be right.

use crate::resp::{Resp, bulk, value};
use crate::values::number;
use holdfast_engine::{
    Ballot, Body, Change, Claim, Incident, Info, LeaseHash, Nonce, Notice, Renewal, Request,
    Resource,
};
use prop::sample::{Index, select};
use proptest::collection::vec;
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

/// One request of every kind, about this resource.
pub fn requests(resource: &Resource) -> Vec<Request> {
    let lease = LeaseHash::of("lease");
    let (nonce, ballot, ttl) = (Nonce::acquired(2), Ballot(1 << 50), Duration::from_secs(10));
    let info = || Info { holder: "me".into(), metadata: [1, 2, 3].as_slice().into() };
    let claim = Claim { resource: resource.clone(), lease, ttl, info: info() };
    let renewal = Arc::new(Renewal {
        resource: resource.clone(),
        lease,
        token: ballot,
        ttl,
        nonce,
        metadata: None,
    });
    let resource = || resource.clone();
    let notice = Notice { origin: 7, change: Change::Elected, lease: Some(lease) };
    vec![
        Request::Acquire { claim: Arc::new(claim), nonce, ballot },
        Request::Extend { renewal: Arc::clone(&renewal), ballot },
        Request::Repair { renewal, ballot, info: info(), info_ballot: ballot },
        Request::Cleanup { resource: resource(), lease, nonce, ballot },
        Request::Release {
            resource: resource(),
            lease,
            token: ballot,
            ballot,
            notice,
            listens: false,
        },
        Request::Read { resource: resource() },
        Request::Revoke { resource: resource(), lease, token: ballot, ballot },
        Request::Scan { prefix: "".into(), cursor: 0, count: 10 },
        Request::Publish { resource: resource(), notice },
        Request::Observe { incident: Incident(1) },
        Request::Adopt { incident: Incident(1), base: ballot },
        Request::Suspect { incident: Incident(1) },
    ]
}

/// A right answer of some script, or of a command.
pub fn right_answer() -> BoxedStrategy<Resp> {
    prop_oneof![2 => answer_of_one(), 1 => of_many(answer_to_each())].boxed()
}

/// What a script of many says to each: what the others say, without the time, and the hot path in one
/// string.
fn answer_to_each() -> BoxedStrategy<Resp> {
    let brief = prop_oneof![
        (number(), number(), prop::option::of(any::<u32>())).prop_map(|(seen, info, listeners)| {
            let listeners = listeners.map(|listeners| format!(" {listeners}"));
            bulk(format!("OK {seen} {info}{}", listeners.unwrap_or_default()))
        }),
        (select(vec!["DELETED", "NEWER", "OTHER", "NOTHING", "DROPPED"]), number())
            .prop_map(|(code, seen)| bulk(format!("{code} {seen}"))),
    ];
    let long = answer_of_one().prop_map(|answer| match answer {
        Resp::Array(mut fields) if fields.len() > 2 => {
            fields.remove(1);
            Resp::Array(fields)
        }
        answer => answer,
    });
    prop_oneof![brief, long].boxed()
}

/// One time for all, here of one.
fn of_many(each: BoxedStrategy<Resp>) -> BoxedStrategy<Resp> {
    (time(), each).prop_map(|(time, each)| Resp::Array(vec![time, each])).boxed()
}

/// A right answer of a script that is asked one thing, or of a command.
fn answer_of_one() -> BoxedStrategy<Resp> {
    let plain = select(vec![
        "STALE", "ABSENT", "MISFIT", "LATE", "AHEAD", "REPAIRED", "REFUSED", "CLEANED", "DROPPED",
        "DELETED", "NEWER", "OTHER", "NOTHING",
    ]);
    let head = || (time(), number().prop_map(|seen| bulk(seen.to_string())));
    let pttl = || prop_oneof![Just(-2), Just(-1), 0..100_000_i64, Just(i64::MAX)];
    let hex = || any::<u64>().prop_map(|incident| bulk(format!("{incident:016x}")));
    let standing = || {
        prop_oneof![
            Just([bulk("VOTING"), bulk("")]),
            hex().prop_map(|incident| [bulk("QUARANTINED"), incident]),
            Just([bulk("QUARANTINED"), bulk("")]),
            "\\PC{0,40}".prop_map(|text| [bulk("MISFIT"), bulk(text)]),
        ]
    };
    let with = |code: &'static str, head: (Resp, Resp), rest: Vec<Resp>| {
        Resp::Array([vec![bulk(code), head.0, head.1], rest].concat())
    };
    prop_oneof![
        (plain, head()).prop_map(move |(code, head)| with(code, head, Vec::new())),
        (head(), pttl(), record()).prop_map(move |(head, pttl, record)| with(
            "HELD",
            head,
            vec![Resp::Int(pttl), record]
        )),
        (head(), pttl()).prop_map(move |(head, pttl)| with("FOREIGN", head, vec![Resp::Int(pttl)])),
        (head(), 0..100_000_i64).prop_map(move |(head, pttl)| with(
            "REVOKED",
            head,
            vec![Resp::Int(pttl)]
        )),
        (head(), prop::option::of(number())).prop_map(move |(head, first)| {
            with("LOST", head, vec![bulk(first.map_or_else(String::new, |f| f.to_string()))])
        }),
        (head(), hex()).prop_map(move |(head, incident)| with("NOTVOTING", head, vec![incident])),
        (head(), standing()).prop_map(move |(head, standing)| with(
            "OBSERVED",
            head,
            standing.to_vec()
        )),
        (head(), standing(), pttl(), record()).prop_map(
            move |(head, [word, detail], pttl, record)| {
                with("READ", head, vec![word, detail, Resp::Int(pttl), record])
            }
        ),
        (number(), vec("(redlock:|holdfast:|)\\PC{0,8}", 0..6)).prop_map(|(cursor, keys)| {
            let keys = keys.into_iter().map(bulk).collect();
            Resp::Array(vec![bulk(cursor.to_string()), Resp::Array(keys)])
        }),
        number().prop_map(|count| Resp::Int(count as i64)),
    ]
    .boxed()
}

fn time() -> impl Strategy<Value = Resp> {
    prop_oneof![
        2 => Just(bulk("1800000000000000")),
        1 => Just(bulk("")),
        1 => number().prop_map(|micros| bulk(micros.to_string())),
    ]
}

/// A stored lock: ours, nearly ours, or not at all.
pub fn record() -> BoxedStrategy<Resp> {
    stored().prop_map(Resp::Bulk).boxed()
}

/// The same as bytes: fields of the right width, most of them with the right kind of digits.
pub fn stored() -> BoxedStrategy<Vec<u8>> {
    let field = |right: &'static str, width: usize| {
        prop_oneof![
            12 => Just(right.repeat(width).into_bytes()),
            1 => number().prop_map(move |number| format!("{number:0width$}")[..width].into()),
            1 => select(vec![" ", "+", "-", "x", "f", "9", "\0"])
                .prop_map(move |fill| fill.repeat(width).into_bytes()),
            1 => select(vec!["nan", "inf", "0x1", "-1", "+1", "1e5", "1 "])
                .prop_map(move |odd| format!("{odd:>width$}").into_bytes()),
            1 => vec(any::<u8>(), width),
        ]
    };
    let magic = prop_oneof![12 => Just(b"HF1".to_vec()), 1 => Just(b"HF2".to_vec())];
    let nonce = prop_oneof![
        6 => Just(b"a000000000000002".to_vec()),
        2 => Just(b"0000000000000000".to_vec()),
        1 => Just(b"r00000000000000f".to_vec()),
        1 => vec(any::<u8>(), 16),
    ];
    let ours = (
        (magic, field("a", 32), nonce, field("1", 16), field("2", 16)),
        (field("2", 16), field("1", 16), field("0", 10), holder()),
    )
        .prop_map(|((magic, lease, nonce, first, ballot), (token, info, ttl, rest))| {
            [magic, lease, nonce, first, ballot, token, info, ttl, rest].concat()
        })
        .boxed();
    let cut = (ours.clone(), any::<Index>()).prop_map(|(mut record, at)| {
        record.truncate(at.index(record.len() + 1));
        record
    });
    prop_oneof![
        8 => ours,
        2 => cut,
        1 => Just(Vec::new()),
        1 => Just(b"0f3cc2a4-8d0a-4b5e-9d6c-1f3b2a4c5d6e".to_vec()),
        1 => vec(any::<u8>(), 0..200),
    ]
    .boxed()
}

/// The length of a holder, a holder, and metadata, whether they fit or not.
fn holder() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![
        4 => Just("002".to_owned()),
        1 => (0..1_000_usize).prop_map(|length| format!("{length:03}")),
        1 => select(vec!["-01", "+02", " 2 ", "2\0\0", "", "2"]).prop_map(str::to_owned),
    ];
    (length, vec(any::<u8>(), 0..40))
        .prop_map(|(length, rest)| [length.into_bytes(), rest].concat())
}

/// One thing is not as it was.
pub fn nearly_right() -> BoxedStrategy<Resp> {
    prop_oneof![changed(right_answer()), of_many(changed(answer_to_each()))].boxed()
}

fn changed(answer: BoxedStrategy<Resp>) -> BoxedStrategy<Resp> {
    let change = prop_oneof![
        (any::<Index>(), value()).prop_map(|(at, other)| (at, Some(other), true)),
        (any::<Index>(), value()).prop_map(|(at, more)| (at, Some(more), false)),
        any::<Index>().prop_map(|at| (at, None, true)),
    ];
    (answer, vec(change, 1..3))
        .prop_map(|(answer, changes)| {
            let Resp::Array(mut fields) = answer else { return answer };
            for (at, new, replaces) in changes {
                let place = at.index(fields.len() + 1);
                let end = (place + usize::from(replaces)).min(fields.len());
                fields.splice(place..end, new);
            }
            Resp::Array(fields)
        })
        .boxed()
}

/// What an answer may mean at most, by the heads of the Lua files; `None`: nothing. A right answer means
/// just that.
pub fn meaning(request: &Request, answer: &Resp) -> Option<&'static str> {
    match (request, answer) {
        (Request::Publish { .. }, Resp::Int(_)) => Some("Published"),
        (Request::Scan { .. }, Resp::Array(fields)) => {
            decimal(fields.first()?)?;
            let Resp::Array(keys) = fields.get(1)? else { return None };
            keys.iter().all(text_or_bytes).then_some("Scanned")
        }
        (
            Request::Acquire { .. } | Request::Extend { .. } | Request::Release { .. },
            Resp::Array(answers),
        ) => {
            let [time, each] = &answers[..] else { return None };
            is_time(time)?;
            match each {
                Resp::Bulk(bytes) => brief(std::str::from_utf8(bytes).ok()?),
                Resp::Array(fields) => long(text(fields.first()?)?, &fields[1..]),
                _ => None,
            }
        }
        (_, Resp::Array(fields)) => {
            is_time(fields.get(1)?)?;
            long(text(fields.first()?)?, &fields[2..])
        }
        _ => None,
    }
}

/// None, or a number.
fn is_time(value: &Resp) -> Option<()> {
    if text(value)?.is_empty() { Some(()) } else { decimal(value).map(|_| ()) }
}

/// A code, and what stands behind it and the time.
fn long(code: &str, fields: &[Resp]) -> Option<&'static str> {
    let (seen, rest) = fields.split_first()?;
    decimal(seen)?;
    match code {
        "HELD" => (int(rest.first()?) && text_or_bytes(rest.get(1)?)).then_some("Held"),
        "FOREIGN" => int(rest.first()?).then_some("Held"),
        "REVOKED" => matches!(rest.first()?, Resp::Int(0..)).then_some("Revoked"),
        "LOST" => text(rest.first()?).map(|_| "Lost"),
        "NOTVOTING" => text(rest.first()?).map(|_| "NotVoting"),
        "OBSERVED" => standing(rest).then_some("Observed"),
        "READ" => {
            (standing(rest) && int(rest.get(2)?) && text_or_bytes(rest.get(3)?)).then_some("Read")
        }
        "STALE" => Some("Stale"),
        "ABSENT" => Some("Absent"),
        "MISFIT" => Some("Misfit"),
        "LATE" => Some("Late"),
        "AHEAD" => Some("Ahead"),
        "REPAIRED" => Some("Repaired"),
        "REFUSED" => Some("Refused"),
        "CLEANED" => Some("Cleaned"),
        "DROPPED" => Some("Dropped"),
        "DELETED" | "NEWER" | "OTHER" | "NOTHING" => Some("Released"),
        _ => None,
    }
}

/// One string: a vote, or what a release found.
fn brief(words: &str) -> Option<&'static str> {
    let words: Vec<Resp> = words.split(' ').map(bulk).collect();
    let (code, rest) = words.split_first()?;
    let numbers = rest.iter().map(decimal).collect::<Option<Vec<u64>>>()?;
    match (text(code)?, numbers.as_slice()) {
        ("OK", [_, _]) => Some("Ok"),
        ("OK", [_, _, listeners]) => u32::try_from(*listeners).ok().map(|_| "Ok"),
        ("DROPPED", [_]) => Some("Dropped"),
        ("DELETED" | "NEWER" | "OTHER" | "NOTHING", [_]) => Some("Released"),
        _ => None,
    }
}

fn text(value: &Resp) -> Option<&str> {
    match value {
        Resp::Bulk(bytes) => std::str::from_utf8(bytes).ok(),
        // The client says OK for it, which is no text.
        Resp::Simple(text) if text != "OK" => Some(text),
        _ => None,
    }
}

fn text_or_bytes(value: &Resp) -> bool {
    matches!(value, Resp::Bulk(_)) || text(value).is_some()
}

fn decimal(value: &Resp) -> Option<u64> {
    text(value)?.parse().ok()
}

fn int(value: &Resp) -> bool {
    matches!(value, Resp::Int(_))
}

fn standing(rest: &[Resp]) -> bool {
    let word = rest.first().and_then(text);
    let known = matches!(word, Some("VOTING" | "QUARANTINED" | "MISFIT"));
    known && rest.get(1).and_then(text).is_some()
}

/// The name of what the server made of an answer; `None`: it made nothing of it.
pub fn name(body: &Body) -> Option<&'static str> {
    Some(match body {
        Body::Unknown(_) | Body::NotAsked(_) => return None,
        Body::Ok { .. } => "Ok",
        Body::Held(_) => "Held",
        Body::Stale => "Stale",
        Body::Lost { .. } => "Lost",
        Body::Absent => "Absent",
        Body::NotVoting(_) => "NotVoting",
        Body::Misfit => "Misfit",
        Body::Late => "Late",
        Body::Ahead => "Ahead",
        Body::Repaired => "Repaired",
        Body::Refused => "Refused",
        Body::Cleaned => "Cleaned",
        Body::Released(_) => "Released",
        Body::Revoked { .. } => "Revoked",
        Body::Dropped => "Dropped",
        Body::Scanned { .. } => "Scanned",
        Body::Published(_) => "Published",
        Body::Observed(_) => "Observed",
        Body::Read { .. } => "Read",
    })
}
