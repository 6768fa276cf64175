//! Tests: where a token comes from, and a server that demands one.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use holdfast_proto::errors::{DOMAIN, REASON_TRAILER, RETRY_AFTER_TRAILER, reason};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::metadata::MetadataValue;
use tonic::service::{Interceptor, InterceptorLayer, Routes};
use tonic::transport::Server;
use tonic::{Code, Request, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::{Bearer, Source};
use crate::client::{Client, ClientBuilder};
use crate::clock::Moment;
use crate::error::Error;
use crate::lease::LeaseId;
use crate::retry::RetryPolicy;

fn sent(bearer: &mut Bearer) -> String {
    let request = bearer.call(Request::new(())).unwrap();
    let value = request.metadata().get("authorization").unwrap();
    assert!(value.is_sensitive());
    value.to_str().unwrap().to_owned()
}

fn due(bearer: &Bearer) {
    let Bearer::File(file) = bearer else { panic!("{bearer:?}") };
    file.newest.lock().unwrap().until = Moment::now();
}

#[test]
fn a_fixed_token_is_sent_and_never_shown() {
    let source = Source::Fixed("s3cr3t".to_owned());
    let mut bearer = Bearer::new(Some(&source)).unwrap();
    assert_eq!(sent(&mut bearer), "Bearer s3cr3t");
    let shown = format!("{bearer:?} {source:?}");
    assert!(!shown.contains("s3cr3t"), "{shown}");
}

#[test]
fn without_a_token_nothing_is_sent() {
    let request = Bearer::new(None).unwrap().call(Request::new(())).unwrap();
    assert!(request.metadata().is_empty());
}

#[test]
fn a_file_is_read_again_and_its_last_token_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "one\n").unwrap();
    let mut bearer = Bearer::new(Some(&Source::File(path.clone()))).unwrap();
    assert_eq!(sent(&mut bearer), "Bearer one");
    fs::write(&path, "two").unwrap();
    due(&bearer);
    assert_eq!(sent(&mut bearer), "Bearer two");
    // Half written, and gone.
    fs::write(&path, "").unwrap();
    due(&bearer);
    assert_eq!(sent(&mut bearer), "Bearer two");
    fs::remove_file(&path).unwrap();
    due(&bearer);
    assert_eq!(sent(&mut bearer), "Bearer two");
    let shown = format!("{bearer:?}");
    assert!(!shown.contains("two"), "{shown}");
}

#[test]
fn what_is_no_token_is_refused_and_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let refused = |source: Source| {
        let Err(error) = Bearer::new(Some(&source)) else { panic!("{source:?}") };
        let text = error.to_string();
        assert!(!text.contains("s3cr3t"), "{text}");
        text
    };
    let of_file = || refused(Source::File(path.clone()));
    assert!(of_file().contains("No such file"), "{}", of_file());
    for (content, why) in [("", "no token"), (" \n", "no token"), ("s3cr3t s3cr3t", "visible")] {
        fs::write(&path, content).unwrap();
        assert!(of_file().contains(why), "{}", of_file());
    }
    fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(of_file().contains("visible"), "{}", of_file());
    fs::write(&path, "s3cr3t".repeat(20_000)).unwrap();
    assert!(of_file().contains("too long"), "{}", of_file());
    let folder = Source::File(folder.path().to_owned());
    assert!(refused(folder).contains("not a file"));
    assert!(refused(Source::Fixed("s3cr3t\r\nx: y".to_owned())).contains("visible"));
}

/// A server that answers nothing, and says why: as it is told for the first calls, and of all that follow that
/// they are denied.
struct Gate {
    address: String,
    /// Of every call, what it carried.
    carried: Arc<Mutex<Vec<Option<String>>>>,
}

