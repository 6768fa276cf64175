//! The kinds of measurement by name.

use std::fmt;

use clap::ValueEnum;

use super::{
    contended, frozen_master, held_leases, hostile, killed_holder, limits, masters, own_keys,
    renewals, replicas, watchers,
};
use crate::bench::Bench;

/// A kind of measurement, in the order in which they are measured and reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Point {
    /// Every worker has a lock of its own.
    Own,
    /// All workers want the same lock.
    Contended,
    /// Every worker renews a lock of its own.
    Renewals,
    /// A holder dies, or its host: when the next one has the lock.
    Killed,
    /// One of five masters stops answering.
    Frozen,
    /// One, three, five, seven masters.
    Masters,
    /// One, two, three replicas.
    Replicas,
    /// Many who watch one resource, idle, and while its leader changes.
    Watchers,
    /// Many locks that are held while others are taken and given back.
    Held,
    /// A hostile client, and what another one notices of it.
    Hostile,
    /// What the masters can do when nothing is decided.
    Limits,
}

impl Point {
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    pub(crate) async fn measure(self, bench: &mut Bench, repetition: u32) {
        match self {
            Point::Own => own_keys::measure(bench, repetition).await,
            Point::Contended => contended::measure(bench, repetition).await,
            Point::Renewals => renewals::measure(bench, repetition).await,
            Point::Killed => killed_holder::measure(bench, repetition).await,
            Point::Frozen => frozen_master::measure(bench, repetition).await,
            Point::Masters => masters::measure(bench, repetition).await,
            Point::Replicas => replicas::measure(bench, repetition).await,
            Point::Watchers => watchers::measure(bench, repetition).await,
            Point::Hostile => hostile::measure(bench, repetition).await,
            Point::Limits => limits::measure(bench, repetition).await,
            Point::Held => held_leases::measure(bench, repetition).await,
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name())
    }
}
