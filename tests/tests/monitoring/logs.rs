//! Nothing secret is logged, at whatever level, by whatever a client does: no password of a master, no
//! lease_id, no token of a caller.

use std::fs;
use std::path::Path;
use std::time::Duration;

use holdfast_proto::v1::acquire_response::Outcome;
use holdfast_proto::v1::lock_service_client::LockServiceClient;
use holdfast_proto::v1::{
    AcquireRequest, ExtendRequest, ForceReleaseRequest, HoldRequest, KeepAliveRequest,
    ReleaseRequest, SessionAcquire, SessionRequest, hold_request, session_request,
};
use holdfast_tests::cluster::{Cluster, ClusterOptions};
use holdfast_tests::holdfastd::Holdfastd;
use holdfast_tests::redis_server::RedisOptions;
use holdfast_tests::streams::{outgoing_stream, start, wire};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};

/// Longer than the calls take, however slow the machine.
const TTL: Duration = Duration::from_secs(30);
const PASSWORD: &str = "correct-horse-battery-staple";
const TOKEN: &str = "bearer-token-of-a-caller";
/// What a server knows of it.
const TOKEN_SHA256: &str = "db3e1b58c3aaaf3bc9b89b9cee498d40cb194fbd04ae2bfe25134849fce9c63f";
/// A token that nobody knows.
const WRONG: &str = "bearer-token-of-a-stranger";
/// Lease ids begin with it.
const LEASE: &str = "lease-that-nobody-else-may-know";
/// What an operator says, which is logged: if it is found, so would be the others.
const REASON: &str = "reason-of-an-operator";

/// Which of them stand in these lines.
fn found<'a>(lines: &[String], secrets: &[&'a str]) -> Vec<&'a str> {
    let stands = |secret: &&&str| lines.iter().any(|line| line.contains(**secret));
    secrets.iter().filter(stands).copied().collect()
}

#[derive(Debug, Clone)]
struct Bearer(&'static str);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let value =
            format!("Bearer {}", self.0).parse().map_err(|_| Status::internal("no header"))?;
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}

type Client = LockServiceClient<InterceptedService<Channel, Bearer>>;

fn acquires(resource: &str, lease_id: &str) -> AcquireRequest {
    AcquireRequest {
        resource: resource.to_owned(),
        holder: "a holder".to_owned(),
        ttl: Some(wire(TTL)),
        lease_id: lease_id.to_owned(),
        ..AcquireRequest::default()
    }
}

/// Calls that go well, and every way in which they do not.
async fn call(client: &mut Client) {
    let lease_id = format!("{LEASE}-1");
    let answer = client.acquire(acquires("r", &lease_id)).await.expect("an answer").into_inner();
    let Some(Outcome::Lease(lease)) = answer.outcome else { panic!("granted: {answer:?}") };
    client.acquire(acquires("r", &format!("{LEASE}-2"))).await.expect("held");
    let extend = ExtendRequest {
        resource: "r".to_owned(),
        lease_id: lease_id.clone(),
        fencing_token: lease.fencing_token,
        ..ExtendRequest::default()
    };
    client.extend(extend.clone()).await.expect("renewed");
    // Another's, far too long, without a token, at a time that is none.
    let wrong = ExtendRequest { lease_id: format!("{LEASE}-3"), ..extend.clone() };
    client.extend(wrong).await.expect_err("lost");
    client.acquire(acquires("r", &LEASE.repeat(100))).await.expect_err("too long");
    client.acquire(acquires("", &lease_id)).await.expect_err("no resource");
    let none = ExtendRequest { fencing_token: 0, ..extend.clone() };
    client.extend(none).await.expect_err("no token");
    let future = ExtendRequest { fencing_token: 1 << 52, ..extend.clone() };
    client.extend(future).await.expect_err("a token of the future");

    let (say, said) = mpsc::unbounded_channel();
    let mut renewals = client.keep_alive(outgoing_stream(said)).await.expect("open").into_inner();
    for (sequence, lease_id) in [(1, lease_id.clone()), (2, format!("{LEASE}-4"))] {
        let extend = ExtendRequest { lease_id, ..extend.clone() };
        say.send(KeepAliveRequest { extend: Some(extend), sequence }).expect("open");
        renewals.message().await.expect("no error").expect("an answer");
    }
    let release = |lease_id: &str| ReleaseRequest {
        resource: "r".to_owned(),
        lease_id: lease_id.to_owned(),
        fencing_token: lease.fencing_token,
    };
    client.release(release(&format!("{LEASE}-5"))).await.expect("an answer");
    client.release(release(&lease_id)).await.expect("released");
    client.extend(extend).await.expect_err("lost");
}