impl Gate {
    async fn answering(first: Vec<Status>) -> Self {
        let carried = Arc::new(Mutex::new(Vec::new()));
        let (calls, mut first) = (Arc::clone(&carried), first.into_iter());
        let first = Arc::new(Mutex::new(move || first.next().unwrap_or_else(denied)));
        let refuse = move |request: Request<()>| -> Result<Request<()>, Status> {
            let carried = request.metadata().get("authorization");
            let carried = carried.map(|value| value.to_str().unwrap().to_owned());
            calls.lock().unwrap().push(carried);
            Err((first.lock().unwrap())())
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let mut server = Server::builder().layer(InterceptorLayer::new(refuse));
        let routes = server.add_routes(Routes::default());
        tokio::spawn(routes.serve_with_incoming(TcpListenerStream::new(listener)));
        Self { address, carried }
    }

    async fn denying() -> Self {
        Self::answering(Vec::new()).await
    }

    fn builder(&self) -> ClientBuilder {
        Client::builder().address(&self.address)
    }

    /// What the calls since the last look carried.
    fn carried(&self) -> Vec<Option<String>> {
        std::mem::take(&mut self.carried.lock().unwrap())
    }
}

fn of_holdfast(code: Code, reason: &'static str, details: ErrorDetails) -> Status {
    let mut status = Status::with_error_details(code, "not you", details);
    status.metadata_mut().insert(REASON_TRAILER, MetadataValue::from_static(reason));
    status
}

fn denied() -> Status {
    let told = [("permission", "acquire"), ("resource", "r"), ("identity", "token:ci")];
    let told = told.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let details = ErrorDetails::with_error_info(reason::PERMISSION_DENIED, DOMAIN, told);
    of_holdfast(Code::PermissionDenied, reason::PERMISSION_DENIED, details)
}

fn unauthenticated() -> Status {
    of_holdfast(Code::Unauthenticated, reason::UNAUTHENTICATED, ErrorDetails::new())
}

fn over_the_limit(retry_after: Duration) -> Status {
    let details = ErrorDetails::with_retry_info(Some(retry_after));
    let mut status = of_holdfast(Code::ResourceExhausted, reason::RATE_LIMITED, details);
    let millis = u64::try_from(retry_after.as_millis()).unwrap();
    status.metadata_mut().insert(RETRY_AFTER_TRAILER, millis.into());
    status
}

/// Every way to call a server, and with how many calls it is found that this one is not let in: a session
/// that cannot be is followed by a call that says so of itself.
async fn every_call(client: &Client) -> Vec<(&'static str, usize, Error)> {
    let id = LeaseId::new("a");
    let (lock, admin, ttl) = (client.lock("r"), client.admin(), Duration::from_secs(9));
    let force = holdfast_proto::v1::ForceReleaseRequest::default();
    vec![
        ("acquire", 2, lock.clone().acquire().await.unwrap_err()),
        ("hold", 1, lock.hold().await.unwrap_err()),
        ("extend", 2, client.extend("r", &id, 1, ttl).await.unwrap_err()),
        ("release", 2, client.release("r", &id, 1).await.unwrap_err()),
        ("watch", 1, client.watch("r").next().await.unwrap_err()),
        ("check", 1, client.check_fencing_token("r", 1).await.unwrap_err()),
        ("list", 1, admin.list_locks("").await.unwrap_err()),
        ("describe", 1, admin.describe_lock("r").await.unwrap_err()),
        ("force", 1, admin.force_release(force).await.unwrap_err()),
        ("status", 1, admin.cluster_status().await.unwrap_err()),
    ]
}

#[tokio::test]
async fn every_call_carries_the_token_and_a_denial_is_final() {
    let gate = Gate::denying().await;
    let client = gate.builder().token("s3cr3t").build().unwrap();
    let shown = format!("{client:?} {:?}", gate.builder().token("s3cr3t"));
    assert!(!shown.contains("s3cr3t"), "{shown}");
    let ended = every_call(&client).await;
    let calls: usize = ended.iter().map(|(_, calls, _)| calls).sum();
    assert_eq!(gate.carried(), vec![Some("Bearer s3cr3t".to_owned()); calls]);
    for (call, _, error) in ended {
        let Error::PermissionDenied(denial) = &error else { panic!("{call}: {error:?}") };
        let missing = [&denial.permission, &denial.resource, &denial.identity];
        assert_eq!(missing, ["acquire", "r", "token:ci"], "{call}");
        assert_eq!(error.to_string(), "permission denied: not you", "{call}");
    }
}

#[tokio::test]
async fn without_a_token_none_is_sent_and_the_refusal_is_final() {
    const ENOUGH: usize = 100;
    let gate = Gate::answering(vec![unauthenticated(); ENOUGH]).await;
    let ended = every_call(&gate.builder().build().unwrap()).await;
    let calls: usize = ended.iter().map(|(_, calls, _)| calls).sum();
    assert_eq!(gate.carried(), vec![None; calls]);
    for (call, _, error) in ended {
        assert!(
            matches!(&error, Error::Unauthenticated(why) if why == "not you"),
            "{call}: {error:?}"
        );
    }
}

#[tokio::test]
async fn what_stands_before_the_service_may_refuse_as_well() {
    let gate =
        Gate::answering(vec![Status::unauthenticated("a proxy"), Status::permission_denied("")]);
    let gate = gate.await;
    let client = gate.builder().build().unwrap();
    let error = client.admin().cluster_status().await.unwrap_err();
    assert!(matches!(&error, Error::Unauthenticated(_)), "{error:?}");
    let error = client.admin().cluster_status().await.unwrap_err();
    assert_eq!(error.to_string(), "permission denied: the server does not say which");
}

#[tokio::test]
async fn a_call_over_the_limit_is_repeated_when_the_server_says() {
    const LATER: Duration = Duration::from_millis(300);
    let [gate, other] = [Gate::answering(vec![over_the_limit(LATER)]).await, Gate::denying().await];
    let client = gate.builder().address(&other.address).build().unwrap();
    let asked = Moment::now();
    let error = client.admin().cluster_status().await.unwrap_err();
    assert!(asked.after(LATER).has_passed());
    assert!(matches!(error, Error::PermissionDenied(_)), "{error:?}");
    // Not elsewhere, where there is a limit as well.
    assert_eq!((gate.carried().len(), other.carried().len()), (2, 0));
}

#[tokio::test]
async fn a_call_is_not_repeated_beyond_its_patience() {
    const MUCH_LATER: Duration = Duration::from_secs(3_600);
    let gate = Gate::answering(vec![over_the_limit(MUCH_LATER); 2]).await;
    let retry = RetryPolicy { give_up_after: Duration::from_secs(60), ..RetryPolicy::default() };
    let client = gate.builder().retry(retry).build().unwrap();
    let error = client.admin().cluster_status().await.unwrap_err();
    assert!(matches!(&error, Error::Refused { reason, .. } if reason == reason::RATE_LIMITED));
    // Nor one that waits for a lock.
    let error = client.lock("r").wait(Duration::from_secs(60)).hold().await.unwrap_err();
    assert!(matches!(&error, Error::Refused { reason, .. } if reason == reason::RATE_LIMITED));
    assert_eq!(gate.carried().len(), 2);
}
