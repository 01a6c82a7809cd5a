//! Scripts: what happens, a line each, and the transcript of what the planner made of it.

use std::fmt::Write as _;

use model::instance::{Exit, ProcessId};
use model::units::{DurationText, parse_duration};
use model::{InstanceId, ReleaseNumber, Timestamp};
use planner::Effect;
use world::rollout::Outcome;
use world::routing::Table;
use world::{Event, Purpose, Recorded, World};

use crate::commands::{self, At, Together};
use crate::definition::{self, name};

/// Plans in a row without anything happening, at most.
const PLANS_MAX: usize = 12;

/// Plays a script and writes down what was decided.
///
/// `apply` takes the definition that follows, indented; `started cart.1`, `ready`, `unready`, `dead`,
/// `exit cart.1 0`, `scale cart 3`, `restart cart`, `stop` and `+5s` are what they say. Several on
/// one line, with commas between, happen at once.
///
/// `deploy` takes a definition, too, and rolls out what is new in it. `rollback web`, `share web r1=90% r2=10%`,
/// `pause web`, `resume web`, `promote web`, `abort web` and `told web` are what people say; `count web
/// 950/1 50/2` is what the data plane does: requests and errors of the old release and the new one since
/// it last counted. `routes web` writes down who gets requests.
pub(crate) fn play(script: &str) -> String {
    let mut stage = Stage::default();
    let mut lines = script.lines().map(str::trim_end).filter(|it| !it.is_empty()).peekable();
    let indent = |it: &str| it.len() - it.trim_start().len();
    while let Some(line) = lines.next() {
        let mut definition = String::new();
        while lines.peek().is_some_and(|it| indent(line) < indent(it)) {
            definition.push_str(lines.next().unwrap());
            definition.push('\n');
        }
        stage.step(line.trim(), &definition);
    }
    stage.transcript
}

#[derive(Default)]
struct Stage {
    world: World,
    millis: u64,
    transcript: String,
}

impl Stage {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_000_000 + self.millis)
    }

    fn step(&mut self, line: &str, definition: &str) {
        writeln!(self.transcript, "> {line}").unwrap();
        for part in line.split(',').map(str::trim) {
            if let Some(delay) = part.strip_prefix('+') {
                self.millis += u64::try_from(parse_duration(delay).unwrap().as_millis()).unwrap();
                continue;
            }
            for event in self.events(part, definition) {
                self.record(event);
            }
        }
        self.settle();
    }

    fn events(&mut self, text: &str, definition: &str) -> Vec<Event> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let fact = |of: fn(model::ApplicationName, InstanceId) -> Event, id: &str| {
            vec![of(name("shop"), name(id))]
        };
        match words.as_slice() {
            ["apply"] => commands::apply(&self.world, &definition::read(definition), self.now()),
            ["scale", service, count] => {
                commands::scale(&self.world, service, count.parse().unwrap())
            }
            ["restart", service] => commands::restart(service),
            ["deploy", how @ ..] => {
                let together = if *how == ["together"] { Together::Yes } else { Together::No };
                let at = At { now: self.now(), together };
                commands::deploy(&self.world, &definition::read(definition), &at)
            }
            ["routes", service] => {
                let routed = routed(&self.world, service);
                writeln!(self.transcript, "  {routed}").unwrap();
                Vec::new()
            }
            ["stop"] => commands::stop(),
            [
                "rollback" | "share" | "abort" | "pause" | "resume" | "promote" | "told" | "count",
                ..,
            ] => self.about_rollout(&words),
            ["exit", id, code] => vec![Event::InstanceExited {
                application: name("shop"),
                instance: name(id),
                exit: Exit::Code(code.parse().unwrap()),
            }],
            ["started", id] => fact(
                |application, instance| Event::InstanceStarted {
                    application,
                    process: ProcessId { pid: instance.number, started_ticks: 0 },
                    instance,
                },
                id,
            ),
            ["ready", id] => {
                fact(|application, instance| Event::InstanceReady { application, instance }, id)
            }
            ["unready", id] => fact(
                |application, instance| Event::InstanceUnready {
                    application,
                    instance,
                    reason: "no answer".to_owned(),
                },
                id,
            ),
            ["dead", id] => fact(
                |application, instance| Event::LivenessFailed {
                    application,
                    instance,
                    reason: "no answer".to_owned(),
                },
                id,
            ),
            other => panic!("{other:?}"),
        }
    }

    fn about_rollout(&self, words: &[&str]) -> Vec<Event> {
        match words {
            ["rollback", service] => commands::roll_back(&self.world, service),
            ["share", service, shares @ ..] => {
                let share = |it: &&str| {
                    let (release, percent) = it.split_once('=').unwrap();
                    let release: ReleaseNumber = release.parse().unwrap();
                    (release.0, percent.trim_end_matches('%').parse().unwrap())
                };
                let shares: Vec<(u32, u32)> = shares.iter().map(share).collect();
                commands::share(&self.world, service, &shares)
            }
            ["abort", service] => vec![commands::abort(service, "aborted by hand")],
            [word @ ("pause" | "resume" | "promote" | "told"), service] => steered(word, service),
            ["count", service, old, new] => {
                let bad = |it: &str| {
                    let (requests, errors) = it.split_once('/').unwrap();
                    (requests.parse().unwrap(), errors.parse().unwrap())
                };
                let counted = (bad(old), bad(new));
                commands::observed(&self.world, service, counted).into_iter().collect()
            }
            other => panic!("{other:?}"),
        }
    }

    fn record(&mut self, event: Event) {
        let recorded = Recorded { index: self.world.index.next(), at: self.now(), event };
        self.world.fold(&recorded).unwrap();
    }

    fn settle(&mut self) {
        for _ in 0..PLANS_MAX {
            let plan = planner::plan(&self.world, self.now());
            if plan.record.is_empty() {
                let effects: Vec<String> = plan.effects.iter().map(describe).collect();
                if !effects.is_empty() {
                    writeln!(self.transcript, "  do {}", effects.join(", ")).unwrap();
                }
                if let Some(wake_in) = plan.wake_in {
                    writeln!(self.transcript, "  wake in {}", DurationText(wake_in)).unwrap();
                }
                return;
            }
            for event in plan.record {
                writeln!(self.transcript, "  {}", decision(&event)).unwrap();
                self.record(event);
            }
        }
        panic!("it does not settle:\n{}", self.transcript);
    }
}

