//! When CMD is asked to end, and when it is killed: the whole policy, without a process in it.

use std::time::Duration;

use super::boottime::Boot;

/// How long what has to end is given for it, if the deadline allows as much.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is done to CMD's group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// SIGTERM.
    Terminate,
    /// SIGKILL.
    Kill,
}

/// Asked to end when a third of the ttl is left, which two renewals missed; killed a twentieth of the ttl
/// (at least 20 ms) before the deadline. Once it is known that it must end, a second later at most.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    ttl: Duration,
    deadline: Boot,
    ordered: Option<Boot>,
    last: Option<Step>,
    /// When what was asked to end is killed, whatever comes.
    kill_by: Option<Boot>,
}

impl Schedule {
    pub(crate) fn new(ttl: Duration, deadline: Boot) -> Self {
        Self { ttl, deadline, ordered: None, last: None, kill_by: None }
    }

    /// The lock was renewed, or ends earlier than was thought. What was asked to end is not told
    /// otherwise, and has no more time for it.
    pub(crate) fn moved(&mut self, deadline: Boot) {
        self.deadline = deadline;
    }

    /// It must end, whatever the deadline: the lock is lost, or nobody renews it, or CMD is over.
    pub(crate) fn end(&mut self, now: Boot) {
        self.ordered = Some(self.ordered.map_or(now, |before| before.min(now)));
    }

    pub(crate) fn deadline(&self) -> Boot {
        self.deadline
    }

    /// What is done next, and when. `None`: all is done.
    pub(crate) fn next(&self) -> Option<(Boot, Step)> {
        let kill_at = self.kill_at();
        match self.last {
            Some(Step::Kill) => None,
            Some(Step::Terminate) => Some((kill_at, Step::Kill)),
            None => {
                let terminate_at = self.deadline.before(self.ttl / 3);
                let terminate_at = self.ordered.map_or(terminate_at, |at| at.min(terminate_at));
                if terminate_at < kill_at {
                    Some((terminate_at, Step::Terminate))
                } else {
                    Some((kill_at, Step::Kill))
                }
            }
        }
    }

    /// A step was taken.
    pub(crate) fn done(&mut self, step: Step) {
        self.kill_by = Some(self.kill_at());
        self.last = Some(step);
    }

    /// Whether what does not run may be let go on: nothing was done, and nothing is due.
    pub(crate) fn allows(&self) -> bool {
        let due = self.next().is_some_and(|(at, _)| at.remaining().is_zero());
        self.last.is_none() && !due
    }

    /// When the parent kills what has not ended.
    pub(crate) fn kill_at(&self) -> Boot {
        let kill_at = self.at_latest(PATIENCE, self.look());
        self.kill_by.map_or(kill_at, |by| by.min(kill_at))
    }

    /// When the keeper does, should the parent have missed that.
    pub(crate) fn backup_kill_at(&self) -> Boot {
        self.at_latest(2 * PATIENCE, self.look() / 2)
    }

    fn at_latest(&self, patience: Duration, margin: Duration) -> Boot {
        let last = self.deadline.before(margin);
        self.ordered.map_or(last, |at| at.after(patience).min(last))
    }

    /// How often the clock is looked at.
    pub(crate) fn look(&self) -> Duration {
        (self.ttl / 20).max(Duration::from_millis(20))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(30);

    #[test]
    fn without_a_renewal_it_is_asked_and_then_killed_before_the_deadline() {
        let deadline = Boot::now().after(Duration::from_secs(100));
        let mut schedule = Schedule::new(TTL, deadline);
        let asked = deadline.before(Duration::from_secs(10));
        assert_eq!(schedule.next(), Some((asked, Step::Terminate)));
        schedule.done(Step::Terminate);
        let killed = deadline.before(Duration::from_millis(1_500));
        assert_eq!(schedule.next(), Some((killed, Step::Kill)));
        schedule.done(Step::Kill);
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn another_deadline_moves_both() {
        let deadline = Boot::now().after(Duration::from_secs(100));
        let mut schedule = Schedule::new(TTL, deadline);
        for moved in [deadline.after(Duration::from_secs(7)), deadline.before(TTL / 2)] {
            schedule.moved(moved);
            assert_eq!(schedule.deadline(), moved);
            assert_eq!(schedule.next(), Some((moved.before(TTL / 3), Step::Terminate)));
            assert_eq!(schedule.kill_at(), moved.before(TTL / 20));
        }
    }

    #[test]
    fn a_known_loss_leaves_a_second_at_most_and_never_beyond_the_deadline() {
        let now = Boot::now();
        let mut schedule = Schedule::new(TTL, now.after(TTL));
        schedule.end(now);
        schedule.end(now.after(PATIENCE));
        assert_eq!(schedule.next(), Some((now, Step::Terminate)));
        assert_eq!(schedule.kill_at(), now.after(PATIENCE));
        assert_eq!(schedule.backup_kill_at(), now.after(2 * PATIENCE));

        let close = now.after(Duration::from_millis(1_600));
        let mut schedule = Schedule::new(TTL, close);
        schedule.end(now);
        assert_eq!(schedule.kill_at(), close.before(TTL / 20));
        assert_eq!(schedule.backup_kill_at(), close.before(TTL / 40));
    }

    #[test]
    fn what_was_asked_to_end_is_not_given_more_time() {
        let deadline = Boot::now().after(Duration::from_secs(100));
        let mut schedule = Schedule::new(TTL, deadline);
        assert!(schedule.allows());
        schedule.done(Step::Terminate);
        schedule.moved(deadline.after(TTL));
        assert!(!schedule.allows());
        assert_eq!(schedule.next(), Some((deadline.before(TTL / 20), Step::Kill)));
        schedule.moved(deadline.before(TTL));
        assert_eq!(schedule.kill_at(), deadline.before(TTL).before(TTL / 20));
    }

    #[test]
    fn what_is_due_is_not_let_go_on() {
        let now = Boot::now();
        assert!(!Schedule::new(TTL, now).allows());
        let mut schedule = Schedule::new(TTL, now.after(TTL));
        schedule.end(now);
        assert!(!schedule.allows());
    }

    #[test]
    fn with_no_time_left_it_is_killed_at_once() {
        let now = Boot::now();
        let schedule = Schedule::new(Duration::from_millis(50), now.after(TTL));
        // A third of this ttl is less than the margin.
        assert_eq!(schedule.next(), Some((schedule.kill_at(), Step::Kill)));
    }
}
