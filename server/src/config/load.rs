//! From file, environment and flags to a [`Config`]: file < environment < flags.

use super::args::Flags;
use super::environment::Environment;
use super::grpc::{Admin, Grpc};
use super::layers::Layers;
use super::model::{Config, MastersFrom};
use super::problem::{ConfigErrors, Problems};
use super::shape::shape;
use std::net::SocketAddr;

const NO_MASTERS: &str = "none is given; list them under [[masters]] in the file of --config, or give \
                          --master redis://host:6379 for each, or try --dev, which needs none";
const DEV_AND_MASTERS: &str = "brings three in-memory masters of its own, and others are listed too; \
                               leave out either";

/// The configuration of this process: its flags, its environment, the file they name.
pub fn from_process(flags: &Flags) -> Result<Config, ConfigErrors> {
    load(flags, &Environment::from_process())
}

/// Reads everything and reports all that is wrong with it together.
pub fn load(flags: &Flags, environment: &Environment) -> Result<Config, ConfigErrors> {
    let mut problems = Problems::default();
    let mut variables = environment.read(&mut problems);
    let layers = Layers::stack(flags, &variables, &mut problems);
    if layers.file_lists_masters() && !flags.masters.is_empty() {
        let warning = "--master replaces all masters of the file";
        variables.warnings.push(warning.to_owned());
    }
    let tree = layers.tree();
    let raw = shape(tree.clone(), &mut problems);
    let from = if flags.dev { MastersFrom::Memory } else { MastersFrom::List };
    match (from, raw.masters.is_empty()) {
        (MastersFrom::Memory, false) => problems.add("--dev", DEV_AND_MASTERS),
        (MastersFrom::List, true) if !layers.incomplete() && !problems.concern("masters") => {
            problems.add("masters", NO_MASTERS);
        }
        _ => {}
    }
    let config = Config::parse(raw, from, &variables, &mut problems);
    problems.annotate(|key| layers.origin(&tree, key));
    problems.or(config).map(Config::with_warnings)
}

/// Where the admin port of a replica with these flags and this environment listens. Whoever asks it may know less
/// than the replica does, such as no masters, so nothing else need be right.
pub fn admin_listen(flags: &Flags) -> Result<SocketAddr, ConfigErrors> {
    listen_of(flags, &Environment::from_process())
}

