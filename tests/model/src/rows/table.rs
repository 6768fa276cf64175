//! What a row is, and how the table is filled: `holds` unless said otherwise, and cheap unless said
//! otherwise.

use crate::lock::{Bounds, LockModel, Unit};
use crate::property::Property::{self, AdoptionNeverEarly, AdoptionNeverStarved, NoZombie};
use crate::quarantine::Quarantine;
use crate::rolling::Rolling;
use crate::search::{Limits, Model, Outcome, search};
use crate::unit::UnitModel;
use holdfast_engine::Mutant;

/// More states than this are not searched (about 6 GiB).
const MAX_STATES: usize = 100_000_000;

/// How much a row costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cost {
    /// A couple of seconds at most; part of the test.
    Quick,
    /// Up to three minutes and 3 GiB.
    Slow,
    /// More than that; only on request.
    Huge,
}

/// What a row must show.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Expect {
    Holds,
    /// A negative control: the search must find a trace that breaks this.
    Breaks(Property),
}

/// Explores a row; told which properties are not required, and whom to tell of the progress.
type Run = Box<dyn Fn(&[Property], &dyn Fn(usize, usize)) -> Outcome + Send + Sync>;

/// One row of the table.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) words: &'static str,
    pub(crate) cost: Cost,
    pub(crate) expect: Expect,
    /// The engine can be built with the same rule taken away.
    pub(crate) mutant: Option<Mutant>,
    ignore: Vec<Property>,
    run: Run,
}

impl Row {
    pub(crate) fn run(&self, progress: &dyn Fn(usize, usize)) -> Outcome {
        (self.run)(&self.ignore, progress)
    }

    pub(crate) fn is_met(&self, outcome: &Outcome) -> bool {
        match self.expect {
            Expect::Holds => outcome.complete && outcome.violation.is_none(),
            Expect::Breaks(property) => outcome.violation == Some(property),
        }
    }

    pub(crate) fn slow(&mut self) -> &mut Self {
        self.cost = Cost::Slow;
        self
    }

    pub(crate) fn huge(&mut self) -> &mut Self {
        self.cost = Cost::Huge;
        self
    }

    /// A negative control. What breaks besides is no news: zombies, or starving where a quarantine
    /// may end early.
    pub(crate) fn breaks(&mut self, property: Property) -> &mut Self {
        self.expect = Expect::Breaks(property);
        self.ignore = match property {
            NoZombie => Vec::new(),
            AdoptionNeverEarly => vec![AdoptionNeverStarved],
            _ => vec![NoZombie],
        };
        self
    }

    /// These properties are not required.
    pub(crate) fn ignoring(&mut self, properties: &[Property]) -> &mut Self {
        self.ignore.extend(properties);
        self
    }

    pub(crate) fn mutant(&mut self, mutant: Mutant) -> &mut Self {
        self.mutant = Some(mutant);
        self
    }
}

/// Collects the rows.
pub(crate) struct Table(Vec<Row>);

impl Table {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn into_rows(self) -> Vec<Row> {
        self.0
    }

    /// A row of the lock model with three masters.
    pub(super) fn lock(
        &mut self,
        name: &'static str,
        words: &'static str,
        bounds: Bounds,
    ) -> &mut Row {
        assert_eq!(bounds.unit, Unit::Off, "{name}: a unit has a second process");
        self.row(name, words, LockModel::<3> { bounds })
    }

    /// A row of the lock model with five masters.
    pub(super) fn lock5(
        &mut self,
        name: &'static str,
        words: &'static str,
        bounds: Bounds,
    ) -> &mut Row {
        self.row(name, words, LockModel::<5> { bounds })
    }

    /// A row of the lock model with three masters, one of which has a second process.
    pub(super) fn unit(
        &mut self,
        name: &'static str,
        words: &'static str,
        bounds: Bounds,
    ) -> &mut Row {
        self.row(name, words, LockModel::<4> { bounds })
    }

    pub(super) fn rolling(
        &mut self,
        name: &'static str,
        words: &'static str,
        model: Rolling,
    ) -> &mut Row {
        self.row(name, words, model)
    }

    pub(super) fn quarantine(
        &mut self,
        name: &'static str,
        words: &'static str,
        model: Quarantine,
    ) -> &mut Row {
        self.row(name, words, model)
    }

    /// A row about the old primary of a unit.
    pub(super) fn primary(
        &mut self,
        name: &'static str,
        words: &'static str,
        model: UnitModel,
    ) -> &mut Row {
        self.row(name, words, model)
    }

    fn row<M>(&mut self, name: &'static str, words: &'static str, model: M) -> &mut Row
    where
        M: Model + Send + Sync + 'static,
    {
        let run: Run = Box::new(move |ignore, progress| {
            search(&model, Limits { max_states: MAX_STATES, ignore, progress })
        });
        let at = self.0.len();
        self.0.push(Row {
            name,
            words,
            cost: Cost::Quick,
            expect: Expect::Holds,
            mutant: None,
            ignore: Vec::new(),
            run,
        });
        &mut self.0[at]
    }
}
