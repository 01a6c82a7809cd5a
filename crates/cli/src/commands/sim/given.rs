//! What is asked about: an application and what it is put through, from files or from the library, with what the command line
//! changes of them.

use std::fs;
use std::path::{Path, PathBuf};

use manifest::{Kind, Problems, import};
use model::Application;
use model::profile::Profile;
use model::scenario::{FaultKind, Load, LoadPart, Scenario};
use model::workload::WorkTime;
use simulator::System;

use super::{architectures, duration};
use crate::Context;
use crate::arguments::simulation::Playing;
use crate::error::CommandError;
use crate::input;
use crate::output::Output;

/// What a scenario is called that lies beside an application's file.
const SCENARIO: &str = "scenario.yaml";
/// Keys of a scenario that an application's file has not.
const SCENARIO_KEYS: [&str; 8] =
    ["duration", "warm_up", "users", "network", "faults", "objective", "abandoned", "deadlines"];

/// A text and what it is called in messages.
#[derive(Clone, Debug)]
struct Text {
    name: String,
    text: String,
}

/// An application and what it is put through.
#[derive(Clone, Debug)]
pub(super) struct Given<'a> {
    context: &'a Context,
    application: Text,
    scenario: Option<Text>,
    playing: Playing,
    sets: Vec<Change>,
    /// What is assumed since nobody said so.
    pub(super) assumptions: Vec<String>,
}

/// A value to set at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    option: String,
    path: String,
    value: String,
}

impl Change {
    /// A path and a value that were given to `option`.
    pub(super) fn new(option: &str, path: &str, value: &str) -> Result<Self, CommandError> {
        if path.is_empty() {
            return Err(not_a_change(option, &format!("={value}")));
        }
        Ok(Self { option: option.to_owned(), path: path.to_owned(), value: value.to_owned() })
    }

    /// Each written `services.cart.replicas=3`.
    pub(super) fn all(option: &str, texts: &[String]) -> Result<Vec<Self>, CommandError> {
        let one = |text: &String| match text.split_once('=') {
            Some((path, value)) => Self::new(option, path.trim(), value.trim()),
            None => Err(not_a_change(option, text)),
        };
        texts.iter().map(one).collect()
    }

    fn apply(&self, to: &mut Text) -> Result<(), CommandError> {
        let failed = |it| {
            let Self { option, path, value } = self;
            CommandError::wrong(format!("{option} {path}={value}: {it} ({})", to.name))
        };
        to.text = manifest::set(&to.text, &self.path, &self.value).map_err(failed)?;
        Ok(())
    }
}

fn not_a_change(option: &str, text: &str) -> CommandError {
    CommandError::wrong(format!(
        "{option}: `{text}` is no change; write for example `services.cart.replicas=3`"
    ))
}

impl<'a> Given<'a> {
    /// Finds what is meant: a file, the file in a folder, or what is built in.
    pub(super) fn find(
        context: &'a Context,
        what: Option<&str>,
        playing: &Playing,
        output: &mut Output,
    ) -> Result<Self, CommandError> {
        let path = what.map(Path::new);
        let is_there = path.is_none_or(|it| context.folder.join(it).exists());
        let built_in = what.filter(|_| !is_there).and_then(architectures::find);
        let (application, scenario) = match (built_in, what) {
            (Some(it), _) => {
                let text = |text: &str, of: &str| Text {
                    name: format!("{}{of}", it.name),
                    text: text.to_owned(),
                };
                (text(it.manifest, ""), Some(text(it.scenario, "'s scenario")))
            }
            (None, Some(what)) if !is_there => {
                return Err(CommandError::wrong(format!(
                    "there is no file `{what}`, and no architecture of that name is built in; \
                     `pelago sim list` lists those"
                )));
            }
            (None, _) => from_file(context, path, output)?,
        };
        let scenario = match &playing.scenario {
            Some(path) => Some(read_text(context, &context.folder.join(path))?),
            None => scenario,
        };
        let mut given = Self {
            context,
            application,
            scenario,
            playing: playing.clone(),
            sets: Change::all("--set", &playing.set)?,
            assumptions: Vec::new(),
        };
        given.assume();
        let warnings = given.check(output)?;
        for it in warnings.iter().filter(|it| !it.is_empty()) {
            output.notes(&it.to_string())?;
        }
        Ok(given)
    }

    /// The same, with the scenario of another if it has none of its own.
    pub(super) fn beside(mut self, other: &Self) -> Self {
        if self.scenario.is_none() {
            self.scenario.clone_from(&other.scenario);
        }
        self
    }

    /// The same at another load.
    pub(super) fn with_load(&self, load: &str) -> Self {
        let playing = Playing { load: Some(load.to_owned()), users: None, ..self.playing.clone() };
        Self { playing, ..self.clone() }
    }

