//! From the layers to the raw shape. What does not fit is a problem and left out, so that the rest
//! is looked at too.

use super::problem::Problems;
use super::raw::RawConfig;
use super::similar::closest;
use figment::error::{Actual, Kind};
use figment::value::{Dict, Value};
use serde::Deserialize;

/// Reads the tree; each key that is unknown or of the wrong type is a problem.
pub(super) fn shape(mut tree: Value, problems: &mut Problems) -> RawConfig {
    loop {
        let error = match RawConfig::deserialize(&tree) {
            Ok(raw) => return raw,
            Err(error) => error,
        };
        problems.add(key_text(&error.path), message(&error));
        // Every turn takes a value away, so this ends; a path that leads nowhere ends it at once.
        if !take_out(&mut tree, &error.path) {
            return RawConfig::default();
        }
    }
}

/// `masters.0.url` of the tree is `masters[0].url` for people.
fn key_text(path: &[String]) -> String {
    let mut text = String::new();
    for part in path {
        if part.bytes().all(|byte| byte.is_ascii_digit()) && !part.is_empty() {
            text.push_str(&format!("[{part}]"));
        } else {
            let dot = if text.is_empty() { "" } else { "." };
            let part = if part.is_empty() && text.is_empty() { "\"\"" } else { part };
            text.push_str(&format!("{dot}{part}"));
        }
    }
    text
}

fn message(error: &figment::Error) -> String {
    let key = error.path.last().map(String::as_str).unwrap_or_default();
    match &error.kind {
        Kind::UnknownField(_, valid) => unknown(key, valid),
        Kind::UnknownVariant(value, valid) => {
            format!("\"{value}\" is unknown; it must be {}", valid.join(" or "))
        }
        // What stands there may be a password that lacks its quotes.
        _ if key == "password" => "must be a string in quotes".into(),
        _ if error.path == ["masters"] => "must be tables, each under [[masters]]".into(),
        // Nor is any other misplaced value of a master repeated: it may be a URL with a password.
        Kind::InvalidType(_, expected)
            if error.path.first().is_some_and(|key| key == "masters") =>
        {
            format!("must be {expected}")
        }
        Kind::InvalidType(actual, expected) | Kind::InvalidValue(actual, expected) => {
            format!("is {}; it must be {expected}", found(actual))
        }
        kind => kind.to_string(),
    }
}

/// What stands there, in words of TOML.
fn found(actual: &Actual) -> String {
    match actual {
        Actual::Bool(value) => value.to_string(),
        Actual::Unsigned(number) => number.to_string(),
        Actual::Signed(number) => number.to_string(),
        Actual::Float(number) => number.to_string(),
        Actual::Str(text) => format!("{text:?}"),
        Actual::Seq => "a list".into(),
        Actual::Map => "a table".into(),
        other => other.to_string(),
    }
}

fn unknown(key: &str, valid: &[&'static str]) -> String {
    match closest(key, valid.iter().copied()) {
        Some(similar) => format!("unknown key; did you mean `{similar}`?"),
        None => format!("unknown key; known here: {}", valid.join(", ")),
    }
}

/// Removes what is at the path. An element of a list becomes empty, so that the others keep their index.
fn take_out(value: &mut Value, path: &[String]) -> bool {
    let Some((first, rest)) = path.split_first() else { return false };
    match value {
        Value::Dict(_, dict) if rest.is_empty() => dict.remove(first).is_some(),
        Value::Dict(_, dict) => dict.get_mut(first).is_some_and(|inner| take_out(inner, rest)),
        Value::Array(_, array) => {
            let Some(element) = first.parse().ok().and_then(|index: usize| array.get_mut(index))
            else {
                return false;
            };
            if rest.is_empty() {
                let before = std::mem::replace(element, Value::from(Dict::new()));
                return before.as_dict().is_none_or(|dict| !dict.is_empty());
            }
            take_out(element, rest)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems_of(text: &str) -> String {
        let table: toml::Table = toml::from_str(text).unwrap();
        let mut problems = Problems::default();
        shape(Value::serialize(table).unwrap(), &mut problems);
        problems.or(()).err().map(|errors| errors.to_string()).unwrap_or_default()
    }

    #[test]
    fn each_misfit_is_named() {
        for (text, expected) in [
            ("[lease]\nmax_tll = '5s'", "lease.max_tll: unknown key; did you mean `max_ttl`?"),
            ("[quorum]\ncolour = 1", "quorum.colour: unknown key; known here: clock_skew"),
            ("[watch]\n'' = 1", "watch.: unknown key; known here: poll_interval"),
            (
                "[\"\"]",
                "\"\": unknown key; known here: restart_policy, key_format, namespace, grpc, \
                       admin, lease, quorum, limits, auth, audit, watch, log, telemetry, masters",
            ),
            ("[watch]\npoll = '5s'", "watch.poll: unknown key; known here: poll_interval"),
            (
                "limits.max_stream = 1",
                "limits.max_stream: unknown key; did you mean `max_streams`?",
            ),
            (
                "colour = 1",
                "colour: unknown key; known here: restart_policy, key_format, namespace, \
                            grpc, admin, lease, quorum, limits, auth, audit, watch, log, telemetry, \
                            masters",
            ),
            (
                "restart_policy = 'no'",
                "restart_policy: \"no\" is unknown; it must be quarantine or trust",
            ),
            ("log.format = 'xml'", "log.format: \"xml\" is unknown; it must be text or json"),
            (
                "lease.max_ttl = 60",
                "lease.max_ttl: is 60; it must be a duration in quotes \
                                    with its unit, such as \"10s\" or \"250ms\"",
            ),
            (
                "lease.max_ttl = '60'",
                "lease.max_ttl: \"60\" is no duration; it must be a number with its \
                                      unit, such as \"10s\" or \"250ms\"",
            ),
            ("lease.drift = 'x'", "lease.drift: is \"x\"; it must be a number"),
            ("limits.max_waiters = -1", "limits.max_waiters: is -1; it must be a whole number"),
            ("limits.max_waiters = 1.5", "limits.max_waiters: is 1.5; it must be a whole number"),
            ("grpc = 1", "grpc: is 1; it must be a table"),
            ("[masters]\nurl = 'x'", "masters: must be tables, each under [[masters]]"),
            ("[[masters]]\npassword = 1234", "masters[0].password: must be a string in quotes"),
            (
                "[[masters]]\nmax_leg = 1",
                "masters[0].max_leg: unknown key; did you mean `max_lag`?",
            ),
            ("masters = ['redis://:hunter2@r1']", "masters[0]: must be a table"),
            ("masters = [['m', 'redis://:hunter2@r1']]", "masters[0]: must be a table"),
            ("grpc = ['0.0.0.0:7420']", "grpc: is a list; it must be a table"),
            ("[[lease]]", "lease: is a list; it must be a table"),
            ("[[grpc.tls]]\n[[grpc.tls]]", "grpc.tls: is a list; it must be a table"),
        ] {
            assert_eq!(problems_of(text), expected);
        }
    }

    #[test]
    fn all_misfits_are_found_and_indices_stay() {
        let text = "a = 1\nb = 2\nmasters = [1, { x = 1 }, { url = 2 }]\n[lease]\nmax_ttl = 1";
        let found = problems_of(text);
        let keys: Vec<_> = found.lines().map(|line| line.split(':').next().unwrap()).collect();
        assert_eq!(
            keys,
            ["a", "b", "lease.max_ttl", "masters[0]", "masters[1].x", "masters[2].url"]
        );
    }
}
