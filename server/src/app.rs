//! Composition: the one file that knows everyone. Config → build → serve → drain.

use crate::access::Access;
use crate::config::{
    self, Backend, Config, Fingerprint, Master, MasterTls, RedisEndpoint, Telemetry,
};
use crate::masters::memory::dev_masters;
use crate::masters::redis::{Deployment, Endpoint, Place, Primary, RedisConnector, Tls, Unit};
use crate::masters::{Connector, MISFIT};
use crate::telemetry::{Limits, Standing, Traces};
use crate::{admin, driver, grpc, telemetry};
use anyhow::{Context, Result, anyhow};
use holdfast_engine::{Params, RestartPolicy};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tracing::info;

/// How many looks are between two at what the process uses of its machine, and at its certificate.
const LOOKS_AT_PROCESS: usize = 8;
/// How often the replica's view of itself becomes health, readiness and metrics.
const LOOK: Duration = Duration::from_millis(250);

/// A replica whose ports are bound and that serves nobody yet.
#[derive(Debug)]
pub struct App {
    config: Config,
    access: Access,
    grpc: TcpListener,
    admin: TcpListener,
}

impl App {
    /// Opens the ports.
    pub async fn bind(config: Config, access: Access) -> Result<Self> {
        let bind = async |address, what| {
            let listener = TcpListener::bind(address).await;
            listener.with_context(|| format!("cannot listen on {address} ({what})"))
        };
        let grpc = bind(config.grpc.listen, "grpc.listen").await?;
        let admin = bind(config.admin.listen, "admin.listen").await?;
        Ok(Self { config, access, grpc, admin })
    }

    /// Serves until `shutdown` resolves, then drains: calls that wait are told, calls under way are
    /// finished, granted leases stay for their ttl.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<()> {
        let Self { config, access, grpc: grpc_listener, admin: admin_listener } = self;
        let metrics = telemetry::install_metrics()?;
        let params = Arc::new(config.params());
        limits(&config, &params).announce();
        let connectors = connectors(&config)?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).context("the system has no randomness")?;
        let traces = traces(&config)?;
        let (driver, engine) =
            driver::spawn(Arc::clone(&params), connectors, seed, traces.as_ref());
        let readiness = admin::Readiness::new();
        let look = tokio::spawn(keep_looking(
            driver.clone(),
            readiness.clone(),
            config.masters.iter().map(|master| master.name.clone()).collect(),
            metrics.clone(),
            access.tls.clone(),
        ));

        let (stop_grpc, grpc_stopped) = tokio::sync::oneshot::channel::<()>();
        let (stop_admin, admin_stopped) = tokio::sync::oneshot::channel::<()>();
        // A dropped sender stops it too: either way it is time.
        let stopped = |rx: tokio::sync::oneshot::Receiver<()>| async move { drop(rx.await) };
        let context = Arc::new(grpc::Context {
            driver: driver.clone(),
            params,
            rules: rules(&config, driver.clock_trust()),
            masters: master_names(&config),
            gate: access.gate,
            bounds: grpc::Bounds::new(&config.limits),
        });
        let entry = admin::Access::new(&context, config.admin.listen);
        let dashboard = admin::Dashboard::new(&context, readiness.clone(), entry);
        let settings = grpc_settings(&config, access.tls, traces.clone());
        let grpc =
            grpc::serve(grpc_listener, context, settings, readiness.clone(), stopped(grpc_stopped));
        let shown = admin::Admin { readiness: readiness.clone(), metrics };
        let admin = admin::serve(admin_listener, shown, dashboard, stopped(admin_stopped));
        let admin = tokio::spawn(admin);
        info!(grpc = %config.grpc.listen, admin = %config.admin.listen, "serving");
        announce(&config);

        let patience = config.grpc.drain_timeout;
        let ending = async {
            shutdown.await;
            info!("draining");
            readiness.drain();
            driver.drain(patience).await;
            drop(stop_grpc);
        };
        let served = tokio::select! {
            (served, ()) = async { tokio::join!(grpc, ending) } => Ok(served),
            // It must not go on answering that it is ready.
            ended = engine => match ended {
                Ok(()) => Err(anyhow!("the engine ended")),
                Err(panicked) => Err(panicked).context("the engine panicked"),
            },
        };
        if let Some(traces) = traces {
            traces.close().await;
        }
        let served = served?;
        look.abort();
        drop(stop_admin);
        admin.await.context("the admin server panicked")??;
        info!("drained");
        served.map_err(Into::into)
    }
}

