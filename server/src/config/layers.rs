//! File, environment and flags, one upon the other, each value knowing where it came from.

use super::args::Flags;
use super::environment::{Setting, Variables};
use super::problem::Problems;
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use std::path::Path;

/// One source of settings.
struct Layer {
    origin: String,
    settings: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.clone())
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Profile::Default.collect(self.settings.clone()))
    }
}

/// All sources, in order of rising precedence.
pub(super) struct Layers {
    figment: Figment,
    file: FileState,
}

/// What became of the file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FileState {
    Absent,
    Unreadable,
    Read { lists_masters: bool },
}

impl Layers {
    /// The variables that are shared with others, the file named by the flags, our own variables, the flags.
    pub(super) fn stack(flags: &Flags, variables: &Variables, problems: &mut Problems) -> Self {
        let mut figment = variables.defaults.iter().fold(Figment::new(), with_variable);
        let mut state = FileState::Absent;
        if let Some(path) = &flags.config {
            match file(path) {
                Ok(layer) => {
                    let lists_masters = layer.settings.contains_key("masters");
                    state = FileState::Read { lists_masters };
                    figment = figment.merge(layer);
                }
                Err(message) => {
                    state = FileState::Unreadable;
                    problems.add(path.display().to_string(), message);
                }
            }
        }
        figment = variables.settings.iter().fold(figment, with_variable);
        for (flag, path, value) in settings_of(flags) {
            figment = figment.merge(layer(format!("flag {flag}"), path, value));
        }
        Self { figment, file: state }
    }

    /// Is there more that could not be read?
    pub(super) fn incomplete(&self) -> bool {
        self.file == FileState::Unreadable
    }

    /// Does the file list masters? Flags that do replace them.
    pub(super) fn file_lists_masters(&self) -> bool {
        self.file == FileState::Read { lists_masters: true }
    }

    /// Everything merged, as a tree.
    pub(super) fn tree(&self) -> Value {
        // Fails only if a layer did, and none can: a file that cannot be read is no layer.
        self.figment.find_value("").unwrap_or_else(|_| Value::from(Dict::new()))
    }

    /// Where the value of a key came from; a key missing in a master came from where the master did.
    pub(super) fn origin(&self, tree: &Value, key: &str) -> Option<String> {
        let path: Vec<&str> = key.split(['.', '[', ']']).filter(|part| !part.is_empty()).collect();
        let value = find(tree, &path)
            .or_else(|| find(tree, path.get(..2).filter(|start| start[0] == "masters")?))?;
        Some(self.figment.get_metadata(value.tag())?.name.to_string())
    }
}

fn with_variable(figment: Figment, setting: &Setting) -> Figment {
    let Setting { variable, path, value } = setting;
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let origin = format!("environment variable {variable}");
    figment.merge(layer(origin, &path, value.as_str().into()))
}

/// The value at a path of keys and indices.
fn find<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    let Some((first, rest)) = path.split_first() else { return Some(value) };
    let inner = match value {
        Value::Dict(_, dict) => dict.get(*first)?,
        Value::Array(_, array) => array.get(first.parse::<usize>().ok()?)?,
        _ => return None,
    };
    find(inner, rest)
}

/// The most parts of a key, well above those of any setting. Keys nest tables, and what reads and drops
/// tables within tables does so on the stack, which has an end.
pub(super) const MAX_KEY_PARTS: usize = 8;

/// A TOML file. Of a syntax error only place and reason are told: the line itself may hold a password.
fn file(path: &Path) -> Result<Layer, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
    if deepest_key(&text) > MAX_KEY_PARTS {
        return Err(format!("has a key of more than {MAX_KEY_PARTS} parts"));
    }
    let table: toml::Table = toml::from_str(&text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        format!("is not TOML, line {line}: {}", error.message())
    })?;
    let settings =
        Value::serialize(table).map_err(|error| error.to_string())?.into_dict().unwrap_or_default();
    Ok(Layer { origin: format!("file {}", path.display()), settings })
}

/// How many parts the longest dotted key has. Looked for before anything is parsed, and only as far as
/// that goes without parsing.
fn deepest_key(text: &str) -> usize {
    let (mut parts, mut most) = (1, 1);
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match character {
            '.' => parts += 1,
            '#' => {
                rest.find(|c| *c == '\n');
                parts = 1;
            }
            '"' => {
                while let Some(c) = rest.next().filter(|c| !matches!(c, '"' | '\n')) {
                    if c == '\\' {
                        rest.next();
                    }
                }
            }
            '\'' => while rest.next().is_some_and(|c| !matches!(c, '\'' | '\n')) {},
            c if c.is_alphanumeric() || matches!(c, '_' | '-' | ' ' | '\t') => continue,
            _ => parts = 1,
        }
        most = most.max(parts);
    }
    most
}

fn layer(origin: String, path: &[&str], value: Value) -> Layer {
    let nest = |inner: Value, key: &&str| Value::from(Dict::from([((*key).to_owned(), inner)]));
    let settings = path.iter().rev().fold(value, nest).into_dict().unwrap_or_default();
    Layer { origin, settings }
}

/// The flags that were given, with the keys they set.
fn settings_of(flags: &Flags) -> Vec<(&'static str, &'static [&'static str], Value)> {
    let given: [(&str, &[&str], &Option<String>); 7] = [
        ("--listen", &["grpc", "listen"], &flags.listen),
        ("--admin-listen", &["admin", "listen"], &flags.admin_listen),
        ("--max-ttl", &["lease", "max_ttl"], &flags.max_ttl),
        ("--clock-skew", &["quorum", "clock_skew"], &flags.clock_skew),
        ("--restart-policy", &["restart_policy"], &flags.restart_policy),
        ("--log-format", &["log", "format"], &flags.log_format),
        ("--log-filter", &["log", "filter"], &flags.log_filter),
    ];
    let mut settings: Vec<_> = given
        .into_iter()
        .filter_map(|(flag, path, value)| Some((flag, path, value.as_deref()?.into())))
        .collect();
    if !flags.masters.is_empty() {
        let master = |url: &String| Dict::from([("url".to_owned(), Value::from(url.as_str()))]);
        let masters: Vec<Dict> = flags.masters.iter().map(master).collect();
        settings.push(("--master", &["masters"], Value::from(masters)));
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_key_is_found_wherever_it_stands() {
        for (text, parts) in [
            ("", 1),
            ("a = 1.5 # a.b.c.d.e", 2),
            ("[a.b]\nc.d.e = 'f.g.h.i'", 3),
            ("a = { b . c.\"d\" .'e' = 1 }", 4),
            ("url = \"a.b\\\"c.d.e\"\nx = 'a.b.c'", 1),
            ("a = 'b\nc.d = 1", 2),
            (&format!("[{}a]", "a.".repeat(4_000)), 4_001),
        ] {
            assert_eq!(deepest_key(text), parts, "{text}");
        }
    }
}
