//! The kinds of measurement by name.

use std::fmt;

use clap::ValueEnum;

use super::{contended, own_keys};
use crate::bench::Bench;

/// A kind of measurement, in the order in which they are measured and reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Point {
    /// Every worker has a lock of its own.
    Own,
    /// All workers want the same lock.
    Contended,
}

impl Point {
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    pub(crate) async fn measure(self, bench: &mut Bench, repetition: u32) {
        match self {
            Point::Own => own_keys::measure(bench, repetition).await,
            Point::Contended => contended::measure(bench, repetition).await,
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name())
    }
}
