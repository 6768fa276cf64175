//! What somebody sees, and does with a keyboard, in a real browser.
//!
//! Deliberately absent: how it looks. Pictures are taken for people to look at, into a folder that the test names.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::PathBuf;

use holdfast_tests::browser::Browser;
use holdfast_tests::holdfastd::Holdfastd;
use serde_json::{Value, json};

use super::{Guarded, LONG, WAIT, audited, cluster};

/// A name that wants to be more than text.
const NASTY: &str = "<img src=x onerror=document.title='owned'>";
const WIDE: u32 = 1280;

/// A browser; the test that gets none ends there.
macro_rules! browser {
    () => {
        match Browser::start().expect("a browser") {
            Some(browser) => browser,
            None => return,
        }
    };
}

/// It asked nobody else for anything, and nothing went wrong in it.
async fn assert_content(browser: &mut Browser, replica: &Holdfastd) {
    let report = browser.step(json!({ "do": "report" })).await.expect("a report");
    assert_eq!(report["hosts"], json!([replica.admin_address().to_string()]));
    assert_eq!(report["complaints"], json!([]));
}

/// Where pictures go: `HOLDFAST_PICTURES`, or a folder among the temporary ones.
fn pictures() -> PathBuf {
    let folder = env::var_os("HOLDFAST_PICTURES").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| env::temp_dir().join("holdfast-pictures"));
    fs::create_dir_all(&folder).expect("a folder for pictures");
    folder
}

#[tokio::test]
async fn locks_come_and_go_while_somebody_looks() {
    let mut browser = browser!();
    let cluster = cluster().await;
    let replica = &cluster.replicas[0];
    browser.open(replica.admin_address(), WIDE, "light").await.unwrap();
    browser.see("#link", "Live").await.unwrap();
    browser.see("#fact-quorum", "3 of 3 vote").await.unwrap();
    browser.see("#fact-ready", "Ready").await.unwrap();
    for name in ["m0", "m1", "m2"] {
        browser.see(&format!("#masters tr[data-key={name}]"), "Voting").await.unwrap();
    }
    browser.see("#locks-empty", "There are no locks").await.unwrap();
    browser.ask("document.mark = 'not reloaded'").await.unwrap();

    let lease = cluster.acquire(0, "orders/42", "a", LONG, WAIT).await.unwrap().lease();
    browser.see("#lock-list", "holder of a").await.unwrap();
    browser.see("#lock-list", &lease.fencing_token.to_string()).await.unwrap();
    browser.see("#lock-list", "3 of 3").await.unwrap();
    let nasty = cluster.acquire(0, NASTY, "<b>b</b>", LONG, WAIT).await.unwrap().lease();
    browser.see("#lock-list", NASTY).await.unwrap();
    browser.see("#lock-list", "holder of <b>b</b>").await.unwrap();

    // A panel on the nasty one, and its end while it is looked at.
    browser.step(json!({ "do": "click", "at": "#lock-list button >> text=<img" })).await.unwrap();
    browser.see("#inspect-title", NASTY).await.unwrap();
    browser.see("#present", "holder of <b>b</b>").await.unwrap();
    browser.see("#votes tr[data-key=m1]", "counts").await.unwrap();
    cluster.release(0, &nasty).await.unwrap();
    browser.see("#present-badge", "Free").await.unwrap();
    browser.see("#history", "released").await.unwrap();
    browser.see("#announcer", "is free").await.unwrap();
    browser.press("Escape").await.unwrap();
    browser.see_no("#lock-list", NASTY).await.unwrap();
    let markup = browser.ask("document.querySelectorAll('img, b').length").await.unwrap();
    assert_eq!(
        (markup, browser.ask("document.title").await.unwrap()),
        (json!(0), json!("Holdfast"))
    );

    cluster.release(0, &lease).await.unwrap();
    browser.see("#locks-empty", "There are no locks").await.unwrap();
    assert_eq!(browser.ask("document.mark").await.unwrap(), "not reloaded");
    assert_content(&mut browser, replica).await;
}

