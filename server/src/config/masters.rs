//! The masters together: how many, and no vote counted twice.

use super::environment::{Variables, variable_part};
use super::master::{Backend, Master};
use super::problem::Problems;
use super::raw::RawMaster;
use super::span::text;
use holdfast_engine::{MasterId, Params};
use std::collections::BTreeMap;

/// The most masters: every lock is asked of each of them, and five are plenty.
pub const MAX_MASTERS: usize = 15;

const DEV_MASTERS: usize = 3;

/// Those of `--dev`.
pub(super) fn in_memory() -> Vec<Master> {
    (1..=DEV_MASTERS).map(|number| Master::in_memory(format!("memory-{number}"))).collect()
}

/// Those that are listed.
pub(super) fn parse(
    raw: Vec<RawMaster>,
    variables: &Variables,
    problems: &mut Problems,
) -> Vec<Master> {
    if raw.len() > MAX_MASTERS {
        problems.add("masters", format!("are {}; at most {MAX_MASTERS} can vote", raw.len()));
    }
    let mut masters = Vec::with_capacity(raw.len());
    for (index, raw) in raw.into_iter().enumerate() {
        let key = format!("masters[{index}]");
        if let Some(master) = Master::parse(&key, raw, variables, problems) {
            masters.push((key, master));
        }
    }
    refuse_twins(&masters, problems);
    masters.into_iter().map(|(_, master)| master).collect()
}

/// The same server twice would be one vote counted twice; the same name twice, two of one name.
fn refuse_twins(masters: &[(String, Master)], problems: &mut Problems) {
    let mut addresses = BTreeMap::new();
    let mut names = BTreeMap::new();
    for (key, master) in masters {
        if matches!(master.backend, Backend::Memory) {
            continue;
        }
        let mut twin = false;
        for endpoint in master.endpoints() {
            let first = addresses.entry(endpoint.address.clone()).or_insert(key);
            if *first != key {
                twin = true;
                let field = if is_unit(master) { "endpoints" } else { "url" };
                problems.add(
                    format!("{key}.{field}"),
                    format!(
                        "{} is {first} already; one Redis is one vote, whatever the database",
                        endpoint.address
                    ),
                );
            }
        }
        let first_name = names.entry(&master.name).or_insert(key);
        if *first_name != key && !twin {
            let message = format!("\"{}\" is {first_name} already; names must differ", master.name);
            problems.add(format!("{key}.name"), message);
        }
    }
}

fn is_unit(master: &Master) -> bool {
    matches!(master.backend, Backend::Unit(_))
}

/// Each variable of a master must mean exactly one.
pub(super) fn refuse_strangers(masters: &[Master], variables: &Variables, problems: &mut Problems) {
    // With none at all, or one that is not understood, nobody can say who is a stranger.
    if masters.is_empty() || problems.concern_any_of("masters") {
        return;
    }
    let listed = masters.iter().filter(|master| master.backend != Backend::Memory);
    let listed: Vec<&str> = listed.map(|master| master.name.as_str()).collect();
    for (part, given) in &variables.masters {
        let named: Vec<&str> =
            listed.iter().copied().filter(|name| variable_part(name) == *part).collect();
        let field = if given.password.is_some() { "PASSWORD" } else { "USERNAME" };
        let key = format!("HOLDFAST_MASTERS__{part}__{field}");
        match named[..] {
            [_] => {}
            [] if listed.is_empty() => {
                problems.add(key, "names no master; those of --dev have none")
            }
            [] => problems.add(key, format!("names no master; there are {}", listed.join(", "))),
            _ => {
                let message = format!("may mean {}; rename one of them", named.join(" or "));
                problems.add(key, message);
            }
        }
    }
}

/// What the operator should know of so many masters.
pub(super) fn warnings(params: &Params) -> Vec<String> {
    let masters = params.masters;
    let survives = masters.saturating_sub(params.quorum());
    if masters == 1 {
        vec![format!(
            "one master: every restart or failover of it loses the live leases and stops new locks \
             for {}; three or five independent masters survive one or two failures",
            text(params.quarantine_of(MasterId(0)))
        )]
    } else if masters.is_multiple_of(2) {
        vec![format!(
            "{masters} masters: an even number survives {survives} failures as {} would, and needs \
             one vote more; use {} or {}",
            masters - 1,
            masters - 1,
            masters + 1
        )]
    } else {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use crate::config::testing::{file, flags, flags_and_variables};

    fn of(urls: &[&str]) -> String {
        urls.iter().map(|url| format!("--master {url} ")).collect()
    }

    #[test]
    fn no_vote_is_counted_twice() {
        for second in ["redis://r1", "redis://R1:6379/1", "rediss://u:p@r1"] {
            assert_eq!(
                flags(&of(&["redis://r1", second, "redis://r3"])).unwrap_err(),
                "masters[1].url: r1:6379 is masters[0] already; one Redis is one vote, whatever the \
                 database (flag --master)"
            );
        }
        let twins = "[[masters]]\nname = 'a'\nurl = 'redis://r1'\n\
                     [[masters]]\nname = 'a'\nurl = 'redis://r2'";
        assert_eq!(
            file(twins).unwrap_err(),
            "masters[1].name: \"a\" is masters[0] already; names must differ (file FILE)"
        );
    }

    #[test]
    fn variables_of_strangers_are_refused() {
        let three = of(&["redis://a-1:1", "redis://a-1:2", "redis://a.1:1"]);
        for (line, name, expected) in [
            (
                three.as_str(),
                "HOLDFAST_MASTERS__B__PASSWORD",
                "HOLDFAST_MASTERS__B__PASSWORD: names no master; there are a-1:1, a-1:2, a.1:1",
            ),
            (
                three.as_str(),
                "HOLDFAST_MASTERS__A_1_1__PASSWORD",
                "HOLDFAST_MASTERS__A_1_1__PASSWORD: may mean a-1:1 or a.1:1; rename one of them",
            ),
            (
                "--dev",
                "HOLDFAST_MASTERS__MEMORY_1__PASSWORD",
                "HOLDFAST_MASTERS__MEMORY_1__PASSWORD: names no master; those of --dev have none",
            ),
        ] {
            let error = flags_and_variables(line, &[(name, "x")]).unwrap_err();
            assert_eq!(error.lines().last().unwrap(), expected);
        }
    }

    #[test]
    fn numbers_that_help_nobody_are_warned_of() {
        let urls = ["redis://1", "redis://2", "redis://3", "redis://4", "redis://5"];
        let warnings = |count: usize| flags(&of(&urls[..count])).unwrap().warnings;
        assert_eq!(
            warnings(1),
            ["one master: every restart or failover of it loses the live leases and stops new \
              locks for 61600ms; three or five independent masters survive one or two failures"]
        );
        assert_eq!(
            warnings(4),
            ["4 masters: an even number survives 1 failures as 3 would, and needs one vote more; \
              use 3 or 5"]
        );
        assert!(warnings(3).is_empty() && warnings(5).is_empty());
        assert!(warnings(2)[0].starts_with("2 masters: an even number survives 0 failures as 1"));
    }
}
