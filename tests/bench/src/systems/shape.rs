//! How a deployment of Holdfast is built.

use std::time::Duration;

/// Masters and replicas of a deployment; other systems have the shape that their name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shape {
    pub(crate) masters: usize,
    pub(crate) replicas: usize,
    pub(crate) max_ttl: Duration,
}

impl Default for Shape {
    fn default() -> Shape {
        Shape { masters: 5, replicas: 1, max_ttl: Duration::from_secs(60) }
    }
}