#[tokio::test]
async fn a_lock_is_taken_back_by_keyboard_alone() {
    let mut browser = browser!();
    let cluster = cluster().await;
    let replica = &cluster.replicas[0];
    let lease = cluster.acquire(0, "orders/42", "a", LONG, WAIT).await.unwrap().lease();
    browser.open(replica.admin_address(), WIDE, "dark").await.unwrap();
    browser.see("#lock-list", "orders/42").await.unwrap();

    browser.tab_to("#lock-list .lock-name").await.unwrap();
    browser.press("Enter").await.unwrap();
    browser.see("#present", "holder of a").await.unwrap();
    browser.see("#watch-link", "Live").await.unwrap();
    browser.tab_to("#force-open").await.unwrap();
    browser.press("Enter").await.unwrap();
    browser.see("#force-term", &lease.fencing_token.to_string()).await.unwrap();

    browser.tab_to("#force-reason").await.unwrap();
    browser.type_text("nobody knows this worker").await.unwrap();
    browser.tab_to("#force-confirm").await.unwrap();
    browser.type_text("orders/43").await.unwrap();
    browser.press("Enter").await.unwrap();
    browser.see("#force-confirm-problem", "not the name").await.unwrap();
    let focused = "document.activeElement.id";
    assert_eq!(browser.ask(focused).await.unwrap(), "force-confirm");
    let described = replica.describe("orders/42").await.unwrap();
    assert!(described.masters.iter().all(|master| master.first == lease.fencing_token));

    browser.press("Backspace").await.unwrap();
    browser.type_text("2").await.unwrap();
    browser.press("Enter").await.unwrap();
    browser.see("#force-outcome", "Revoked on 3 masters").await.unwrap();
    assert_eq!(browser.ask(focused).await.unwrap(), "force-cancel");
    let line = audited(replica, "nobody knows this worker").await;
    assert!(line.contains("\"immediate\":false") && line.contains("REVOKED"), "{line}");
    cluster.extend(0, &lease, LONG).await.unwrap_err();

    browser.press("Enter").await.unwrap();
    browser.see("#present-badge", "Revoked").await.unwrap();
    browser.press("Escape").await.unwrap();
    let is_open = "document.querySelectorAll('dialog[open]').length";
    assert_eq!(browser.ask(is_open).await.unwrap(), 0);
    let back = "document.activeElement.className";
    assert_eq!(browser.ask(back).await.unwrap(), "lock-name", "where it came from");
    assert_content(&mut browser, replica).await;
}

#[tokio::test]
async fn what_is_old_is_shown_as_old() {
    let mut browser = browser!();
    let cluster = cluster().await;
    let replica = &cluster.replicas[0];
    cluster.acquire(0, "orders/42", "a", LONG, WAIT).await.unwrap().lease();
    browser.open(replica.admin_address(), WIDE, "light").await.unwrap();
    browser.see("#lock-list", "orders/42").await.unwrap();
    browser.see("#link", "Live").await.unwrap();

    replica.freeze().unwrap();
    browser.see("#link", "Disconnected").await.unwrap();
    browser.see("#stale", "old").await.unwrap();
    let stale = "document.body.hasAttribute('data-stale')";
    assert_eq!(browser.ask(stale).await.unwrap(), true);
    browser.see("#lock-list", "orders/42").await.unwrap();
    let file = pictures().join("stale-1280-light.png");
    browser.step(json!({ "do": "picture", "file": file })).await.unwrap();
    replica.thaw().unwrap();
    browser.see("#link", "Live").await.unwrap();
    assert_eq!(browser.ask(stale).await.unwrap(), false);

    cluster.masters[2].freeze().unwrap();
    browser.see("#masters tr[data-key=m2]", "Unreachable").await.unwrap();
    browser.see("#fact-quorum", "none may fail").await.unwrap();
    let file = pictures().join("unreachable-1280-light.png");
    browser.step(json!({ "do": "picture", "file": file })).await.unwrap();
    cluster.masters[2].thaw().unwrap();
}

