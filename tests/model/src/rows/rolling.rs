//! Rolling restarts of every master, without a bound on their number. "settle n": n fully delivered
//! extend rounds after an adoption before the next restart.

use super::table::Table;
use crate::master::{BRIEF, Rules, V2, V2P};
use crate::property::Property::LeaseSurvivesRollingRestart;
use crate::rolling::Rolling;
use holdfast_engine::Mutant;

const SETTLED: Rolling = Rolling {
    rules: V2,
    drop: false,
    settle: 1,
    quarantine_rounds: 1,
    no_lock_left: false,
    noise: 0,
};

pub(super) fn rows(t: &mut Table) {
    holding(t);
    too_early(t);
    without_a_rule(t);
}

fn holding(t: &mut Table) {
    t.rolling("f4-v2-settle1", "1 extend round after adoption", SETTLED);
    t.rolling("f4-v2-q0", "no extend round needed inside the quarantine", {
        Rolling { quarantine_rounds: 0, ..SETTLED }
    });
    t.rolling("f4-v2-settle2-drop", "settle 2, one message per healthy round lost", {
        Rolling { settle: 2, drop: true, ..SETTLED }
    });
    t.rolling("f4-v2-noise1", "noise between rounds", Rolling { noise: 1, ..SETTLED });
    t.rolling(
        "f4-v2-noise2",
        "noise also between votes and repairs (such rounds do not count)",
        Rolling { noise: 2, ..SETTLED },
    );
    t.rolling("f4-v2-noise3-settle2", "such rounds count, settle 2", {
        Rolling { noise: 3, settle: 2, ..SETTLED }
    });
    t.rolling("f4-p-settle1", "repair in quarantine with the `proven` rule, settle 1", {
        Rolling { rules: V2P, ..SETTLED }
    });
    t.rolling("f4-p-noise2", "the same, noise as in noise2", {
        Rolling { rules: V2P, noise: 2, ..SETTLED }
    });
    t.rolling("f4-brief-settle1", "first draft, settle 1 (but unsafe: t60)", {
        Rolling { rules: BRIEF, ..SETTLED }
    });
    t.rolling("f4-brief-settle0", "first draft, settle 0 (but unsafe: t60)", {
        Rolling { rules: BRIEF, settle: 0, ..SETTLED }
    });
}

fn too_early(t: &mut Table) {
    t.rolling("f4-v2-settle0", "next restart immediately after adoption", {
        Rolling { settle: 0, ..SETTLED }
    })
    .breaks(LeaseSurvivesRollingRestart);
    t.rolling("f4-p-settle0", "the same, repair in quarantine with the `proven` rule", {
        Rolling { rules: V2P, settle: 0, ..SETTLED }
    })
    .breaks(LeaseSurvivesRollingRestart);
    t.rolling("f4-v2-noise3", "rounds with a refused repair count, settle 1", {
        Rolling { noise: 3, ..SETTLED }
    })
    .breaks(LeaseSurvivesRollingRestart);
}

fn without_a_rule(t: &mut Table) {
    let ruled = |rules| Rolling { rules, ..SETTLED };
    t.rolling("f4-no-ext-floor", "extend does not raise the floor (but unsafe: u9)", {
        ruled(Rules { extend_raises: false, ..V2 })
    });
    t.rolling("f4-no-barrier", "no barrier", ruled(Rules { barrier: false, ..V2 }));
    t.rolling("f4-no-ballots", "extend without fresh ballot", {
        ruled(Rules { extend_ballot: false, ..V2 })
    })
    .breaks(LeaseSurvivesRollingRestart)
    .mutant(Mutant::ExtendWithoutBallot);
    let no_overwrite = ruled(Rules { repair_overwrites: false, ..V2 });
    t.rolling("f4-no-overwrite", "repair does not overwrite", no_overwrite)
        .breaks(LeaseSurvivesRollingRestart)
        .mutant(Mutant::RepairNeverOverwrites);
    t.rolling("f4-no-overwrite-nob", "the same, contender leaves no lock at a restart", {
        Rolling { no_lock_left: true, ..no_overwrite }
    })
    .breaks(LeaseSurvivesRollingRestart);
    t.rolling("f4-no-repair", "no repair", ruled(Rules { repair: false, ..V2 }))
        .breaks(LeaseSurvivesRollingRestart)
        .mutant(Mutant::NoRepair);
}
