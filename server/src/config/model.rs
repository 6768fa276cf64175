//! The configuration, typed and checked: whoever holds a [`Config`] need not check it again.

use super::audit::Audit;
use super::auth::Auth;
use super::environment::Variables;
use super::grpc::{Admin, Grpc};
use super::key_format::KeyFormat;
use super::lease::{Lease, Quorum};
use super::limits::Limits;
use super::log::Log;
use super::master::{Backend, Master};
use super::masters;
use super::namespace::Namespace;
use super::problem::Problems;
use super::raw::RawConfig;
use super::telemetry::Telemetry;
use super::watch::Watch;
use holdfast_engine::{Mutants, Params, RestartPolicy};

/// Everything `holdfastd` is told. Made by [`load`](super::load) only.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct Config {
    /// What a master that restarted may do.
    pub restart_policy: RestartPolicy,
    /// Which key is the lock of a resource.
    pub key_format: KeyFormat,
    /// Prefix of Holdfast's own keys.
    pub namespace: Namespace,
    /// The gRPC side.
    pub grpc: Grpc,
    /// The HTTP side.
    pub admin: Admin,
    /// How long leases run.
    pub lease: Lease,
    /// How sure clocks are.
    pub quorum: Quorum,
    /// Bounds on what clients may send and open.
    pub limits: Limits,
    /// Who callers are, and what they may do.
    pub auth: Auth,
    /// Where the audit log goes.
    pub audit: Audit,
    /// How watchers are served.
    pub watch: Watch,
    /// What is logged.
    pub log: Log,
    /// Where spans go.
    pub telemetry: Telemetry,
    /// The votes, in the order of the file.
    pub masters: Vec<Master>,
    /// What is allowed but should be known; for the log, once.
    pub warnings: Vec<String>,
}

/// Where the masters are.
#[derive(Clone, Copy)]
pub(super) enum MastersFrom {
    /// In memory, for `--dev`.
    Memory,
    /// Listed in the file or by flags.
    List,
}

impl Config {
    /// Gives meaning to the raw shape; what has none is a problem.
    pub(super) fn parse(
        raw: RawConfig,
        from: MastersFrom,
        variables: &Variables,
        problems: &mut Problems,
    ) -> Self {
        let namespace = Namespace::parse(raw.namespace, problems);
        let key_format = KeyFormat::parse(raw.key_format, &namespace, problems);
        let grpc = Grpc::parse(raw.grpc, problems);
        let admin = Admin::parse(raw.admin, &grpc, problems);
        let certificates = grpc.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        let masters = match from {
            MastersFrom::Memory => masters::in_memory(),
            MastersFrom::List => masters::parse(raw.masters, variables, problems),
        };
        masters::refuse_strangers(&masters, variables, problems);
        Self {
            restart_policy: raw.restart_policy.map(RestartPolicy::from).unwrap_or_default(),
            key_format,
            namespace,
            grpc,
            admin,
            lease: Lease::parse(&raw.lease, problems),
            quorum: Quorum::parse(&raw.quorum, problems),
            limits: Limits::parse(&raw.limits, problems),
            auth: Auth::parse(raw.auth, certificates, problems),
            audit: Audit::parse(raw.audit, problems),
            watch: Watch::parse(&raw.watch, problems),
            log: Log::parse(raw.log, problems),
            telemetry: Telemetry::parse(&raw.telemetry, problems),
            masters,
            warnings: variables.warnings.clone(),
        }
    }

    /// Is this `--dev`?
    pub fn is_dev(&self) -> bool {
        self.masters.iter().all(|master| master.backend == Backend::Memory)
    }

    /// What the engine must know.
    pub fn params(&self) -> Params {
        Params {
            masters: self.masters.len(),
            drift_ppm: self.lease.drift.ppm(),
            max_ttl: self.lease.max_ttl,
            clock_skew: self.quorum.clock_skew,
            restart_policy: self.restart_policy,
            command_timeouts: self.masters.iter().map(|m| m.command_timeout).collect(),
            connect_timeouts: self.masters.iter().map(|m| m.connect_timeout).collect(),
            max_lags: self.masters.iter().map(Master::max_lag).collect(),
            max_waiters: self.limits.max_waiters,
            min_ttl: self.lease.min_ttl,
            max_hold: self.lease.max_hold,
            watch_poll: self.watch.poll_interval,
            mutants: Mutants::default(),
        }
    }

    /// Adds what should be known of a configuration in which nothing is wrong.
    pub(super) fn with_warnings(mut self) -> Self {
        self.warnings.extend(masters::warnings(&self.params()));
        let is_open = self.grpc.tls.is_none() && !self.grpc.listen.ip().is_loopback();
        if self.auth.asks_for_tokens() && is_open {
            self.warnings.push(
                "tokens come in without TLS: whoever sees the network has them; give grpc.tls, or let \
                 a proxy end TLS on this machine"
                    .to_owned(),
            );
        }
        if self.restart_policy == RestartPolicy::Trust {
            self.warnings.push(
                "restart_policy is trust: a master that restarts votes at once, so two holders and \
                 repeated fencing tokens are possible; for locks that save work only"
                    .to_owned(),
            );
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{file, flags};
    use holdfast_engine::RestartPolicy;
    use std::time::Duration;

    #[test]
    fn the_engine_is_told_what_was_configured() {
        let params = file(
            "restart_policy = 'trust'\n[lease]\nmax_ttl = '30s'\ndrift = 0.0123456\n\
             min_ttl = '50ms'\nmax_hold = '1h'\n[watch]\npoll_interval = '2s'\n\
             [quorum]\nclock_skew = '2s'\n[limits]\nmax_waiters = 9\n\
             [[masters]]\nurl = 'redis://r1'\ncommand_timeout = '50ms'\n\
             [[masters]]\nurl = 'redis://r2'\nconnect_timeout = '2s'",
        )
        .unwrap()
        .params();
        assert_eq!((params.masters, params.drift_ppm, params.max_waiters), (2, 12_346, 9));
        assert_eq!(params.max_ttl, Duration::from_secs(30));
        assert_eq!(params.min_ttl, Duration::from_millis(50));
        assert_eq!(params.max_hold, Some(Duration::from_secs(3_600)));
        assert_eq!(params.watch_poll, Duration::from_secs(2));
        assert_eq!(params.clock_skew, Duration::from_secs(2));
        assert_eq!(params.restart_policy, RestartPolicy::Trust);
        assert_eq!(params.command_timeouts, [50, 100].map(Duration::from_millis));
        assert_eq!(params.connect_timeouts, [1, 2].map(Duration::from_secs));
    }

    #[test]
    fn trust_is_warned_of() {
        assert_eq!(
            flags("--dev --restart-policy trust").unwrap().warnings,
            ["restart_policy is trust: a master that restarts votes at once, so two holders and \
              repeated fencing tokens are possible; for locks that save work only"]
        );
    }
}
