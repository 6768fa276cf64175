//! The environment: which variables configure the server, and what they set.
//!
//! `HOLDFAST_SECTION__KEY` is a setting, `HOLDFAST__KEY` one outside any section, and
//! `HOLDFAST_MASTERS__<NAME>__PASSWORD` or `__USERNAME` a master's. Names without `__` belong to the
//! command line client and to the children it runs. Of the variables that other programs share, those of
//! [`SHARED`] are honoured where nothing of ours is said.

use super::layers::MAX_KEY_PARTS;
use super::problem::Problems;
use super::secret::Secret;
use super::telemetry::OtlpEndpoint;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

const PREFIX: &str = "HOLDFAST_";
const MASTERS: &str = "MASTERS__";

/// Settings outside any section: the ones somebody would try without `__`.
const TOP_LEVEL: [&str; 3] = ["RESTART_POLICY", "KEY_FORMAT", "NAMESPACE"];

/// Variables that many programs understand, and the setting each stands for. Empty ones are as good as
/// unset.
const SHARED: [(&str, [&str; 2]); 1] =
    [("OTEL_EXPORTER_OTLP_ENDPOINT", ["telemetry", "otlp_endpoint"])];

/// Environment variables, passed in so that tests need no process of their own.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// The environment of this process.
    pub fn from_process() -> Self {
        std::env::vars_os().collect()
    }

    /// Reads what concerns the server; the rest is not looked at.
    pub(super) fn read(&self, problems: &mut Problems) -> Variables {
        let mut variables = Variables::default();
        for (name, path) in SHARED {
            match self.0.get(OsStr::new(name)).map(|value| value.to_str()) {
                None | Some(Some("")) => {}
                Some(None) => {
                    variables.warnings.push(format!("{name} is ignored: it is not UTF-8"))
                }
                Some(Some(value)) => match OtlpEndpoint::parse(value) {
                    Ok(_) => variables.defaults.push(Setting {
                        variable: name.to_owned(),
                        path: path.map(str::to_owned).to_vec(),
                        value: value.to_owned(),
                    }),
                    // It was said to everybody, and may fit others: a path is right for OTLP over HTTP.
                    Err(wrong) => variables.warnings.push(format!("{name} is ignored: it {wrong}")),
                },
            }
        }
        for (name, value) in &self.0 {
            let Some((name, key)) =
                name.to_str().and_then(|name| Some((name, name.strip_prefix(PREFIX)?)))
            else {
                continue;
            };
            if TOP_LEVEL.contains(&key) {
                variables.warnings.push(format!(
                    "{name} is ignored: names without \"__\" are the client's; write {PREFIX}_{key}"
                ));
            }
            if !name.contains("__") {
                continue;
            }
            match value.to_str() {
                None => problems.add(name, "is not UTF-8"),
                Some(value) => match key.strip_prefix(MASTERS) {
                    None if name.matches("__").count() >= MAX_KEY_PARTS => {
                        problems.add(name, "is unknown; no setting has so many parts");
                    }
                    None if key.bytes().all(|byte| byte == b'_') => {
                        problems.add(name, "is unknown; it names no setting");
                    }
                    None => variables.settings.push(setting(name, key, value)),
                    Some(rest) => variables.of_master(name, rest, value, problems),
                },
            }
        }
        variables
    }
}

/// Names only: values may be secrets.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// What the environment says to the server.
#[derive(Default)]
pub(super) struct Variables {
    /// Below the file.
    pub(super) defaults: Vec<Setting>,
    /// Above it.
    pub(super) settings: Vec<Setting>,
    pub(super) masters: BTreeMap<String, MasterVariables>,
    pub(super) warnings: Vec<String>,
}

/// One setting: the variable, the path of the key, the value.
pub(super) struct Setting {
    pub(super) variable: String,
    pub(super) path: Vec<String>,
    pub(super) value: String,
}

/// What the environment says of one master.
#[derive(Clone, Default)]
pub(super) struct MasterVariables {
    pub(super) username: Option<String>,
    pub(super) password: Option<Secret>,
}

impl Variables {
    /// What it says of the master of this name.
    pub(super) fn of(&self, master: &str) -> MasterVariables {
        self.masters.get(&variable_part(master)).cloned().unwrap_or_default()
    }

    /// Takes `<NAME>__PASSWORD` or `<NAME>__USERNAME`.
    fn of_master(&mut self, name: &str, rest: &str, value: &str, problems: &mut Problems) {
        match rest.rsplit_once("__") {
            _ if value.is_empty() => problems.add(name, "is empty; unset it or give it a value"),
            Some((master, "PASSWORD")) if !master.is_empty() => {
                self.masters.entry(master.to_owned()).or_default().password =
                    Some(Secret::new(value));
            }
            Some((master, "USERNAME")) if !master.is_empty() => {
                self.masters.entry(master.to_owned()).or_default().username =
                    Some(value.to_owned());
            }
            _ => problems.add(
                name,
                "is unknown; of a master the environment sets only \
                 HOLDFAST_MASTERS__<NAME>__PASSWORD and HOLDFAST_MASTERS__<NAME>__USERNAME",
            ),
        }
    }
}

