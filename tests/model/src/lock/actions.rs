//! Collects what may happen next.

use super::state::State;
use crate::property::Property;
use crate::search::Step;

/// Actions found so far, and how to add one.
pub(super) struct Actions<'a, const N: usize> {
    pub(super) from: &'a State<N>,
    pub(super) labels: bool,
    pub(super) out: &'a mut Vec<Step<State<N>>>,
}

impl<const N: usize> Actions<'_, N> {
    pub(super) fn add(&mut self, n: State<N>, label: impl Fn() -> String) {
        self.judge(n, None, label);
    }

    /// An action that may break a property.
    pub(super) fn judge(
        &mut self,
        n: State<N>,
        broken: Option<Property>,
        label: impl Fn() -> String,
    ) {
        self.out.push((if self.labels { label() } else { String::new() }, n, broken));
    }

    /// The same, unless the action changes nothing.
    pub(super) fn judge_change(
        &mut self,
        n: State<N>,
        broken: Option<Property>,
        label: impl Fn() -> String,
    ) {
        if n != *self.from {
            self.judge(n, broken, label);
        }
    }
}
