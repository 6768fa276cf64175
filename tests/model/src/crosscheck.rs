//! The search against an independent model checker: `stateright` explores the same models, keeps its
//! own fingerprints and must find as many states, and a shortest trace as short.

use crate::lock::{AB, Bounds, LockModel};
use crate::master::{Loss, Rules, V2};
use crate::property::Property::{self, FencingTokensIncrease, TimedMutualExclusion};
use crate::quarantine::{Clocks, Quarantine, Rule};
use crate::rolling::Rolling;
use crate::search::{Limits, Model, search};
use crate::unit::{Identity, Rule as UnitRule, UnitModel};
use stateright::{Checker, Model as _};
use std::fmt::Debug;
use std::hash::Hash;

/// A state, and the property that the step to it broke.
#[derive(Clone, PartialEq, Hash, Debug)]
struct Node<S>(S, Option<Property>);

/// One of our models as one of theirs; an action is the state it leads to.
struct Theirs<M>(M);

impl<M> stateright::Model for Theirs<M>
where
    M: Model,
    M::S: Debug,
{
    type State = Node<M::S>;
    type Action = Node<M::S>;

    fn init_states(&self) -> Vec<Self::State> {
        vec![Node(self.0.canonical(self.0.init()), None)]
    }

    fn actions(&self, state: &Self::State, actions: &mut Vec<Self::Action>) {
        let mut steps = Vec::new();
        self.0.next(&state.0, &mut steps, false);
        actions.extend(
            steps.into_iter().map(|(_, next, broken)| Node(self.0.canonical(next), broken)),
        );
    }

    fn next_state(&self, _: &Self::State, action: Self::Action) -> Option<Self::State> {
        Some(action)
    }

    fn properties(&self) -> Vec<stateright::Property<Self>> {
        vec![stateright::Property::always("nothing is broken", |_, state: &Node<M::S>| {
            state.1.is_none()
        })]
    }
}

/// Both find the same; returns the number of states if it holds, else what broke and in how many
/// steps.
fn both<M>(model: impl Fn() -> M) -> Result<usize, (Property, usize)>
where
    M: Model + Send + Sync + 'static,
    M::S: Debug + Send + Sync + 'static,
{
    let progress = &|_, _| ();
    let ours = search(&model(), Limits { max_states: usize::MAX, ignore: &[], progress });
    let theirs = Theirs(model()).checker().spawn_bfs().join();
    let Some(broken) = ours.violation else {
        theirs.assert_properties();
        assert_eq!(theirs.unique_state_count(), ours.states);
        return Ok(ours.states);
    };
    let path = theirs.discovery("nothing is broken").expect("they find that it breaks");
    let (states, steps) = (path.clone().into_states(), path.into_actions().len());
    assert_eq!(states.last().and_then(|node| node.1), Some(broken));
    assert_eq!(steps, ours.depth);
    Err((broken, steps))
}

#[test]
fn untimed() {
    let model = |rules| LockModel::<3> {
        bounds: Bounds { rounds: [2, 1, 1], ..Bounds::untimed(rules, AB, [0; 3], 3) },
    };
    assert!(both(|| model(V2)).is_ok_and(|states| states > 10_000));
    let mixed = Rules { mixed_rounds: true, ..V2 };
    assert_eq!(both(|| model(mixed)), Err((FencingTokensIncrease, 10)));
}

#[test]
fn timed_with_restarts() {
    let model = |quar| {
        let bounds = Bounds::timed(V2, AB, [0; 3], 3).lean();
        let losses = &[Loss::SinceSnapshot, Loss::Flush];
        LockModel::<3> { bounds: Bounds { crashes: 1, snapshots: 1, losses, quar, ..bounds } }
    };
    assert!(both(|| model(2)).is_ok_and(|states| states > 10_000));
    let broken = both(|| model(1));
    assert!(broken.is_err_and(|(property, _)| property == TimedMutualExclusion));
}

#[test]
fn rolling_restarts() {
    let model = |settle| Rolling {
        rules: V2,
        drop: false,
        settle,
        quarantine_rounds: 1,
        no_lock_left: false,
        noise: 0,
    };
    assert_eq!(both(|| model(1)), Ok(239));
    assert_eq!(both(|| model(0)), Err((Property::LeaseSurvivesRollingRestart, 5)));
}

#[test]
fn quarantine() {
    let model =
        |rule| Quarantine { rule, last: 6, quar: 2, losses: 1, jumps: 0, clocks: Clocks::STEADY };
    assert!(both(|| model(Rule::Incident)).is_ok_and(|states| states > 1_000));
    let overwritten = Err((Property::AdoptionNeverStarved, 3));
    assert_eq!(both(|| model(Rule::LastSeen)), overwritten);
}

#[test]
fn old_primary() {
    let model = |rule| UnitModel {
        last: 8,
        limit: 2,
        stops: 3,
        pauses: 1,
        back: false,
        returns: None,
        rule,
        identity: Identity::Script,
    };
    assert!(both(|| model(UnitRule::Acknowledged)).is_ok_and(|states| states > 1_000));
    let late = both(|| model(UnitRule::MinReplicas));
    assert!(late.is_err_and(|(property, _)| property == Property::OldPrimaryStops));
}
