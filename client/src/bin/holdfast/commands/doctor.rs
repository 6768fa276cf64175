//! `holdfast doctor`: what is wrong with a deployment, and what to do about it.
//!
//! Deliberately absent: looking at the masters itself. What a replica finds wrong with one (persistence,
//! eviction, the same process twice, permissions) arrives in the status and is shown as it is.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::args::Global;
use crate::commands::status::{Answer, MasterView, ServerView, StatusView, ask_each};
use crate::connect::Connection;
use crate::exit::Failure;
use crate::output::Output;
use crate::values::Values;
use crate::view::Millis;

/// Half of the default `quorum.clock_skew`, which is 10 s: a clock that far off will not stay within it.
const CLOCK_OFFSET_LIMIT_MS: f64 = 5_000.0;

/// Check every --server and what it says of its masters; exits 1 if anything is to be done
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  holdfast doctor --server http://10.0.0.1:7420 --server http://10.0.0.2:7420")]
pub(crate) struct Doctor {}

#[derive(Debug, Serialize)]
struct Report {
    findings: Vec<Finding>,
    servers_asked: usize,
}

/// One thing that is not as it should be.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Finding {
    /// Where it was found; empty if it concerns several servers.
    server: String,
    problem: String,
    advice: String,
}

pub(crate) async fn doctor(_: Doctor, global: &Global, output: Output) -> Result<u8, Failure> {
    let mut values = Values::default();
    let connection = Connection::read(global, &mut values);
    values.done()?;

    let servers = ask_each(&connection).await?;
    let mut findings: Vec<_> = servers.iter().flat_map(of_server).collect();
    findings.extend(disagreements(&servers));
    let code = u8::from(!findings.is_empty());
    output.show(&Report { findings, servers_asked: servers.len() })?;
    Ok(code)
}

fn of_server(server: &ServerView) -> Vec<Finding> {
    let found = |(problem, advice): (String, &str)| Finding {
        server: server.server.clone(),
        problem,
        advice: advice.to_owned(),
    };
    let problems = match &server.answer {
        Answer::Error(failure) if server.answer.is_denied() => {
            vec![(failure.to_string(), "Give it credentials that may `describe`.")]
        }
        Answer::Error(failure) => {
            vec![(failure.to_string(), "Is it up, is the address right, may this host reach it?")]
        }
        Answer::Status(status) => of_status(status),
    };
    problems.into_iter().map(found).collect()
}

fn of_status(status: &StatusView) -> Vec<(String, &'static str)> {
    let mut problems = Vec::new();
    let StatusView { master_count, quorum, .. } = status;
    if !status.has_quorum {
        problems.push((
            format!("no quorum: fewer than {quorum} of {master_count} masters vote"),
            "No lock can be taken or renewed until enough masters vote; see each of them below.",
        ));
    }
    if *master_count == 1 {
        problems.push((
            "there is a single master".to_owned(),
            "Locks stand still while it is away. Three or five independent masters survive one or two.",
        ));
    } else if master_count % 2 == 0 {
        problems.push((
            format!("{master_count} masters: an even number"),
            "One more survives one more failure; one less survives as many.",
        ));
    }
    problems.extend(status.masters.iter().flat_map(of_master));
    for (index, master) in status.masters.iter().enumerate() {
        let same = |other: &&MasterView| !other.run_id.is_empty() && other.run_id == master.run_id;
        if let Some(twin) = status.masters[..index].iter().find(same) {
            problems.push((
                format!("masters {} and {} are the same process", twin.name, master.name),
                "Each master must be a Redis of its own; one of them counts twice.",
            ));
        }
    }
    problems
}

