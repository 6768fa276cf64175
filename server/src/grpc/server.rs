//! The gRPC server: services, layers and transport put together over a bound listener.

use super::admin_service::AdminApi;
use super::convert::Rules;
use super::health;
use super::incoming::{ConnectionLimits, connections};
use super::layers::{ContractLayer, IdentifyLayer, ObserveLayer, TraceLayer, WebLayer};
use super::limits::Bounds;
use super::lock_service::LockApi;
use super::masters::MasterNames;
use super::serving::Http;
use super::tls::Tls;
use crate::admin::Readiness;
use crate::auth::Gate;
use crate::config::WebOrigin;
use crate::driver::Handle;
use crate::telemetry::{RpcMetrics, Traces};
use futures_util::future::BoxFuture;
use holdfast_engine::Params;
use holdfast_proto::FILE_DESCRIPTOR_SET;
use holdfast_proto::v1::admin_service_server::AdminServiceServer;
use holdfast_proto::v1::lock_service_server::LockServiceServer;
use http::{Request, Response};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::body::Body;
use tonic::service::Routes;
use tonic_reflection::server::Builder as Reflection;
use tower::util::option_layer;
use tower::{Layer, Service};
use tracing::warn;

/// What the services need to know.
#[derive(Debug)]
pub struct Context {
    /// The way to the engine.
    pub driver: Handle,
    /// The engine's numbers, to judge readings by.
    pub params: Arc<Params>,
    /// The limits of requests.
    pub rules: Rules,
    /// How the masters are called.
    pub masters: MasterNames,
    /// Who may do what.
    pub gate: Gate,
    /// How much callers may use.
    pub bounds: Bounds,
}

/// How the server serves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Larger messages are refused before they are read.
    pub max_message_bytes: usize,
    /// Calls and streams of one connection. Every waiting Acquire is one, and a Release that had to
    /// queue behind them would be stuck: above the number of waiters of a resource.
    pub max_concurrent_streams: u32,
    /// The longest ttl of a lease.
    pub max_ttl: Duration,
    /// After shutdown began, connections may linger for so long.
    pub linger: Duration,
    /// Bounds on connections.
    pub connections: ConnectionLimits,
    /// An older connection is asked to go.
    pub max_connection_age: Option<Duration>,
    /// Plain text without.
    pub tls: Option<Tls>,
    /// The origins whose web pages may call, besides the server's own.
    pub web_origins: Vec<WebOrigin>,
    /// Where the spans of calls go; nowhere without.
    pub traces: Option<Traces>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_message_bytes: 64 * 1_024,
            max_concurrent_streams: 20_000,
            max_ttl: Duration::from_secs(60),
            linger: Duration::from_secs(10),
            connections: ConnectionLimits {
                most: 20_000,
                most_per_address: None,
                handshake_timeout: Duration::from_secs(10),
            },
            max_connection_age: None,
            tls: None,
            web_origins: Vec::new(),
            traces: None,
        }
    }
}

/// Why the server does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The descriptors of this build do not fit together.
    #[error("server reflection cannot be set up")]
    Reflection(#[source] tonic_reflection::server::Error),
}

/// Serves until `shutdown` resolves and the connections are closed, or have lingered for too long.
pub async fn serve(
    listener: TcpListener,
    context: impl Into<Arc<Context>>,
    settings: Settings,
    readiness: Readiness,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let context = context.into();
    let (health_service, reporter) = health::health().await;
    let max = settings.max_message_bytes;
    let routes = routes(Arc::clone(&context), max)?;
    let routes = routes.add_service(health_service.max_decoding_message_size(max)).prepare();
    let service = layered(routes, &settings, &context);
    let incoming = connections(listener, settings.tls.clone(), settings.connections);

    let (closing, closed) = oneshot::channel::<()>();
    let ending = async {
        shutdown.await;
        drop(closing);
    };
    let serving = Http::new(&settings).serve(incoming, service, ending);
    let lingering = async {
        let _ = closed.await;
        tokio::time::sleep(settings.linger).await;
    };
    tokio::select! {
        () = serving => Ok(()),
        () = lingering => {
            warn!("connections are still open and are cut off");
            Ok(())
        }
        () = follow_for_ever(readiness, reporter) => Ok(()),
    }
}

async fn follow_for_ever(readiness: Readiness, reporter: tonic_health::server::HealthReporter) {
    health::follow(readiness, reporter).await;
    std::future::pending().await
}

/// What surrounds every call; the outermost last.
fn layered(
    routes: Routes,
    settings: &Settings,
    context: &Context,
) -> impl Service<
    Request<Body>,
    Response = Response<Body>,
    Error = Infallible,
    Future = BoxFuture<'static, Result<Response<Body>, Infallible>>,
> + Clone
+ Send
+ 'static {
    let trace = settings.traces.clone().map(TraceLayer::new);
    let identify = IdentifyLayer::new(context.gate.clone(), context.bounds.clone());
    let served = ContractLayer.layer(identify.layer(routes));
    let observe = ObserveLayer::new(RpcMetrics::new());
    let observed = observe.layer(option_layer(trace).layer(served));
    WebLayer::new(&settings.web_origins, context.gate.asks()).layer(observed)
}

fn routes(context: Arc<Context>, max_message_bytes: usize) -> Result<Routes, ServeError> {
    let descriptors = || {
        Reflection::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // So that grpcurl and its like can print the details of an error.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    let v1 = descriptors().build_v1().map_err(ServeError::Reflection)?;
    let v1alpha = descriptors().build_v1alpha().map_err(ServeError::Reflection)?;
    let locks = LockServiceServer::new(LockApi::new(Arc::clone(&context)));
    let admin = AdminServiceServer::new(AdminApi::new(context));
    Ok(Routes::new(locks.max_decoding_message_size(max_message_bytes))
        .add_service(admin.max_decoding_message_size(max_message_bytes))
        .add_service(v1.max_decoding_message_size(max_message_bytes))
        .add_service(v1alpha.max_decoding_message_size(max_message_bytes)))
}