    /// Says what is assumed.
    fn assume(&mut self) {
        if self.scenario.is_none() && self.playing.load.is_none() && self.playing.users.is_none() {
            self.assumptions.push(format!(
                "{} requests/s come from outside (there is no {SCENARIO}, and no `--load`)",
                manifest::RATE_DEFAULT
            ));
        }
    }

    /// The application and the scenario with some changes, ready to be played.
    pub(super) fn system(&self, changes: &[Change]) -> Result<System, CommandError> {
        let (application, scenario, _) = self.read(changes).map_err(Unread::in_a_line)?;
        System::new(&application, &scenario).map_err(|it| CommandError::wrong(model::chain(&it)))
    }

    /// What a shock in words is: a fault without its time.
    pub(super) fn trigger(
        &self,
        text: &str,
        output: &mut Output,
    ) -> Result<FaultKind, CommandError> {
        let (application, ..) = self.read(&[]).map_err(Unread::in_a_line)?;
        let fault = manifest::fault(&format!("at 0s for 1s {text}"), &application);
        let named = |it| Unread::Problems(Box::new(it), "--trigger".to_owned()).shown(output);
        fault.map(|it| it.what).map_err(named)
    }

    /// Reads everything once, shows what is wrong, and returns what is odd.
    fn check(&self, output: &mut Output) -> Result<Vec<Problems>, CommandError> {
        let read = self.read(&[]);
        read.map(|(_, _, warnings)| warnings).map_err(|it| it.shown(output))
    }

    fn read(&self, changes: &[Change]) -> Result<Understood, Unread> {
        let (application, scenario) = self.changed(changes)?;
        let environment = input::environment_for_import(self.context, &application.name);
        let problems = |name: &str| {
            let name = name.to_owned();
            move |it| Unread::Problems(Box::new(it), name)
        };
        let read = manifest::read(&application.name, &application.text, &environment)
            .map_err(problems(&application.name))?;
        let scenario = scenario
            .unwrap_or_else(|| Text { name: "no scenario".to_owned(), text: "{}\n".to_owned() });
        let meant = manifest::scenario(&scenario.name, &scenario.text, &read.application)
            .map_err(problems(&scenario.name))?;
        let mut scenario = meant.scenario;
        self.overrule(&mut scenario, &meant.application)?;
        Ok((meant.application, scenario, vec![read.warnings, meant.warnings]))
    }

    /// Both texts with what `--set` says and some further changes.
    fn changed(&self, changes: &[Change]) -> Result<(Text, Option<Text>), Unread> {
        let mut application = self.application.clone();
        let mut scenario = self.scenario.clone();
        for change in self.sets.iter().chain(changes) {
            let mut parts = change.path.splitn(4, '.');
            let key = parts.next().unwrap_or_default();
            let is_there =
                |parts: &str| scenario.as_ref().is_some_and(|it| manifest::has(&it.text, parts));
            let of_scenario = if let (true, Some(service)) = (key == "services", parts.next()) {
                let of_service = format!("services.{service}");
                let in_application = manifest::has(&application.text, &of_service);
                let in_scenario = is_there(&of_service);
                if !in_application && !in_scenario {
                    let text = format!(
                        "{} {}: there is no service `{service}` in {}",
                        change.option, change.path, application.name
                    );
                    return Err(CommandError::wrong(text).into());
                }
                // What the scenario says of a service counts before what the file says.
                let part = parts.next().unwrap_or_default();
                !in_application || is_there(&format!("{of_service}.{part}"))
            } else {
                SCENARIO_KEYS.contains(&key)
            };
            if of_scenario {
                let nothing = || Text { name: "--set".to_owned(), text: String::new() };
                change.apply(scenario.get_or_insert_with(nothing))?;
            } else {
                change.apply(&mut application)?;
            }
        }
        Ok((application, scenario))
    }

    /// What the command line says in place of the scenario.
    fn overrule(&self, scenario: &mut Scenario, application: &Application) -> Result<(), Unread> {
        let playing = &self.playing;
        if let Some(text) = &playing.duration {
            scenario.duration = duration("--duration", text)?;
        }
        if let Some(text) = &playing.warm_up {
            scenario.warm_up = Some(duration("--warm-up", text)?);
        }
        if scenario.warm_up.is_some_and(|it| scenario.duration <= it) {
            let text = "the warm-up is as long as the run, so that nothing is counted; make the run longer";
            return Err(CommandError::wrong(text).into());
        }
        if let Some(text) = &playing.load {
            let wrong = |it| CommandError::wrong(format!("--load: {}", model::chain(&it)));
            let is_profile = text.contains(" for ") || text.contains(" in ");
            let profile = if is_profile {
                text.parse::<Profile>()
            } else {
                Profile::parse_rate(text, scenario.duration)
            };
            share_load(scenario, &profile.map_err(wrong)?);
        }
        if let Some(users) = playing.users {
            share_users(scenario, users, &duration("--think", &playing.think)?.into());
        }
        for text in &playing.fault {
            let fault = manifest::fault(text, application);
            let named = |it| Unread::Problems(Box::new(it), format!("--fault '{text}'"));
            scenario.faults.push(fault.map_err(named)?);
        }
        Ok(())
    }
}

