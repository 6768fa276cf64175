//! Requests as commands, EVALSHA for all but two, and what is answered as replies.

use super::calls;
use super::deployment::Deployment;
use super::notices;
use super::record::{ballot_text, lease_text, nonce_text, parse, write_info, write_new_record};
use super::scripts::{Scripts, Source};
use crate::config::{PROTOCOL_VERSION, differences};
use crate::masters::MISFIT;
use holdfast_engine::{
    Ask, Ballot, Body, Deletion, Incident, LeaseHash, Nonce, Occupant, Reply, Request, Resource,
    Standing, Window,
};
use redis::{Cmd, RedisWrite, Value};
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

/// An answer of no script.
const NONSENSE: &str = "an answer that makes no sense";

/// The command for one ask, or for those that [share a call](calls::calls).
/// `listening`: this connection's other half listens to something, and the master knows.
pub(super) fn command(
    asks: &[&Ask],
    listening: bool,
    scripts: &Scripts,
    deployment: &Deployment,
) -> Cmd {
    let mut cmd = head(asks, listening, scripts, deployment);
    for ask in asks {
        row(&mut cmd, &ask.request, deployment);
    }
    cmd
}

/// What comes before what each of them says itself.
fn head(asks: &[&Ask], listening: bool, scripts: &Scripts, deployment: &Deployment) -> Cmd {
    let of_lock = |source, resource| lock(source, asks[0], resource, deployment);
    let of_state = |source| state(source, asks[0], deployment);
    match &asks[0].request {
        Request::Acquire { .. } => {
            let mut cmd = locks(&scripts.acquire, asks, deployment);
            times(&mut cmd, calls::window(asks), deployment);
            cmd.arg(deployment.listening_channel()).arg(u8::from(listening));
            floor_fields(&mut cmd, asks);
            channels(&mut cmd, asks, deployment);
            cmd
        }
        Request::Extend { .. } => {
            let mut cmd = locks(&scripts.extend, asks, deployment);
            times(&mut cmd, calls::window(asks), deployment);
            floor_fields(&mut cmd, asks);
            cmd
        }
        Request::Release { .. } => {
            let mut cmd = locks(&scripts.release, asks, deployment);
            cmd.arg(deployment.listening_channel()).arg(u8::from(listening));
            floor_fields(&mut cmd, asks);
            channels(&mut cmd, asks, deployment);
            cmd
        }
        Request::Repair { renewal, .. } => {
            let mut cmd = of_lock(&scripts.repair, &renewal.resource);
            times(&mut cmd, asks[0].window, deployment);
            cmd
        }
        Request::Cleanup { resource, .. } => of_lock(&scripts.cleanup, resource),
        Request::Read { resource } => of_lock(&scripts.read, resource),
        Request::Revoke { resource, .. } => of_lock(&scripts.revoke, resource),
        Request::Observe { .. } => of_state(&scripts.observe),
        Request::Adopt { .. } => of_state(&scripts.adopt),
        Request::Suspect { .. } => of_state(&scripts.suspect),
        Request::Scan { .. } => redis::cmd("SCAN"),
        Request::Publish { .. } => redis::cmd("PUBLISH"),
    }
}

/// A script of many: what it hands on as it came stands in columns, so that it need not be picked
/// out there.
fn locks(source: &Source, asks: &[&Ask], deployment: &Deployment) -> Cmd {
    let mut cmd = Cmd::with_capacity(10 + 9 * asks.len(), 256 + 384 * asks.len());
    cmd.arg("EVALSHA").arg(&source.sha).arg(1 + asks.len()).arg(deployment.state_key());
    for resource in resources(asks) {
        parts(&mut cmd, deployment.lock_key_parts(resource));
    }
    cmd.arg(&*asks[0].run.0).arg(&*deployment.fingerprint);
    cmd
}

fn floor_fields(cmd: &mut Cmd, asks: &[&Ask]) {
    for resource in resources(asks) {
        floor_field(cmd, resource);
    }
}

fn channels(cmd: &mut Cmd, asks: &[&Ask], deployment: &Deployment) {
    for resource in resources(asks) {
        parts(cmd, deployment.channel_parts(resource));
    }
}

