//! Target `notices`: what arrives on the channels between replicas, which anybody may publish to. A
//! replica hears what a replica says, and nothing else.
//!
//! Whoever publishes chooses a channel and a payload, no more: what only a master could send is in
//! `wire`.

use crate::bench::{Bench, PATIENCE, not_begun, runtime};
use crate::hunt::{Found, Plan, Verdict, hunt};
use crate::memory;
use crate::resp::{Resp, bulk};
use crate::values::number;
use holdfast_engine::{Change, LeaseHash, Notice, Resource};
use holdfast_server::masters::Event;
use prop::sample::select;
use proptest::prelude::*;
use tokio::time::timeout;

const PER_BYTE: usize = 64;
const CONSTANT_BYTES: usize = 1 << 20;
const CHANNEL: &str = "holdfast:notice:";
/// Says that everything before it was heard.
const LAST: u64 = 0x1a57;

/// Hunts.
pub(super) fn run(plan: &Plan) -> Result<(), Found> {
    let runtime = runtime().map_err(not_begun)?;
    let mut bench = runtime.block_on(Bench::start()).map_err(not_begun)?;
    hunt(plan, &message(), |message| {
        let bytes = [message.encode(), last().encode()].concat();
        let limit = CONSTANT_BYTES + PER_BYTE * bytes.len();
        let heard = memory::within(limit, || {
            runtime.block_on(async {
                bench.master.push(&bytes);
                timeout(PATIENCE, hear(&mut bench)).await
            })
        })?;
        let heard = heard.map_err(|_| "nothing is heard any more".to_owned())??;
        judge(&message, &heard)
    })
}

/// All that was said until the last.
async fn hear(bench: &mut Bench) -> Result<Vec<(Resource, Notice)>, String> {
    let mut heard = Vec::new();
    loop {
        match bench.events.recv().await {
            Some(Event::Notice(_, notice)) if notice.origin == LAST => return Ok(heard),
            Some(Event::Notice(resource, notice)) => heard.push((resource, notice)),
            other => return Err(format!("not a notice: {other:?}")),
        }
    }
}

fn last() -> Resp {
    Resp::Array(vec![bulk("message"), bulk("holdfast:notice:r"), bulk(format!("{LAST} awaited -"))])
}

fn message() -> impl Strategy<Value = Resp> {
    let channel = prop_oneof![
        6 => Just(format!("{CHANNEL}r")),
        1 => "\\PC{0,12}".prop_map(|name| format!("{CHANNEL}{name}")),
        1 => "\\PC{0,12}",
    ];
    let origin = prop_oneof![4 => number().prop_map(|n| n.to_string()), 1 => "\\PC{0,3}"];
    let change = select(vec!["elected", "updated", "released", "forced", "awaited", "", "Elected"]);
    let lease = prop_oneof![
        2 => Just("-".to_owned()),
        2 => any::<u128>().prop_map(|lease| format!("{lease:032x}")),
        1 => any::<u64>().prop_map(|lease| format!("{lease:x}")),
        1 => Just("+".to_owned() + &"1".repeat(31)),
        1 => "\\PC{32}",
    ];
    let payload = prop_oneof![
        6 => (origin, change, lease).prop_map(|(origin, change, lease)| {
            format!("{origin} {change} {lease}").into_bytes()
        }),
        1 => "\\PC{0,40}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..60),
        1 => (0..9_000_usize).prop_map(|spaces| vec![b' '; spaces]),
    ];
    (channel, payload)
        .prop_map(|(channel, payload)| vec![bulk("message"), bulk(channel), Resp::Bulk(payload)])
        .prop_map(Resp::Array)
}

/// By the head of `notices.rs`: `{origin} {change} {lease}` on the channel of the resource.
fn meaning(message: &Resp) -> Option<(Resource, Notice)> {
    let Resp::Array(fields) = message else { return None };
    let [Resp::Bulk(kind), Resp::Bulk(channel), Resp::Bulk(payload)] = &fields[..] else {
        return None;
    };
    let resource = std::str::from_utf8(channel).ok()?.strip_prefix(CHANNEL)?;
    let payload = std::str::from_utf8(payload).ok()?;
    let mut words = payload.split(' ');
    let (origin, change, lease) = (words.next()?, words.next()?, words.next()?);
    let change = match change {
        "elected" => Change::Elected,
        "updated" => Change::Updated,
        "released" => Change::Released,
        "forced" => Change::Forced,
        "awaited" => Change::Awaited,
        _ => return None,
    };
    let is_hash = lease.len() == 32 && lease.bytes().all(|byte| byte.is_ascii_hexdigit());
    let lease = match lease {
        "-" => None,
        hex if is_hash => Some(hex),
        _ => return None,
    };
    let bits = lease.map(|hex| u128::from_str_radix(hex, 16)).transpose().ok()?;
    let lease = bits.map(|bits| LeaseHash::from_bytes(bits.to_be_bytes()));
    let notice = Notice { origin: origin.parse().ok()?, change, lease };
    (kind == b"message" && words.next().is_none()).then(|| (Resource::new(resource), notice))
}

fn judge(message: &Resp, heard: &[(Resource, Notice)]) -> Verdict {
    let meant: Vec<_> = meaning(message).into_iter().collect();
    if meant != heard {
        return Err(format!("said was {meant:?}, heard was {heard:?}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_said_is_found() {
        let notice = Notice { origin: 7, change: Change::Released, lease: None };
        let heard = [(Resource::new("r"), notice)];
        let said = |payload: &str| {
            Resp::Array(vec![bulk("message"), bulk("holdfast:notice:r"), bulk(payload)])
        };
        assert_eq!(judge(&said("7 released -"), &heard), Ok(()));
        assert!(judge(&said("7 released -"), &[]).is_err());
        assert!(judge(&said("7 released  -"), &heard).is_err());
    }
}
