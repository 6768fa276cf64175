//! The settings that the design names, with values that are right and values that are wrong, whatever the
//! other settings are.

use super::sources::Value;
use Value::{Bare, Text};

/// Part of every password here.
pub(super) const SECRET: &str = "s3cr3t-never-told";

/// One setting.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) section: &'static str,
    pub(super) key: &'static str,
    pub(super) right: &'static [Value],
    pub(super) wrong: &'static [Value],
}

impl Setting {
    /// What a problem calls it.
    pub(super) fn path(&self) -> String {
        match self.section {
            "" => self.key.to_owned(),
            section => format!("{section}.{}", self.key),
        }
    }
}

const fn setting(
    section: &'static str,
    key: &'static str,
    right: &'static [Value],
    wrong: &'static [Value],
) -> Setting {
    Setting { section, key, right, wrong }
}

/// No duration, or none that a setting could be.
const NO_SPAN: &[Value] = &[
    Text(""),
    Text("10"),
    Text("-1s"),
    Text("1e3s"),
    Text("ten"),
    Text("9999999999999999999999s"),
    Text("25h"),
    Bare("10"),
    Bare("-9223372036854775808"),
    Bare("1.5"),
    Bare("nan"),
    Bare("true"),
    Bare("[]"),
    Bare("{}"),
    Bare("1979-05-27T07:32:00Z"),
];
const NO_COUNT: &[Value] = &[
    Text("0"),
    Text("-1"),
    Text("many"),
    Text("1e3"),
    Text("99999999999999999999"),
    Text("18446744073709551615"),
    Bare("0"),
    Bare("-1"),
    Bare("9223372036854775807"),
    Bare("1.5"),
    Bare("inf"),
    Bare("false"),
    Bare("[[[]]]"),
    Bare("{ a = { b = 1 } }"),
];
const NO_TEXT: &[Value] =
    &[Bare("5"), Bare("1.5"), Bare("true"), Bare("[]"), Bare("{}"), Bare("07:32:00")];
const NO_ADDRESS: &[Value] = &[
    Text(""),
    Text("localhost:1"),
    Text("1.2.3.4"),
    Text("1.2.3.4:70000"),
    Text("1.2.3.4:-1"),
    Text("[::1]"),
    Text("256.1.1.1:1"),
    Bare("7420"),
    Bare("[]"),
];