fn listen_of(flags: &Flags, environment: &Environment) -> Result<SocketAddr, ConfigErrors> {
    let (mut others, mut problems) = (Problems::default(), Problems::default());
    let variables = environment.read(&mut others);
    let layers = Layers::stack(flags, &variables, &mut problems);
    let tree = layers.tree();
    let raw = shape(tree.clone(), &mut others);
    let admin = Admin::parse(raw.admin, &Grpc::parse(raw.grpc, &mut others), &mut problems);
    problems.annotate(|key| layers.origin(&tree, key));
    problems.or(admin.listen)
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{Scratch, all, file, flags, flags_and_variables};
    use crate::config::{Args, LogFormat, MAX_MASTERS};
    use std::time::Duration;

    const ONE: &str = "[[masters]]\nurl = 'redis://r1'\n";

    #[test]
    fn file_yields_to_environment_and_environment_to_flags() {
        let text = format!("[lease]\nmax_ttl = '20s'\n[log]\nfilter = 'debug'\n{ONE}");
        let variable = [("HOLDFAST_LEASE__MAX_TTL", "30s")];
        let max_ttl = |line, variables| all(&text, line, variables).unwrap().lease.max_ttl;
        assert_eq!(max_ttl("", &[]), Duration::from_secs(20));
        assert_eq!(max_ttl("", &variable), Duration::from_secs(30));
        assert_eq!(max_ttl("--max-ttl 40s", &variable), Duration::from_secs(40));
        assert_eq!(all(&text, "--max-ttl 40s", &variable).unwrap().log.filter, "debug");
    }

    #[test]
    fn where_the_admin_port_is_needs_no_masters() {
        let scratch = Scratch::file("[admin]\nlisten = '0.0.0.0:1'\n[[masters]]\nurl = 'nowhere'");
        let listen = |line: &str, variables: &[(&str, &str)]| {
            let line = line.replace("FILE", scratch.path());
            let words = std::iter::once("holdfastd").chain(line.split_whitespace());
            let flags = Args::parse_line(words).unwrap().flags;
            let listen = super::listen_of(&flags, &variables.iter().copied().collect());
            listen.map(|listen| listen.to_string()).map_err(|errors| errors.to_string())
        };
        let variable = [("HOLDFAST_ADMIN__LISTEN", "0.0.0.0:2")];
        assert_eq!(listen("health", &[]).unwrap(), "127.0.0.1:7421");
        assert_eq!(listen("health --config FILE", &[]).unwrap(), "0.0.0.0:1");
        assert_eq!(listen("health --config FILE", &variable).unwrap(), "0.0.0.0:2");
        assert_eq!(listen("health --admin-listen [::]:3", &variable).unwrap(), "[::]:3");
        let odd = listen("health", &[("HOLDFAST_ADMIN__LISTEN", "7421")]).unwrap_err();
        assert!(odd.contains("environment variable HOLDFAST_ADMIN__LISTEN"), "{odd}");
        assert!(listen("health --config /nowhere", &[]).unwrap_err().contains("cannot be read"));
    }

    #[test]
    fn every_flag_reaches_its_setting() {
        let config = flags(
            "--master redis://r1 --listen 0.0.0.0:1 --admin-listen 0.0.0.0:2 --max-ttl 5s \
             --clock-skew 3s --restart-policy trust --log-format json --log-filter warn",
        )
        .unwrap();
        assert_eq!(config.grpc.listen.to_string(), "0.0.0.0:1");
        assert_eq!(config.admin.listen.to_string(), "0.0.0.0:2");
        assert_eq!(config.lease.max_ttl, Duration::from_secs(5));
        assert_eq!(config.lease.default_ttl, Duration::from_secs(5));
        assert_eq!(config.quorum.clock_skew, Duration::from_secs(3));
        assert_eq!(config.restart_policy, holdfast_engine::RestartPolicy::Trust);
        assert_eq!((config.log.filter.as_str(), config.log.format), ("warn", LogFormat::Json));
        assert_eq!(config.masters[0].name, "r1:6379");
    }

    #[test]
    fn variables_are_text_and_numbers() {
        let config = flags_and_variables(
            "--dev",
            &[
                ("HOLDFAST_LIMITS__MAX_WAITERS", "7"),
                ("HOLDFAST_LIMITS__MAX_STREAMS", "8"),
                ("HOLDFAST_WATCH__POLL_INTERVAL", "9s"),
                ("HOLDFAST_LEASE__DRIFT", "0.02"),
                ("HOLDFAST__NAMESPACE", "123"),
                ("HOLDFAST_SERVER", "ignored"),
            ],
        )
        .unwrap();
        assert_eq!((config.limits.max_waiters, config.limits.max_streams), (7, 8));
        assert_eq!(config.watch.poll_interval, Duration::from_secs(9));
        assert_eq!(config.lease.drift.ppm(), 20_000);
        assert_eq!(config.namespace.as_str(), "123");
    }

    #[test]
    fn dev_needs_nothing_and_suffers_no_others() {
        let config = flags("--dev").unwrap();
        assert!(config.is_dev() && config.warnings.is_empty());
        let names: Vec<_> = config.masters.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(names, ["memory-1", "memory-2", "memory-3"]);
        let contradiction = "--dev: brings three in-memory masters of its own, and others are listed \
                             too; leave out either";
        assert_eq!(flags("--dev --master redis://r1").unwrap_err(), contradiction);
        assert_eq!(all(ONE, "--dev", &[]).unwrap_err(), contradiction);
    }

    #[test]
    fn without_masters_the_error_says_what_to_do() {
        let expected = "masters: none is given; list them under [[masters]] in the file of --config, \
                        or give --master redis://host:6379 for each, or try --dev, which needs none";
        assert_eq!(flags("").unwrap_err(), expected);
        assert_eq!(file("[lease]").unwrap_err(), expected);
        // Who forgot them all need not be told that a password is left over.
        let variables = [("HOLDFAST_MASTERS__A__PASSWORD", "x")];
        assert_eq!(flags_and_variables("", &variables).unwrap_err(), expected);
    }

    #[test]
    fn flags_replace_the_masters_of_the_file() {
        let config = all(ONE, "--master redis://r2", &[]).unwrap();
        assert_eq!(config.masters.len(), 1);
        assert_eq!(config.masters[0].name, "r2:6379");
        assert_eq!(config.warnings[0], "--master replaces all masters of the file");
    }

    #[test]
    fn each_error_names_its_origin() {
        for (text, line, variables, expected) in [
            ("[leese]", "--dev", &[][..], "leese: unknown key; did you mean `lease`? (file FILE)"),
            (
                "",
                "--dev",
                &[("HOLDFAST_LEASE__MAX_TLL", "5s")],
                "lease.max_tll: unknown key; did you mean `max_ttl`? \
                 (environment variable HOLDFAST_LEASE__MAX_TLL)",
            ),
            (
                "",
                "--dev",
                &[("HOLDFAST_LEASE__", "5s")],
                "lease.: unknown key; known here: default_ttl, min_ttl, max_ttl, drift, max_wait, \
                 max_hold (environment variable HOLDFAST_LEASE__)",
            ),
            (
                "",
                "--dev --listen nowhere",
                &[],
                "grpc.listen: \"nowhere\" is no address; it must be an IP address and a port, such as \
                 127.0.0.1:7420 or 0.0.0.0:7420 (flag --listen)",
            ),
            (
                "[lease]\ndefault_ttl = '20s'",
                "--dev --max-ttl 5s",
                &[],
                "lease.default_ttl: is 20s, above lease.max_ttl = 5s; change one of them (file FILE)",
            ),
            (
                "[[masters]]\nname = 'a'",
                "",
                &[],
                "masters[0].url: is missing; it must be such as redis://10.0.0.1:6379 (file FILE)",
            ),
            (
                "",
                "--master r1:6379",
                &[],
                "masters[0].url: must start with redis://, rediss:// or unix:// (flag --master)",
            ),
        ] {
            assert_eq!(all(text, line, variables).unwrap_err(), expected);
        }
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let text =
            "x = 1\nnamespace = ''\n[lease]\ndrift = 1\nmax_ttl = 5\n[[masters]]\nurl = 'r1'";
        let variables = [("HOLDFAST_FOO__BAR", ""), ("HOLDFAST_MASTERS__A__URL", "")];
        let errors = all(text, "--clock-skew soon", &variables).unwrap_err();
        let mut keys: Vec<_> = errors.lines().map(|line| line.split(':').next().unwrap()).collect();
        keys.sort_unstable();
        let expected = [
            "HOLDFAST_MASTERS__A__URL",
            "foo",
            "lease.drift",
            "lease.max_ttl",
            "masters[0].url",
            "namespace",
            "quorum.clock_skew",
            "x",
        ];
        assert_eq!(keys, expected);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_the_only_error() {
        let errors = flags("--config /nowhere/x.toml").unwrap_err();
        assert!(errors.starts_with("/nowhere/x.toml: cannot be read: "), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }

    #[test]
    fn a_syntax_error_does_not_show_the_line() {
        let errors = file("[[masters]]\npassword = hunter2\n").unwrap_err();
        assert!(errors.starts_with("FILE: is not TOML, line 2: "), "{errors}");
        assert!(!errors.contains("hunter2") && errors.lines().count() == 1, "{errors}");
    }

    #[test]
    fn so_many_masters_and_no_more() {
        let masters = |count: usize| {
            (0..count).map(|n| format!("[[masters]]\nurl = 'redis://r{n}'\n")).collect::<String>()
        };
        assert_eq!(file(&masters(MAX_MASTERS)).unwrap().masters.len(), MAX_MASTERS);
        assert_eq!(
            file(&masters(MAX_MASTERS + 1)).unwrap_err(),
            "masters: are 16; at most 15 can vote (file FILE)"
        );
    }
}
