//! What is read again while the server serves: certificates, tokens, keys and the policy, when their files
//! change or on SIGHUP; on SIGHUP also the log filter. What is wrong is said, and what was known stays.
//!
//! Deliberately absent: everything else. Another setting takes a restart, and is named if it changed.

use crate::access::{Access, Print};
use crate::config::{self, Config, Flags, effective};
use crate::telemetry::{AUDIT, LogFilter, reloaded};
use std::time::Duration;
use tokio::time::MissedTickBehavior;
use tracing::{error, info, warn};

/// How often the files are looked at: a projected Secret is replaced without a signal.
const LOOK: Duration = Duration::from_secs(5);

/// Reads again what can be.
#[derive(Debug)]
pub struct Reloader {
    flags: Flags,
    config: Config,
    access: Access,
    filter: LogFilter,
    seen: Print,
}

impl Reloader {
    /// Of a server that was started with `flags`, which came to `config`.
    pub fn new(flags: Flags, config: Config, access: Access, filter: LogFilter) -> Self {
        let seen = access.print();
        Self { flags, config, access, filter, seen }
    }

    /// Goes on until it is dropped. `hangup` waits for the next SIGHUP.
    pub async fn run(mut self, mut hangup: impl AsyncFnMut()) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = hangup() => {
                    self.reload_filter();
                    self.reload_files("SIGHUP");
                }
                _ = look.tick() => {
                    if self.access.print() != self.seen {
                        self.reload_files("a file changed");
                    }
                }
            }
        }
    }

    fn reload_files(&mut self, cause: &str) {
        // Before they are read: what changes meanwhile is read the next time.
        self.seen = self.access.print();
        if self.seen.is_empty() {
            return;
        }
        // A line each: one that is good counts, whatever is wrong with another.
        for (what, outcome) in self.access.reload() {
            reloaded(&outcome);
            match outcome {
                Ok(warnings) => {
                    warnings.iter().for_each(|warning| warn!("{warning}"));
                    info!(target: AUDIT, action = "reload", cause, what, "were read again");
                }
                Err(why) => {
                    error!(target: AUDIT, action = "reload_failed", cause, what, %why, "what was read before stays");
                }
            }
        }
    }

    fn reload_filter(&mut self) {
        let config = match config::from_process(&self.flags) {
            Ok(config) => config,
            Err(errors) => {
                error!(%errors, "the configuration is not good: nothing of it is used");
                return;
            }
        };
        if config.log.filter != self.config.log.filter {
            match self.filter.set(&config.log.filter) {
                Ok(()) => info!(filter = config.log.filter, "the log filter was changed"),
                Err(why) => error!(%why, "the log filter stays"),
            }
            self.config.log.filter.clone_from(&config.log.filter);
        }
        let (before, after) = (effective(&self.config), effective(&config));
        let changed = after.lines().filter(|line| !before.lines().any(|old| old == *line));
        for line in changed {
            warn!(setting = line, "changed in the configuration; it takes a restart");
        }
    }
}
