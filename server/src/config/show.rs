//! The effective configuration as TOML: what `holdfastd config` prints. Secrets are masked.
//!
//! What is printed is the shape that is read, so that it can be a configuration file again, once
//! the secrets are put back.

use super::auth::Auth;
use super::credentials::Credentials;
use super::grpc::Grpc;
use super::lease::Lease;
use super::limits::Limits;
use super::master::{Backend, Master, RedisEndpoint};
use super::model::Config;
use super::raw::{
    Count, Decimal, RawAdmin, RawAudit, RawAuth, RawConfig, RawGrpc, RawGrpcTls, RawJwt, RawLease,
    RawLimits, RawLog, RawMaster, RawMasterTls, RawPerIdentity, RawQuorum, RawSentinel,
    RawTelemetry, RawWatch, Texts,
};
use super::span::Span;
use super::telemetry::{OtlpEndpoint, Telemetry};
use super::tls::MasterTls;
use super::unit::{Primary, RedisUnit};
use super::web_origin::WebOrigin;
use std::num::NonZeroU32;

const DEV: &str = "# --dev: three in-memory masters\n";

/// The effective configuration as TOML, every default written out, secrets as `***`.
pub fn effective(config: &Config) -> String {
    let raw = RawConfig {
        restart_policy: Some(config.restart_policy.into()),
        key_format: Some(config.key_format.to_string()),
        namespace: Some(config.namespace.to_string()),
        grpc: grpc(&config.grpc),
        admin: RawAdmin { listen: Some(config.admin.listen.to_string()) },
        lease: lease(&config.lease),
        quorum: RawQuorum { clock_skew: Some(Span(config.quorum.clock_skew)) },
        limits: limits(&config.limits),
        auth: auth(&config.auth),
        audit: RawAudit { file: config.audit.file.clone() },
        watch: RawWatch { poll_interval: Some(Span(config.watch.poll_interval)) },
        log: RawLog { format: Some(config.log.format), filter: Some(config.log.filter.clone()) },
        telemetry: telemetry(&config.telemetry),
        masters: config.masters.iter().filter_map(master).collect(),
    };
    // Text, numbers and tables of them: TOML can say all of it.
    let toml = toml::to_string(&raw).unwrap_or_else(|error| format!("# {error}\n"));
    if config.is_dev() { format!("{DEV}{toml}") } else { toml }
}

fn grpc(grpc: &Grpc) -> RawGrpc {
    RawGrpc {
        listen: Some(grpc.listen.to_string()),
        drain_timeout: Some(Span(grpc.drain_timeout)),
        web_origins: Some(Texts(grpc.web_origins.iter().map(WebOrigin::to_string).collect())),
        tls: grpc.tls.as_ref().map(|tls| RawGrpcTls {
            cert: Some(tls.identity.cert.clone()),
            key: Some(tls.identity.key.clone()),
            client_ca: tls.client_ca.clone(),
        }),
    }
}

fn lease(lease: &Lease) -> RawLease {
    RawLease {
        default_ttl: Some(Span(lease.default_ttl)),
        min_ttl: Some(Span(lease.min_ttl)),
        max_ttl: Some(Span(lease.max_ttl)),
        drift: Some(Decimal(lease.drift.fraction())),
        max_wait: Some(Span(lease.max_wait)),
        max_hold: lease.max_hold.map(Span),
    }
}

fn limits(limits: &Limits) -> RawLimits {
    let count = |limit: usize| Some(Count(limit as u64));
    RawLimits {
        max_resource_bytes: count(limits.max_resource_bytes),
        max_holder_bytes: count(limits.max_holder_bytes),
        max_metadata_bytes: count(limits.max_metadata_bytes),
        max_message_bytes: count(limits.max_message_bytes),
        max_waiters: count(limits.max_waiters),
        max_concurrent_streams: Some(Count(u64::from(limits.max_concurrent_streams))),
        max_streams: count(limits.max_streams),
        max_total_waiters: count(limits.max_total_waiters),
        max_leases: number(limits.max_leases),
        requests_per_second: number(limits.requests_per_second),
        max_connections: count(limits.max_connections),
        max_connections_per_address: number(limits.max_connections_per_address),
        max_connection_age: Some(Span(limits.max_connection_age.unwrap_or_default())),
        handshake_timeout: Some(Span(limits.handshake_timeout)),
        per_identity: RawPerIdentity {
            requests_per_second: number(limits.per_identity.requests_per_second),
            max_leases: number(limits.per_identity.max_leases),
            max_waiters: number(limits.per_identity.max_waiters),
            max_streams: number(limits.per_identity.max_streams),
        },
    }
}

/// 0: none.
fn number(limit: Option<NonZeroU32>) -> Option<Count> {
    Some(Count(limit.map_or(0, |limit| limit.get().into())))
}

fn auth(auth: &Auth) -> RawAuth {
    RawAuth {
        tokens_file: auth.tokens_file.clone(),
        policy_file: auth.policy_file.clone(),
        jwt: auth.jwt.as_ref().map(|jwt| RawJwt {
            jwks_file: Some(jwt.jwks_file.clone()),
            issuer: jwt.issuer.clone(),
            audience: Some(jwt.audience.clone()),
            leeway: Some(Span(jwt.leeway)),
        }),
    }
}

