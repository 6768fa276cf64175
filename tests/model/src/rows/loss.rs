//! Memory loss: restarts with and without memory, flushes, quarantine and p_base, with equal clocks.
//! ttl = MAX_TTL = 2 ticks, QUAR = 3 unless stated; T = last tick. Restarts from a dump are in
//! `aged`, those with skewed clocks in `skew`.

use super::table::Table;
use crate::lock::{AAB, AB, Bounds, Watch};
use crate::master::{BRIEF, Loss, Rules, V2, V2P};
use crate::property::Property::{SupersededLeaseStaysLost, TimedMutualExclusion};
use holdfast_engine::Mutant;

pub(super) fn rows(t: &mut Table) {
    one_crash(t);
    more_crashes(t);
    flushes(t);
    quarantine(t);
    five_masters(t);
}

fn crashing(extends: [u8; 3], last: u8, crashes: u8) -> Bounds {
    Bounds { crashes, ..Bounds::timed(V2, AB, extends, last) }
}

fn one_crash(t: &mut Table) {
    t.lock("t22-crash1-noise", "1 crash, noise 1, T=4, no release", {
        Bounds { noise: 1, release: false, ..crashing([0; 3], 4, 1) }
    })
    .slow();
    t.lock("t50-crash1-keep-or-lose", "crash keeps or loses memory, A e1, B, T=5", {
        Bounds { losses: &[Loss::All, Loss::Nothing], ..crashing([1, 0, 0], 5, 1) }
    })
    .huge();
    t.lock("t52-jump1-crash1", "1 early expiry, 1 crash, A e1, T=4, no release (F2 not judged)", {
        Bounds { early_expiries: 1, release: false, ..crashing([1, 0, 0], 4, 1) }
    })
    .slow()
    .ignoring(&[TimedMutualExclusion]);
    t.lock("t53-crash1-ext", "1 crash, A e1, B, T=5, release and give-up", {
        crashing([1, 0, 0], 5, 1)
    })
    .huge();
    t.lock("t61-crash1-ext2", "1 crash, A e2, B, T=4, lean", crashing([2, 0, 0], 4, 1).lean())
        .slow();
    t.lock("t65-crash1-ext2-T5", "1 crash, A e2, B, T=5, lean", {
        crashing([2, 0, 0], 5, 1).lean()
    })
    .slow();
    t.lock("t70-crash1-ext2-ext1", "1 crash, A e2, B e1, T=5, lean", {
        crashing([2, 1, 0], 5, 1).lean()
    })
    .slow();
    t.lock("t66-AAB-crash1-reuse", "AAB, 1 crash, reuse after release, T=3, no give-up", {
        Bounds { crashes: 1, give_up: false, ..Bounds::timed(V2, AAB, [0; 3], 3) }
    })
    .slow();
    t.lock("w2-watch-loss", "watcher of pairs, 1 crash, T=4, lean", {
        Bounds { watch: Watch::Pair, ..crashing([0; 3], 4, 1).lean() }
    })
    .slow();
    t.lock("w4-watch-loss-ext", "watcher of intervals, 1 crash, A e1, T=4, lean", {
        Bounds { watch: Watch::Interval, ..crashing([1, 0, 0], 4, 1).lean() }
    })
    .slow();
}