fn resources<'a>(asks: &[&'a Ask]) -> impl Iterator<Item = &'a Resource> {
    asks.iter().filter_map(|ask| ask.request.resource())
}

fn times(cmd: &mut Cmd, window: Window, deployment: &Deployment) {
    cmd.arg(window.lo).arg(window.hi).arg(deployment.clock_skew.as_micros() as u64);
}

/// A script about one lock.
fn lock(source: &Source, ask: &Ask, resource: &Resource, deployment: &Deployment) -> Cmd {
    let mut cmd = evalsha(source, 2);
    parts(&mut cmd, deployment.lock_key_parts(resource));
    cmd.arg(deployment.state_key());
    cmd.arg(&*ask.run.0).arg(&*deployment.fingerprint);
    floor_field(&mut cmd, resource);
    cmd
}

/// A script about a master.
fn state(source: &Source, ask: &Ask, deployment: &Deployment) -> Cmd {
    let mut cmd = evalsha(source, 1);
    cmd.arg(deployment.state_key()).arg(&*ask.run.0).arg(&*deployment.fingerprint);
    cmd
}

fn evalsha(source: &Source, keys: usize) -> Cmd {
    let mut cmd = Cmd::with_capacity(20, 512);
    cmd.arg("EVALSHA").arg(&source.sha).arg(keys);
    cmd
}

/// Where the state keeps the floor of a resource.
fn floor_field(cmd: &mut Cmd, resource: &Resource) {
    cmd.write_arg_fmt(format_args!("f{}", resource.bucket()));
}

fn parts(cmd: &mut Cmd, parts: [&str; 3]) {
    written(cmd, |to| parts.iter().try_for_each(|part| to.write_all(part.as_bytes())));
}

/// An argument that is written piece by piece.
fn written(cmd: &mut Cmd, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
    write(&mut cmd.writer_for_next_arg()).expect("memory takes everything");
}

/// What a request says itself.
fn row(cmd: &mut Cmd, request: &Request, deployment: &Deployment) {
    match request {
        Request::Acquire { claim, nonce, ballot } => {
            ballots(cmd, [*ballot]);
            cmd.arg(millis(claim.ttl));
            written(cmd, |mut to| write_new_record(claim, *nonce, *ballot, &mut to));
        }
        Request::Extend { renewal, ballot } => {
            attempt(cmd, renewal.lease, renewal.nonce);
            ballots(cmd, [*ballot]);
            cmd.arg(millis(renewal.ttl));
            ballots(cmd, [renewal.token]);
            let metadata = renewal.metadata.as_deref().map(|metadata| [b"=", metadata].concat());
            cmd.arg(metadata.unwrap_or_default());
        }
        Request::Repair { renewal, ballot, info, info_ballot } => {
            attempt(cmd, renewal.lease, renewal.nonce);
            ballots(cmd, [*ballot]);
            cmd.arg(millis(renewal.ttl));
            ballots(cmd, [renewal.token, *info_ballot]);
            written(cmd, |mut to| write_info(info, &mut to));
        }
        Request::Cleanup { lease, nonce, ballot, .. } => {
            attempt(cmd, *lease, *nonce);
            ballots(cmd, [*ballot]);
        }
        Request::Release { lease, token, ballot, notice, listens, .. } => {
            cmd.arg(&lease_text(*lease)[..]);
            ballots(cmd, [*token, *ballot]);
            written(cmd, |mut to| notices::write_payload(*notice, &mut to));
            cmd.arg(u8::from(*listens));
        }
        Request::Read { .. } => {}
        Request::Revoke { lease, token, ballot, .. } => {
            cmd.arg(&lease_text(*lease)[..]);
            ballots(cmd, [*token, *ballot]);
        }
        Request::Scan { prefix, cursor, count } => {
            cmd.arg(cursor).arg("MATCH").arg(deployment.lock_pattern(prefix));
            cmd.arg("COUNT").arg((*count).max(1));
        }
        Request::Publish { resource, notice } => {
            parts(cmd, deployment.channel_parts(resource));
            written(cmd, |mut to| notices::write_payload(*notice, &mut to));
        }
        Request::Observe { incident } => {
            cmd.arg(incident_text(*incident)).arg(PROTOCOL_VERSION);
            cmd.arg(&*deployment.fingerprint_text);
        }
        Request::Adopt { incident, base } => {
            cmd.arg(incident_text(*incident));
            ballots(cmd, [*base]);
            cmd.arg(deployment.clock_skew.as_micros().to_string());
        }
        Request::Suspect { incident } => {
            cmd.arg(incident_text(*incident));
        }
    }
}