fn telemetry(telemetry: &Telemetry) -> RawTelemetry {
    let endpoint = telemetry.otlp_endpoint.as_ref();
    RawTelemetry {
        // Written out also if there is none, so that no environment adds one when it is read again.
        otlp_endpoint: Some(endpoint.map_or_else(String::new, OtlpEndpoint::to_string)),
        sample_ratio: Some(Decimal(telemetry.sample_ratio)),
    }
}

fn master(master: &Master) -> Option<RawMaster> {
    let raw = match &master.backend {
        Backend::Memory => return None,
        Backend::Redis(endpoint) => RawMaster {
            url: Some(endpoint.url()),
            ..access(endpoint.credentials.as_ref(), endpoint.tls.as_ref())
        },
        Backend::Unit(unit) => RawMaster { max_lag: Some(Span(unit.max_lag)), ..places(unit) },
    };
    Some(RawMaster {
        name: Some(master.name.clone()),
        connect_timeout: Some(Span(master.connect_timeout)),
        command_timeout: Some(Span(master.command_timeout)),
        ..raw
    })
}

fn places(unit: &RedisUnit) -> RawMaster {
    let urls =
        |endpoints: &[RedisEndpoint]| Some(endpoints.iter().map(RedisEndpoint::url).collect());
    match &unit.primary {
        Primary::OneOf(endpoints) => {
            let one = endpoints.first();
            RawMaster {
                endpoints: urls(endpoints),
                ..access(
                    one.and_then(|it| it.credentials.as_ref()),
                    one.and_then(|it| it.tls.as_ref()),
                )
            }
        }
        Primary::NamedBy(sentinels) => {
            let own = sentinels.endpoints.first().and_then(|it| it.credentials.as_ref());
            let RawMaster { username, password, .. } = access(own, None);
            RawMaster {
                sentinel: Some(RawSentinel {
                    urls: urls(&sentinels.endpoints),
                    name: Some(sentinels.name.clone()),
                    database: Some(Count(sentinels.database.into())),
                    username,
                    password,
                    password_file: None,
                }),
                ..access(sentinels.credentials.as_ref(), sentinels.tls.as_ref())
            }
        }
    }
}

/// Who we are, and who they must be.
fn access(credentials: Option<&Credentials>, tls: Option<&MasterTls>) -> RawMaster {
    RawMaster {
        username: credentials.and_then(|given| given.username.clone()),
        password: credentials.map(|given| given.password.clone()),
        tls: tls.map(master_tls),
        ..RawMaster::default()
    }
}

fn master_tls(tls: &MasterTls) -> RawMasterTls {
    RawMasterTls {
        ca: tls.ca.clone(),
        cert: tls.identity.as_ref().map(|identity| identity.cert.clone()),
        key: tls.identity.as_ref().map(|identity| identity.key.clone()),
        server_name: tls.server_name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{Scratch, all, file, flags};

    #[test]
    fn what_is_shown_can_be_read_again() {
        let pem = Scratch::file("");
        let text = "key_format = 'l:\"{resource}'\n[lease]\nmax_hold = '1h'\nmax_ttl = '5s'\n\
                    [limits]\nmax_streams = 7\n[watch]\npoll_interval = '1500ms'\n\
                    [telemetry]\notlp_endpoint = 'https://[::1]:4317/'\nsample_ratio = 0.5\n\
                    [grpc]\nweb_origins = ['https://a.example']\n\
                    tls = { cert = 'PEM', key = 'PEM', client_ca = 'PEM' }\n\
                    [limits.per_identity]\nmax_leases = 3\n\
                    [auth]\ntokens_file = 'PEM'\npolicy_file = 'PEM'\n\
                    [auth.jwt]\njwks_file = 'PEM'\nissuer = 'i'\naudience = 'a'\nleeway = '5s'\n\
                    [[masters]]\nname = 'a'\nurl = 'rediss://[::1]:1/2'\ncommand_timeout = '5ms'\n\
                    tls = { ca = 'PEM', cert = 'PEM', key = 'PEM', server_name = 's' }\n\
                    [[masters]]\nurl = 'redis://r2'\n\
                    [[masters]]\nurl = 'unix:///r3?db=1'\n\
                    [[masters]]\nendpoints = ['redis://r4', 'redis://r5']\nmax_lag = '7s'\n\
                    [[masters]]\nsentinel = { urls = ['redis://r6'], name = 'm', database = 2 }";
        let config = file(&text.replace("PEM", pem.path())).unwrap();
        assert_eq!(file(&effective(&config)).unwrap(), config);
    }

    #[test]
    fn secrets_are_masked() {
        let config = flags("--master redis://u:hunter2@r1").unwrap();
        let shown = effective(&config);
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(
            shown.contains("url = \"redis://r1:6379/0\"\nusername = \"u\"\npassword = \"***\"")
        );
        assert!(file(&shown).unwrap_err().contains("is the mask"), "not a password");
    }

    #[test]
    fn dev_is_shown_as_what_it_is() {
        let config = flags("--dev --max-ttl 5s").unwrap();
        let shown = effective(&config);
        assert!(shown.starts_with("# --dev: three in-memory masters\nrestart_policy ="), "{shown}");
        assert!(shown.contains("max_ttl = \"5s\"") && !shown.contains("masters]"), "{shown}");
        assert_eq!(all(&shown, "--dev", &[]).unwrap(), config);
    }
}