/// Streams: one of calls, and a Hold that ends without a word.
async fn stream(client: &mut Client) {
    let (say, said) = mpsc::unbounded_channel();
    let mut session = client.session(outgoing_stream(said)).await.expect("open").into_inner();
    for sequence in 1..=2 {
        let acquire = acquires("session", &format!("{LEASE}-session-{sequence}"));
        let acquire = SessionAcquire { acquire: Some(acquire), ..SessionAcquire::default() };
        let call = Some(session_request::Request::Acquire(acquire));
        let request = SessionRequest { sequence, request: call, ..SessionRequest::default() };
        say.send(request).expect("open");
        session.message().await.expect("no error").expect("an answer");
    }
    let (say, said) = mpsc::unbounded_channel();
    let start = start("hold", &format!("{LEASE}-hold"), TTL);
    say.send(HoldRequest { message: Some(hold_request::Message::Start(start)) }).expect("open");
    let mut hold = client.hold(outgoing_stream(said)).await.expect("open").into_inner();
    hold.message().await.expect("no error").expect("granted");
}

/// Everything that a client does, with a token and with one that nobody knows.
async fn use_it(replica: &Holdfastd) {
    let client = |token| LockServiceClient::with_interceptor(replica.channel(), Bearer(token));
    call(&mut client(TOKEN)).await;
    stream(&mut client(TOKEN)).await;
    // Where nobody is asked who they are, it is granted.
    let acquire = acquires("stranger", &format!("{LEASE}-stranger"));
    let _ = client(WRONG).acquire(acquire).await;
}

/// Another replica of this deployment, which asks for tokens.
async fn guarded(cluster: &Cluster, directory: &Path) -> Holdfastd {
    let tokens = directory.join("tokens.toml");
    let text = format!("[[tokens]]\nname = \"caller\"\nsha256 = {TOKEN_SHA256:?}\n");
    fs::write(&tokens, text).expect("written");
    let mut options = cluster.replica_options();
    options.config += &format!("[auth]\ntokens_file = {tokens:?}\n");
    let replica = Holdfastd::start(options).await.expect("a replica");
    replica.wait_readyz(200, "detail: a quorum").await.expect("ready");
    replica
}

/// Everything it has written; it is the most verbose, and nothing of it is gone.
fn lines_of(replica: &Holdfastd) -> Vec<String> {
    let lines = replica.process().lines();
    for there in ["\"serving\"", "\"TRACE\"", "\"target\":\"h2::", "\"lease\":"] {
        assert!(lines.iter().any(|line| line.contains(there)), "{there}");
    }
    lines
}

#[tokio::test]
async fn nothing_secret_is_logged_at_the_most_verbose() {
    let redis = RedisOptions { password: Some(PASSWORD.to_owned()), ..RedisOptions::default() };
    let options = ClusterOptions {
        redis,
        args: ["--max-ttl", "60s", "--clock-skew", "5s"].map(str::to_owned).to_vec(),
        master_settings: vec!["command_timeout = \"2s\"".to_owned()],
        config: "[log]\nfilter = \"trace\"\nformat = \"json\"\n".to_owned(),
        ..ClusterOptions::default()
    };
    let mut cluster = Cluster::start(3, 1, options).await.expect("a cluster");
    let directory = TempDir::new().expect("a folder");
    let mut guarded = guarded(&cluster, directory.path()).await;
    let replica = &cluster.replicas[0];
    use_it(replica).await;
    use_it(&guarded).await;
    let forced = ForceReleaseRequest {
        resource: "r".to_owned(),
        fencing_token: 7,
        reason: REASON.to_owned(),
        ..ForceReleaseRequest::default()
    };
    replica.admin_client().force_release(forced).await.expect("an answer");
    // A master that goes, and one that does not know the password any more.
    cluster.masters[2].kill().expect("killed");
    let mut master = cluster.masters[1].connection().await.expect("a connection");
    for command in ["CONFIG SET requirepass another", "CLIENT KILL TYPE normal SKIPME yes"] {
        let words: Vec<&str> = command.split(' ').collect();
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        let () = command.query_async(&mut master).await.expect("done");
    }
    let replica = &mut cluster.replicas[0];
    replica.process().wait_for_line("Password authentication failed", TTL * 2).await.expect("said");
    replica.terminate().await.expect("ended");
    guarded.terminate().await.expect("ended");

    let lines = lines_of(replica);
    assert_eq!(found(&lines, &[REASON]), [REASON], "the audit log is among the lines");
    let stranger = lines_of(&guarded);
    assert_eq!(found(&stranger, &["nobody is known"]), ["nobody is known"]);
    let secrets = [PASSWORD, TOKEN, TOKEN_SHA256, WRONG, LEASE];
    for (lines, replica) in [(lines, &*replica), (stranger, &guarded)] {
        assert_eq!(found(&lines, &secrets), [""; 0], "{}", replica.process().quote());
    }
}

#[test]
fn what_leaks_is_found() {
    let line = |text: &str| vec!["fine".to_owned(), text.to_owned()];
    assert_eq!(
        found(&line("lease=the-secret-1 renewed"), &["the-secret", "other"]),
        ["the-secret"]
    );
    assert_eq!(found(&line("lease=#12 renewed"), &["the-secret"]), [""; 0]);
}
