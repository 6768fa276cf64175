//! Requests as commands, EVALSHA for all but two, and what is answered as replies.

use super::connector::Deployment;
use super::notices;
use super::record::{ballot_text, info_bytes, lease_text, nonce_text, parse};
use super::scripts::{SCRIPTS, Source};
use crate::config::{PROTOCOL_VERSION, differences};
use crate::masters::MISFIT;
use holdfast_engine::{
    Ask, Ballot, Body, Deletion, Incident, Occupant, Reply, Request, Resource, Standing,
};
use redis::{Cmd, Value};
use std::time::Duration;

/// An answer of no script.
const NONSENSE: &str = "an answer that makes no sense";

/// The command for one request.
pub(super) fn command(ask: &Ask, deployment: &Deployment) -> Cmd {
    let scripts = &*SCRIPTS;
    match &ask.request {
        Request::Acquire { claim, nonce, ballot } => {
            let mut cmd = voting(&scripts.acquire, ask, &claim.resource, deployment);
            cmd.arg(lease_text(claim.lease)).arg(nonce_text(*nonce)).arg(ballot_text(*ballot));
            cmd.arg(millis(claim.ttl)).arg(info_bytes(&claim.info));
            cmd.arg(deployment.channel(&claim.resource));
            cmd
        }
        Request::Extend { renewal, ballot } => {
            let mut cmd = voting(&scripts.extend, ask, &renewal.resource, deployment);
            cmd.arg(lease_text(renewal.lease)).arg(nonce_text(renewal.nonce));
            cmd.arg(ballot_text(*ballot)).arg(millis(renewal.ttl));
            cmd.arg(ballot_text(renewal.token)).arg(u8::from(renewal.metadata.is_some()));
            cmd.arg(renewal.metadata.as_deref().unwrap_or_default());
            cmd
        }
        Request::Repair { renewal, ballot, info, info_ballot } => {
            let mut cmd = voting(&scripts.repair, ask, &renewal.resource, deployment);
            cmd.arg(lease_text(renewal.lease)).arg(nonce_text(renewal.nonce));
            cmd.arg(ballot_text(*ballot)).arg(millis(renewal.ttl));
            cmd.arg(ballot_text(renewal.token)).arg(ballot_text(*info_ballot));
            cmd.arg(info_bytes(info));
            cmd
        }
        Request::Cleanup { resource, lease, nonce, ballot } => {
            let mut cmd = plain(&scripts.cleanup, ask, resource, deployment);
            cmd.arg(lease_text(*lease)).arg(nonce_text(*nonce)).arg(ballot_text(*ballot));
            cmd
        }
        Request::Release { resource, lease, token, ballot, notice, listens } => {
            let mut cmd = plain(&scripts.release, ask, resource, deployment);
            cmd.arg(lease_text(*lease)).arg(ballot_text(*token)).arg(ballot_text(*ballot));
            cmd.arg(deployment.channel(resource)).arg(notices::payload(*notice));
            cmd.arg(u8::from(*listens));
            cmd
        }
        Request::Read { resource } => plain(&scripts.read, ask, resource, deployment),
        Request::Revoke { resource, lease, token, ballot } => {
            let mut cmd = plain(&scripts.revoke, ask, resource, deployment);
            cmd.arg(lease_text(*lease)).arg(ballot_text(*token)).arg(ballot_text(*ballot));
            cmd
        }
        Request::Scan { prefix, cursor, count } => {
            let mut cmd = redis::cmd("SCAN");
            cmd.arg(cursor).arg("MATCH").arg(deployment.lock_pattern(prefix));
            cmd.arg("COUNT").arg((*count).max(1));
            cmd
        }
        Request::Publish { resource, notice } => {
            let mut cmd = redis::cmd("PUBLISH");
            cmd.arg(deployment.channel(resource)).arg(notices::payload(*notice));
            cmd
        }
        Request::Observe { incident } => {
            let mut cmd = state(&scripts.observe, ask, deployment);
            cmd.arg(incident_text(*incident)).arg(PROTOCOL_VERSION);
            cmd.arg(&*deployment.fingerprint_text);
            cmd
        }
        Request::Adopt { incident, base } => {
            let mut cmd = state(&scripts.adopt, ask, deployment);
            cmd.arg(incident_text(*incident)).arg(ballot_text(*base));
            cmd.arg(deployment.clock_skew.as_micros().to_string());
            cmd
        }
        Request::Suspect { incident } => {
            let mut cmd = state(&scripts.suspect, ask, deployment);
            cmd.arg(incident_text(*incident));
            cmd
        }
    }
}

