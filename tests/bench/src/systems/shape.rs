//! How many of what a deployment has.

/// Masters and replicas of a deployment; other systems have the shape that their name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shape {
    pub(crate) masters: usize,
    pub(crate) replicas: usize,
}

impl Default for Shape {
    fn default() -> Shape {
        Shape { masters: 5, replicas: 1 }
    }
}
