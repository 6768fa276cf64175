//! One fault after the other, up to three at once, until time is up and each kind has been seen.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::deployment::{Deployment, MASTERS};
use crate::history::{Event, Recorder, SECOND};
use crate::nemesis::fault::{Fault, Part};
use crate::nemesis::{Kind, OldFile};
use crate::output::say;

const AT_ONCE: usize = 3;
/// How long the masters may take to vote again before the next fault among them.
const VOTES_PATIENCE: Duration = Duration::from_secs(15);
/// How long after one fault the next one comes, at most; without what it waits for.
const LONGEST_PAUSE_MS: u64 = 3_000;
const STEP: Duration = Duration::from_millis(50);
/// How old a copy of what a master has on disk becomes before it is made anew.
const FILE_AGE: u64 = 30 * SECOND;
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);

/// The nemesis at work.
pub(crate) struct Storm<'a> {
    deployment: &'a mut Deployment,
    recorder: &'a Recorder,
    seed: u64,
    /// For the order of faults and the pauses between them.
    rng: SmallRng,
    /// What comes next is at the end.
    deck: Vec<Kind>,
    active: Vec<Active>,
    fired: BTreeMap<Kind, u64>,
    faults: u64,
    began: Instant,
}

struct Active {
    number: u64,
    kind: Kind,
    fault: Box<dyn Fault>,
    ends: Instant,
}

impl<'a> Storm<'a> {
    pub(crate) fn new(deployment: &'a mut Deployment, recorder: &'a Recorder, seed: u64) -> Self {
        Storm {
            deployment,
            recorder,
            seed,
            rng: SmallRng::seed_from_u64(seed),
            deck: Vec::new(),
            active: Vec::new(),
            fired: BTreeMap::new(),
            faults: 0,
            began: Instant::now(),
        }
    }

    /// Breaks and heals, at least for `span`, at most for twice as long and five minutes, or until
    /// `alarm`. Everything is healed at the end.
    pub(crate) async fn rage(
        &mut self,
        span: Duration,
        alarm: &watch::Receiver<bool>,
        progress: impl Fn() -> String,
    ) -> Result<()> {
        let (until, at_most) =
            (self.began + span, self.began + 2 * span + Duration::from_secs(300));
        let (mut next, mut next_progress) = (Instant::now(), Instant::now() + PROGRESS_INTERVAL);
        loop {
            let now = Instant::now();
            let enough = now >= until && self.fired.len() == Kind::ALL.len();
            if enough || now >= at_most || *alarm.borrow() {
                break;
            }
            self.heal(|active| active.ends <= now).await?;
            self.check_alive()?;
            if now >= next_progress {
                next_progress = now + PROGRESS_INTERVAL;
                let (kinds, all) = (self.fired.len(), Kind::ALL.len());
                let faults: u64 = self.fired.values().sum();
                self.say(&format!("{faults} faults, {kinds} of {all} kinds, {}", progress()));
            }
            if now >= next && self.active.len() < AT_ONCE && self.break_something().await? {
                let pause = self.rng.random_range(LONGEST_PAUSE_MS / 6..=LONGEST_PAUSE_MS);
                next = Instant::now() + Duration::from_millis(pause);
            }
            self.keep_old_files()?;
            sleep(STEP).await;
        }
        self.blow_over(alarm).await
    }

    /// What has begun goes on for as long as it was to last.
    async fn blow_over(&mut self, alarm: &watch::Receiver<bool>) -> Result<()> {
        while !self.active.is_empty() {
            let (now, alarmed) = (Instant::now(), *alarm.borrow());
            self.heal(|active| alarmed || active.ends <= now).await?;
            sleep(STEP).await;
        }
        Ok(())
    }