/// What all masters of this deployment share.
pub fn deployment(config: &Config) -> Deployment {
    let fingerprint = Fingerprint::of(config);
    Deployment {
        key_prefix: config.key_format.prefix().to_owned(),
        key_suffix: config.key_format.suffix().to_owned(),
        namespace: config.namespace.as_str().to_owned(),
        fingerprint: fingerprint.hash,
        fingerprint_text: fingerprint.text,
        clock_skew: config.quorum.clock_skew,
        restart_policy: config.restart_policy,
    }
}

/// Where a master is; `None`: in this process.
pub fn place(config: &Config, master: &Master) -> Result<Option<Place>> {
    let way = |redis: &RedisEndpoint| endpoint(master, redis);
    Ok(match &master.backend {
        Backend::Memory => None,
        Backend::Redis(redis) => Some(Place::Single(way(redis)?)),
        Backend::Unit(unit) => {
            let primary = match &unit.primary {
                config::Primary::OneOf(endpoints) => {
                    Primary::OneOf(endpoints.iter().map(way).collect::<Result<_>>()?)
                }
                config::Primary::NamedBy(sentinels) => Primary::NamedBy {
                    sentinels: sentinels.endpoints.iter().map(way).collect::<Result<_>>()?,
                    name: sentinels.name.clone(),
                    server: way(&sentinels.server())?,
                },
            };
            let fenced = config.restart_policy == RestartPolicy::Quarantine;
            Some(Place::Unit(Unit { primary, max_lag: unit.max_lag, fenced }))
        }
    })
}

/// How to get to a Redis server.
fn endpoint(master: &Master, redis: &RedisEndpoint) -> Result<Endpoint> {
    let credentials = redis.credentials.as_ref();
    let username = credentials.and_then(|credentials| credentials.username.as_deref());
    let password = credentials.map(|credentials| credentials.password.expose());
    let tls = redis.tls.as_ref().map(tls).transpose()?;
    Endpoint::new(
        redis.address.clone(),
        (username, password),
        redis.database.into(),
        tls.as_ref(),
        master.connect_timeout,
    )
    .with_context(|| format!("master {}: TLS", master.name))
}

fn tls(tls: &MasterTls) -> Result<Tls> {
    let identity = match &tls.identity {
        Some(identity) => Some((read(&identity.cert)?, read(&identity.key)?)),
        None => None,
    };
    let ca = tls.ca.as_deref().map(read).transpose()?;
    Ok(Tls { ca, identity, server_name: tls.server_name.clone() })
}

