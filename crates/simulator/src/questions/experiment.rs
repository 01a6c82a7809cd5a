//! Replications played side by side: a queue of jobs that threads take from, and results in the order of the jobs.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{Options, Progress, QuestionError, REPLICATIONS_MAX, Tell};
use crate::outcome::Outcome;
use crate::run::{Go, Run};
use crate::system::System;

/// What plays a replication: the engine, or something that pretends to be one.
pub(super) type Play<'a> =
    &'a (dyn Fn(&System, &Run, &mut dyn FnMut(f64) -> Go) -> Option<Outcome> + Sync);

/// Replications of a pilot have numbers from here on, so that they are independent of those that count.
pub(super) const PILOT: u32 = 1 << 31;

/// A question being answered.
#[derive(Clone, Copy)]
pub(super) struct Experiment<'a> {
    pub(super) options: &'a Options,
    pub(super) play: Play<'a>,
    pub(super) tell: Tell<'a>,
}

/// One replication to play.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job<'a> {
    pub(super) system: &'a System,
    pub(super) run: Run,
}

/// A part of the work a question is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stage<'a> {
    /// The share of the whole that is done when it begins, and when it ends.
    pub(super) span: (f64, f64),
    /// What is being done.
    pub(super) doing: &'a str,
}

/// How far each job is.
struct Meter {
    shares: Vec<f64>,
    goes_on: Go,
}

impl<'a> Experiment<'a> {
    /// The engine, asked like this.
    pub(super) fn new(options: &'a Options, tell: Tell<'a>) -> Self {
        Self { options, play: &crate::run::run, tell }
    }

    /// How many replications are played of everything.
    pub(super) fn replications(&self) -> u32 {
        self.options.replications.clamp(1, REPLICATIONS_MAX)
    }

    /// Plays jobs, each on one thread, and returns what `reduce` keeps of each, in their order. The largest things an outcome has
    /// do not outlive `reduce`, however many jobs there are.
    pub(super) fn play_all<T: Send>(
        &self,
        jobs: &[Job<'_>],
        stage: Stage<'_>,
        reduce: impl Fn(&System, Outcome) -> T + Sync,
    ) -> Result<Vec<T>, QuestionError> {
        let next = AtomicUsize::new(0);
        let meter = Mutex::new(Meter { shares: vec![0.0; jobs.len()], goes_on: Go::On });
        let work = || {
            let mut kept = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(job) = jobs.get(number) else { return Some(kept) };
                let mut tell = |share| self.report(jobs, stage, &meter, (number, share));
                if tell(0.0) == Go::Stop {
                    return None;
                }
                let outcome = (self.play)(job.system, &job.run, &mut tell)?;
                if tell(1.0) == Go::Stop {
                    return None;
                }
                kept.push((number, reduce(job.system, outcome)));
            }
        };
        let threads = self.options.threads.clamp(1, jobs.len().max(1));
        let parts: Vec<Option<Vec<(usize, T)>>> = std::thread::scope(|scope| {
            let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let joined = running.into_iter().map(std::thread::ScopedJoinHandle::join);
            joined.map(|it| it.unwrap_or_else(|panic| resume_unwind(panic))).collect()
        });
        let parts: Option<Vec<Vec<(usize, T)>>> = parts.into_iter().collect();
        let mut kept: Vec<(usize, T)> =
            parts.ok_or(QuestionError::Stopped)?.into_iter().flatten().collect();
        kept.sort_by_key(|it| it.0);
        Ok(kept.into_iter().map(|it| it.1).collect())
    }

    /// Notes how far a job is, tells, and says whether all goes on.
    fn report(
        &self,
        jobs: &[Job<'_>],
        stage: Stage<'_>,
        meter: &Mutex<Meter>,
        (number, share): (usize, f64),
    ) -> Go {
        // A thread that panicked ends the experiment by itself.
        let mut meter = meter.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(it) = meter.shares.get_mut(number) {
            *it = it.max(share.clamp(0.0, 1.0));
        }
        let total: f64 = jobs.iter().map(Job::weight).sum();
        let done = jobs.iter().zip(&meter.shares).map(|(job, share)| job.weight() * share);
        let (from, to) = stage.span;
        let share = (done.sum::<f64>() / total.max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
        if meter.goes_on == Go::On {
            let progress = Progress { done: from + (to - from) * share, doing: stage.doing };
            meter.goes_on = (self.tell)(progress);
        }
        meter.goes_on
    }
}

impl Job<'_> {
    /// How much work it is beside others: virtual time, times the load.
    fn weight(&self) -> f64 {
        self.system.scenario().duration.as_secs_f64() * self.run.load.max(f64::MIN_POSITIVE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::questions::pretended;

    fn stage() -> Stage<'static> {
        Stage { span: (0.25, 0.75), doing: "playing" }
    }

    fn jobs(system: &System) -> Vec<Job<'_>> {
        (0..7).map(|it| Job { system, run: pretended::run(it) }).collect()
    }

    #[test]
    fn results_are_in_order_whatever_the_threads() {
        let system = pretended::system();
        let of = |threads| {
            let options = Options { threads, ..Options::default() };
            let experiment =
                Experiment { options: &options, play: &pretended::play, tell: &|_| Go::On };
            let digests = experiment.play_all(&jobs(&system), stage(), |_, it| it.digest);
            digests.unwrap()
        };
        assert_eq!(of(1).len(), 7);
        assert_eq!(of(1), of(2));
        assert_eq!(of(1), of(100));
    }

    #[test]
    fn progress_grows_to_the_end_of_its_stage() {
        let system = pretended::system();
        let told = Mutex::new(Vec::new());
        let options = Options { threads: 2, ..Options::default() };
        let tell = |it: Progress<'_>| {
            told.lock().unwrap().push(it.done);
            Go::On
        };
        let experiment = Experiment { options: &options, play: &pretended::play, tell: &tell };
        experiment.play_all(&jobs(&system), stage(), |_, _| ()).unwrap();
        let told = told.into_inner().unwrap();
        assert!(told.is_sorted(), "{told:?}");
        assert!((told.first().unwrap() - 0.25).abs() < 1e-9);
        assert!((told.last().unwrap() - 0.75).abs() < 1e-9);
    }

    #[test]
    fn who_asked_may_stop_it() {
        let system = pretended::system();
        let options = Options { threads: 2, ..Options::default() };
        let tell = |it: Progress<'_>| if it.done < 0.5 { Go::On } else { Go::Stop };
        let experiment = Experiment { options: &options, play: &pretended::play, tell: &tell };
        let result = experiment.play_all(&jobs(&system), stage(), |_, _| ());
        assert_eq!(result, Err(QuestionError::Stopped));
    }
}
