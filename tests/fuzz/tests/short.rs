//! A little of every target, so that what a change breaks is seen the same day.
//!
//! Deliberately absent: cases enough to find what is rare; `make fuzz` has those.

use holdfast_fuzz::hunt::Plan;
use holdfast_fuzz::targets::TARGETS;

#[test]
fn a_little_of_every_target() {
    for target in TARGETS {
        if let Err(found) = (target.run)(&Plan::new(target.short, 1)) {
            panic!("{}: {found}", target.name);
        }
    }
}