fn steered(word: &str, service: &str) -> Vec<Event> {
    let (application, service) = (name("shop"), name(service));
    vec![match word {
        "pause" => Event::RolloutPaused { application, service, by: None },
        "resume" => Event::RolloutResumed { application, service, by: None },
        "promote" => Event::RolloutPromoted { application, service, by: None },
        _ => Event::RolloutTold { application, service, failure: None },
    }]
}

/// The shares of a service's releases, if they have any, and its instances that get requests.
fn routed(world: &World, service: &str) -> String {
    let table = Table::of(world);
    let backend = &table.backends[&format!("shop/{service}")];
    let shares = backend.split.iter().map(|it| format!("{}={}", it.release, it.weight));
    let instances = backend.endpoints.iter().map(|it| format!("{}@{}", it.instance, it.release));
    let trial = backend.trial.iter().map(|it| format!("{} against {}", it.new, it.old));
    shares.chain(instances).chain(trial).collect::<Vec<_>>().join(", ")
}

fn describe(effect: &Effect) -> String {
    match effect {
        Effect::Launch { instance, .. } => format!("launch {instance}"),
        Effect::Stop { instance, .. } => format!("stop {instance}"),
        Effect::Tell { service, .. } => format!("tell of {service}"),
    }
}

fn decision(event: &Event) -> String {
    match event {
        Event::InstanceCreated { instance, purpose: Purpose::ReleaseCommand, release, .. } => {
            format!("create {instance} for the release command of {release}")
        }
        Event::InstanceCreated { instance, slot, release, port, .. } => {
            format!("create {instance} in slot {slot}, {release}, port {port}")
        }
        Event::InstanceStopping { instance, reason, .. } => format!("stop {instance}: {reason}"),
        Event::CrashLoopDeclared { service, failures, .. } => {
            format!("{service} crash-loops after {failures} failures")
        }
        Event::CrashLoopCleared { service, .. } => format!("{service} no longer crash-loops"),
        Event::ApplicationStopped { application } => format!("{application} is stopped"),
        Event::RolloutStepBegun { service, step, .. } => format!("{service} prepares step {step}"),
        Event::RolloutTrafficMoved { service, step, .. } => format!("{service} takes step {step}"),
        Event::RolloutJudged { service, verdict, reason, .. } => {
            format!("{service}: {verdict:?}: {reason}")
        }
        Event::RolloutEnded { service, outcome, .. } => match outcome {
            Outcome::Completed => format!("{service} is rolled out"),
            Outcome::Rejected { reason } => format!("{service} is rejected: {reason}"),
            Outcome::Aborted { reason } => format!("{service} is aborted: {reason}"),
        },
        Event::ReleaseRetired { service, group, .. } => {
            format!("{service} retires group {}", group.0)
        }
        Event::TrafficSet { service, .. } => format!("{service} is handed over"),
        other => panic!("the planner may not decide {other:?}"),
    }
}