#[tokio::test]
async fn who_signs_in_sees_what_they_may() {
    let mut browser = browser!();
    let guarded = Guarded::start().await;
    guarded.lock("open/a").await;
    guarded.lock("closed/b").await;
    browser.open(guarded.replica.admin_address(), WIDE, "light").await.unwrap();
    browser.see("#signing", "asks who you are").await.unwrap();
    assert_eq!(browser.ask("document.activeElement.id").await.unwrap(), "token");
    browser.type_text("hft_nonsense").await.unwrap();
    browser.press("Enter").await.unwrap();
    browser.see("#token-problem", "not known").await.unwrap();
    browser.type_text(&guarded.reader).await.unwrap();
    browser.press("Enter").await.unwrap();
    browser.see("#who", "You are token:reader, without admin, force-release").await.unwrap();
    browser.see("#status-problem", "lacks the permission admin").await.unwrap();
    browser.see("#lock-list", "open/a").await.unwrap();
    browser.see_no("#lock-list", "closed/b").await.unwrap();
    browser.see("#link", "Live").await.unwrap();
    browser.tab_to("#lock-list .lock-name").await.unwrap();
    browser.press("Enter").await.unwrap();
    browser.see("#votes", "token:operator").await.unwrap();
    browser.see("#force-why", "lacks the permission force-release").await.unwrap();
    assert_eq!(browser.ask("document.getElementById('force-open').disabled").await.unwrap(), true);
    browser.press("Escape").await.unwrap();

    browser.step(json!({ "do": "click", "at": "#sign" })).await.unwrap();
    browser.see("#who", "Not signed in").await.unwrap();
    browser.see_no("#lock-list", "open/a").await.unwrap();
    browser.step(json!({ "do": "click", "at": "#sign" })).await.unwrap();
    browser.type_text(&guarded.operator).await.unwrap();
    browser.press("Enter").await.unwrap();
    browser.see("#lock-list", "closed/b").await.unwrap();
    browser.see("#fact-quorum", "3 of 3 vote").await.unwrap();
    browser.see_no("#status-problem", "lacks").await.unwrap();
    let kept = "JSON.stringify(localStorage) + document.cookie";
    assert_eq!(browser.ask(kept).await.unwrap(), "{}", "a token is for one tab");
}

#[tokio::test]
async fn many_locks_come_in_pages_and_by_prefix() {
    let mut browser = browser!();
    let cluster = cluster().await;
    let replica = &cluster.replicas[0];
    for number in 0..60 {
        cluster.acquire(0, &format!("many/{number:02}"), "a", LONG, WAIT).await.unwrap();
    }
    cluster.acquire(0, "one", "a", LONG, WAIT).await.unwrap();
    browser.open(replica.admin_address(), WIDE, "light").await.unwrap();
    browser.step(json!({ "do": "choose", "at": "#page-size", "value": "25" })).await.unwrap();
    browser.see("#page", "Page 1").await.unwrap();
    let mut seen = BTreeSet::new();
    let shown = "[...document.querySelectorAll('.lock-name')].map((it) => it.innerText)";
    for page in 1.. {
        browser.see("#page", &format!("Page {page},")).await.unwrap();
        let names = browser.ask(shown).await.unwrap();
        let names = names.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
        seen.extend(names);
        if browser.ask("document.getElementById('next').disabled").await.unwrap() == true {
            break;
        }
        browser.step(json!({ "do": "click", "at": "#next" })).await.unwrap();
    }
    assert_eq!(seen.len(), 61, "{seen:?}");
    browser.step(json!({ "do": "click", "at": "#prefix" })).await.unwrap();
    browser.type_text("many/4").await.unwrap();
    browser.see("#page", "10 in all").await.unwrap();
    browser.see_no("#lock-list", "one").await.unwrap();
    browser.type_text("2").await.unwrap();
    browser.see("#page", "1 in all").await.unwrap();
    browser.type_text("x").await.unwrap();
    browser.see("#locks-empty", "No lock begins with \u{201c}many/42x\u{201d}").await.unwrap();
    browser.tab_to("#inspect-exact").await.unwrap();
    browser.press("Enter").await.unwrap();
    browser.see("#present", "Nobody holds it").await.unwrap();
    assert_content(&mut browser, replica).await;
}

