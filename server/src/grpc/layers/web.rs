//! gRPC-Web for browsers: translated to gRPC, and of a page only if its origin is listed or the server's own.
//! What is neither gRPC nor gRPC-Web is refused in words of HTTP.
//!
//! A browser lets every page send a form or plain text anywhere, so nothing is served whose content type such a
//! page could choose. What it must ask for first (CORS) is answered here by the origin alone. A site that has its
//! own name resolve to this port (DNS rebinding) seems to be the server's own: where nobody is asked for a proof,
//! only an address or `localhost` will do, as on the dashboard.
//!
//! Deliberately absent: credentials that a browser adds by itself. A page brings its token.

use crate::admin::{authority, is_address};
use crate::clock;
use crate::config::WebOrigin;
use crate::grpc::errors;
use crate::telemetry::Throttle;
use futures_util::future::BoxFuture;
use holdfast_proto::errors::{REASON_TRAILER, RETRY_AFTER_TRAILER, reason};
use http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::Code;
use tonic::body::Body;
use tonic_web::GrpcWebLayer;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_http::cors::{AllowOrigin, CorsLayer};
use tracing::warn;

const GRPC: &[u8] = b"application/grpc";
const WEB: &[u8] = b"application/grpc-web";
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// What a page may send.
const SENT: [HeaderName; 5] = [
    AUTHORIZATION,
    CONTENT_TYPE,
    HeaderName::from_static("grpc-timeout"),
    HeaderName::from_static("x-grpc-web"),
    HeaderName::from_static("x-user-agent"),
];
/// What it may read of an answer: of one that is an error from its first byte on, all is in the headers.
const READ: [HeaderName; 5] = [
    HeaderName::from_static("grpc-status"),
    HeaderName::from_static("grpc-message"),
    HeaderName::from_static("grpc-status-details-bin"),
    HeaderName::from_static(REASON_TRAILER),
    HeaderName::from_static(RETRY_AFTER_TRAILER),
];
/// A browser need not ask again for so long. Calls are judged by their origin all the same.
const REMEMBERED: Duration = Duration::from_secs(60 * 60);

/// Their clients go on speaking, which gRPC-Web has no way to.
pub(in crate::grpc) const TWO_WAYS: [&str; 3] = [
    "/holdfast.v1.LockService/Hold",
    "/holdfast.v1.LockService/KeepAlive",
    "/holdfast.v1.LockService/Session",
];
const ONE_WAY: &str = "over gRPC-Web a client cannot go on speaking, which Hold, KeepAlive and Session need: use \
                       Acquire, Extend and Release, or gRPC over HTTP/2";

const NO_GRPC: &str = "this port speaks gRPC over HTTP/2 (content-type application/grpc) and gRPC-Web over HTTP/2 \
                       and HTTP/1.1 (application/grpc-web); health, metrics and the dashboard are on the admin port\n";
const NO_HTTP_2: &str = "gRPC needs HTTP/2; over HTTP/1.1 this port speaks gRPC-Web (content-type application/grpc-web)\n";
const NO_POST: &str = "calls are POST, of gRPC or gRPC-Web; health, metrics and the dashboard are on the admin port\n";
const STRANGER: &str = "the origin of this page is not in grpc.web_origins\n";

/// Refusals are logged no more often than this.
const LOG_PERIOD: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub(in crate::grpc) struct WebLayer(Arc<Rules>);

#[derive(Debug)]
struct Rules {
    origins: Vec<HeaderValue>,
    /// Is anybody asked who they are?
    by_proof: bool,
    cors: CorsLayer,
    log: Throttle,
}

impl WebLayer {
    pub(in crate::grpc) fn new(origins: &[WebOrigin], by_proof: bool) -> Self {
        let origins: Vec<HeaderValue> =
            origins.iter().filter_map(|origin| origin.as_str().parse().ok()).collect();
        let cors = CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins.clone()))
            .allow_methods([Method::POST])
            .allow_headers(SENT)
            .expose_headers(READ)
            .max_age(REMEMBERED);
        Self(Arc::new(Rules { origins, by_proof, cors, log: Throttle::new(LOG_PERIOD) }))
    }
}

