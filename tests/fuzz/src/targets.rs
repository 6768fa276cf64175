//! What is hunted, a file each.

mod admin_port;
mod answers;
mod calls;
mod config;
mod encodings;
mod liar;
mod notices;
mod replica;
mod requests;
mod stored;
mod streams;
mod wire;

use crate::hunt::{Found, Plan};

/// Something that reads what others write.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// What `--target` calls it.
    pub name: &'static str,
    /// What it is given.
    pub about: &'static str,
    /// Cases of the short run in `make test`: a second or two, unoptimised.
    pub short: u64,
    /// How many cases it gets where another gets a hundred, if no target is named.
    pub share: u64,
    /// Hunts.
    pub run: fn(&Plan) -> Result<(), Found>,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "requests",
        about: "messages of every method, field by field",
        short: 2_000,
        share: 100,
        run: requests::run,
    },
    Target {
        name: "encodings",
        about: "bytes that are nearly such messages, or none",
        short: 2_000,
        share: 100,
        run: encodings::run,
    },
    Target {
        name: "config",
        about: "files, variables and command lines",
        short: 500,
        share: 100,
        run: config::run,
    },
    Target {
        name: "answers",
        about: "what a master answers to the scripts, well framed",
        short: 2_000,
        share: 100,
        run: answers::run,
    },
    Target {
        name: "notices",
        about: "what is published on the channels between replicas",
        short: 2_000,
        share: 100,
        run: notices::run,
    },
    Target {
        name: "liar",
        about: "one master of three that lies, in virtual time",
        short: 100,
        share: 20,
        run: liar::run,
    },
    Target {
        name: "calls",
        about: "calls of every method over a socket",
        short: 200,
        share: 20,
        run: calls::run,
    },
    Target {
        name: "streams",
        about: "messages of Hold and KeepAlive in any order",
        short: 200,
        share: 20,
        run: streams::run,
    },
    Target {
        name: "stored",
        about: "locks and state on a real redis-server that are not ours",
        short: 500,
        share: 20,
        run: stored::run,
    },
    Target {
        name: "replica",
        about: "a replica with one master that answers nonsense",
        short: 30,
        share: 1,
        run: replica::run,
    },
    Target {
        name: "wire",
        about: "bytes of a master, from the handshake on",
        short: 100,
        share: 4,
        run: wire::run,
    },
    Target {
        name: "admin-port",
        about: "bytes to the HTTP port",
        short: 200,
        share: 10,
        run: admin_port::run,
    },
];