fn attempt(cmd: &mut Cmd, lease: LeaseHash, nonce: Nonce) {
    cmd.arg(&lease_text(lease)[..]).arg(&nonce_text(nonce)[..]);
}

fn ballots<const N: usize>(cmd: &mut Cmd, ballots: [Ballot; N]) {
    for ballot in ballots {
        cmd.arg(&ballot_text(ballot)[..]);
    }
}

fn millis(span: Duration) -> u64 {
    span.as_millis() as u64
}

fn incident_text(incident: Incident) -> String {
    format!("{:016x}", incident.0)
}

/// What the answer to a command says to each of its requests. An error of the server is no vote,
/// with its text; whether anything was written before it stays open.
pub(super) fn replies(requests: &[&Request], answer: Value, deployment: &Deployment) -> Vec<Reply> {
    let replies = match answer {
        Value::ServerError(error) => return unknown(requests.len(), &error.to_string()),
        Value::Array(answers) if calls::kind(requests[0]).is_some() => shared(answers, deployment),
        answer => alone(requests[0], answer, deployment).map(|reply| vec![reply]),
    };
    let complete = replies.filter(|replies| replies.len() == requests.len());
    complete.unwrap_or_else(|| unknown(requests.len(), NONSENSE))
}

/// No answer to any of them.
pub(super) fn unknown(count: usize, why: &str) -> Vec<Reply> {
    let why: Arc<str> = why.into();
    (0..count).map(|_| Reply::unknown(Arc::clone(&why))).collect()
}

/// What a script of many answers: one TIME, then an answer to each. What cannot be read is no answer
/// to any of them.
fn shared(answers: Vec<Value>, deployment: &Deployment) -> Option<Vec<Reply>> {
    let mut answers = answers.into_iter();
    let time_micros = time(&text(answers.next()?)?)?;
    let one = |answer| match answer {
        Value::ServerError(error) => Some(Reply::unknown(error.to_string())),
        Value::BulkString(bytes) => words(str::from_utf8(&bytes).ok()?, time_micros),
        Value::Array(fields) => {
            let mut fields = fields.into_iter();
            let code = text(fields.next()?)?;
            said(&code, time_micros, &mut fields, deployment)
        }
        _ => None,
    };
    answers.map(one).collect()
}

/// What the others answer.
fn alone(request: &Request, answer: Value, deployment: &Deployment) -> Option<Reply> {
    match (request, answer) {
        (Request::Publish { .. }, Value::Int(listeners)) => {
            Some(bare(Body::Published(count(listeners))))
        }
        (Request::Scan { .. }, Value::Array(fields)) => scanned(fields, deployment).map(bare),
        (_, Value::Array(fields)) => {
            let mut fields = fields.into_iter();
            let code = text(fields.next()?)?;
            let time_micros = time(&text(fields.next()?)?)?;
            said(&code, time_micros, &mut fields, deployment)
        }
        _ => None,
    }
}

/// A TIME, if the script asked for it.
fn time(micros: &str) -> Option<Option<u64>> {
    if micros.is_empty() { Some(None) } else { micros.parse().ok().map(Some) }
}

/// What the hot path is answered, in one string: a vote, or what a release found.
fn words(text: &str, time_micros: Option<u64>) -> Option<Reply> {
    let mut words = text.split(' ');
    let code = words.next()?;
    let seen = Ballot(words.next()?.parse().ok()?);
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

/// What stands behind code and time: the highest ballot seen, and what belongs to the code.
fn said(
    code: &str,
    time_micros: Option<u64>,
    fields: &mut impl Iterator<Item = Value>,
    deployment: &Deployment,
) -> Option<Reply> {
    let seen = Ballot(text(fields.next()?)?.parse().ok()?);
    Some(Reply { time_micros, seen, body: body(code, fields, deployment)? })
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
