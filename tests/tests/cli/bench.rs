//! `holdfast bench`.

use crate::cluster;

#[tokio::test]
async fn bench_measures_and_leaves_nothing_behind() {
    let (_cluster, cli) = cluster().await;
    for contended in [false, true] {
        let mut args = vec!["bench", "--workers", "3", "--for", "2s", "--output", "json"];
        args.extend(contended.then_some("--contended"));
        let measured = cli.run(&args).await.with(0).json();
        assert_eq!((&measured["workers"], &measured["contended"]), (&3.into(), &contended.into()));
        assert!(measured["cycles"].as_u64().unwrap() > 0, "{measured}");
        assert!(measured["seconds"].as_f64().unwrap() >= 2.0, "{measured}");
        let acquire = &measured["acquire_ms"];
        let millis = |name: &str| acquire[name].as_f64().expect("a number");
        assert!(millis("p50") <= millis("p99") && millis("p99") <= millis("longest"), "{measured}");
        assert_eq!(measured["errors"], serde_json::json!({}));
    }
    let text = cli.run(&["bench", "--workers", "2", "--for", "50ms"]).await.with(0).stdout;
    assert!(text.starts_with("workers   2, a lock each, for "), "{text}");
    assert_eq!(cli.run(&["ls", "--output", "json"]).await.with(0).stdout, "{\"locks\":[]}\n");
}

#[tokio::test]
async fn bench_refuses_what_it_cannot_measure() {
    let (cluster, cli) = cluster().await;
    for span in ["0s", "11m", "soon"] {
        let said = cli.run(&["bench", "--for", span]).await.with(64).stderr;
        assert!(said.contains("--for") && said.contains(span), "{said}");
    }
    let said = cli.run(&["bench", "--workers", "0"]).await.with(64).stderr;
    assert!(said.contains("--workers"), "{said}");
    drop(cluster);
    cli.run(&["bench", "--for", "50ms", "--timeout", "100ms"]).await.with(69);
}
