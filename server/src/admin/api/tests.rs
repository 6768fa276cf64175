//! Tests: the JSON as the page meets it, over memory masters.

use crate::admin::{Access, Dashboard, Readiness, Report};
use crate::auth::Gate;
use crate::config::{self, Limits};
use crate::grpc::{Bounds, Context, LockApi, in_process};
use axum::Router;
use axum::body::{Body, BodyDataStream, to_bytes};
use axum::http::{Request, StatusCode};
use futures_util::StreamExt;
use holdfast_proto::v1::acquire_response::Outcome;
use holdfast_proto::v1::lock_service_server::LockService;
use holdfast_proto::v1::{AcquireRequest, Lease, ReleaseRequest};
use serde_json::{Value, json};
use std::num::NonZeroU32;
use std::sync::Arc;
use tower::ServiceExt;

const LOCAL: &str = "127.0.0.1:7421";
const EVERYWHERE: &str = "0.0.0.0:7421";

struct Desk {
    context: Arc<Context>,
    dashboard: Dashboard,
    router: Router,
}

async fn desk_at(listen: &str) -> Desk {
    desk_with(in_process::context().await, listen)
}

fn desk_with(context: Context, listen: &str) -> Desk {
    let context = Arc::new(context);
    let readiness = Readiness::new();
    readiness.publish(Report::default());
    let access = Access::new(&context, listen.parse().unwrap());
    let dashboard = Dashboard::new(&context, readiness, access);
    let router = dashboard.router();
    Desk { context, dashboard, router }
}

impl Desk {
    async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let code = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (code, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.send(Request::get(path).header("host", LOCAL).body(Body::empty()).unwrap()).await
    }

    async fn force(&self, body: Value) -> (StatusCode, Value) {
        self.send(post(body.to_string())).await
    }

    async fn stream(&self, path: &str) -> Result<Events, StatusCode> {
        let request = Request::get(path).header("host", LOCAL).body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        match response.status() {
            StatusCode::OK => Ok(Events(response.into_body().into_data_stream())),
            code => Err(code),
        }
    }

    fn locks(&self) -> LockApi {
        LockApi::new(Arc::clone(&self.context))
    }

    async fn lock(&self, resource: &str) -> Lease {
        let request = AcquireRequest {
            resource: resource.to_owned(),
            holder: "a".to_owned(),
            ..AcquireRequest::default()
        };
        let response = self.locks().acquire(tonic::Request::new(request)).await.unwrap();
        match response.into_inner().outcome {
            Some(Outcome::Lease(lease)) => lease,
            other => panic!("{other:?}"),
        }
    }

    async fn release(&self, lease: Lease) {
        let request = ReleaseRequest {
            resource: lease.resource,
            lease_id: lease.lease_id,
            fencing_token: lease.fencing_token,
        };
        self.locks().release(tonic::Request::new(request)).await.unwrap();
    }
}

fn post(body: impl Into<Body>) -> Request<Body> {
    Request::post("/api/force-release")
        .header("host", LOCAL)
        .header("content-type", "application/json")
        .header("x-holdfast-dashboard", "1")
        .body(body.into())
        .unwrap()
}

struct Events(BodyDataStream);

impl Events {
    async fn next(&mut self) -> Option<(String, Value)> {
        let event = self.0.next().await?.unwrap();
        let text = std::str::from_utf8(&event).unwrap();
        let (name, data) = text.strip_prefix("event: ").unwrap().split_once("\ndata: ").unwrap();
        Some((name.to_owned(), serde_json::from_str(data).unwrap()))
    }

    /// The next one that is news.
    async fn news(&mut self) -> Value {
        loop {
            let (name, said) = self.next().await.expect("it goes on");
            assert_eq!(name, "leader");
            if said["reason"] != "bookmark" {
                return said;
            }
        }
    }
}