fn evalsha(source: &Source, keys: usize) -> Cmd {
    let mut cmd = Cmd::with_capacity(20, 512);
    cmd.arg("EVALSHA").arg(&source.sha).arg(keys);
    cmd
}

fn plain(source: &Source, ask: &Ask, resource: &Resource, deployment: &Deployment) -> Cmd {
    let mut cmd = evalsha(source, 2);
    cmd.arg(deployment.lock_key(resource)).arg(deployment.state_key());
    cmd.arg(&*ask.run.0)
        .arg(&*deployment.fingerprint)
        .arg(["f", &resource.bucket().to_string()].concat());
    cmd
}

fn voting(source: &Source, ask: &Ask, resource: &Resource, deployment: &Deployment) -> Cmd {
    let mut cmd = plain(source, ask, resource, deployment);
    cmd.arg(ask.window.lo).arg(ask.window.hi);
    cmd.arg(deployment.clock_skew.as_micros() as u64);
    cmd
}

fn state(source: &Source, ask: &Ask, deployment: &Deployment) -> Cmd {
    let mut cmd = evalsha(source, 1);
    cmd.arg(deployment.state_key()).arg(&*ask.run.0).arg(&*deployment.fingerprint);
    cmd
}

fn millis(span: Duration) -> u64 {
    span.as_millis() as u64
}

fn incident_text(incident: Incident) -> String {
    format!("{:016x}", incident.0)
}

/// What the answer to `request` says. An error of the server is no vote, with its text; whether
/// anything was written before it stays open.
pub(super) fn reply(request: &Request, value: Value, deployment: &Deployment) -> Reply {
    match value {
        Value::Int(listeners) if matches!(request, Request::Publish { .. }) => {
            bare(Body::Published(count(listeners)))
        }
        Value::ServerError(error) => Reply::unknown(error.to_string()),
        Value::BulkString(bytes) => {
            let reply = str::from_utf8(&bytes).ok().and_then(words);
            reply.unwrap_or_else(|| Reply::unknown(NONSENSE))
        }
        Value::Array(fields) => {
            let reply = match request {
                Request::Scan { .. } => scanned(fields, deployment).map(bare),
                _ => array(fields, deployment),
            };
            reply.unwrap_or_else(|| Reply::unknown(NONSENSE))
        }
        _ => Reply::unknown(NONSENSE),
    }
}

/// What the hot path is answered, in one string: a vote, or what a release found.
fn words(text: &str) -> Option<Reply> {
    let mut words = text.split(' ');
    let (code, time) = (words.next()?, words.next()?);
    let seen = Ballot(words.next()?.parse().ok()?);
    let time_micros = if time.is_empty() { None } else { Some(time.parse().ok()?) };
    let body = match code {
        "OK" => {
            let info_ballot = Ballot(words.next()?.parse().ok()?);
            // Extend does not say.
            let listeners = words.next().map_or(Ok(0), str::parse).ok()?;
            Body::Ok { info_ballot, listeners }
        }
        "DROPPED" => Body::Dropped,
        code => Body::Released(deletion(code)?),
    };
    words.next().is_none().then_some(Reply { time_micros, seen, body })
}

fn deletion(code: &str) -> Option<Deletion> {
    Some(match code {
        "DELETED" => Deletion::Deleted,
        "NEWER" => Deletion::Newer,
        "OTHER" => Deletion::Other,
        "NOTHING" => Deletion::Nothing,
        _ => return None,
    })
}

/// What no script answered: no TIME, no ballot.
fn bare(body: Body) -> Reply {
    Reply { time_micros: None, seen: Ballot::ZERO, body }
}

