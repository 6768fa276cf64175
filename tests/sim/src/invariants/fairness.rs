//! FIFO: whoever waits on a replica is granted the lock before whoever came there later.

use super::Invariant;
use crate::history::{LeaseName, Op, Record};
use crate::oracle::Oracle;
use crate::world::Nanos;
use std::collections::{BTreeMap, BTreeSet};

/// Who waits, in the order of arrival: operations are numbered as they begin, so by arrival instead.
#[derive(Debug, Default)]
pub(super) struct Fairness {
    arrivals: u64,
    waiting: BTreeMap<Op, Waiter>,
    /// Leases that were asked for. Who asks again may be the holder by then, who need not queue.
    known: BTreeSet<LeaseName>,
}

#[derive(Debug)]
struct Waiter {
    arrival: u64,
    replica: usize,
    resource: usize,
    lease: LeaseName,
    patient: bool,
    retries: bool,
}

impl Invariant for Fairness {
    fn name(&self) -> &'static str {
        "WaitersAreServedInOrder"
    }

    fn see(&mut self, _at: Nanos, record: &Record, _oracle: &Oracle) -> Result<(), String> {
        match record {
            Record::Arrived { op, replica, resource, lease, wait } => {
                self.arrivals += 1;
                let (replica, resource, patient) = (*replica, *resource, !wait.is_zero());
                let lease = LeaseName::clone(lease);
                // A retry of a lease that waits here takes its place, and the older call has ended.
                let mut arrival = self.arrivals;
                self.waiting.retain(|_, other| {
                    let same = other.lease == lease && other.replica == replica;
                    if same && other.resource == resource {
                        arrival = arrival.min(other.arrival);
                    }
                    !same || other.resource != resource
                });
                let retries = !self.known.insert(LeaseName::clone(&lease));
                // Asked for at two replicas, it may be granted at one because the other has done so.
                for other in self.waiting.values_mut() {
                    other.retries |= other.lease == lease && other.resource == resource;
                }
                let waiter = Waiter { arrival, replica, resource, lease, patient, retries };
                self.waiting.insert(*op, waiter);
            }
            Record::Served { op, granted } => {
                let Some(served) = self.waiting.remove(op) else { return Ok(()) };
                let earlier = |(_, other): &(&Op, &Waiter)| {
                    other.patient
                        && (other.replica, other.resource) == (served.replica, served.resource)
                        && other.arrival < served.arrival
                };
                if *granted
                    && !served.retries
                    && let Some((_, other)) = self.waiting.iter().find(earlier)
                {
                    return Err(format!(
                        "{} was served before {}, which came earlier to replica {}",
                        served.lease, other.lease, served.replica
                    ));
                }
            }
            Record::Left { op } => {
                self.waiting.remove(op);
            }
            Record::ReplicaEnded { replica } => {
                self.waiting.retain(|_, waiter| waiter.replica != *replica);
            }
            _ => {}
        }
        Ok(())
    }
}
