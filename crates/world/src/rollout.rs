//! The state of a rollout: traffic on its way from one release of a service to another.
//!
//! A rollout is recorded step by step: what was wished, where it is, what the data plane counted, what
//! was judged. Everything a verdict is made of is here, so that a control process that has just
//! been started judges exactly as the one before it would have.

pub use model::rollout::Counts;
use model::rollout::{Step, Strategy, THRESHOLDS, Update};
use model::units::Share;
use model::{Index, ReleaseNumber, ServiceName, Timestamp};
use serde::{Deserialize, Serialize};

/// Observations kept apart. Beyond that, neighbours are put together, so that each spans twice the time:
/// half an hour in seconds fits once, a week in blocks of ten minutes.
pub const OBSERVATIONS_MAX: usize = 1_024;

/// The number of a group of instances among those of its service. Numbers are used again.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct GroupNumber(pub u32);

/// One rollout, from its start to its outcome. A service has one at a time, and remembers the last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "three facts, none of which follows from others")]
pub struct Rollout {
    /// The index of the event that started it: its name.
    pub id: Index,
    /// Why there is one.
    pub kind: Kind,
    /// The release that had the traffic.
    pub from: ReleaseNumber,
    /// The release that should have it.
    pub to: ReleaseNumber,
    /// The group that runs `to`. A rolling or immediate rollout replaces the instances of the main group.
    pub group: GroupNumber,
    /// How it goes.
    pub update: Update,
    /// Who wanted it.
    pub by: Option<String>,
    /// Services that are rolled out with it: their rollouts wait for each other, and fail together.
    pub together: Vec<ServiceName>,
    /// When it was started.
    pub started_at: Timestamp,
    /// How far it has come.
    pub stage: Stage,
    /// Since when it is there.
    pub stage_since: Timestamp,
    /// Since when it is paused, if somebody paused it.
    pub paused_since: Option<Timestamp>,
    /// Whether somebody has said that the stage it is in is good enough.
    pub promote_asked: bool,
    /// What was judged in this stage, if that is decided.
    pub judged: Option<Judged>,
    /// Latencies of the old release, frozen before anything was compared.
    pub thresholds: Option<Thresholds>,
    /// The counters of the data plane as they were last.
    pub counted: Counted,
    /// What was observed, oldest first, at most [`OBSERVATIONS_MAX`].
    pub observations: Vec<Observation>,
    /// Instances of the new release that ended, or failed their checks, without having been asked to.
    pub failures: u32,
    /// How the last of them ended, in words.
    pub last_failure: Option<String>,
    /// How it ended, and when.
    pub outcome: Option<(Outcome, Timestamp)>,
    /// Whether requests keep to a release by a key, so that those of one caller are not independent.
    #[serde(default)]
    pub is_by_key: bool,
    /// Whether whoever wants to be told of the outcome has been told, or nobody wants to.
    pub told: bool,
}

/// What a rollout is to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RolloutPlan {
    /// Why there is one.
    pub kind: Kind,
    /// The release that has the traffic.
    pub from: ReleaseNumber,
    /// The release that should have it.
    pub to: ReleaseNumber,
    /// The group that is to run `to`.
    pub group: GroupNumber,
    /// How it goes.
    pub update: Update,
    /// Who wanted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Services that are rolled out with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub together: Vec<ServiceName>,
    /// Whether requests keep to a release by a key, so that those of one caller are not independent.
    #[serde(default)]
    pub is_by_key: bool,
}

/// Why there is a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A release that has not had all the traffic yet.
    Deploy,
    /// A release that had it before. It is not judged.
    Rollback,
}

/// How far a rollout has come. Steps are counted from 0; the one after the last step of the policy is
/// the one to all traffic. Strategies other than canary have only that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The new release's instances for a step are being started. Traffic is as it was.
    Preparing {
        /// The step.
        step: u32,
    },
    /// The new release gets the traffic of a step.
    Taking {
        /// The step.
        step: u32,
        /// Counters of the data plane with this mark are of this stage: the index of the event that
        /// moved the traffic, or froze the thresholds.
        epoch: Index,
    },
}

/// What a rollout has come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The new release has all the traffic.
    Completed,
    /// The new release was found bad, and the old one has all the traffic again.
    Rejected {
        /// Why, in one sentence.
        reason: String,
    },
    /// Somebody ended it, and the old release has all the traffic again.
    Aborted {
        /// Why, in words: who, or what took its place.
        reason: String,
    },
}

/// A verdict on one stage, for good.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// Why, in one sentence.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// The three verdicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// That the new release is worse than allowed was ruled out.
    Pass,
    /// The new release is worse than allowed.
    Fail,
    /// Neither could be shown in time.
    Inconclusive,
}

/// Latencies of the old release: first attempts slower than these are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thresholds {
    /// What is allowed over its median, its 95th and its 99th percentile, and one and a half and three times that, in
    /// microseconds.
    pub latency_us: [u64; THRESHOLDS],
    /// Requests they were read from.
    pub requests: u64,
}

