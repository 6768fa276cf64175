//! Where settings come from: a file, variables, a command line; as they were meant, damaged, or garbage.

use super::settings::{RIGHT_URLS, SECRET, SETTINGS, Setting, WRONG_URLS};
use crate::values::{Damage, damages, garbage};
use prop::sample::{select, subsequence};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::Write;
use std::os::unix::ffi::OsStringExt;

/// As it stands in a file.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value {
    /// In quotes, and as it is in a variable.
    Text(&'static str),
    /// Without quotes; not in a variable, where everything is text.
    Bare(&'static str),
}

/// What is read together.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub(super) file: Option<Vec<u8>>,
    pub(super) variables: Vec<(OsString, OsString)>,
    pub(super) line: Vec<OsString>,
}

impl Sources {
    /// How much there is to read.
    pub(super) fn bytes(&self) -> usize {
        let variables = self.variables.iter().map(|(name, value)| name.len() + value.len());
        let words = self.line.iter().map(|word| word.len());
        self.file.as_ref().map_or(0, Vec::len) + variables.chain(words).sum::<usize>()
    }
}

/// One case.
#[derive(Debug, Clone)]
pub(super) enum Case {
    /// Settings of which it is known whether they are right.
    Known(Vec<Given>, Vec<&'static str>),
    /// Such a file, damaged.
    Damaged(Vec<Given>, Vec<&'static str>, Vec<Damage>),
    /// No file that anybody meant.
    Garbage(Vec<u8>),
    /// Variables that nobody meant, each ours by its name.
    Variables(Vec<(Vec<u8>, Vec<u8>)>),
    /// A command line that nobody meant.
    Line(Vec<Vec<u8>>),
}

/// A setting, where it is given, and with which of its values.
#[derive(Clone)]
pub(super) struct Given {
    setting: &'static Setting,
    value: Value,
    is_right: bool,
    in_file: bool,
}

impl std::fmt::Debug for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (path, place) = (self.setting.path(), if self.in_file { "file" } else { "variable" });
        write!(f, "{path} = {:?} (right: {}, {place})", self.value, self.is_right)
    }
}

impl Case {
    /// The keys that are wrong, if it is known.
    pub(super) fn wrong(&self) -> Option<BTreeSet<String>> {
        let Self::Known(given, urls) = self else { return None };
        let settings = given.iter().filter(|given| !given.is_right);
        let mut wrong: BTreeSet<String> = settings.map(|given| given.setting.path()).collect();
        for (index, url) in urls.iter().enumerate() {
            if WRONG_URLS.contains(url) {
                wrong.insert(format!("masters[{index}].url"));
            }
        }
        Some(wrong)
    }

    /// What is read.
    pub(super) fn sources(&self) -> Sources {
        let line = vec![OsString::from("holdfastd")];
        match self {
            Self::Known(given, urls) => {
                let file = Some(file(given, urls).into_bytes());
                Sources { file, variables: variables(given), line }
            }
            Self::Damaged(given, urls, damages) => {
                let mut bytes = file(given, urls).into_bytes();
                damages.iter().for_each(|damage| damage.befall(&mut bytes));
                // A path may be there by accident, and what is behind it is nobody's business.
                Sources { file: Some(bytes), variables: variables(given), line }
            }
            Self::Garbage(bytes) => {
                Sources { file: Some(bytes.clone()), line, ..Sources::default() }
            }
            Self::Variables(variables) => {
                let text = |bytes: &Vec<u8>| OsString::from_vec(bytes.clone());
                let named = variables.iter().map(|(name, value)| {
                    let name = [b"HOLDFAST_".as_slice(), name].concat();
                    (OsString::from_vec(name), text(value))
                });
                let line = ["holdfastd", "--master", "redis://a"].map(OsString::from).to_vec();
                Sources { file: None, variables: named.collect(), line }
            }
            Self::Line(words) => {
                let words = words.iter().cloned().map(OsString::from_vec);
                let line = line.into_iter().chain(words).collect();
                Sources { line, ..Sources::default() }
            }
        }
    }
}

fn file(given: &[Given], urls: &[&str]) -> String {
    let mut text = String::new();
    let sections: BTreeSet<&str> = given.iter().map(|given| given.setting.section).collect();
    for section in sections {
        let here = |given: &&Given| given.in_file && given.setting.section == section;
        let settings: Vec<&Given> = given.iter().filter(here).collect();
        if !section.is_empty() && !settings.is_empty() {
            let _ = writeln!(text, "[{section}]");
        }
        for Given { setting, value, .. } in settings {
            let _ = match value {
                Value::Text(value) => writeln!(text, "{} = {value:?}", setting.key),
                Value::Bare(value) => writeln!(text, "{} = {value}", setting.key),
            };
        }
    }
    for (index, url) in urls.iter().enumerate() {
        let _ = writeln!(text, "[[masters]]\nname = \"m{index}\"\nurl = {url:?}");
        if !url.contains('@') {
            let _ = writeln!(text, "password = \"{SECRET}\"");
        }
    }
    text
}

fn variables(given: &[Given]) -> Vec<(OsString, OsString)> {
    let outside = given.iter().filter(|given| !given.in_file);
    let variable = |given: &Given| match given.value {
        Value::Bare(_) => None,
        Value::Text(value) => {
            let Setting { section, key, .. } = given.setting;
            let name = format!("HOLDFAST_{section}__{key}").to_uppercase();
            Some((name.into(), value.into()))
        }
    };
    outside.filter_map(variable).collect()
}

