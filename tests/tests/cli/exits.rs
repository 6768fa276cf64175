//! Every exit code that is not a lock's: usage, an unreachable service, no quorum, what is refused.

use holdfast_proto::errors::REASON_TRAILER;
use holdfast_proto::v1::admin_service_server::{AdminService, AdminServiceServer};
use holdfast_proto::v1::{
    DescribeLockRequest, DescribeLockResponse, ForceReleaseRequest, ForceReleaseResponse,
    GetClusterStatusRequest, GetClusterStatusResponse, ListLocksRequest, ListLocksResponse,
};
use holdfast_tests::certs::Certificates;
use holdfast_tests::cli::Cli;
use holdfast_tests::holdfastd::{Holdfastd, HoldfastdOptions};
use holdfast_tests::ports;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Response, Status};

use crate::cluster;

fn nowhere() -> Cli {
    Cli::at([format!("http://{}", ports::loopback(ports::free()))])
}

#[tokio::test]
async fn every_value_that_does_not_fit_is_named() {
    let args = [
        "acquire",
        "r",
        "--ttl",
        "x",
        "--wait",
        "never",
        "--metadata",
        "a",
        "--timeout",
        "soon",
        "--server",
        "here:1",
        "--cert",
        "nosuch.pem",
        "--output",
        "json",
    ];
    let done = nowhere().run(&args).await.with(64);
    let error = done.error();
    assert_eq!(error["kind"], "invalid");
    let mut fields: Vec<_> =
        error["violations"].as_array().unwrap().iter().map(|bad| bad["field"].clone()).collect();
    fields.sort_by_key(ToString::to_string);
    assert_eq!(fields, ["--key", "--metadata", "--server", "--timeout", "--ttl", "--wait"]);

    let text = nowhere().run(&args[..args.len() - 2]).await.with(64);
    assert_eq!(text.stderr.lines().count(), 1, "{text:?}");
    for field in ["--key", "--metadata", "--server", "--timeout", "--ttl", "--wait"] {
        assert!(text.stderr.contains(&format!("{field}: ")), "{text:?}");
    }
}

#[tokio::test]
async fn every_field_that_the_server_refuses_is_named() {
    let (_cluster, cli) = cluster().await;
    let long = "x".repeat(600);
    let args = ["acquire", &long, "--ttl", "1ms", "--holder", &long, "--output", "json"];
    let error = cli.run(&args).await.with(64).error();
    let fields: Vec<_> = error["violations"].as_array().unwrap().iter().collect();
    let named = |field: &str| fields.iter().any(|bad| bad["field"] == field);
    assert!(named("resource") && named("ttl") && named("holder"), "{error}");
    let args = ["run", &long, "--ttl", "1ms", "--output", "json", "--", "true"];
    let error = cli.run(&args).await.with(64).error();
    assert_eq!(error["violations"].as_array().map(Vec::len), Some(2), "{error}");
}

#[tokio::test]
async fn a_command_line_that_does_not_parse_is_usage() {
    let cli = nowhere();
    for args in [
        &["acquire"][..],
        &["nosuch"],
        &["ls", "--nosuch"],
        &["run", "r"],
        &["run", "r", "--"],
        &["ls", "--output", "yaml"],
        &["extend", "r", "--ttl", "1s"],
        &[],
    ] {
        let done = cli.run(args).await.with(64);
        assert!(done.stderr.starts_with("holdfast: ") && done.stdout.is_empty(), "{done:?}");
    }
    let missing = cli.run(&["extend", "r"]).await.with(64);
    assert!(missing.stderr.contains("--lease-id") && missing.stderr.contains("--ttl"));
    let json = cli.run(&["ls", "--nosuch", "--output", "json"]).await.with(64);
    assert_eq!(json.error()["kind"], "usage");
    assert!(cli.run(&["--help"]).await.with(0).stdout.contains("76  lost"));
    assert!(cli.run(&["--version"]).await.with(0).stdout.starts_with("holdfast "));
}

#[tokio::test]
async fn a_service_that_is_not_there_is_unreachable() {
    let cli = nowhere();
    for args in [
        &["acquire", "r"][..],
        &["ls"],
        &["watch", "r"],
        &["elect", "r"],
        &["run", "r", "--", "true"],
        &["release", "r", "--lease-id", "x"],
    ] {
        let args = [&["--timeout", "200ms", "--output", "json"], args].concat();
        let error = cli.run(&args).await.with(69).error();
        assert_eq!(error["kind"], "unreachable", "{args:?}: {error}");
    }
    let text = cli.run(&["ls", "--timeout", "200ms"]).await.with(69);
    assert!(text.stderr.starts_with("holdfast: no replica"), "{text:?}");
    assert!(text.stderr.contains("--server"), "{text:?}");
}

