//! A connection in use: one pipelined write a batch, in which asks share calls of scripts; replies in
//! the order of the asks.

use super::calls;
use super::codec::{self, unknown};
use super::connector::{Deployment, TaskGuard};
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
        Value::ServerError(error)
            if matches!(
                error.code(),
                "NOSCRIPT" | "NOPERM" | "NOAUTH" | "READONLY" | "IDENTITY"
            ) =>
        {
            Some(error.to_string())
        }
        // A script of many answers each of them.
        Value::Array(answers) => answers.iter().find_map(needs_handshake),
        _ => None,
    }
}
