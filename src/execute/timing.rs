//! When a run has to end: the time limits, the wish to stop, and the grace between asking and killing.
//!
//! Pure: the caller brings the time, and does what it is told.

use std::time::{Duration, Instant};

use crate::job::{Deadline, Exit, Limits, Sign};

/// What the caller has to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Nothing,
    /// Ask the run to end (SIGTERM).
    Ask,
    /// End it (SIGKILL).
    Kill,
}

/// The clock of one run.
#[derive(Debug)]
pub struct Timing {
    limits: Limits,
    started: Instant,
    progress: Instant,
    ending: Option<Ending>,
}

#[derive(Debug)]
struct Ending {
    why: Exit,
    asked: Instant,
    killed: bool,
}

impl Timing {
    pub fn new(limits: &Limits, now: Instant) -> Timing {
        Timing { limits: limits.clone(), started: now, progress: now, ending: None }
    }

    /// A line came; one that shows progress puts off the quiet limit.
    pub fn heard(&mut self, sign: Sign, now: Instant) {
        if sign == Sign::Progress {
            self.progress = now;
        }
    }

    /// What is to be done; each order is given once.
    pub fn order(&mut self, stop: bool, now: Instant) -> Order {
        if let Some(ending) = &mut self.ending {
            if ending.killed || now.duration_since(ending.asked) < self.limits.grace {
                return Order::Nothing;
            }
            ending.killed = true;
            return Order::Kill;
        }
        let over = |limit: Option<Duration>, since| {
            limit.is_some_and(|limit| now.duration_since(since) >= limit)
        };
        let why = if stop {
            Exit::Stopped
        } else if over(self.limits.total, self.started) {
            Exit::TimedOut(Deadline::Total)
        } else if over(self.limits.quiet, self.progress) {
            Exit::TimedOut(Deadline::Quiet)
        } else {
            return Order::Nothing;
        };
        self.ending = Some(Ending { why, asked: now, killed: false });
        Order::Ask
    }

    /// Takes the grace away: what is asked to end is killed next.
    pub fn hurry(&mut self) {
        self.limits.grace = Duration::ZERO;
    }

    /// Why the run was ended by us, if it was.
    pub fn ended_by_us(&self) -> Option<Exit> {
        self.ending.as_ref().map(|ending| ending.why.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        let seconds = Duration::from_secs;
        Limits {
            total: Some(seconds(100)),
            quiet: Some(seconds(10)),
            grace: seconds(5),
            ..Limits::default()
        }
    }

    #[test]
    fn progress_puts_off_the_quiet_limit_and_talk_does_not() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut timing = Timing::new(&limits(), start);
        timing.heard(Sign::Progress, at(8));
        timing.heard(Sign::Talk, at(17));
        assert_eq!(timing.order(false, at(17)), Order::Nothing);
        assert_eq!(timing.order(false, at(18)), Order::Ask);
        assert_eq!(timing.ended_by_us(), Some(Exit::TimedOut(Deadline::Quiet)));
        assert_eq!(timing.order(true, at(20)), Order::Nothing);
        assert_eq!(timing.order(false, at(23)), Order::Kill);
        assert_eq!(timing.order(false, at(99)), Order::Nothing);
    }

    #[test]
    fn progress_does_not_put_off_the_total_limit() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut timing = Timing::new(&limits(), start);
        for second in 1..100 {
            timing.heard(Sign::Progress, at(second));
            assert_eq!(timing.order(false, at(second)), Order::Nothing);
        }
        assert_eq!(timing.order(false, at(100)), Order::Ask);
        assert_eq!(timing.ended_by_us(), Some(Exit::TimedOut(Deadline::Total)));
    }

    #[test]
    fn a_wish_to_stop_is_followed_at_once() {
        let now = Instant::now();
        let mut timing = Timing::new(&Limits::default(), now);
        assert_eq!(timing.order(false, now), Order::Nothing);
        assert_eq!(timing.order(true, now), Order::Ask);
        assert_eq!(timing.order(true, now), Order::Kill);
        assert_eq!(timing.ended_by_us(), Some(Exit::Stopped));
    }

    #[test]
    fn who_is_in_a_hurry_does_not_wait_for_the_grace() {
        let now = Instant::now();
        let mut timing = Timing::new(&limits(), now);
        assert_eq!(timing.order(true, now), Order::Ask);
        assert_eq!(timing.order(true, now), Order::Nothing);
        timing.hurry();
        assert_eq!(timing.order(true, now), Order::Kill);
        assert_eq!(timing.order(true, now), Order::Nothing);
        assert_eq!(timing.ended_by_us(), Some(Exit::Stopped));
    }
}
