//! The fingerprint of a deployment: what all replicas must agree on, as the masters remember it.
//!
//! Written to every master and compared in every script. Changing a field, its order or its text
//! makes every deployment differ from itself: that is a change of the protocol version.

use super::master::Master;
use super::model::Config;
use super::span::text;
use holdfast_engine::{BUCKETS, RestartPolicy};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Version of what replicas and masters say to each other.
pub const PROTOCOL_VERSION: u32 = 1;

const HASH_BYTES: usize = 8;

/// What replicas must agree on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fingerprint {
    /// 16 hexadecimal digits: compared in every script.
    pub hash: String,
    /// `field=value;field=value…`: kept beside the hash, to say which field differs.
    pub text: String,
}

impl Fingerprint {
    /// Of a configuration. The order of its masters does not matter.
    pub fn of(config: &Config) -> Self {
        let mut masters: Vec<String> = config.masters.iter().map(identity).collect();
        masters.sort_unstable();
        let policy = match config.restart_policy {
            RestartPolicy::Quarantine => "quarantine",
            RestartPolicy::Trust => "trust",
        };
        let fields = [
            ("protocol", PROTOCOL_VERSION.to_string()),
            ("masters", masters.join(",")),
            ("max_ttl", text(config.lease.max_ttl)),
            ("clock_skew", text(config.quorum.clock_skew)),
            ("drift", config.lease.drift.to_string()),
            ("key_format", escaped(&config.key_format.to_string())),
            ("namespace", escaped(config.namespace.as_str())),
            ("restart_policy", policy.to_owned()),
            ("buckets", BUCKETS.to_string()),
        ];
        let fields = fields.map(|(field, value)| format!("{field}={value}"));
        let text = fields.join(";");
        let digest = Sha256::digest(text.as_bytes());
        let hash = digest[..HASH_BYTES].iter().map(|byte| format!("{byte:02x}")).collect();
        Self { hash, text }
    }
}

/// Its name; of a unit, also what its heartbeats must agree on.
fn identity(master: &Master) -> String {
    let name = escaped(&master.name);
    match master.max_lag() {
        None => name,
        Some(max_lag) => format!("{name} (max_lag {})", text(max_lag)),
    }
}

/// Which fields of two fingerprint texts differ, for people: `max_ttl: 60s here, 30s on the master`.
pub fn differences(ours: &str, theirs: &str) -> Vec<String> {
    let (ours, theirs) = (fields(ours), fields(theirs));
    let names: std::collections::BTreeSet<&str> =
        ours.keys().chain(theirs.keys()).copied().collect();
    let value = |fields: &BTreeMap<&str, &str>, name| {
        fields.get(name).map_or_else(|| "unset".to_owned(), |value| unescaped(value))
    };
    names
        .into_iter()
        .map(|name| (name, value(&ours, name), value(&theirs, name)))
        .filter(|(_, ours, theirs)| ours != theirs)
        .map(|(name, ours, theirs)| format!("{name}: {ours} here, {theirs} on the master"))
        .collect()
}

fn fields(text: &str) -> BTreeMap<&str, &str> {
    text.split(';').filter_map(|field| field.split_once('=')).collect()
}

/// So that no value can end its field, or a name its place in the list.
fn escaped(value: &str) -> String {
    value.replace('%', "%25").replace(';', "%3B").replace(',', "%2C")
}

fn unescaped(value: &str) -> String {
    value.replace("%2C", ",").replace("%3B", ";").replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{all, file, flags};

    const TEXT: &str = "protocol=1;masters=a:6379,b:6379,c:6379;max_ttl=60s;clock_skew=10s;drift=0.01;\
                        key_format=redlock:{resource};namespace=holdfast;restart_policy=quarantine;\
                        buckets=65536";

    fn of(line: &str) -> Fingerprint {
        Fingerprint::of(&flags(line).unwrap())
    }

    #[test]
    fn text_and_hash_never_change() {
        let fingerprint = of("--master redis://a --master redis://b --master redis://c");
        assert_eq!(fingerprint.text, TEXT);
        assert_eq!(fingerprint.hash, "df56836b6ac0eabb");
    }

    #[test]
    fn order_and_what_is_a_replicas_own_do_not_matter() {
        let ours = of("--master redis://a --master redis://b --master redis://c");
        let theirs = of("--master redis://c --master redis://u:p@b/1 --master redis://a \
                         --listen 0.0.0.0:1 --log-format json");
        assert_eq!(ours, theirs);
        assert!(differences(&ours.text, &theirs.text).is_empty());
        let tuned = "[limits]\nmax_streams = 9\n[watch]\npoll_interval = '1s'\n\
                     [lease]\nmin_ttl = '50ms'\nmax_hold = '1h'\n\
                     [telemetry]\notlp_endpoint = 'http://c:4317'\nsample_ratio = 1";
        assert_eq!(Fingerprint::of(&all(tuned, "--dev", &[]).unwrap()), of("--dev"));
    }

    #[test]
    fn replicas_agree_on_how_late_a_unit_may_be() {
        let unit = |rest: &str| {
            let text = format!("[[masters]]\nname = 'u'\n{rest}");
            Fingerprint::of(&file(&text).unwrap()).text
        };
        let ours = unit("endpoints = ['redis://a', 'redis://b']");
        assert_eq!(ours, unit("endpoints = ['redis://b', 'redis://a', 'redis://c']"));
        let theirs = unit("endpoints = ['redis://a']\nmax_lag = '5s'");
        assert_eq!(
            differences(&ours, &theirs),
            ["masters: u (max_lag 10s) here, u (max_lag 5s) on the master"]
        );
        assert_eq!(differences(&ours, &unit("url = 'redis://a'")).len(), 1);
    }

    #[test]
    fn each_field_that_differs_is_named() {
        let ours = of("--dev");
        let theirs = of("--dev --max-ttl 30s --clock-skew 500ms --restart-policy trust");
        assert_ne!(ours.hash, theirs.hash);
        assert_eq!(
            differences(&ours.text, &theirs.text),
            [
                "clock_skew: 10s here, 500ms on the master",
                "max_ttl: 60s here, 30s on the master",
                "restart_policy: quarantine here, trust on the master",
            ]
        );
        assert_eq!(
            differences("a=1", "b=2"),
            ["a: 1 here, unset on the master", "b: unset here, 2 on the master"]
        );
    }

    #[test]
    fn no_value_ends_its_field() {
        let odd = "key_format = 'a;masters=%2C,{resource}'\n[[masters]]\nurl = 'redis://a'";
        let fingerprint = Fingerprint::of(&file(odd).unwrap());
        assert!(fingerprint.text.contains(";key_format=a%3Bmasters=%252C%2C{resource};"));
        let plain = Fingerprint::of(&flags("--master redis://a").unwrap());
        assert_eq!(
            differences(&fingerprint.text, &plain.text),
            ["key_format: a;masters=%2C,{resource} here, redlock:{resource} on the master"]
        );
    }
}
