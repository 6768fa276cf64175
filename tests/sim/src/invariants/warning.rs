//! Loss is announced before it happens: a Hold whose lease is about to end is told so in time, as long as
//! its replica runs.

use super::Invariant;
use crate::history::Record;
use crate::oracle::Oracle;
use crate::world::Nanos;
use std::collections::BTreeMap;

/// Until when each session was told that it has its lock.
#[derive(Debug, Default)]
pub(super) struct Warning(BTreeMap<u64, (usize, Nanos)>);

impl Invariant for Warning {
    fn name(&self) -> &'static str {
        "LossIsAnnounced"
    }

    fn see(&mut self, at: Nanos, record: &Record, _oracle: &Oracle) -> Result<(), String> {
        let excused = |replica: &usize| {
            matches!(record, Record::ReplicaEnded { replica: other }
                | Record::Stalled { replica: other, .. } if other == replica)
        };
        let late =
            |(_, (replica, until)): &(&u64, &(usize, Nanos))| *until < at && !excused(replica);
        if let Some((session, (replica, _))) = self.0.iter().find(late) {
            return Err(format!(
                "session {session} on replica {replica} was not told that its lease is over"
            ));
        }
        match record {
            Record::SessionOver { session } => {
                self.0.remove(session);
            }
            Record::ReplicaEnded { replica } | Record::Stalled { replica, .. } => {
                self.0.retain(|_, (other, _)| other != replica);
            }
            Record::Promised { session, replica, until } => {
                self.0.insert(*session, (*replica, *until));
            }
            _ => {}
        }
        Ok(())
    }
}