fn more_crashes(t: &mut Table) {
    t.lock("t51-crash2-noext", "2 crashes, T=6, no release", {
        Bounds { release: false, ..crashing([0; 3], 6, 2) }
    })
    .huge();
    t.lock("t56-crash2-ext", "2 crashes, A e1, T=4, lean", crashing([1, 0, 0], 4, 2).lean()).slow();
    t.lock("t57-crash2-ext-T5", "2 crashes, A e1, T=5, lean", crashing([1, 0, 0], 5, 2).lean())
        .slow();
    t.lock(
        "t58-same-master-twice-ext",
        "same master restarted again after its adoption, A e1, T=7, lean",
        Bounds { same_master: true, ..crashing([1, 0, 0], 7, 2).lean() },
    )
    .slow();
    t.lock("t69-crash2-ext2", "2 crashes, A e2, B, T=5, lean", {
        crashing([2, 0, 0], 5, 2).lean()
    })
    .huge();
    t.lock("t73-crash3-ext", "3 crashes, A e1, B, T=5, lean", crashing([1, 0, 0], 5, 3).lean())
        .slow();
    t.lock("t74-crash3-release", "3 crashes, A, B, release and give-up, T=4", {
        crashing([0; 3], 4, 3)
    })
    .slow();
    t.lock("t75-crash3-keep-or-lose", "3 crashes that keep or lose memory, A e1, T=4, lean", {
        Bounds { losses: &[Loss::All, Loss::Nothing], ..crashing([1, 0, 0], 4, 3).lean() }
    })
    .slow();
    t.lock("t76-crash3-T6", "3 crashes, A, B, T=6, lean", crashing([0; 3], 6, 3).lean()).slow();
}

fn flushes(t: &mut Table) {
    t.lock("t63-flush1-ext2", "FLUSHALL (messages survive), A e2, T=4, lean", {
        Bounds { losses: &[Loss::Flush], ..crashing([2, 0, 0], 4, 1).lean() }
    })
    .slow();
    t.lock("t67-flush1-ext", "FLUSHALL, A e1, T=4, release and give-up", {
        Bounds { losses: &[Loss::Flush], ..crashing([1, 0, 0], 4, 1) }
    })
    .slow();
    t.lock("t68-lose-keep-flush-ext2", "lose / keep / FLUSHALL, A e2, T=4, lean", {
        let losses = &[Loss::All, Loss::Nothing, Loss::Flush];
        Bounds { losses, ..crashing([2, 0, 0], 4, 1).lean() }
    })
    .slow();
}

fn quarantine(t: &mut Table) {
    t.lock("t21-quar-eq-ttl", "QUAR = MAX_TTL exactly, 1 crash, T=5", {
        Bounds { quar: 2, ..crashing([0; 3], 5, 1) }
    })
    .slow();
    t.lock("t20-quar-short", "QUAR 1 < ttl 2, 1 crash, T=4", {
        Bounds { quar: 1, ..crashing([0; 3], 4, 1) }
    })
    .breaks(TimedMutualExclusion)
    .mutant(Mutant::NoQuarantine);
    let with = |rules: Rules, extends, last| Bounds { rules, ..crashing(extends, last, 1).lean() };
    t.lock(
        "t60-brief-crash1-ext2",
        "repair in quarantine without the `proven` rule, A e2, T=4, lean",
        with(BRIEF, [2, 0, 0], 4),
    )
    .slow()
    .breaks(SupersededLeaseStaysLost)
    .mutant(Mutant::RepairInQuarantine);
    t.lock("p-t61-crash1-ext2", "repair in quarantine with the `proven` rule, A e2, T=4, lean", {
        with(V2P, [2, 0, 0], 4)
    })
    .slow();
    let no_base = Rules { p_base: false, ..V2 };
    t.lock("t30-nopbase", "no p_base, A e1, T=5, lean", with(no_base, [1, 0, 0], 5)).slow();
    t.lock("t32-nopbase-ext2", "no p_base, A e2, T=4, lean", with(no_base, [2, 0, 0], 4))
        .slow()
        .breaks(SupersededLeaseStaysLost)
        .mutant(Mutant::NoBallotBase);
}

fn five_masters(t: &mut Table) {
    t.lock5("n5-timed", "N=5, 1 crash, T=4, no release", {
        Bounds { release: false, ..crashing([0; 3], 4, 1) }
    })
    .slow();
    t.lock5("n5-crash2", "N=5, 2 crashes, T=3, lean", crashing([0; 3], 3, 2).lean()).slow();
}
