//! A connection in use: one pipelined write a batch, in which asks share calls of scripts; replies in
//! the order of the asks.

use super::calls;
use super::codec::{self, unknown};
use super::connector::TaskGuard;
use super::deployment::Deployment;
use super::notices::Notices;
use super::scripts::Scripts;
use crate::masters::{Event, Link};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use holdfast_engine::{Ask, Down, Reply, Request, Resource};
use redis::Value;
use redis::aio::MultiplexedConnection;
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedSender;

pub(super) struct RedisLink {
    connection: MultiplexedConnection,
    scripts: Arc<Scripts>,
    deployment: Arc<Deployment>,
    events: UnboundedSender<Event>,
    notices: Notices,
    _tasks: [TaskGuard; 2],
}

impl RedisLink {
    pub(super) fn new(
        connection: MultiplexedConnection,
        scripts: Arc<Scripts>,
        deployment: Arc<Deployment>,
        events: UnboundedSender<Event>,
        notices: Notices,
        tasks: [TaskGuard; 2],
    ) -> Self {
        Self { connection, scripts, deployment, events, notices, _tasks: tasks }
    }
}

impl Link for RedisLink {
    fn send(&mut self, asks: Vec<Ask>) -> BoxFuture<'static, Vec<Reply>> {
        let mut connection = self.connection.clone();
        let calls = calls::calls(&asks);
        let listening = self.notices.listening();
        let mut pipe = redis::Pipeline::with_capacity(calls.len());
        for places in &calls {
            let asks: Vec<&Ask> = places.iter().map(|place| &asks[*place]).collect();
            pipe.add_command(codec::command(&asks, listening, &self.scripts, &self.deployment));
        }
        let deployment = Arc::clone(&self.deployment);
        let events = self.events.clone();
        let requests: Vec<Request> = asks.into_iter().map(|ask| ask.request).collect();
        async move {
            let answered = connection.send_packed_commands(&pipe, 0, calls.len()).await;
            let answers = match answered {
                Ok(answers) if answers.len() == calls.len() => answers,
                Ok(_) => return unknown(requests.len(), "answers are missing"),
                Err(error) => return unknown(requests.len(), &error.to_string()),
            };
            if let Some(error) = answers.iter().find_map(needs_handshake) {
                // A closed channel: the driver has gone, and nobody needs to know.
                let _ = events.send(Event::Closed(Down::Unreachable(error.into())));
            }
            let mut replies = unknown(requests.len(), "answers are missing");
            for (places, answer) in calls.iter().zip(answers) {
                let requests: Vec<&Request> = places.iter().map(|at| &requests[*at]).collect();
                for (at, reply) in places.iter().zip(codec::replies(&requests, answer, &deployment))
                {
                    replies[*at] = reply;
                }
            }
            replies
        }
        .boxed()
    }

    fn subscribe(&mut self, resource: &Resource) {
        self.notices.subscribe(resource.clone());
    }

    fn unsubscribe(&mut self, resource: &Resource) {
        self.notices.unsubscribe(resource.clone());
    }
}

/// Errors after which the process is not what the handshake found: its scripts, permissions or role
/// have changed. It must be repeated, identity included; nothing is reloaded in silence.
fn needs_handshake(value: &Value) -> Option<String> {
    match value {
        Value::ServerError(error) => {
            let said = format!("{} {}", error.code(), error.details().unwrap_or_default());
            CHANGED.iter().any(|change| said.contains(change)).then_some(said)
        }
        // A script of many answers each of them.
        Value::Array(answers) => answers.iter().find_map(needs_handshake),
        _ => None,
    }
}

/// What such an error says somewhere: at its beginning, or in Redis 6.2, where a command that a
/// script calls fails, behind the place in the script. Permissions that a script lacks have no
/// code; Redis 6.2 and 7 say the first of the last two, Valkey the other.
const CHANGED: [&str; 7] = [
    "NOSCRIPT",
    "NOPERM",
    "NOAUTH",
    "READONLY",
    "IDENTITY",
    "can't run this command",
    "has no permissions to run",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// As servers say it: Redis 6.2.14, Redis 7.0.15 and Valkey 9.1.2.
    #[test]
    fn what_has_changed_is_noticed_on_every_server() {
        let lines = [
            "-@user_script: 1: -READONLY You can't write against a read only replica.",
            "-ERR Error running script (call to f_fe23): @user_script:1: @user_script: 1: \
             -READONLY You can't write against a read only replica.",
            "-@user_script: 1: The user executing the script can't run this command or subcommand",
            "-READONLY You can't write against a read only replica. script: fe23, on @user_script:1.",
            "-ERR The user executing the script can't run this command or subcommand",
            "-ERR ACL failure in script: User default has no permissions to run the 'set' command",
            "-NOPERM User default has no permissions to run the 'evalsha' command",
            "-NOSCRIPT No matching script.",
        ];
        for line in lines {
            let value = redis::parse_redis_value(format!("{line}\r\n").as_bytes()).unwrap();
            assert!(needs_handshake(&value).is_some(), "{line}");
            let one_of_many = Value::Array(vec![Value::Int(1), value]);
            assert!(needs_handshake(&one_of_many).is_some(), "{line}");
        }
    }

    #[test]
    fn a_refused_write_changes_nothing() {
        for line in [
            "-@user_script: 1: -OOM command not allowed when used memory > 'maxmemory'.",
            "-NOREPLICAS Not enough good replicas to write.",
        ] {
            let value = redis::parse_redis_value(format!("{line}\r\n").as_bytes()).unwrap();
            assert_eq!(needs_handshake(&value), None, "{line}");
        }
    }
}
