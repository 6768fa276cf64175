//! From lines to sessions, views, writes and faults.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::history::{Entry, Event, Grant, Nanos, Seen, Session, process_of};

/// A run, as far as it is known.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) sessions: BTreeMap<String, Session>,
    pub(crate) views: BTreeMap<String, View>,
    pub(crate) writes: Vec<Write>,
    pub(crate) faults: BTreeMap<u64, Fault>,
    /// When the last fault was undone.
    pub(crate) calm: Option<Nanos>,
    /// How often each way to publish ended.
    pub(crate) published: BTreeMap<String, u64>,
    /// Of the first and the last line.
    bounds: Option<(Nanos, Nanos)>,
    ended: BTreeMap<String, Nanos>,
    severed: Vec<Nanos>,
}

/// What one watch showed, in order.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) resource: String,
    pub(crate) opened: Nanos,
    pub(crate) shown: Vec<(Nanos, Seen)>,
    pub(crate) process_ended: Option<Nanos>,
}

/// A write, in the order in which the store decided.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) at: Nanos,
    pub(crate) session: String,
    pub(crate) resource: String,
    pub(crate) token: u64,
    pub(crate) accepted: bool,
    pub(crate) highest: u64,
}

/// What the nemesis did.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) kind: String,
    pub(crate) what: String,
    pub(crate) from: Nanos,
    pub(crate) evidence: Option<String>,
    pub(crate) fizzled: Option<String>,
    pub(crate) until: Option<Nanos>,
}

impl History {
    /// Reads all files of a directory, up to this moment. Of a run that goes on, everything up to a moment
    /// before this call is there; later lines of some files may be, without those of others.
    pub(crate) fn load(directory: &Path, until: Nanos) -> Result<History> {
        let mut entries = Vec::new();
        for file in fs::read_dir(directory)? {
            let path = file?.path();
            if path.extension().is_some_and(|extension| extension == "jsonl") {
                let text = fs::read_to_string(&path)?;
                let lines = lines(&text).with_context(|| format!("in {path:?}"))?;
                entries.extend(lines.into_iter().filter(|entry| entry.at <= until));
            }
        }
        Ok(History::fold(entries))
    }

    /// The lines of all files, in any order but that of each file.
    pub(crate) fn fold(mut entries: Vec<Entry>) -> History {
        // Stable: lines of one file at one moment stay in order.
        entries.sort_by_key(|entry| entry.at);
        let mut history = History::default();
        for Entry { at, event } in entries {
            let began = history.bounds.map_or(at, |(began, _)| began);
            history.bounds = Some((began, at));
            history.take(at, event);
        }
        history.end_with_their_processes();
        history
    }

    /// When it begins.
    pub(crate) fn began(&self) -> Nanos {
        self.bounds.map_or(0, |(began, _)| began)
    }

    /// How long it is.
    pub(crate) fn span(&self) -> Nanos {
        self.bounds.map_or(0, |(began, ended)| ended - began)
    }

    fn take(&mut self, at: Nanos, event: Event) {
        match event {
            Event::Asked { session: name, way, resource, outlives_connection, replica } => {
                let asked = Session::asked(name.clone(), way, resource, at);
                self.sessions.insert(name, Session { outlives_connection, replica, ..asked });
            }
            Event::Queued { session, .. } => self.with(&session, |it| {
                it.queued.get_or_insert(at);
            }),
            Event::Granted { session, token, deadline } => self.with(&session, |it| {
                it.granted = Some(Grant { at, token });
                it.deadline = deadline;
            }),
            Event::Renewed { session, deadline } => {
                self.with(&session, |it| it.deadline = it.deadline.max(deadline));
            }
            Event::Refused { session, why } => {
                self.with(&session, |it| it.refused = Some((at, why)));
            }
            Event::Published { outcome, .. } => {
                *self.published.entry(outcome).or_default() += 1;
            }
            Event::Releasing { session } => self.with(&session, |it| it.releasing = Some(at)),
            Event::Released { session, outcome } => {
                self.with(&session, |it| it.released = Some((at, outcome)));
            }
            Event::Lost { session, reason } => self.with(&session, |it| {
                it.lost.get_or_insert((at, reason));
            }),
            Event::Watching { watch, resource } => {
                let view = View { resource, opened: at, shown: Vec::new(), process_ended: None };
                self.views.insert(watch, view);
            }
            Event::Observed { watch, seen } => {
                if let Some(view) = self.views.get_mut(&watch) {
                    view.shown.push((at, seen));
                }
            }
            Event::Leaving { process } | Event::Killing { process } => {
                self.ended.entry(process).or_insert(at);
            }
            Event::Write { session, resource, token, accepted, highest } => {
                self.writes.push(Write { at, session, resource, token, accepted, highest });
            }
            event => self.take_from_nemesis(at, event),
        }
    }

    fn take_from_nemesis(&mut self, at: Nanos, event: Event) {
        match event {
            Event::Injecting { fault, kind, what } => {
                let (evidence, fizzled, until) = (None, None, None);
                self.faults.insert(fault, Fault { kind, what, from: at, evidence, fizzled, until });
            }
            Event::Fired { fault, evidence } => {
                if let Some(fault) = self.faults.get_mut(&fault) {
                    fault.evidence = Some(evidence);
                }
            }
            Event::Fizzled { fault, why } => {
                if let Some(fault) = self.faults.get_mut(&fault) {
                    fault.fizzled = Some(why);
                }
            }
            Event::Healed { fault } => {
                if let Some(fault) = self.faults.get_mut(&fault) {
                    fault.until = Some(at);
                }
            }
            Event::Severing { .. } => self.severed.push(at),
            Event::Calm => self.calm = Some(at),
            _ => {}
        }
    }

    fn with(&mut self, session: &str, change: impl FnOnce(&mut Session)) {
        if let Some(session) = self.sessions.get_mut(session) {
            change(session);
        }
    }

    fn end_with_their_processes(&mut self) {
        for session in self.sessions.values_mut() {
            session.process_ended = self.ended.get(process_of(&session.name)).copied();
            if let Some(Grant { at, .. }) = session.granted
                && !session.outlives_connection
            {
                let since = self.severed.partition_point(|severed| *severed < session.asked);
                let after_grant = self.severed[since..].iter().copied();
                session.severed = after_grant.map(|severed| severed.max(at)).min();
            }
        }
        for (watch, view) in &mut self.views {
            view.process_ended = self.ended.get(process_of(watch)).copied();
        }
    }
}

/// A process that is killed may leave half a line at the end of its file.
fn lines(text: &str) -> Result<Vec<Entry>> {
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_had_written_counts_and_half_a_line_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let line = |at: u64, name: &str| {
            format!(
                "{{\"at\":{at},\"event\":\"watching\",\"watch\":\"{name}\",\"resource\":\"r\"}}\n"
            )
        };
        let text = line(1, "a") + &line(2, "b") + &line(9, "late") + "{\"at\":3,\"ev";
        fs::write(directory.path().join("w.jsonl"), text).unwrap();
        let history = History::load(directory.path(), 5).unwrap();
        assert_eq!(history.views.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((history.began(), history.span()), (1, 1));

        fs::write(directory.path().join("x.jsonl"), "no json\n").unwrap();
        assert!(History::load(directory.path(), 5).is_err());
    }
}