type Understood = (Application, Scenario, Vec<Problems>);

/// Why something could not be read.
#[derive(Debug)]
enum Unread {
    /// What is wrong, and in what.
    Problems(Box<Problems>, String),
    Other(CommandError),
}

impl From<CommandError> for Unread {
    fn from(error: CommandError) -> Self {
        Self::Other(error)
    }
}

impl Unread {
    /// The error of a command that has shown the problems, or cannot.
    fn in_a_line(self) -> CommandError {
        match self {
            Self::Other(error) => error,
            Self::Problems(problems, name) => {
                let first = problems.list().first().map(|it| it.message.clone());
                CommandError::wrong(format!("{name}: {}", first.unwrap_or_default()))
            }
        }
    }

    /// Shows the problems with their places, and what is left to say.
    fn shown(self, output: &mut Output) -> CommandError {
        let Self::Problems(problems, name) = self else { return self.in_a_line() };
        let count = problems.list().len() + problems.left_off();
        let things = if count == 1 { "problem" } else { "problems" };
        let shown = input::report(&problems, output);
        shown.err().unwrap_or_else(|| CommandError::wrong(format!("{count} {things} in {name}")))
    }
}

/// The application of a file and the scenario beside it, or what the file says of one.
fn from_file(
    context: &Context,
    path: Option<&Path>,
    output: &mut Output,
) -> Result<(Text, Option<Text>), CommandError> {
    let file = input::find(context, path)?;
    let mut application = read_text(context, &file)?;
    let Text { name, text } = &application;
    let environment = &input::environment_for_import(context, name);
    let imported = match manifest::detect(name, text) {
        Kind::Pelago => None,
        Kind::Compose => Some(import::compose(name, text, environment)),
        Kind::Procfile => Some(import::procfile(name, text, environment)),
        Kind::Spigo => Some(import::spigo(name, text, environment)),
    };
    let mut of_file = None;
    if let Some(imported) = imported {
        let problems = |it| Unread::Problems(Box::new(it), name.clone()).shown(output);
        let imported = imported.map_err(problems)?;
        application.text = imported.yaml;
        let said = format!("{}, as a scenario", application.name);
        of_file = imported.scenario.map(|text| Text { name: said, text });
    }
    let beside: Option<PathBuf> = file.parent().map(|it| it.join(SCENARIO));
    let scenario = beside.filter(|it| it.is_file()).map(|it| read_text(context, &it));
    Ok((application, scenario.transpose()?.or(of_file)))
}

fn read_text(context: &Context, path: &Path) -> Result<Text, CommandError> {
    let failed = |source| CommandError::File { path: path.to_owned(), verb: "read", source };
    let text = fs::read_to_string(path).map_err(failed)?;
    Ok(Text { name: input::shown(context, path), text })
}

/// The part of the load that each kind of users has: as their rates at the beginning are, or evenly where some have none.
fn parts(scenario: &Scenario) -> Vec<f64> {
    let rate = |load: &Load| match load {
        Load::Open(parts) => parts.first().map(|it| it.from),
        Load::Closed { .. } => None,
    };
    let rates: Option<Vec<f64>> = scenario.users.iter().map(|it| rate(&it.load)).collect();
    let rates = rates.filter(|it| it.iter().all(|it| 0.0 < *it));
    let rates = rates.unwrap_or_else(|| vec![1.0; scenario.users.len()]);
    let total: f64 = rates.iter().sum();
    rates.into_iter().map(|it| it / total).collect()
}

fn share_load(scenario: &mut Scenario, profile: &Profile) {
    let shares = parts(scenario);
    for (users, share) in scenario.users.iter_mut().zip(shares) {
        let part = |it: &model::profile::Segment| LoadPart {
            from: it.from.per_second() * share,
            to: it.to.per_second() * share,
            lasts: it.duration,
        };
        users.load = Load::Open(profile.segments().iter().map(part).collect());
    }
}

fn share_users(scenario: &mut Scenario, all: u32, think: &Think) {
    let shares = parts(scenario);
    let mut left = all;
    let count = scenario.users.len();
    for (place, (users, share)) in scenario.users.iter_mut().zip(shares).enumerate() {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a number is no more than it"
        )]
        let mine = (f64::from(all) * share).round() as u32;
        // Rounding may leave one or two over: they belong to the last.
        let mine = if place + 1 == count { left } else { mine.min(left) };
        left -= mine;
        users.load = Load::Closed { users: mine, think: think.0.clone() };
    }
}

/// How long users think: at random, so long on average.
struct Think(WorkTime);

impl From<std::time::Duration> for Think {
    fn from(mean: std::time::Duration) -> Self {
        Self(WorkTime::Exponential { mean })
    }
}