fn scanned(fields: Vec<Value>, deployment: &Deployment) -> Option<Body> {
    let mut fields = fields.into_iter();
    let cursor = text(fields.next()?)?.parse().ok()?;
    let Value::Array(keys) = fields.next()? else { return None };
    let keys = keys.into_iter().map(bytes).collect::<Option<Vec<_>>>()?;
    let resources = keys.iter().filter_map(|key| deployment.resource(key)).collect();
    Some(Body::Scanned { cursor, resources })
}

fn array(fields: Vec<Value>, deployment: &Deployment) -> Option<Reply> {
    let mut fields = fields.into_iter();
    let code = text(fields.next()?)?;
    let time = text(fields.next()?)?;
    let seen = Ballot(text(fields.next()?)?.parse().ok()?);
    let time_micros = if time.is_empty() { None } else { Some(time.parse().ok()?) };
    let body = body(&code, &mut fields, deployment)?;
    Some(Reply { time_micros, seen, body })
}

fn body(
    code: &str,
    fields: &mut impl Iterator<Item = Value>,
    deployment: &Deployment,
) -> Option<Body> {
    Some(match code {
        "HELD" => Body::Held(occupant(fields)?),
        "FOREIGN" => {
            Body::Held(Occupant { lock: None, remaining: remaining(int(fields.next()?)?) })
        }
        "STALE" => Body::Stale,
        "LOST" => {
            let first = text(fields.next()?)?;
            let first = if first.is_empty() { None } else { Some(Ballot(first.parse().ok()?)) };
            Body::Lost { first }
        }
        "ABSENT" => Body::Absent,
        "NOTVOTING" => Body::NotVoting(incident(&text(fields.next()?)?)),
        "MISFIT" => Body::Misfit,
        "LATE" => Body::Late,
        "AHEAD" => Body::Ahead,
        "REPAIRED" => Body::Repaired,
        "REFUSED" => Body::Refused,
        "CLEANED" => Body::Cleaned,
        "REVOKED" => Body::Revoked { remaining: remaining(int(fields.next()?)?)? },
        "DROPPED" => Body::Dropped,
        "OBSERVED" => Body::Observed(standing(fields, deployment)?),
        "READ" => {
            let standing = standing(fields, deployment)?;
            Body::Read { standing, occupant: occupant_or_nothing(fields)? }
        }
        code => Body::Released(deletion(code)?),
    })
}

fn standing(fields: &mut impl Iterator<Item = Value>, deployment: &Deployment) -> Option<Standing> {
    let standing = text(fields.next()?)?;
    let detail = text(fields.next()?)?;
    Some(match &*standing {
        "VOTING" => Standing::Voting,
        "QUARANTINED" => Standing::Quarantined(incident(&detail)),
        "MISFIT" => {
            // A text of some other form says what it says.
            match differences(&deployment.fingerprint_text, &detail).join("; ") {
                fields if fields.is_empty() => Standing::Misfit(detail.into()),
                fields => Standing::Misfit(format!("{MISFIT}{fields}").into()),
            }
        }
        _ => return None,
    })
}

fn occupant(fields: &mut impl Iterator<Item = Value>) -> Option<Occupant> {
    let remaining = remaining(int(fields.next()?)?);
    let lock = parse(&bytes(fields.next()?)?);
    Some(Occupant { lock, remaining })
}

fn occupant_or_nothing(fields: &mut impl Iterator<Item = Value>) -> Option<Option<Occupant>> {
    let pttl = int(fields.next()?)?;
    let lock = parse(&bytes(fields.next()?)?);
    Some((pttl != -2).then(|| Occupant { lock, remaining: remaining(pttl) }))
}

/// PTTL is negative for a key that never expires.
fn remaining(pttl: i64) -> Option<Duration> {
    u64::try_from(pttl).ok().map(Duration::from_millis)
}

fn count(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn incident(hex: &str) -> Option<Incident> {
    u64::from_str_radix(hex, 16).ok().map(Incident)
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        _ => None,
    }
}

fn text(value: Value) -> Option<String> {
    String::from_utf8(bytes(value)?).ok()
}

fn int(value: Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(number),
        _ => None,
    }
}