#[tokio::test]
async fn without_a_quorum_the_masters_are_named() {
    let (mut cluster, cli) = cluster().await;
    for master in &mut cluster.masters[1..] {
        master.kill().unwrap();
    }
    for args in [&["acquire", "r"][..], &["run", "r", "--", "true"], &["elect", "r"]] {
        let args = [&["--timeout", "2s", "--output", "json"], args].concat();
        let error = cli.run(&args).await.with(69).error();
        assert_eq!(error["kind"], "no_quorum", "{args:?}: {error}");
        let masters: Vec<_> = error["masters"].as_object().unwrap().keys().collect();
        assert_eq!(masters, ["m0", "m1", "m2"]);
    }
    let why = cli.run(&["why", "r", "--output", "json"]).await.with(0).json();
    assert_eq!(why["verdict"], "no_quorum");
    let status = cli.run(&["status", "--output", "json"]).await.with(69).json();
    assert_eq!(status["servers"][0]["has_quorum"], false);
    let doctor = cli.run(&["doctor"]).await.with(1);
    for said in ["no quorum", "m1", "m2"] {
        assert!(doctor.stdout.contains(said), "{doctor:?}");
    }
    assert!(!doctor.stdout.contains("master m0 "), "{doctor:?}");
}

/// A service that refuses every call of operators.
#[derive(Debug)]
struct Refusing {
    code: Code,
    reason: &'static str,
}

impl Refusing {
    fn say<T>(&self) -> Result<Response<T>, Status> {
        let mut status = Status::new(self.code, "not you");
        let reason = MetadataValue::from_static(self.reason);
        status.metadata_mut().insert(REASON_TRAILER, reason);
        Err(status)
    }
}

#[tonic::async_trait]
impl AdminService for Refusing {
    async fn list_locks(
        &self,
        _: Request<ListLocksRequest>,
    ) -> Result<Response<ListLocksResponse>, Status> {
        self.say()
    }

    async fn describe_lock(
        &self,
        _: Request<DescribeLockRequest>,
    ) -> Result<Response<DescribeLockResponse>, Status> {
        self.say()
    }

    async fn force_release(
        &self,
        _: Request<ForceReleaseRequest>,
    ) -> Result<Response<ForceReleaseResponse>, Status> {
        self.say()
    }

    async fn get_cluster_status(
        &self,
        _: Request<GetClusterStatusRequest>,
    ) -> Result<Response<GetClusterStatusResponse>, Status> {
        self.say()
    }
}

#[tokio::test]
async fn what_is_refused_says_so() {
    for (code, reason, exit, kind) in [
        (Code::PermissionDenied, "PERMISSION_DENIED", 77, "permission_denied"),
        (Code::Unauthenticated, "UNAUTHENTICATED", 77, "unauthenticated"),
        (Code::Unimplemented, "UNIMPLEMENTED", 70, "refused"),
    ] {
        let address = ports::loopback(ports::free());
        let service = AdminServiceServer::new(Refusing { code, reason });
        let server = tonic::transport::Server::builder().add_service(service).serve(address);
        let server = tokio::spawn(server);
        let cli = Cli::at([format!("http://{address}")]);
        let error = cli.run(&["ls", "--output", "json"]).await.with(exit).error();
        assert_eq!((&error["kind"], &error["reason"]), (&kind.into(), &reason.into()), "{error}");
        server.abort();
    }
}

#[tokio::test]
async fn a_replica_with_tls_wants_the_right_certificates() {
    let certificates = Certificates::generate("a client").unwrap();
    let (ca, server, client) = (certificates.ca(), certificates.server(), certificates.client());
    let config = format!(
        "[grpc]\ntls = {{ cert = {:?}, key = {:?}, client_ca = {ca:?} }}\n",
        server.cert, server.key
    );
    let options = HoldfastdOptions {
        config,
        args: vec!["--dev".to_owned()],
        client_tls: Some(certificates.grpc_client().unwrap()),
        ..HoldfastdOptions::default()
    };
    let replica = Holdfastd::start(options).await.expect("a replica");
    replica.wait_voting(3).await.unwrap();
    let cli = Cli::at([format!("https://{}", replica.grpc_address())]);
    let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let (ca, cert, key) = (path(&ca), path(&client.cert), path(&client.key));
    let full = ["--ca", &ca, "--cert", &cert, "--key", &key];
    cli.run(&[&full[..], &["acquire", "r"]].concat()).await.with(0);
    cli.run(&[&full[..], &["run", "s", "--", "true"]].concat()).await.with(0);
    cli.run(&["--ca", &ca, "--timeout", "200ms", "ls"]).await.with(69);
    cli.run(&["--timeout", "200ms", "ls"]).await.with(69);
}