fn of_master(master: &MasterView) -> Vec<(String, &'static str)> {
    let MasterView { name, detail, .. } = master;
    let because = if detail.is_empty() { String::new() } else { format!(": {detail}") };
    let mut problems = Vec::new();
    match master.state.as_str() {
        "VOTING" if detail.is_empty() => {}
        "VOTING" => problems.push((
            format!("master {name} votes, but{because}"),
            "It votes as it is; what may go wrong is said there, and what to do.",
        )),
        "QUARANTINED" => {
            let left = master.quarantine_remaining_ms.map(Millis);
            let left = left.map_or(String::new(), |left| format!(" for {left}"));
            problems.push((
                format!("master {name} may not vote yet{left}{because}"),
                "It restarted, lost its memory or is new. Wait: it votes when that has passed.",
            ));
        }
        "UNREACHABLE" => problems.push((
            format!("master {name} does not answer{because}"),
            if detail.contains("follow it") {
                "A unit takes no writes while its replicas are away: start them, or attach others."
            } else {
                "Is it up, may the replica reach it, is the password right?"
            },
        )),
        "MISCONFIGURED" => problems.push((
            format!("master {name} never votes as it is configured{because}"),
            mending(detail),
        )),
        _ => problems.push((
            format!("nothing is known of master {name} yet{because}"),
            "The replica has just started. Ask again in a moment.",
        )),
    }
    if let Some(offset) = master.clock_offset_ms.filter(|it| it.abs() > CLOCK_OFFSET_LIMIT_MS) {
        problems.push((
            format!("the clock of master {name} is {:.1} s off", offset / 1e3),
            "Run NTP on masters and replicas: beyond clock_skew (10 s by default) it cannot vote.",
        ));
    }
    problems
}

/// What to do about a master that is misconfigured like this.
fn mending(detail: &str) -> &'static str {
    const KNOWN: [(&str, &str); 6] = [
        (
            "configuration differs",
            "Configure this replica as the others are; to change all, follow docs/operations/changes.md.",
        ),
        ("self-test", "Let its user do what docs/operations/masters.md lists."),
        ("no permissions", "Let its user do what docs/operations/masters.md lists."),
        ("uthentication", "Correct the username and the password of this master."),
        ("same process", "Correct the address of one of them: each must be a Redis of its own."),
        (
            "clock is",
            "Run NTP on masters and replicas; it votes when its clock is within clock_skew.",
        ),
    ];
    let known = KNOWN.iter().find(|(words, _)| detail.contains(words));
    known.map_or("Change what it says; it is noticed without a restart of the replica.", |it| it.1)
}

/// What replicas of one deployment must agree on.
fn disagreements(servers: &[ServerView]) -> Vec<Finding> {
    let answers: Vec<_> = servers
        .iter()
        .filter_map(|server| match &server.answer {
            Answer::Status(status) => Some((server.server.as_str(), status)),
            Answer::Error(_) => None,
        })
        .collect();
    let compare = |what: &str, advice: &str, of: &dyn Fn(&StatusView) -> String| {
        let mut said: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (server, status) in &answers {
            said.entry(of(status)).or_default().push(server);
        }
        let each = said.iter().map(|(said, by)| format!("{} says {said}", by.join(", ")));
        let each: Vec<_> = each.collect();
        (said.len() > 1).then(|| Finding {
            server: String::new(),
            problem: format!("replicas disagree on {what}: {}", each.join("; ")),
            advice: advice.to_owned(),
        })
    };
    let each_master = |status: &StatusView, of: &dyn Fn(&MasterView) -> String| {
        let mut all: Vec<_> = status.masters.iter().map(of).collect();
        // Their order in the file does not matter.
        all.sort();
        all.join(" ")
    };
    let names = |status: &StatusView| each_master(status, &|it| it.name.clone());
    let states =
        |status: &StatusView| each_master(status, &|it| format!("{}={}", it.name, it.state));
    let runs = |status: &StatusView| {
        each_master(status, &|it| {
            format!("{}={}", it.name, it.run_id.chars().take(8).collect::<String>())
        })
    };
    let mut findings = Vec::new();
    match compare("the masters", "All replicas need the same [[masters]].", &names) {
        Some(finding) => findings.push(finding),
        None => {
            let seen =
                "The network between a replica and a master is broken, or it has just changed.";
            findings.extend(compare("the state of the masters", seen, &states));
            let urls = "The same name must be the same Redis everywhere: compare the URLs.";
            let known = |status: &StatusView| status.masters.iter().all(|it| !it.run_id.is_empty());
            if answers.iter().all(|(_, status)| known(status)) {
                findings.extend(compare("which process a master is", urls, &runs));
            }
        }
    }
    let version = |status: &StatusView| status.version.clone();
    findings.extend(compare("their version", "Finish the upgrade.", &version));
    findings
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.findings.is_empty() {
            return match self.servers_asked {
                1 => writeln!(f, "all is well with 1 server and its masters"),
                asked => writeln!(f, "all is well with {asked} servers and their masters"),
            };
        }
        for Finding { server, problem, advice } in &self.findings {
            match server.as_str() {
                "" => writeln!(f, "{problem}\n    {advice}")?,
                server => writeln!(f, "{server}: {problem}\n    {advice}")?,
            }
        }
        Ok(())
    }
}