/// A master's name as it stands in a variable.
pub(super) fn variable_part(master: &str) -> String {
    let part = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    master.chars().map(part).collect()
}

fn setting(variable: &str, key: &str, value: &str) -> Setting {
    // HOLDFAST__KEY leaves `_KEY`: no section.
    let key = if variable.starts_with("HOLDFAST__") { key.trim_start_matches('_') } else { key };
    Setting {
        variable: variable.to_owned(),
        path: key.split("__").map(str::to_lowercase).collect(),
        value: value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> (Variables, Vec<String>) {
        let mut problems = Problems::default();
        let variables = variables.iter().copied().collect::<Environment>().read(&mut problems);
        let problems = problems.or(()).err().map_or_else(Vec::new, |errors| errors.0);
        (variables, problems.into_iter().map(|p| format!("{}: {}", p.key, p.message)).collect())
    }

    #[test]
    fn two_underscores_part_section_and_key() {
        let (variables, problems) = read(&[
            ("HOLDFAST_GRPC__LISTEN", "a"),
            ("HOLDFAST_GRPC__TLS__CLIENT_CA", "b"),
            ("HOLDFAST__NAMESPACE", "c"),
            ("PATH__X", "d"),
        ]);
        let paths: Vec<_> = variables.settings.iter().map(|s| s.path.join(".")).collect();
        assert_eq!(paths, ["grpc.listen", "grpc.tls.client_ca", "namespace"]);
        assert!(problems.is_empty());
    }

    #[test]
    fn no_name_of_a_setting_is_named_as_it_stands() {
        let deep = format!("HOLDFAST_A{}", "__A".repeat(4_000));
        for name in ["HOLDFAST__", "HOLDFAST_______", &deep] {
            let (variables, problems) = read(&[(name, "x")]);
            assert!(variables.settings.is_empty(), "{name}");
            assert!(problems[0].starts_with(&format!("{name}: is unknown")), "{problems:?}");
        }
    }

    #[test]
    fn the_clients_variables_are_ignored() {
        let (variables, problems) = read(&[
            ("HOLDFAST_SERVER", "x"),
            ("HOLDFAST_RESOURCE", "x"),
            ("HOLDFAST_LEASE_ID", "x"),
            ("HOLDFAST_FENCING_TOKEN", "x"),
            ("HOLDFAST_DEADLINE_MS", "x"),
            ("HOLDFAST_PORT_7420_TCP_ADDR", "x"),
        ]);
        assert!(variables.settings.is_empty() && variables.warnings.is_empty());
        assert!(problems.is_empty());
    }

    #[test]
    fn a_setting_without_its_underscores_is_warned_of() {
        let (variables, _) = read(&[("HOLDFAST_RESTART_POLICY", "trust")]);
        assert!(variables.settings.is_empty());
        assert_eq!(
            variables.warnings,
            ["HOLDFAST_RESTART_POLICY is ignored: names without \"__\" are the client's; \
              write HOLDFAST__RESTART_POLICY"]
        );
    }

    #[test]
    fn secrets_of_masters_go_by_their_names() {
        let (variables, problems) = read(&[
            ("HOLDFAST_MASTERS__A__PASSWORD", "p"),
            ("HOLDFAST_MASTERS__A__USERNAME", "u"),
            ("HOLDFAST_MASTERS__R__1__PASSWORD", "q"),
        ]);
        assert!(problems.is_empty());
        assert_eq!(variables.masters.keys().collect::<Vec<_>>(), ["A", "R__1"]);
        assert_eq!(variables.masters["A"].username.as_deref(), Some("u"));
        assert_eq!(variable_part("r--1"), "R__1");
        assert_eq!(variable_part("127.0.0.1:6379"), "127_0_0_1_6379");
        for name in ["HOLDFAST_MASTERS__A__URL", "HOLDFAST_MASTERS__PASSWORD", "HOLDFAST_MASTERS__"]
        {
            let (_, problems) = read(&[(name, "x")]);
            assert!(problems[0].starts_with(&format!("{name}: is unknown; of a master")));
        }
        let (_, problems) = read(&[("HOLDFAST_MASTERS__A__PASSWORD", "")]);
        assert!(problems[0].ends_with("is empty; unset it or give it a value"));
    }

    #[cfg(unix)]
    #[test]
    fn a_value_that_is_no_text_is_refused() {
        use std::os::unix::ffi::OsStringExt;
        let environment: Environment =
            [("HOLDFAST_LEASE__MAX_TTL", OsString::from_vec(vec![0xff]))].into_iter().collect();
        let mut problems = Problems::default();
        environment.read(&mut problems);
        let errors = problems.or(()).unwrap_err();
        assert_eq!(errors.to_string(), "HOLDFAST_LEASE__MAX_TTL: is not UTF-8");
    }
}
