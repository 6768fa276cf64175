//! Where the figures come from: the machine, the programs, and how to make them again.

use std::fmt::Write;
use std::fs;
use std::process::Command;

use holdfast_tests::binaries;
use serde::Serialize;

/// What a run was made of.
#[derive(Debug, Serialize)]
pub(crate) struct Origin {
    /// Of the source.
    commit: String,
    machine: String,
    kernel: String,
    programs: Vec<String>,
    /// What was asked for.
    arguments: String,
}

impl Origin {
    pub(crate) fn look() -> Origin {
        let holdfastd = binaries::built("holdfastd").unwrap_or_default();
        let programs = [
            said(&holdfastd.to_string_lossy(), &["--version"]),
            said("redis-server", &["--version"]),
            said("etcd", &["--version"]),
            said("java", &["--version"]),
            said("dpkg-query", &["--show", "libzookeeper-java"]),
        ];
        Origin {
            commit: said("git", &["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]),
            machine: machine(),
            kernel: said("uname", &["-sr"]),
            programs: programs.to_vec(),
            arguments: std::env::args().skip(2).collect::<Vec<_>>().join(" "),
        }
    }

    pub(super) fn markdown(&self) -> String {
        let Origin { commit, machine, kernel, programs, arguments } = self;
        let mut text = "| | |\n|---|---|\n".to_owned();
        let all = if arguments.is_empty() { "none: everything" } else { arguments };
        for (name, value) in [
            ("commit", commit.as_str()),
            ("machine", machine),
            ("kernel", kernel),
            ("programs", &programs.join(" · ")),
            ("options", all),
        ] {
            let _ = writeln!(text, "| {name} | {value} |");
        }
        text.push('\n');
        text
    }
}

fn machine() -> String {
    let of = |file: &str, key: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        line.trim_start_matches([' ', '\t', ':']).trim().to_owned()
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let processor = of("/proc/cpuinfo", "model name");
    format!("{cores} cores of {processor}, {} of memory", of("/proc/meminfo", "MemTotal"))
}

/// The first line that a program writes; what is not there is not known.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().ok();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let line = text.as_deref().and_then(|text| text.lines().next());
    line.unwrap_or("not known").to_owned()
}