/// All of them, but for the masters'.
pub(super) const SETTINGS: &[Setting] = &[
    setting(
        "",
        "restart_policy",
        &[Text("quarantine"), Text("trust")],
        &[Text(""), Text("Trust"), Text("never"), Bare("1"), Bare("true"), Bare("[]")],
    ),
    setting(
        "",
        "key_format",
        &[
            Text("redlock:{resource}"),
            Text("{resource}"),
            Text("a{resource}b"),
            Text("ß{resource}"),
        ],
        &[Text(""), Text("redlock:"), Text("{resource}{resource}"), Bare("1")],
    ),
    setting(
        "",
        "namespace",
        &[Text("holdfast")],
        &[Text(""), Text("a b"), Text("a:"), Text("{a}")],
    ),
    setting(
        "grpc",
        "listen",
        &[Text("127.0.0.1:0"), Text("0.0.0.0:7420"), Text("[::1]:1")],
        NO_ADDRESS,
    ),
    setting("admin", "listen", &[Text("127.0.0.1:0"), Text("0.0.0.0:7421")], NO_ADDRESS),
    setting("grpc", "drain_timeout", &[Text("0s"), Text("1m 30s"), Text("1h")], NO_SPAN),
    setting(
        "grpc",
        "web_origins",
        &[Bare("[]"), Bare("['https://a.example']"), Text("http://a.example, http://[::1]:8080")],
        &[Bare("5"), Bare("true"), Bare("{}")],
    ),
    setting("lease", "default_ttl", &[Text("10s"), Text("1s"), Text("2500ms")], WRONG_DEFAULT),
    setting("lease", "min_ttl", &[Text("100ms"), Text("40ms"), Text("1s")], NO_SPAN),
    setting("lease", "max_ttl", &[Text("60s"), Text("10s"), Text("24h")], NO_SPAN),
    setting("lease", "max_wait", &[Text("0s"), Text("60s"), Text("24h")], NO_SPAN),
    setting("lease", "max_hold", &[Text("1h"), Text("2s"), Text("365days")], WRONG_DEFAULT),
    setting(
        "lease",
        "drift",
        &[Bare("0.01"), Bare("0"), Bare("0.2"), Text("0.07"), Bare("1e-9")],
        &[Bare("0.3"), Bare("-0.01"), Bare("nan"), Bare("inf"), Bare("1"), Text("x"), Bare("[]")],
    ),
    setting("quorum", "clock_skew", &[Text("10s"), Text("1ms"), Text("1h")], NO_SPAN),
    setting("limits", "max_resource_bytes", &[Bare("512"), Text("1"), Bare("4_096")], NO_COUNT),
    setting("limits", "max_holder_bytes", &[Bare("256"), Text("999"), Bare("1")], NO_COUNT),
    setting("limits", "max_metadata_bytes", &[Bare("4096"), Text("1"), Bare("0x400")], NO_COUNT),
    setting("limits", "max_message_bytes", &[Bare("65536"), Text("16777216")], NO_COUNT),
    setting("limits", "max_waiters", &[Bare("1"), Text("10000"), Bare("1_000_000")], NO_COUNT),
    setting("limits", "max_concurrent_streams", &[Bare("1"), Text("20000")], NO_COUNT),
    setting("limits", "max_streams", &[Bare("1"), Text("10000000")], NO_COUNT),
    setting("watch", "poll_interval", &[Text("100ms"), Text("1h")], NO_SPAN),
    setting(
        "log",
        "format",
        &[Text("text"), Text("json")],
        &[Text(""), Text("JSON"), Text("xml"), Bare("5"), Bare("[]")],
    ),
    setting(
        "log",
        "filter",
        &[Text("info"), Text("off"), Text("info,holdfast_server=debug")],
        &[Text(""), Text(" "), Text("a=b=c"), Text("info,[{{"), Bare("5")],
    ),
    setting(
        "telemetry",
        "otlp_endpoint",
        &[Text(""), Text("http://c:4317"), Text("https://[::1]:1")],
        &[
            Text("c:4317"),
            Text("http://"),
            Text("http://c:0"),
            Text("http://c:70000"),
            Text("http://u:s3cr3t-never-told@c:1"),
            Text("http://c/v1/traces"),
            Bare("4317"),
        ],
    ),
    setting(
        "telemetry",
        "sample_ratio",
        &[Bare("0"), Bare("1"), Text("0.5")],
        &[Bare("-0.1"), Bare("1.1"), Bare("nan"), Text("half"), Bare("[]")],
    ),
    setting("grpc", "no_such_key", &[], NO_TEXT),
    setting("", "no_such_section", &[], &[Bare("{ a = 1 }"), Text("x"), Bare("[1, 2]")]),
];

/// What has no bounds of its own is only no duration.
const WRONG_DEFAULT: &[Value] =
    &[Text(""), Text("10"), Text("-1s"), Text("ten"), Bare("10"), Bare("true"), Bare("[]")];

/// URLs of masters.
pub(super) const RIGHT_URLS: &[&str] = &[
    "redis://a",
    "redis://b:1",
    "redis://c:6379/0",
    "redis://u:s3cr3t-never-told@d:6379/3",
    "redis://:s3cr3t-never-told%2F%40@e",
    "redis://[::1]:6379",
    "rediss://f:65535",
];
pub(super) const WRONG_URLS: &[&str] = &[
    "",
    "a:6379",
    "http://a",
    "redis://",
    "redis://:6379",
    "redis://a:0",
    "redis://a:65536",
    "redis://a/x",
    "redis://a/-1",
    "redis://a/99999999999",
    "redis://a?db=1",
    "redis://[::1",
    "redis://[x]:1",
    "redis://u:s3cr3t-never-told/x@a",
    "redis://u:s3cr3t-never-told%@a",
    "redis://u:s3cr3t-never-told%zz@a",
    "redis://a b",
    "redis://ß",
];
