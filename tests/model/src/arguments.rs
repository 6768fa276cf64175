//! The command line: which rows are wanted, and how they are told.

use crate::rows::{Cost, Row};

pub(crate) const USAGE: &str = "\
usage: holdfast-model [--markdown] [--trace] [--jobs N] [most | quick | all | NAME-PREFIX ...]
       holdfast-model --list

  most         (default) every row that fits a small machine
  quick        the rows of the test
  all          the largest rows too
  NAME-PREFIX  rows whose name begins so: u, t6, f4-no-
  --trace      also print the shortest trace of every row that breaks (TRACE=1 does the same)
  --markdown   print the table of RESULTS.md
  --jobs N     rows explored at the same time (default 2)
  --list       name, cost and meaning of every row, and the properties

The exit status is 1 if a row does not show what it must.";

/// What is asked for.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Wanted {
    Help,
    List,
    Rows(Vec<String>),
}

/// The command line.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) wanted: Wanted,
    pub(crate) markdown: bool,
    pub(crate) trace: bool,
    pub(crate) jobs: usize,
}

impl Arguments {
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut parsed = Self {
            wanted: Wanted::Rows(Vec::new()),
            markdown: false,
            trace: std::env::var_os("TRACE").is_some_and(|value| !value.is_empty() && value != "0"),
            jobs: 2,
        };
        let mut names = Vec::new();
        let mut arguments = arguments.peekable();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--help" | "-h" => parsed.wanted = Wanted::Help,
                "--list" => parsed.wanted = Wanted::List,
                "--markdown" => parsed.markdown = true,
                "--trace" => parsed.trace = true,
                "--jobs" => {
                    let jobs = arguments.next().and_then(|n| n.parse().ok()).filter(|n| *n > 0);
                    parsed.jobs = jobs.ok_or("--jobs needs a number above 0")?;
                }
                flag if flag.starts_with('-') => return Err(format!("unknown flag {flag}")),
                _ => names.push(argument),
            }
        }
        if names.is_empty() {
            names.push("most".to_owned());
        }
        if let Wanted::Rows(wanted) = &mut parsed.wanted {
            *wanted = names;
        }
        Ok(parsed)
    }

    pub(crate) fn wants(&self, row: &Row) -> bool {
        let Wanted::Rows(names) = &self.wanted else { return false };
        names.iter().any(|name| match name.as_str() {
            "all" => true,
            "most" => row.cost != Cost::Huge,
            "quick" => row.cost == Cost::Quick,
            prefix => row.name.starts_with(prefix),
        })
    }
}