/// What the data plane's counters were last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Their mark.
    pub epoch: Index,
    /// The process that counts. Another one counts from zero.
    pub source: u32,
    /// The old release's.
    pub old: Counts,
    /// The new release's.
    pub new: Counts,
}

/// What was counted in a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// When it ended.
    pub at: Timestamp,
    /// The step it was in.
    pub step: u32,
    /// The new release's share of requests that was in force; absent where they were not shared by chance.
    pub weight: Option<Share>,
    /// Whether it is too early to be judged.
    pub is_warm_up: bool,
    /// Whether there were thresholds, so that `slow` means something.
    pub has_thresholds: bool,
    /// The old release's.
    pub old: Counts,
    /// The new release's.
    pub new: Counts,
}

impl Outcome {
    /// What became of the rollout, in a word.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Rejected { .. } => "rejected",
            Self::Aborted { .. } => "aborted",
        }
    }

    /// Why it did not succeed, if it did not.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Completed => None,
            Self::Rejected { reason } | Self::Aborted { reason } => Some(reason),
        }
    }
}

impl Verdict {
    /// What is said of whom it is about: it `passed`.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Pass => "passed",
            Self::Fail => "failed",
            Self::Inconclusive => "is undecided",
        }
    }
}

impl Observation {
    /// Both together, if they are of the same circumstances.
    fn with(&self, later: &Self) -> Option<Self> {
        let alike = self.step == later.step
            && self.weight == later.weight
            && self.is_warm_up == later.is_warm_up
            && self.has_thresholds == later.has_thresholds;
        let (old, new) = (self.old.plus(&later.old), self.new.plus(&later.new));
        alike.then_some(Self { old, new, ..*later })
    }
}

impl Rollout {
    /// One that has just been started.
    pub(crate) fn new(plan: &RolloutPlan, id: Index, at: Timestamp) -> Self {
        Self {
            id,
            kind: plan.kind,
            from: plan.from,
            to: plan.to,
            group: plan.group,
            update: plan.update.clone(),
            by: plan.by.clone(),
            together: plan.together.clone(),
            started_at: at,
            stage: Stage::Preparing { step: 0 },
            stage_since: at,
            paused_since: None,
            promote_asked: false,
            judged: None,
            thresholds: None,
            counted: Counted::default(),
            observations: Vec::new(),
            failures: 0,
            last_failure: None,
            outcome: None,
            is_by_key: plan.is_by_key,
            told: false,
        }
    }

    /// It has come to another stage.
    pub(crate) fn enter(&mut self, stage: Stage, at: Timestamp) {
        self.stage = stage;
        self.stage_since = at;
        self.judged = None;
        self.promote_asked = false;
    }

    /// Takes in counters of the data plane. Those of another epoch are of another stage, and say nothing.
    pub(crate) fn observe(&mut self, counted: &Counted, at: Timestamp) {
        let Stage::Taking { step, epoch } = self.stage else { return };
        if counted.epoch != epoch {
            return;
        }
        let goes_on = self.counted.epoch == epoch && self.counted.source == counted.source;
        let before = if goes_on { self.counted } else { Counted::default() };
        self.counted = *counted;
        self.observations.push(Observation {
            at,
            step,
            weight: Some(self.share(step)).filter(|it| *it != Share::ALL),
            is_warm_up: at.since(self.stage_since) < self.update.analysis.warm_up,
            has_thresholds: self.thresholds.is_some(),
            old: counted.old.since(&before.old),
            new: counted.new.since(&before.new),
        });
        if OBSERVATIONS_MAX < self.observations.len() {
            self.observations = pairs(&self.observations);
        }
    }

    /// Whether it has not ended.
    pub const fn is_active(&self) -> bool {
        self.outcome.is_none()
    }

    /// The step it is at.
    pub const fn step(&self) -> u32 {
        match self.stage {
            Stage::Preparing { step } | Stage::Taking { step, .. } => step,
        }
    }

    /// The step to all traffic.
    pub fn last_step(&self) -> u32 {
        u32::try_from(self.steps().len()).unwrap_or(u32::MAX)
    }

    /// The steps that are judged.
    fn steps(&self) -> &[Step] {
        match (self.kind, self.update.strategy) {
            (Kind::Deploy, Strategy::Canary) => &self.update.steps,
            _ => &[],
        }
    }

    /// What the policy says of a step; nothing of the one to all traffic.
    pub fn policy(&self, step: u32) -> Option<&Step> {
        self.steps().get(step as usize)
    }

    /// The new release's share of traffic in a step.
    pub fn share(&self, step: u32) -> Share {
        self.policy(step).map_or(Share::ALL, |it| it.weight)
    }

    /// The share of traffic the new release gets now.
    pub fn weight(&self) -> Share {
        match (&self.outcome, self.stage) {
            (None, Stage::Preparing { step: 0 }) => Share::ZERO,
            (None, Stage::Preparing { step }) => self.share(step - 1),
            (None, Stage::Taking { step, .. }) => self.share(step),
            (Some((Outcome::Completed, _)), _) => Share::ALL,
            (Some(_), _) => Share::ZERO,
        }
    }