fn read(path: &std::path::Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn connectors(config: &Config) -> Result<Vec<(String, Box<dyn Connector>)>> {
    let deployment = Arc::new(deployment(config));
    if config.is_dev() {
        let names: Vec<&str> = config.masters.iter().map(|master| master.name.as_str()).collect();
        let masters = dev_masters(&config.params(), &deployment.fingerprint, &names);
        let connectors = masters.into_iter().map(|master| Box::new(master) as Box<dyn Connector>);
        return Ok(names.into_iter().map(str::to_owned).zip(connectors).collect());
    }
    let mut connectors: Vec<(String, Box<dyn Connector>)> = Vec::new();
    for master in &config.masters {
        if let Some(place) = place(config, master)? {
            let connector = RedisConnector::new(place, Arc::clone(&deployment));
            connectors.push((master.name.clone(), Box::new(connector)));
        }
    }
    Ok(connectors)
}

fn standing(report: &admin::Report) -> Standing {
    match (report.is_draining(), report.is_ready()) {
        (true, _) => Standing::Draining,
        (false, true) => Standing::Ready,
        (false, false) => Standing::NotReady,
    }
}

fn limits(config: &Config, params: &Params) -> Limits {
    Limits {
        quorum: params.quorum(),
        clock_skew: config.quorum.clock_skew,
        connections: config.limits.max_connections,
        streams: config.limits.max_streams,
        waiters: config.limits.max_total_waiters,
        waiters_of_a_resource: params.max_waiters,
    }
}

fn rules(config: &Config, clock_trust: crate::clock::Trust) -> grpc::Rules {
    grpc::Rules {
        default_ttl: config.lease.default_ttl,
        min_ttl: config.lease.min_ttl,
        max_ttl: config.lease.max_ttl,
        max_hold: config.lease.max_hold,
        max_wait: config.lease.max_wait,
        max_resource_bytes: config.limits.max_resource_bytes,
        max_holder_bytes: config.limits.max_holder_bytes,
        max_metadata_bytes: config.limits.max_metadata_bytes,
        clock_skew: config.quorum.clock_skew,
        clock_trust: Some(clock_trust),
        key_prefix: config.key_format.prefix().to_owned(),
        key_suffix: config.key_format.suffix().to_owned(),
        namespace: config.namespace.as_str().to_owned(),
    }
}

fn master_names(config: &Config) -> grpc::MasterNames {
    grpc::MasterNames::new(
        config.masters.iter().map(|master| (master.name.clone(), master.addresses())),
    )
}

fn grpc_settings(
    config: &Config,
    tls: Option<grpc::Tls>,
    traces: Option<Traces>,
) -> grpc::Settings {
    grpc::Settings {
        max_message_bytes: config.limits.max_message_bytes,
        max_concurrent_streams: config.limits.max_concurrent_streams,
        max_ttl: config.lease.max_ttl,
        linger: config.grpc.drain_timeout,
        connections: (&config.limits).into(),
        max_connection_age: config.limits.max_connection_age,
        web_origins: config.grpc.web_origins.clone(),
        tls,
        traces,
    }
}

fn traces(config: &Config) -> Result<Option<Traces>> {
    let Telemetry { otlp_endpoint, sample_ratio } = &config.telemetry;
    let Some(endpoint) = otlp_endpoint else { return Ok(None) };
    let traces =
        Traces::to_collector(endpoint, *sample_ratio).context("telemetry.otlp_endpoint")?;
    info!(%endpoint, sample_ratio, "spans of calls go to a collector");
    Ok(Some(traces))
}

/// Tells health, readiness and metrics what the replica sees.
async fn keep_looking(
    driver: driver::Handle,
    readiness: admin::Readiness,
    names: Vec<String>,
    metrics: metrics_exporter_prometheus::PrometheusHandle,
    tls: Option<grpc::Tls>,
) {
    let mut watch = telemetry::MasterWatch::new(names.clone());
    let process = telemetry::ProcessWatch::new();
    let mut looks = (0..LOOKS_AT_PROCESS).cycle();
    let difference = |why: &str| why.strip_prefix(MISFIT).map(str::to_owned);
    // The first connections are made at once; until then there is nothing to say.
    tokio::time::sleep(LOOK / 2).await;
    while let Ok(status) = driver.status().await {
        watch.observe(&status, tokio::runtime::Handle::current().metrics().num_alive_tasks());
        if looks.next() == Some(0) {
            process.iter().for_each(telemetry::ProcessWatch::look);
            telemetry::certificate_expires(tls.as_ref().and_then(grpc::Tls::expires));
        }
        let names = names.iter().map(String::as_str);
        readiness.publish(admin::Report::of(&status, names, difference));
        standing(&readiness.report()).announce();
        metrics.run_upkeep();
        tokio::time::sleep(LOOK).await;
    }
}

/// Someone who tries it wants to know how to call it.
#[expect(clippy::print_stdout, reason = "what --dev is for")]
fn announce(config: &Config) {
    if config.is_dev() {
        let listen = config.grpc.listen;
        println!("Holdfast is up, on three in-memory masters: nothing survives a restart.");
        println!("Take a lock:");
        println!(
            "  grpcurl -plaintext -d '{{\"resource\":\"hello\",\"holder\":\"me\"}}' {listen} \
             holdfast.v1.LockService/Acquire"
        );
        println!("Look at it:");
        println!("  http://{}/", config.admin.listen);
    }
}
