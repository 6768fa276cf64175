//! A page in a browser that shows who leads, over gRPC-Web with a stock client: docs/clients/browser.md, in
//! Chromium. The page comes from one origin, and the API from another.
//!
//! Without Chromium or Node these tests end at once, except in continuous integration.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use holdfast_tests::browser::Browser;
use holdfast_tests::certs::Certificates;
use holdfast_tests::cluster::{Cluster, ClusterOptions};
use holdfast_tests::holdfastd::{Holdfastd, HoldfastdOptions};
use holdfast_tests::page::Page;
use holdfast_tests::process::Process;
use holdfast_tests::tokens::new_token;
use holdfast_tests::{docs, ports, tools};
use serde_json::json;
use tempfile::TempDir;

const PAGE: &str = "docs/clients/browser.md";
const SOURCES: &str = "tests/polyglot/web";
/// Nothing here ends by expiry, but for what says so.
const LONG: Duration = Duration::from_secs(600);
/// For what is free: one try is too few on a machine that stands still in it for a second.
const WAIT: Duration = Duration::from_secs(30);
const BOUND: Duration = Duration::from_secs(60);
const WIDE: u32 = 1280;
const LEADER: &str = "#leader";
const POLICY: &str = "
[[rules]]
identities = [\"token:page\"]
resources = [\"open/*\"]
allow = [\"watch\"]
";

/// What serves the page, at an origin of its own.
struct Site {
    address: SocketAddr,
    _process: Process,
}

impl Site {
    /// `None` where what serves it is missing.
    async fn start() -> Option<Site> {
        let program = tools::find("polyglot-web")?;
        let address = ports::loopback(ports::free());
        let process = Process::spawn("polyglot-web", program, |command| {
            command.arg(format!("--serve={address}"));
        });
        let process = process.expect("a process");
        process.wait_for_line(&address.to_string(), BOUND).await.expect("it serves");
        Some(Site { address, _process: process })
    }

    fn origin(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// What somebody types, and the button.
async fn look(browser: &mut Browser, site: &Site, api: &str, resource: &str, token: &str) {
    browser.open(site.address, WIDE, "light").await.expect("a step of the browser");
    let fields = json!({ "server": api, "resource": resource, "token": token });
    let fill = format!(
        "for (const [name, value] of Object.entries({fields})) document.forms[0][name].value = value"
    );
    browser.ask(&fill).await.expect("a step of the browser");
    browser.step(json!({ "do": "click", "at": "button" })).await.expect("a step of the browser");
}

/// A browser, and a site; the test that does not get both ends there.
macro_rules! browser_and_site {
    () => {
        match (Browser::start().expect("a browser"), Site::start().await) {
            (Some(browser), Some(site)) => (browser, site),
            _ => return,
        }
    };
}

fn api(cluster: &Cluster) -> String {
    format!("http://{}", cluster.replicas[0].grpc_address())
}

/// Real masters, and one replica that pages of these origins may call.
async fn cluster(origins: &[String]) -> Cluster {
    let options = ClusterOptions {
        args: ["--max-ttl", "600s", "--clock-skew", "5s"].map(str::to_owned).to_vec(),
        master_settings: vec!["command_timeout = \"2s\"".to_owned()],
        config: format!("[grpc]\nweb_origins = {origins:?}\n"),
        ..ClusterOptions::default()
    };
    Cluster::start(3, 1, options).await.expect("a cluster")
}

#[tokio::test]
async fn a_page_shows_who_leads_as_it_changes_and_goes_on_after_an_outage() {
    let (mut browser, site) = browser_and_site!();
    let mut cluster = cluster(&[site.origin()]).await;
    look(&mut browser, &site, &api(&cluster), "daily-report", "").await;
    browser.see(LEADER, "nobody leads").await.unwrap();
    browser.ask("document.mark = 'not reloaded'").await.unwrap();

    let one = cluster.acquire(0, "daily-report", "one", LONG, WAIT).await.unwrap().lease();
    // All sixteen digits of it.
    let led = |holder: &str, token: u64| format!("{holder} leads, term {token}");
    browser.see(LEADER, &led("one", one.fencing_token)).await.unwrap();
    cluster.release(0, &one).await.unwrap();
    browser.see(LEADER, "nobody leads").await.unwrap();
    let two = cluster.acquire(0, "daily-report", "two", LONG, WAIT).await.unwrap().lease();
    browser.see(LEADER, &led("two", two.fencing_token)).await.unwrap();

    cluster.replicas[0].kill().unwrap();
    browser.see(LEADER, "connecting again").await.unwrap();
    cluster.replicas[0].restart().await.unwrap();
    browser.see(LEADER, &led("two", two.fencing_token)).await.unwrap();
    cluster.release(0, &two).await.unwrap();
    browser.see(LEADER, "nobody leads").await.unwrap();
    assert_eq!(browser.ask("document.mark").await.unwrap(), "not reloaded");
}

#[tokio::test]
async fn a_page_of_another_origin_sees_nothing() {
    let (mut browser, site) = browser_and_site!();
    let cluster = cluster(&["http://127.0.0.1".to_owned()]).await;
    cluster.acquire(0, "daily-report", "one", LONG, WAIT).await.unwrap().lease();
    look(&mut browser, &site, &api(&cluster), "daily-report", "").await;
    browser.see(LEADER, "connecting again").await.unwrap();
    let replica = cluster.replicas[0].process();
    let told = replica.wait_for_line("grpc.web_origins", BOUND).await.unwrap();
    assert!(told.contains(&site.origin()), "{told}");
    browser.see_no(LEADER, "leads").await.unwrap();
    let report = browser.step(json!({ "do": "report" })).await.unwrap();
    assert!(report["complaints"].to_string().contains("CORS policy"), "{report}");
}

#[tokio::test]
async fn a_page_brings_its_token_and_is_told_why_it_is_refused() {
    let (mut browser, site) = browser_and_site!();
    let (folder, certificates) = (TempDir::new().unwrap(), Certificates::generate("page").unwrap());
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("a file");
        path
    };
    let (token, entry) = new_token("page").await.unwrap();
    let shown = certificates.server();
    // By TLS the browser speaks HTTP/2.
    let config = format!(
        "[grpc]\nweb_origins = [{:?}]\ntls = {{ cert = {:?}, key = {:?} }}\n\
         [auth]\ntokens_file = {:?}\npolicy_file = {:?}\n",
        site.origin(),
        shown.cert,
        shown.key,
        file("tokens.toml", &entry),
        file("policy.toml", POLICY),
    );
    let client_tls = Some(certificates.grpc_client_anonymous().unwrap());
    let args = vec!["--dev".to_owned()];
    let options = HoldfastdOptions { config, client_tls, args, ..HoldfastdOptions::default() };
    let replica = Holdfastd::start(options).await.unwrap();
    let api = format!("https://localhost:{}", replica.grpc_address().port());
    look(&mut browser, &site, &api, "open/report", "").await;
    browser.see(LEADER, "refused: UNAUTHENTICATED").await.unwrap();
    look(&mut browser, &site, &api, "closed/report", &token).await;
    browser.see(LEADER, "refused: PERMISSION_DENIED").await.unwrap();
    look(&mut browser, &site, &api, "open/report", &token).await;
    browser.see(LEADER, "nobody leads").await.unwrap();
}

#[test]
fn the_page_is_made_of_what_is_tested() {
    let page = Page::read(PAGE).unwrap();
    let shown: BTreeMap<_, _> = page.files().map(|(name, block)| (name, &block.text)).collect();
    for (name, text) in &shown {
        let tested = fs::read_to_string(docs::path(SOURCES).join(name)).expect("a tested file");
        assert_eq!(**text, tested, "{name}");
    }
    let names: Vec<_> = shown.into_keys().collect();
    assert_eq!(names, ["app.js", "buf.gen.yaml", "index.html", "leader.js", "once.js"]);
}