    /// Whether something was tried. What cannot be now waits for its turn.
    async fn break_something(&mut self) -> Result<bool> {
        if self.deck.is_empty() {
            self.deck = Kind::ALL.to_vec();
            self.deck.shuffle(&mut self.rng);
        }
        let Some(kind) = self.deck.last().copied() else { return Ok(false) };
        let alone = self.active.iter().any(|active| active.kind.stands_alone());
        let others = self.active.iter().any(|active| active.kind.is_about_masters());
        if (alone && kind.is_about_masters()) || (others && kind.stands_alone()) {
            return Ok(false);
        }
        let busy: HashSet<Part> =
            self.active.iter().flat_map(|active| active.fault.parts()).collect();
        // The same however often it has to be tried, as far as the same parts are well.
        let mut rng = SmallRng::seed_from_u64(self.seed.rotate_left(32) ^ (self.faults + 1));
        let Some(plan) = kind.plan(&mut rng, &busy, self.deployment) else { return Ok(false) };
        if plan.votes_wanted > 0 && self.active.is_empty() {
            // If they do not come back in time, that is for the checker of progress to say.
            self.deployment.wait_voting(plan.votes_wanted, VOTES_PATIENCE).await;
        } else if self.deployment.voting().await < plan.votes_wanted {
            return Ok(false);
        }
        self.deck.pop();
        self.inject(kind, plan.fault, plan.lasts).await?;
        Ok(true)
    }

    async fn inject(
        &mut self,
        kind: Kind,
        mut fault: Box<dyn Fault>,
        lasts: Duration,
    ) -> Result<()> {
        self.faults += 1;
        let (number, what) = (self.faults, fault.what());
        self.say(&format!("fault {number}: {what}, for {:.1} s", lasts.as_secs_f64()));
        let name = kind.name().to_owned();
        self.recorder.record(Event::Injecting { fault: number, kind: name, what });
        let ends = match fault.inject(self.deployment, self.recorder).await {
            Ok(evidence) => {
                self.recorder.record(Event::Fired { fault: number, evidence });
                *self.fired.entry(kind).or_default() += 1;
                Instant::now() + lasts
            }
            Err(error) => {
                self.say(&format!("fault {number} is not seen: {error:#}"));
                let why = format!("{error:#}");
                self.recorder.record(Event::Fizzled { fault: number, why });
                // Tried again before the round is over.
                self.deck.insert(0, kind);
                Instant::now()
            }
        };
        self.active.push(Active { number, kind, fault, ends });
        Ok(())
    }

    async fn heal(&mut self, due: impl Fn(&Active) -> bool) -> Result<()> {
        while let Some(index) = self.active.iter().position(&due) {
            let Active { number, mut fault, .. } = self.active.swap_remove(index);
            self.recorder.record(Event::Healing { fault: number });
            let healed = fault.heal(self.deployment, self.recorder).await;
            healed.with_context(|| format!("undoing fault {number}: {}", fault.what()))?;
            self.recorder.record(Event::Healed { fault: number });
        }
        Ok(())
    }

    /// Copies the files of masters that are well, one at a time.
    fn keep_old_files(&mut self) -> Result<()> {
        for master in 0..MASTERS {
            let is_busy =
                self.active.iter().any(|it| it.fault.parts().contains(&Part::Master(master)));
            let file = self.deployment.old_files[master].as_ref();
            if !is_busy && file.is_none_or(|file| file.age() > FILE_AGE) {
                return OldFile::take(self.deployment, master);
            }
        }
        Ok(())
    }

    /// Nobody ends who was not killed.
    fn check_alive(&self) -> Result<()> {
        let parts: HashSet<Part> =
            self.active.iter().flat_map(|active| active.fault.parts()).collect();
        let Deployment { masters, replicas, clients, .. } = &*self.deployment;
        let masters = masters.iter().map(|it| it.process()).enumerate();
        let replicas = replicas.iter().map(|it| it.process()).enumerate();
        let clients = clients.iter().map(|it| it.process()).enumerate();
        let all = masters
            .map(|(index, process)| (Part::Master(index), process))
            .chain(replicas.map(|(index, process)| (Part::Replica(index), process)))
            .chain(clients.map(|(index, process)| (Part::Client(index), process)));
        for (part, process) in all.filter(|(part, _)| !parts.contains(part)) {
            ensure!(!process.has_ended(), "{part:?} ended by itself{}", process.quote());
        }
        Ok(())
    }

    fn say(&self, what: &str) {
        say(&format!("[{:6.1} s] {what}", self.began.elapsed().as_secs_f64()));
    }
}