    /// Whether it replaces the instances of the group that serves, in their slots.
    pub const fn is_in_place(&self) -> bool {
        matches!(self.kind, Kind::Deploy) && self.update.strategy.is_in_place()
    }
}

/// Neighbours put together, two by two, where they are of the same circumstances.
fn pairs(observations: &[Observation]) -> Vec<Observation> {
    let mut put_together = Vec::with_capacity(observations.len().div_ceil(2));
    let mut left = observations;
    loop {
        left = match left {
            [] => return put_together,
            [one, rest @ ..] => match rest.split_first() {
                Some((other, beyond)) if let Some(both) = one.with(other) => {
                    put_together.push(both);
                    beyond
                }
                _ => {
                    put_together.push(*one);
                    rest
                }
            },
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rollout() -> Rollout {
        let steps = r#"[{"weight": "5%"}, {"weight": "50%"}]"#;
        let analysis = r#"{"alpha": "1%", "max_ratio": 1.25, "max_duration": "30m",
            "on_inconclusive": "hold", "warm_up": "5s"}"#;
        let plan = format!(
            r#"{{"kind": "deploy", "from": 11, "to": 12, "group": 1, "update": {{"strategy":
                "canary", "steps": {steps}, "keep_old": "1h", "auto_promote": true,
                "auto_revert": true, "analysis": {analysis}}}}}"#
        );
        Rollout::new(&serde_json::from_str(&plan).unwrap(), Index(7), Timestamp::EPOCH)
    }

    fn counted(epoch: u64, source: u32, requests: u64) -> Counted {
        let counts = |requests| Counts { requests, ..Counts::default() };
        let (old, new) = (counts(requests * 19), counts(requests));
        Counted { epoch: Index(epoch), source, old, new }
    }

    #[test]
    fn what_is_observed_is_the_difference() {
        let mut rollout = rollout();
        let at = |seconds: u64| Timestamp::from_millis(seconds * 1_000);
        rollout.observe(&counted(9, 1, 5), at(1));
        assert_eq!(rollout.observations, [], "nothing is taken yet");
        rollout.enter(Stage::Taking { step: 0, epoch: Index(9) }, at(10));
        let cases = [
            (counted(9, 1, 5), 5, true),
            (counted(9, 1, 8), 3, false),
            // Another process counts from zero.
            (counted(9, 2, 2), 2, false),
            (counted(9, 2, 2), 0, false),
        ];
        for (seconds, (counted, new, is_warm_up)) in (14..).step_by(2).zip(cases) {
            rollout.observe(&counted, at(seconds));
            let last = rollout.observations.last().unwrap();
            assert_eq!((last.new.requests, last.old.requests), (new, new * 19));
            assert_eq!((last.is_warm_up, last.weight), (is_warm_up, Some(Share::from_percent(5))));
        }
        rollout.observe(&counted(8, 2, 99), at(30));
        assert_eq!(rollout.observations.len(), 4, "another epoch says nothing");
    }

    #[test]
    fn however_long_it_takes_nothing_is_lost() {
        let mut rollout = rollout();
        let mut total = 0;
        for step in 0..2 {
            let epoch = Index(9 + u64::from(step));
            rollout.enter(Stage::Taking { step, epoch }, Timestamp::EPOCH);
            for second in 1..=3_000_u64 {
                let at = Timestamp::from_millis(second * 1_000);
                rollout.observe(&counted(epoch.0, 1, second * second), at);
            }
            total += 3_000 * 3_000;
        }
        assert!(rollout.observations.len() <= OBSERVATIONS_MAX);
        let sum = |step| {
            let of_step = rollout.observations.iter().filter(|it| it.step == step);
            of_step.map(|it| it.new.requests).sum::<u64>()
        };
        assert_eq!((sum(0), sum(1), sum(0) + sum(1)), (9_000_000, 9_000_000, total));
        let warm_up = rollout.observations.iter().filter(|it| it.is_warm_up);
        assert_eq!(warm_up.map(|it| it.new.requests).sum::<u64>(), 2 * 16);
    }

    #[test]
    fn shares_follow_the_stage() {
        let mut rollout = rollout();
        assert_eq!(rollout.weight(), Share::ZERO);
        let stages = [
            (Stage::Taking { step: 0, epoch: Index(1) }, 5),
            (Stage::Preparing { step: 1 }, 5),
            (Stage::Taking { step: 1, epoch: Index(2) }, 50),
            (Stage::Preparing { step: 2 }, 50),
            (Stage::Taking { step: 2, epoch: Index(3) }, 100),
        ];
        for (stage, expected) in stages {
            rollout.enter(stage, Timestamp::EPOCH);
            assert_eq!(rollout.weight(), Share::from_percent(expected), "{stage:?}");
        }
        rollout.outcome = Some((Outcome::Completed, Timestamp::EPOCH));
        assert_eq!(rollout.weight(), Share::ALL);
        let reason = String::new();
        rollout.outcome = Some((Outcome::Rejected { reason }, Timestamp::EPOCH));
        assert_eq!(rollout.weight(), Share::ZERO);
    }
}