/// Taken for people to look at; held to what a machine can tell.
#[tokio::test]
async fn it_has_room_and_contrast_in_every_theme_and_width() {
    let mut browser = browser!();
    let cluster = cluster().await;
    let replica = &cluster.replicas[0];
    for resource in ["orders/42", "orders/43", "billing/nightly-close", NASTY] {
        cluster.acquire(0, resource, "a", LONG, WAIT).await.unwrap();
    }
    let long = "a/long/name/".repeat(20);
    cluster.acquire(0, &long, &"b".repeat(80), LONG, WAIT).await.unwrap();
    for (width, scheme) in [(WIDE, "light"), (WIDE, "dark"), (390, "light"), (390, "dark")] {
        browser.open(replica.admin_address(), width, scheme).await.unwrap();
        browser.see("#lock-list", "orders/43").await.unwrap();
        browser.see("#masters tr[data-key=m1]", "Voting").await.unwrap();
        let picture = async |browser: &mut Browser, part: &str| {
            let file = pictures().join(format!("{part}-{width}-{scheme}.png"));
            browser.step(json!({ "do": "picture", "file": file })).await.unwrap();
            let wider = "document.documentElement.scrollWidth - innerWidth";
            assert_eq!(browser.ask(wider).await.unwrap(), 0, "{part} {width}: it scrolls sideways");
            let contrast = browser.ask(LEAST_CONTRAST).await.unwrap();
            let least = contrast["least"].as_f64().unwrap();
            assert!(least >= 4.5, "{part} {width} {scheme}: {contrast}");
        };
        picture(&mut browser, "overview").await;
        let step = json!({ "do": "roles", "at": "#lock-list" });
        let told = browser.step(step).await.unwrap();
        let told = told.as_str().unwrap();
        let label = if width == WIDE { "" } else { "Holder " };
        let holder = format!("cell \"{label}holder of a\"");
        for part in ["columnheader \"Remaining\"", "rowheader \"orders/42\"", &holder] {
            assert!(told.contains(part), "{width}: no {part} in {told}");
        }
        browser.step(json!({ "do": "click", "at": "text=orders/42" })).await.unwrap();
        browser.see("#votes", "counts").await.unwrap();
        picture(&mut browser, "inspect").await;
        browser.step(json!({ "do": "click", "at": "#force-open" })).await.unwrap();
        browser.press("Enter").await.unwrap();
        browser.see("#force-reason-problem", "Say why").await.unwrap();
        picture(&mut browser, "force").await;
    }
    browser.open(replica.admin_address(), WIDE, "light").await.unwrap();
    let ground = "getComputedStyle(document.body).backgroundColor";
    let light = browser.ask(ground).await.unwrap();
    for theme in ["light", "dark"] {
        browser.step(json!({ "do": "click", "at": "#theme" })).await.unwrap();
        browser.see("#theme", theme).await.unwrap();
    }
    assert_ne!(browser.ask(ground).await.unwrap(), light);
    let names = "[...document.querySelectorAll('button, input, select')].filter((it) => !it.innerText && \
                 !it.labels?.length && !it.ariaLabel).length";
    assert_eq!(browser.ask(names).await.unwrap(), Value::from(0), "every control has a name");
    assert_content(&mut browser, replica).await;
}

/// The least contrast of text that is shown, by the formula of WCAG 2, and where that is.
const LEAST_CONTRAST: &str = r#"(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b]
    .map((value) => value / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = rgb(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  let worst = { least: 21 };
  for (const node of document.querySelectorAll("body *")) {
    const text = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    const off = node.closest(":disabled") || node.closest("noscript");
    if (!text || off || !node.checkVisibility()) continue;
    const [a, b] = [light(rgb(getComputedStyle(node).color)), light(ground(node))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < worst.least) worst = { least: contrast, text: node.textContent };
  }
  return worst;
})()"#;