impl<S> Layer<S> for WebLayer {
    type Service = Web<S>;

    fn layer(&self, inner: S) -> Web<S> {
        Web { inner, rules: Arc::clone(&self.0) }
    }
}

#[derive(Debug, Clone)]
pub(in crate::grpc) struct Web<S> {
    inner: S,
    rules: Arc<Rules>,
}

type Answer = BoxFuture<'static, Result<Response<Body>, Infallible>>;

impl<S> Service<Request<Body>> for Web<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = Answer>,
    S: Clone + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        match Kind::of(&request) {
            Kind::Grpc => self.inner.call(request),
            Kind::Refused(refusal) => Box::pin(ready(Ok(refusal.into_http()))),
            Kind::Web if !self.rules.admits(&request) => {
                Box::pin(ready(Ok(Refusal::Stranger.into_http())))
            }
            Kind::Web => {
                let cors = &self.rules.cors;
                match TWO_WAYS.contains(&request.uri().path()) {
                    true => {
                        let refuse = service_fn(|_: Request<Body>| ready(Ok(one_way())));
                        Box::pin(cors.layer(GrpcWebLayer::new().layer(refuse)).oneshot(request))
                    }
                    false => {
                        let inner = GrpcWebLayer::new().layer(self.inner.clone());
                        Box::pin(cors.layer(inner).oneshot(request))
                    }
                }
            }
        }
    }
}

/// What a request is.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Grpc,
    /// A call, or the question whether a page may make one.
    Web,
    Refused(Refusal),
}

#[derive(Debug, PartialEq, Eq)]
enum Refusal {
    NoGrpc,
    NoHttp2,
    NoPost,
    Stranger,
}

impl Kind {
    fn of<B>(request: &Request<B>) -> Self {
        let content_type = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        let content_type = content_type.unwrap_or_default();
        let is_post = request.method() == Method::POST;
        match content_type.strip_prefix(GRPC) {
            Some([] | [b'+' | b';', ..]) if request.version() == Version::HTTP_2 => Self::Grpc,
            Some([] | [b'+' | b';', ..]) => Self::Refused(Refusal::NoHttp2),
            _ if request.method() == Method::OPTIONS => Self::Web,
            Some(_) if is_web(content_type) && is_post => Self::Web,
            _ if !is_post => Self::Refused(Refusal::NoPost),
            _ => Self::Refused(Refusal::NoGrpc),
        }
    }
}

/// Those that are translated.
fn is_web(content_type: &[u8]) -> bool {
    let rest = content_type.strip_prefix(WEB);
    matches!(rest, Some(b"" | b"+proto" | b"-text" | b"-text+proto"))
}

impl Rules {
    /// Is it of no page, or of one that may call?
    fn admits<B>(&self, request: &Request<B>) -> bool {
        let mut said = request.headers().get_all(ORIGIN).iter();
        let Some(origin) = said.next() else { return true };
        let is_one = said.next().is_none();
        if is_one && (self.origins.contains(origin) || self.is_own(origin, request)) {
            return true;
        }
        if let Some(unsaid) = self.log.admit(clock::now().boot) {
            warn!(?origin, unsaid, "a page is refused: its origin is not in grpc.web_origins");
        }
        false
    }

    /// Is it of the host that was called?
    fn is_own<B>(&self, origin: &HeaderValue, request: &Request<B>) -> bool {
        let origin = origin.to_str().ok().and_then(authority);
        origin.is_some()
            && origin == host(request)
            && (self.by_proof || origin.is_some_and(is_address))
    }
}

/// Whom the client says it calls, if it says it once.
fn host<B>(request: &Request<B>) -> Option<&str> {
    if let Some(authority) = request.uri().authority() {
        return Some(authority.as_str());
    }
    let headers: &HeaderMap = request.headers();
    let host = headers.get(HOST).filter(|_| headers.get_all(HOST).iter().count() == 1);
    host.and_then(|host| host.to_str().ok())
}