fn query(resource: &str) -> String {
    resource.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

#[tokio::test]
async fn a_lock_is_listed_and_described_as_grpc_has_it() {
    let desk = desk_at(LOCAL).await;
    let name = "<img src=x onerror=alert(1)>/\u{e9} ?&";
    let lease = desk.lock(name).await;

    let (code, page) = desk.get("/api/locks?page_size=10").await;
    assert_eq!(code, StatusCode::OK, "{page}");
    let lock = &page["locks"][0];
    assert_eq!(lock["resource"], name);
    assert_eq!((&lock["holder"], &lock["votes"]), (&json!("a"), &json!(3)));
    assert_eq!(lock["fencing_token"], lease.fencing_token);
    assert!(lock["remaining"].as_u64().unwrap() > 0, "{lock}");
    assert_eq!((&page["locks"][1], &page["next_page_token"]), (&Value::Null, &json!("")));

    let (_, none) = desk.get("/api/locks?prefix=other").await;
    assert_eq!(none["locks"], json!([]));

    let (code, lock) = desk.get(&format!("/api/lock?resource={}", query(name))).await;
    assert_eq!(code, StatusCode::OK, "{lock}");
    assert_eq!((&lock["resource"], &lock["state"]["is"]), (&json!(name), &json!("held")));
    assert_eq!(lock["state"]["fencing_token"], lease.fencing_token);
    let masters = lock["masters"].as_array().unwrap();
    let prints: Vec<_> = masters.iter().map(|master| &master["lease_fingerprint"]).collect();
    assert!(masters.len() == 3 && prints.iter().all(|print| *print == prints[0]), "{lock}");
    assert!(masters.iter().all(|master| master["votes"] == true && master["state"] == "voting"));
    assert!(!lock.to_string().contains(&lease.lease_id), "the capability stays with its owner");
}

#[tokio::test]
async fn the_cluster_is_told_once_and_every_second() {
    let desk = desk_at(LOCAL).await;
    let (_, status) = desk.get("/api/status").await;
    assert_eq!((&status["quorum"], &status["master_count"]), (&json!(2), &json!(3)));
    assert_eq!((&status["ready"], &status["locks"]), (&json!(true), &json!(0)));
    assert_eq!(status["masters"][1]["state"], "voting");

    let mut live = desk.stream("/api/live").await.unwrap();
    assert_eq!(live.next().await.unwrap().1["locks"], 0);
    desk.lock("r").await;
    while live.next().await.unwrap().1["locks"] != 1 {}
    desk.dashboard.close();
    while live.next().await.is_some() {}
}

#[tokio::test]
async fn a_leader_is_followed_and_its_terms_are_remembered() {
    let desk = desk_at(LOCAL).await;
    let mut watch = desk.stream("/api/watch?resource=r").await.unwrap();
    assert_eq!(watch.news().await["state"]["is"], "vacant");
    let lease = desk.lock("r").await;
    let said = watch.news().await;
    assert_eq!((&said["reason"], &said["state"]["holder"]), (&json!("elected"), &json!("a")));
    let token = lease.fencing_token;
    desk.release(lease).await;
    let said = watch.news().await;
    assert_eq!((&said["reason"], &said["state"]["is"]), (&json!("released"), &json!("vacant")));
    let term = &said["history"][0];
    assert_eq!((&term["fencing_token"], &term["ended"]), (&json!(token), &json!("released")));
    assert_eq!(term["from_start"], true);

    drop(watch);
    let (_, lock) = desk.get("/api/lock?resource=r").await;
    assert_eq!(lock["history"][0]["fencing_token"], token, "{lock}");
}

#[tokio::test]
async fn a_lock_is_taken_back_with_a_reason_and_its_name() {
    let desk = desk_at(LOCAL).await;
    let lease = desk.lock("r").await;
    let sound = json!({
        "resource": "r", "fencing_token": lease.fencing_token, "reason": "stuck",
        "immediate": false, "confirmation": "r",
    });
    for (field, value) in [
        ("confirmation", json!("R")),
        ("confirmation", Value::Null),
        ("reason", json!(" ")),
        ("reason", json!("x".repeat(257))),
        ("fencing_token", json!(0)),
        ("resource", json!("")),
        ("other", json!(1)),
    ] {
        let mut body = sound.clone();
        body[field] = value;
        let (code, why) = desk.force(body).await;
        assert_eq!((code, &why["reason"]), (StatusCode::BAD_REQUEST, &json!("INVALID_ARGUMENT")));
    }
    let mut other = sound.clone();
    other["fencing_token"] = json!(lease.fencing_token - 1);
    assert_eq!(desk.force(other).await.1["outcome"], "token_mismatch");

    let (code, forced) = desk.force(sound).await;
    assert_eq!((code, &forced["outcome"]), (StatusCode::OK, &json!("revoked")), "{forced}");
    assert!(forced["remaining"].as_u64().unwrap() > 0 && forced["masters_changed"] == 3);
}

#[tokio::test]
async fn a_port_that_others_reach_and_that_asks_nobody_takes_nothing_back() {
    let desk = desk_at(EVERYWHERE).await;
    let lease = desk.lock("r").await;
    let body = json!({
        "resource": "r", "fencing_token": lease.fencing_token, "reason": "stuck",
        "immediate": true, "confirmation": "r",
    });
    let (code, why) = desk.force(body).await;
    assert_eq!((code, &why["reason"]), (StatusCode::FORBIDDEN, &json!("NOT_LOCAL")));
    let (_, session) = desk.get("/api/session").await;
    assert_eq!(session["missing"], json!(["force-release"]));
    assert!(session["force_release_why"].as_str().unwrap().contains("[auth]"), "{session}");
    let (_, page) = desk.get("/api/locks").await;
    assert_eq!(page["locks"][0]["votes"], 3, "it is there, and may be looked at");
}

#[tokio::test]
async fn where_certificates_alone_prove_who_calls_nobody_can_be_known_here() {
    let (gate, _) = Gate::open(config::Auth::default(), true).unwrap();
    let desk = desk_with(Context { gate, ..in_process::context().await }, LOCAL);
    for path in ["session", "status", "locks", "lock?resource=r", "live", "watch?resource=r"] {
        let (code, why) = desk.get(&format!("/api/{path}")).await;
        assert_eq!((code, &why["reason"]), (StatusCode::FORBIDDEN, &json!("NO_TOKENS")), "{path}");
    }
    let body = json!({
        "resource": "r", "fencing_token": 1, "reason": "stuck", "immediate": false,
        "confirmation": "r",
    });
    assert_eq!(desk.force(body).await.1["reason"], "NO_TOKENS");
}

#[tokio::test]
async fn requests_count_towards_the_bounds_of_their_caller() {
    let few = Limits { requests_per_second: NonZeroU32::new(3), ..Limits::default() };
    let bounds = Bounds::new(&few);
    let desk = desk_with(Context { bounds, ..in_process::context().await }, LOCAL);
    let mut asked = 0;
    let why = loop {
        let (code, why) = desk.get("/api/session").await;
        if code == StatusCode::TOO_MANY_REQUESTS {
            break why;
        }
        asked += 1;
        assert!(asked < 10_000, "it never ends");
    };
    assert_eq!(why["reason"], "RATE_LIMITED");
}

#[tokio::test]
async fn bad_requests_are_the_callers_fault() {
    let desk = desk_at(LOCAL).await;
    for path in [
        "/api/locks?page_size=-1",
        "/api/locks?page_token=nonsense",
        "/api/locks?other=1",
        "/api/locks?prefix=%00",
        "/api/lock",
        "/api/lock?resource=",
        "/api/watch?resource=%00",
    ] {
        let (code, why) = desk.get(path).await;
        assert_eq!(
            (code, &why["reason"]),
            (StatusCode::BAD_REQUEST, &json!("INVALID_ARGUMENT")),
            "{path}"
        );
    }
    for body in ["", "{}", "[]", "null", "\u{0}"] {
        assert_eq!(desk.send(post(body)).await.0, StatusCode::BAD_REQUEST, "{body}");
    }
    let large = format!("{{\"reason\":\"{}\"", "x".repeat(100_000));
    assert_eq!(desk.send(post(large)).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(desk.get("/api/nothing").await.0, StatusCode::NOT_FOUND);
    assert_eq!(desk.get("/api/force-release").await.0, StatusCode::METHOD_NOT_ALLOWED);

    let evil = Request::get("/api/locks").header("host", "evil.example").body(Body::empty());
    let (code, why) = desk.send(evil.unwrap()).await;
    assert_eq!((code, &why["reason"]), (StatusCode::FORBIDDEN, &json!("NOT_SAME_ORIGIN")));
}

#[tokio::test]
async fn streams_are_bounded_and_those_that_ended_do_not_count() {
    let desk = desk_at(LOCAL).await;
    let mut open = Vec::new();
    let refused = loop {
        match desk.stream("/api/live").await {
            Ok(stream) => open.push(stream),
            Err(code) => break code,
        }
        assert!(open.len() <= 1_000);
    };
    assert_eq!(refused, StatusCode::TOO_MANY_REQUESTS);
    open.pop();
    assert!(desk.stream("/api/live").await.is_ok());
}