/// Any case.
pub(super) fn case() -> impl Strategy<Value = Case> {
    prop_oneof![
        6 => (given(), urls()).prop_map(|(given, urls)| Case::Known(given, urls)),
        3 => (given(), urls(), damages())
            .prop_map(|(given, urls, damages)| Case::Damaged(given, urls, damages)),
        2 => toml().prop_map(|text| Case::Garbage(text.into_bytes())),
        1 => garbage(8_192).prop_map(Case::Garbage),
        2 => vec((variable_name(), word()), 0..5).prop_map(Case::Variables),
        2 => vec(word(), 0..8).prop_map(Case::Line),
    ]
}

fn given() -> impl Strategy<Value = Vec<Given>> {
    let some = subsequence(SETTINGS.iter().collect::<Vec<_>>(), 0..8);
    some.prop_flat_map(|settings| {
        settings.into_iter().map(one_given).collect::<Vec<BoxedStrategy<Given>>>()
    })
}

fn one_given(setting: &'static Setting) -> BoxedStrategy<Given> {
    let value = move |values: &'static [Value], is_right| {
        (select(values), any::<bool>())
            .prop_map(move |(value, in_file)| {
                let in_file = in_file || matches!(value, Value::Bare(_));
                Given { setting, value, is_right, in_file }
            })
            .boxed()
    };
    match setting.right {
        [] => value(setting.wrong, false),
        right => prop_oneof![2 => value(right, true), 1 => value(setting.wrong, false)].boxed(),
    }
}

/// Different masters, one or two of them wrong.
fn urls() -> impl Strategy<Value = Vec<&'static str>> {
    let right = subsequence(RIGHT_URLS, 1..=5);
    let wrong = prop_oneof![3 => Just(Vec::new()), 1 => vec(select(WRONG_URLS), 1..3)];
    (right, wrong).prop_map(|(right, wrong)| [right, wrong].concat()).prop_shuffle()
}

/// Looks like TOML.
fn toml() -> impl Strategy<Value = String> {
    let key = || {
        prop_oneof![
            4 => select(vec!["grpc", "lease", "masters", "limits", "tls", "listen", "max_ttl", "url"])
                .prop_map(str::to_owned),
            1 => "[a-z_-]{1,8}",
            1 => "\"(\\PC){0,6}\"".prop_map(|key| key.replace('\\', "\\\\")),
            1 => Just("0".to_owned()),
        ]
    };
    let leaf = prop_oneof![
        select(vec![
            "1",
            "-0",
            "1e400",
            "0x_1",
            "99999999999999999999",
            "nan",
            "\"\"",
            "''",
            "\"\"\"\n\"\"\""
        ])
        .prop_map(str::to_owned),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("{number:?}")),
        "\"[a-z:/0-9]{0,12}\"",
    ];
    let value = leaf.prop_recursive(4, 24, 5, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(|values| format!("[{}]", values.join(", "))),
            vec((key(), inner), 0..4).prop_map(|pairs| {
                let pair = |(key, value): (String, String)| format!("{key} = {value}");
                format!("{{ {} }}", pairs.into_iter().map(pair).collect::<Vec<_>>().join(", "))
            }),
        ]
    });
    let line = prop_oneof![
        4 => (vec(key(), 1..4), value).prop_map(|(keys, value)| format!("{} = {value}", keys.join("."))),
        2 => vec(key(), 1..4).prop_map(|keys| format!("[{}]", keys.join("."))),
        2 => vec(key(), 1..3).prop_map(|keys| format!("[[{}]]", keys.join("."))),
        1 => (select(vec!["[", "{a=", "a.", "[[", "\""]), 1..3_000_usize)
            .prop_map(|(part, depth)| format!("a = {}", part.repeat(depth))),
        1 => (1..3_000_usize).prop_map(|depth| format!("{}a = 1", "a.".repeat(depth))),
        1 => (1..3_000_usize).prop_map(|depth| format!("[{}a]", "a.".repeat(depth))),
        1 => (1..400_usize).prop_map(|count| {
            (0..count).map(|n| format!("k{n} = {n}\n")).collect()
        }),
    ];
    vec(line, 1..8).prop_map(|lines| lines.join("\n"))
}

fn variable_name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => "(_|GRPC_|LEASE_|MASTERS_|LIMITS_)?_?[A-Z_]{0,12}".prop_map(String::into_bytes),
        1 => (1..4_000_usize).prop_map(|depth| b"A__".repeat(depth)),
        1 => select(vec!["GRPC__LISTEN", "GRPC__LISTEN__X", "MASTERS__A__PASSWORD", "MASTERS__0__URL"])
            .prop_map(|name| name.as_bytes().to_vec()),
        // No variable has these in its name.
        1 => vec(any::<u8>().prop_filter("no name", |byte| !matches!(byte, 0 | b'=')), 0..12),
    ]
}

fn word() -> impl Strategy<Value = Vec<u8>> {
    let known = vec![
        "--dev",
        "--master",
        "--master=redis://a",
        "redis://a",
        "--listen",
        "--listen=",
        "127.0.0.1:0",
        "--max-ttl",
        "--max-ttl=10s",
        "60s",
        "--clock-skew",
        "--restart-policy",
        "trust",
        "check",
        "config",
        "bootstrap",
        "--dry-run",
        "accept-config",
        "--help",
        "-V",
        "--",
        "-",
        "=",
        "--log-filter",
        "--log-format=json",
        "--admin-listen",
        "--conf",
        "--dev=1",
        "--DEV",
    ];
    prop_oneof![
        6 => select(known).prop_map(|word| word.as_bytes().to_vec()),
        1 => "(\\PC){0,12}".prop_map(String::into_bytes),
        1 => vec(any::<u8>().prop_filter("no argument", |byte| *byte != 0), 0..24),
    ]
}
