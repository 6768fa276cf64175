//! One file a command. `run`, which is more than a command, has a folder of its own.

mod acquire;
mod extend;
mod release;

mod elect;
mod watch;

mod describe;
mod ls;
mod why;

mod force_release;

mod bench;
mod doctor;
mod status;

mod completions;

pub(crate) use acquire::{Acquire, acquire};
pub(crate) use bench::{Bench, bench};
pub(crate) use completions::{Completions, completions};
pub(crate) use describe::{Describe, describe};
pub(crate) use doctor::{Doctor, doctor};
pub(crate) use elect::{Elect, elect};
pub(crate) use extend::{Extend, extend};
pub(crate) use force_release::{ForceRelease, force_release};
pub(crate) use ls::{Ls, ls};
pub(crate) use release::{Release, name as outcome_name, release};
pub(crate) use status::{Status, status};
pub(crate) use watch::{Watch, watch};
pub(crate) use why::{Why, why};
