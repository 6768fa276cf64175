//! The runners of `tests/polyglot`: a client of each language, and what it must see.
//!
//! Deliberately absent: any knowledge of what a case is about. The runner knows that, and `cases.yaml` says
//! what comes of it.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use regex::Regex;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::dialogue::Dialogue;
use crate::docs;

/// How long a case may take: what it waits for is bounded by a minute each.
const CASE_TIMEOUT: Duration = Duration::from_secs(180);

/// One case of `tests/polyglot/cases.yaml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Its name.
    pub case: String,
    /// What a client does, for people to read.
    pub does: String,
    /// Which replica it does that with.
    #[serde(default)]
    pub replica: Replica,
    /// What the runner is given.
    pub with: Map<String, Value>,
    /// What it must see.
    pub sees: Value,
}

/// What a case is tried on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum Replica {
    /// One whose masters vote.
    #[default]
    #[serde(rename = "with masters")]
    WithMasters,
    /// One whose masters are all away.
    #[serde(rename = "without masters")]
    WithoutMasters,
}

/// All of them, in their order.
pub fn cases() -> Result<Vec<Case>> {
    let text = fs::read_to_string(docs::path("tests/polyglot/cases.yaml"))?;
    Ok(yaml_serde::from_str(&text)?)
}

/// A client that waits for cases.
#[derive(Debug)]
pub struct Runner(Dialogue);

impl Runner {
    /// Starts it.
    pub fn start(program: &Path) -> Result<Runner> {
        Ok(Runner(Dialogue::start(program, [] as [&str; 0])?))
    }

    /// What it sees in this case, on a resource that nobody else uses.
    pub async fn run(&mut self, case: &Case, replica: SocketAddr, resource: &str) -> Result<Value> {
        let asked = json!({
            "case": case.case, "address": replica.to_string(), "resource": resource, "with": case.with,
        });
        let seen: Value =
            serde_json::from_str(&self.0.ask(&asked.to_string(), CASE_TIMEOUT).await?)?;
        if let Some(problem) = seen.get("problem") {
            bail!("{problem}");
        }
        Ok(seen)
    }
}

/// Holds what was seen to what must be: an error says all that differs.
pub fn compare(sees: &Value, seen: &Value) -> Result<()> {
    let mut differences = Vec::new();
    differ(sees, seen, seen, &Place::default(), &mut differences)?;
    ensure!(differences.is_empty(), "{}", differences.join("; "));
    Ok(())
}

/// Where in what was seen.
#[derive(Default, Clone)]
struct Place(Vec<String>);

impl Place {
    fn below(&self, key: impl fmt::Display) -> Place {
        Place([self.0.as_slice(), &[key.to_string()]].concat())
    }
}

fn differ(
    sees: &Value,
    seen: &Value,
    all: &Value,
    place: &Place,
    differences: &mut Vec<String>,
) -> Result<()> {
    let mut differs = |wanted: fmt::Arguments<'_>| {
        differences.push(format!("{} is {seen}, not {wanted}", place.0.join(".")));
    };
    if let Some(rule) = Rule::read(sees)? {
        if !rule.fits(seen, all)? {
            differs(format_args!("{sees}"));
        }
        return Ok(());
    }
    match (sees, seen) {
        (Value::Object(wanted), Value::Object(found)) if wanted.keys().eq(found.keys()) => {
            for (key, wanted) in wanted {
                differ(wanted, &found[key], all, &place.below(key), differences)?;
            }
        }
        (Value::Array(wanted), Value::Array(found)) if wanted.len() == found.len() => {
            for (index, (wanted, found)) in wanted.iter().zip(found).enumerate() {
                differ(wanted, found, all, &place.below(index), differences)?;
            }
        }
        _ if sees == seen => {}
        _ => differs(format_args!("{sees}")),
    }
    Ok(())
}

/// What is not to be seen literally.
enum Rule {
    Matches(Regex),
    Between(f64, f64),
    SameAs(String),
    Above(String),
}

impl Rule {
    /// `None` if it is what must be seen literally.
    fn read(sees: &Value) -> Result<Option<Rule>> {
        let Some(keys) = sees.as_object() else { return Ok(None) };
        let text = |key| keys.get(key).and_then(Value::as_str).map(str::to_owned);
        let number = |key| keys.get(key).and_then(Value::as_f64);
        Ok(match keys.keys().map(String::as_str).collect::<Vec<_>>()[..] {
            ["matches"] => {
                let pattern = text("matches").context("a regular expression is a text")?;
                Some(Rule::Matches(Regex::new(&format!("^(?:{pattern})$"))?))
            }
            ["same_as"] => text("same_as").map(Rule::SameAs),
            ["above"] => text("above").map(Rule::Above),
            ["from", "to"] => {
                number("from").zip(number("to")).map(|(from, to)| Rule::Between(from, to))
            }
            _ => None,
        })
    }

    fn fits(&self, seen: &Value, all: &Value) -> Result<bool> {
        Ok(match self {
            Rule::Matches(pattern) => seen.as_str().is_some_and(|text| pattern.is_match(text)),
            Rule::Between(from, to) => {
                seen.as_f64().is_some_and(|number| (*from..=*to).contains(&number))
            }
            Rule::SameAs(key) => Some(seen) == all.get(key),
            Rule::Above(key) => token(Some(seen))? > token(all.get(key))?,
        })
    }
}

fn token(seen: Option<&Value>) -> Result<u64> {
    let text = seen.and_then(Value::as_str).context("a token is a text of digits")?;
    text.parse().with_context(|| format!("{text} is no token"))
}
