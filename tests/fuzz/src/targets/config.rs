//! Target `config`: files, environments and command lines that are right, wrong, damaged or garbage. What
//! is right is taken, every wrong setting is named, and no secret is ever repeated.

mod settings;
mod sources;

use crate::bench::not_begun;
use crate::hunt::{Found, Plan, Verdict, hunt};
use crate::memory;
use holdfast_server::config::{
    Args, Config, ConfigErrors, Environment, Fingerprint, effective, load,
};
use settings::SECRET;
use sources::{Case, Sources, case};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use tempfile::NamedTempFile;

/// A tree of values, copied by each layer, and again for every value of it that is wrong.
const PER_BYTE: usize = 2_048;
const CONSTANT_BYTES: usize = 4 << 20;

/// Hunts.
pub(super) fn run(plan: &Plan) -> Result<(), Found> {
    // A disk would be most of the time.
    let file = NamedTempFile::new_in("/dev/shm").or_else(|_| NamedTempFile::new());
    let file = file.map_err(not_begun)?;
    hunt(plan, &case(), |case| check(&case, file.path()))
}

fn check(case: &Case, path: &Path) -> Verdict {
    let sources = case.sources();
    if let Some(bytes) = &sources.file {
        let written = std::fs::File::create(path).and_then(|mut file| file.write_all(bytes));
        written.map_err(|error| error.to_string())?;
    }
    let limit = CONSTANT_BYTES + PER_BYTE * sources.bytes();
    let loaded = memory::within(limit, || read(&sources, path))?;
    let told = match &loaded {
        Loaded::Config(config) => shown(config, path)?,
        Loaded::Refused(errors) => told(errors)?,
        Loaded::NoCommandLine(text) => text.clone(),
    };
    match case.wrong() {
        Some(wrong) => no_secret(&told).and_then(|()| compare(&loaded, &wrong)),
        // What was a password may be a host once the file is damaged.
        None => Ok(()),
    }
}

/// What became of it.
enum Loaded {
    Config(Box<Config>),
    Refused(ConfigErrors),
    /// What the command line said of it.
    NoCommandLine(String),
}

fn read(sources: &Sources, path: &Path) -> Loaded {
    let mut flags = match Args::parse_line(&sources.line) {
        Ok(args) => args.flags,
        Err(usage) => return Loaded::NoCommandLine(usage.to_string()),
    };
    flags.config = sources.file.as_ref().map(|_| path.to_owned());
    let environment: Environment = sources.variables.iter().cloned().collect();
    match load(&flags, &environment) {
        Ok(config) => Loaded::Config(Box::new(config)),
        Err(errors) => Loaded::Refused(errors),
    }
}

/// All that a configuration is used for before a port opens, as text; what is printed of it is a
/// configuration again.
fn shown(config: &Config, path: &Path) -> Result<String, String> {
    let (text, params) = (effective(config), config.params());
    let print = Fingerprint::of(config).text;
    let known = format!("{text}{print}{params:?}{config:?}");
    if config.is_dev() {
        return Ok(known);
    }
    // A mask is no password.
    let unmasked = text.replace("\"***\"", "\"another\"");
    std::fs::write(path, unmasked).map_err(|error| error.to_string())?;
    let line = ["holdfastd", "--config", &path.to_string_lossy()];
    let args = Args::parse_line(line).map_err(|usage| usage.to_string())?;
    let again = load(&args.flags, &Environment::default());
    let again = again.map_err(|errors| format!("what is shown is refused: {errors}\n{text}"))?;
    if effective(&again) != text {
        return Err(format!("shown again, it is another:\n{text}\n{}", effective(&again)));
    }
    Ok(known)
}

fn no_secret(text: &str) -> Verdict {
    match text.contains(SECRET) {
        true => Err(format!("a secret is told: {text}")),
        false => Ok(()),
    }
}

/// Every problem has a key, and says something.
fn told(errors: &ConfigErrors) -> Result<String, String> {
    if errors.0.is_empty() || errors.exit_code() != 64 {
        return Err("refused without a reason".to_owned());
    }
    match errors.0.iter().find(|problem| problem.key.is_empty() || problem.message.is_empty()) {
        Some(problem) => Err(format!("a problem without a name: {problem:?}")),
        None => Ok(errors.to_string()),
    }
}

/// Exactly the settings that are wrong are named.
fn compare(loaded: &Loaded, wrong: &BTreeSet<String>) -> Verdict {
    let named: BTreeSet<String> = match loaded {
        Loaded::Config(_) => BTreeSet::new(),
        Loaded::Refused(errors) => errors.0.iter().map(|problem| problem.key.clone()).collect(),
        Loaded::NoCommandLine(text) => return Err(format!("no command line: {text}")),
    };
    if named == *wrong {
        return Ok(());
    }
    let text =
        if let Loaded::Refused(errors) = loaded { errors.to_string() } else { String::new() };
    Err(format!("{wrong:?} are wrong, {named:?} are named: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_server::config::Problem;

    fn refused(key: &str, message: &str) -> ConfigErrors {
        ConfigErrors(vec![Problem { key: key.to_owned(), message: message.to_owned() }])
    }

    #[test]
    fn a_setting_that_is_not_named_is_found() {
        let wrong = |key: &str| BTreeSet::from([key.to_owned()]);
        let loaded = Loaded::Refused(refused("lease.max_ttl", "is wrong"));
        assert_eq!(compare(&loaded, &wrong("lease.max_ttl")), Ok(()));
        assert!(compare(&loaded, &wrong("lease.min_ttl")).is_err());
        assert!(compare(&loaded, &BTreeSet::new()).is_err());
    }

    #[test]
    fn a_secret_that_is_told_and_a_problem_without_a_name_are_found() {
        let text = |key, message| told(&refused(key, message));
        assert_eq!(text("a", "is wrong").and_then(|text| no_secret(&text)), Ok(()));
        assert!(text("a", SECRET).and_then(|text| no_secret(&text)).is_err());
        assert!(text("", "is wrong").is_err());
    }
}
