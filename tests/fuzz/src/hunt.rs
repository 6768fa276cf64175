//! The hunt: so many cases of one strategy against one checker, each from a seed that can be repeated,
//! a failure shrunk to the smallest case that fails.
//!
//! A checker says what is wrong in words. A panic is wrong too, also one in a task that the case
//! started: every hunt runs on one thread, and so does everything it starts. Deliberately absent: any
//! knowledge of what is hunted.

use crate::panics;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Cases of one seed: a failure is repeated by running no more than these.
pub const CHUNK: u64 = 1_000;
/// Tries to make a failing case smaller.
const SHRINKS: u32 = 2_000;
/// And the longest time for that: some cases fail only after a while.
const SHRINK_MILLIS: u32 = 120_000;

/// What a checker says of one case: nothing, or what is wrong.
pub type Verdict = Result<(), String>;

/// How much is hunted, and from which seed.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How many cases.
    pub cases: u64,
    /// The first chunk has this seed, later ones have seeds that follow from it.
    pub seed: u64,
    /// Somebody may want to watch.
    pub progress: Arc<Progress>,
    /// Checks nothing, and finds the case of this number: the one that hangs.
    pub show: Option<u64>,
}

impl Plan {
    /// So many cases, watched by nobody.
    pub fn new(cases: u64, seed: u64) -> Self {
        Self { cases, seed, progress: Arc::default(), show: None }
    }

    /// The case of this number in the chunk of this seed.
    pub fn to_show(number: u64, seed: u64) -> Self {
        Self { show: Some(number), ..Self::new(number + 1, seed) }
    }
}

/// How far a hunt has come.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    tries: AtomicU64,
    chunk_seed: AtomicU64,
}

impl Progress {
    /// Cases that are over.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// The same, and what was tried to make a failing one smaller.
    pub fn tries(&self) -> u64 {
        self.tries.load(Ordering::Relaxed)
    }

    /// The seed that repeats the case that runs.
    pub fn chunk_seed(&self) -> u64 {
        self.chunk_seed.load(Ordering::Relaxed)
    }
}

/// A case that failed.
#[derive(Debug)]
pub struct Found {
    /// What is wrong.
    pub why: String,
    /// The smallest case that shows it.
    pub case: String,
    /// The seed of its chunk.
    pub seed: u64,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nsmallest case (seed {}): {}", self.why, self.seed, self.case)
    }
}

/// Hunts.
pub fn hunt<S: Strategy>(
    plan: &Plan,
    strategy: &S,
    check: impl FnMut(S::Value) -> Verdict,
) -> Result<(), Found> {
    let check = RefCell::new(check);
    let mut left = plan.cases;
    for chunk in 0.. {
        if left == 0 {
            break;
        }
        let cases = left.min(CHUNK);
        left -= cases;
        let seed = chunk_seed(plan.seed, chunk);
        plan.progress.chunk_seed.store(seed, Ordering::Relaxed);
        let shrinks = if plan.show.is_some() { 0 } else { SHRINKS };
        let mut runner = runner(cases as u32, shrinks, seed);
        let failed = Cell::new(false);
        let outcome = runner.run(strategy, |input| {
            if let Some(number) = plan.show {
                return show(number, &plan.progress);
            }
            let verdict = panics::none_during(|| (check.borrow_mut())(input));
            plan.progress.tries.fetch_add(1, Ordering::Relaxed);
            if !failed.get() {
                plan.progress.done.fetch_add(1, Ordering::Relaxed);
            }
            verdict.map_err(|why| {
                failed.set(true);
                TestCaseError::fail(why)
            })
        });
        outcome.map_err(|error| found(error, seed))?;
    }
    Ok(())
}

fn show(number: u64, progress: &Progress) -> Result<(), TestCaseError> {
    match progress.done.fetch_add(1, Ordering::Relaxed) == number {
        true => Err(TestCaseError::fail("this case")),
        false => Ok(()),
    }
}

fn runner(cases: u32, max_shrink_iters: u32, seed: u64) -> TestRunner {
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters,
        max_shrink_time: SHRINK_MILLIS,
        ..Config::default()
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

/// The first chunk has the seed of the run, so that the seed of a chunk repeats it.
fn chunk_seed(seed: u64, chunk: u64) -> u64 {
    if chunk == 0 {
        return seed;
    }
    // Splitmix: neighbours of neighbouring seeds must not be the same chunks again.
    let mut mixed = seed.wrapping_add(chunk.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn found<T: fmt::Debug>(error: TestError<T>, seed: u64) -> Found {
    match error {
        TestError::Fail(why, case) => {
            Found { why: why.to_string(), case: format!("{case:?}"), seed }
        }
        TestError::Abort(why) => Found { why: why.to_string(), case: "none".to_owned(), seed },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::any;

    #[test]
    fn a_wrong_answer_is_found_and_made_small() {
        let plan = Plan::new(10_000, 1);
        let found = hunt(&plan, &any::<u32>(), |number| match number {
            1_000.. => Err(format!("{number} is too much")),
            _ => Ok(()),
        });
        let found = found.expect_err("nothing was found");
        assert_eq!((found.why.as_str(), found.case.as_str()), ("1000 is too much", "1000"));
    }

    #[test]
    fn a_panic_is_found() {
        let plan = Plan::new(10_000, 1);
        let found = hunt(&plan, &any::<u32>(), |number| {
            assert!(number < 77, "a seeded panic");
            Ok(())
        });
        let found = found.expect_err("nothing was found");
        assert!(found.why.contains("a seeded panic"), "{found}");
        assert_eq!(found.case, "77");
    }

    #[test]
    fn a_panic_in_a_task_is_found() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let plan = Plan::new(100, 1);
        let found = hunt(&plan, &any::<bool>(), |panics| {
            runtime.block_on(async {
                // The task dies of it, and nobody asks how it ended.
                let task = tokio::spawn(async move { assert!(!panics, "a seeded panic") });
                drop(task.await);
            });
            Ok(())
        });
        assert!(found.expect_err("nothing was found").why.contains("a seeded panic"));
    }

    #[test]
    fn a_case_is_shown_without_being_tried() {
        let shown = hunt(&Plan::to_show(3, 7), &any::<u64>(), |_| Err("tried".to_owned()));
        let mut drawn = Vec::new();
        let all = hunt(&Plan::new(4, 7), &any::<u64>(), |number| {
            drawn.push(number);
            Ok(())
        });
        assert!(all.is_ok());
        assert_eq!(shown.expect_err("not shown").case, drawn[3].to_string());
    }

    #[test]
    fn the_seed_of_a_chunk_repeats_it() {
        let plan = Plan::new(5 * CHUNK, 7);
        let drawn = |plan: &Plan| {
            let mut drawn = Vec::new();
            let all = hunt(plan, &any::<u64>(), |number| {
                drawn.push(number);
                Ok(())
            });
            assert!(all.is_ok());
            drawn
        };
        let all = drawn(&plan);
        assert_eq!(plan.progress.done(), 5 * CHUNK);
        let last = drawn(&Plan::new(CHUNK, plan.progress.chunk_seed()));
        assert_eq!(all[4 * CHUNK as usize..], last);
        assert_ne!(all[..CHUNK as usize], last);
    }
}