fn one_way() -> Response<Body> {
    errors::refused(Code::Unimplemented, reason::UNIMPLEMENTED, ONE_WAY).into_http()
}

impl Refusal {
    fn into_http(self) -> Response<Body> {
        let (status, why) = match self {
            Self::NoGrpc => (StatusCode::UNSUPPORTED_MEDIA_TYPE, NO_GRPC),
            Self::NoHttp2 => (StatusCode::UNSUPPORTED_MEDIA_TYPE, NO_HTTP_2),
            Self::NoPost => (StatusCode::METHOD_NOT_ALLOWED, NO_POST),
            Self::Stranger => (StatusCode::FORBIDDEN, STRANGER),
        };
        let mut response = Response::new(Body::new(why.to_owned()));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, TEXT);
        if status == StatusCode::METHOD_NOT_ALLOWED {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST, OPTIONS"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(version: Version, method: Method, headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().version(version).method(method).uri("/a.B/C");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    #[test]
    fn what_a_page_could_send_without_asking_is_no_call() {
        use Refusal::{NoGrpc, NoHttp2, NoPost};
        let (old, new) = (Version::HTTP_11, Version::HTTP_2);
        for (version, content_type, kind) in [
            (new, "application/grpc", Kind::Grpc),
            (new, "application/grpc+proto", Kind::Grpc),
            (old, "application/grpc", Kind::Refused(NoHttp2)),
            (old, "application/grpc-web", Kind::Web),
            (new, "application/grpc-web+proto", Kind::Web),
            (old, "application/grpc-web-text", Kind::Web),
            (old, "application/grpc-web-text+proto", Kind::Web),
            (new, "application/grpc-web+json", Kind::Refused(NoGrpc)),
            (new, "application/grpc-web; x", Kind::Refused(NoGrpc)),
            (new, "application/grpc-webs", Kind::Refused(NoGrpc)),
            (new, "application/grpcs", Kind::Refused(NoGrpc)),
            (new, "text/plain", Kind::Refused(NoGrpc)),
            (new, "multipart/form-data", Kind::Refused(NoGrpc)),
            (old, "application/x-www-form-urlencoded", Kind::Refused(NoGrpc)),
        ] {
            let asked = request(version, Method::POST, &[("content-type", content_type)]);
            assert_eq!(Kind::of(&asked), kind, "{version:?} {content_type}");
        }
        assert_eq!(Kind::of(&request(new, Method::POST, &[])), Kind::Refused(NoGrpc));
        assert_eq!(Kind::of(&request(old, Method::GET, &[])), Kind::Refused(NoPost));
        assert_eq!(Kind::of(&request(old, Method::OPTIONS, &[])), Kind::Web);
    }

    #[test]
    fn pages_of_listed_origins_and_of_the_server_itself_may_call() {
        let listed = [WebOrigin::listed("https://app.example")];
        for (origin, host, by_proof, fits) in [
            (None, "any.example", false, true),
            (Some("https://app.example"), "any.example", false, true),
            (Some("http://app.example"), "any.example", true, false),
            (Some("https://app.example.evil"), "any.example", true, false),
            (Some("null"), "any.example", true, false),
            (Some("http://127.0.0.1:7420"), "127.0.0.1:7420", false, true),
            (Some("http://127.0.0.1:7421"), "127.0.0.1:7420", false, false),
            (Some("http://rebound.example:7420"), "rebound.example:7420", false, false),
            (Some("https://own.example"), "own.example", true, true),
        ] {
            let WebLayer(rules) = WebLayer::new(&listed, by_proof);
            let mut asked = request(Version::HTTP_11, Method::POST, &[("host", host)]);
            if let Some(origin) = origin {
                asked.headers_mut().insert(ORIGIN, origin.parse().unwrap());
            }
            assert_eq!(rules.admits(&asked), fits, "{origin:?} {host} {by_proof}");
            if fits && origin.is_some() {
                asked.headers_mut().append(ORIGIN, "https://evil.example".parse().unwrap());
                assert!(!rules.admits(&asked), "a page is of one origin");
            }
        }
    }
}
