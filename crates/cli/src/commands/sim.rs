//! `pelago sim`: questions to an application in virtual time.
//!
//! No control process is asked: what is simulated is what the files say, and the answer is the same on any machine. Here files
//! are read, options understood, and answers shown; what is asked of the engine is `simulator`'s.

mod answer;
mod architectures;
mod comparison;
mod decisions;
mod figure;
mod given;
mod map;
mod points;
mod progress;
mod replay;
#[cfg(test)]
mod sample;
mod summary;

use std::process::ExitCode;
use std::time::Duration;

use ::report::Subject;
use model::profile::Rate;
use model::units::{Share, parse_duration};
use simulator::System;
use simulator::questions::{self, CapacityOptions, Options, QuestionError, StormOptions};

use crate::Context;
use crate::arguments::simulation::{
    Compare, FindCapacity, Playing, Question, Run, Sim, Storm, Sweep,
};
use crate::error::CommandError;
use crate::output::Output;
use figure::Extent;
use given::{Change, Given};
use progress::Meter;

/// Asks one question.
pub(crate) fn run(
    context: &Context,
    sim: Sim,
    output: &mut Output,
) -> Result<ExitCode, CommandError> {
    match sim.question {
        Question::Run(asked) => report(context, &asked, output),
        Question::Capacity(asked) => capacity(context, &asked, output),
        Question::Compare(asked) => compare(context, &asked, output),
        Question::Sweep(asked) => sweep(context, &asked, output),
        Question::Storm(asked) => storm(context, &asked, output),
        Question::Replay(asked) => decisions::replay(context, &asked, output),
        Question::List => architectures::list(output),
        Question::Show(show) => architectures::show(&show, output),
    }
}

fn report(context: &Context, asked: &Run, output: &mut Output) -> Result<ExitCode, CommandError> {
    let given = Given::find(context, asked.what.as_deref(), &asked.playing, output)?;
    let (exports, epoch) = answer::exports(&asked.export, &asked.epoch)?;
    let system = given.system(&[])?;
    let mut options = options(&given, &asked.playing, replay::run(asked));
    options.precision = optional_share("--precision", asked.precision.as_deref())?;
    let meter = Meter::new(context);
    let found = questions::run(&system, &options, &|it| meter.tell(it));
    let found = meter.end(found)?;
    for export in &exports {
        answer::export(context, export, (&system, &found), epoch)?;
    }
    answer::page(context, &asked.playing, &Subject::Report(&found.report))?;
    if output.is_json() {
        output.json(&found.report)?;
    } else {
        summary::show(&found.report, Extent::from(asked.all), output)?;
    }
    let is_wanted = !asked.check || found.report.verdict.meets;
    Ok(if is_wanted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn capacity(
    context: &Context,
    asked: &FindCapacity,
    output: &mut Output,
) -> Result<ExitCode, CommandError> {
    let given = Given::find(context, asked.what.as_deref(), &asked.playing, output)?;
    let wanted = asked.check.as_deref().map(|it| rate("--check", it)).transpose()?;
    let precision = share("--precision", &asked.precision)?;
    let search = CapacityOptions { precision, ..CapacityOptions::default() };
    let system = given.system(&[])?;
    let options = options(&given, &asked.playing, replay::capacity(asked));
    let meter = Meter::new(context);
    let found = questions::capacity(&system, search, &options, &|it| meter.tell(it));
    let found = meter.end(found)?;
    answer::page(context, &asked.playing, &Subject::Capacity(&found))?;
    if output.is_json() {
        output.json(&found)?;
    } else {
        points::capacity(&found, output)?;
    }
    let borne = found.meets.unwrap_or(0.0);
    let is_enough = wanted.is_none_or(|it| it.per_second() <= borne);
    Ok(if is_enough { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn compare(
    context: &Context,
    asked: &Compare,
    output: &mut Output,
) -> Result<ExitCode, CommandError> {
    let first = Given::find(context, Some(&asked.what), &asked.playing, output)?;
    let changes = Change::all("--with", &asked.with)?;
    let second = match (&asked.other, &asked.with_scenario) {
        (None, None) if changes.is_empty() => {
            return Err(CommandError::wrong(
                "the second is the first: name another file, or say what is different, as in \
                 `--with services.cart.replicas=3`",
            ));
        }
        (None, None) => None,
        (other, scenario) => {
            let mut playing = asked.playing.clone();
            if scenario.is_some() || other.is_some() {
                playing.scenario.clone_from(scenario);
            }
            let what = other.as_deref().unwrap_or(&asked.what);
            Some(Given::find(context, Some(what), &playing, output)?.beside(&first))
        }
    };
    let (a, b) = (first.system(&[])?, second.as_ref().unwrap_or(&first).system(&changes)?);
    let options = options(&first, &asked.playing, replay::compare(asked));
    let meter = Meter::new(context);
    let found = questions::compare((&a, &b), &options, &|it| meter.tell(it));
    let found = meter.end(found)?;
    answer::page(context, &asked.playing, &Subject::Comparison(&found))?;
    if output.is_json() {
        output.json(&found)?;
    } else {
        comparison::show(&found, Extent::from(asked.all), output)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn sweep(context: &Context, asked: &Sweep, output: &mut Output) -> Result<ExitCode, CommandError> {
    let given = Given::find(context, Some(&asked.what), &asked.playing, output)?;
    let values = asked.values.iter();
    let values: Result<Vec<(String, System)>, CommandError> = values
        .map(|value| {
            let system = match asked.parameter.as_str() {
                "load" => given.with_load(value).system(&[])?,
                path => given.system(&[Change::new("--set", path, value)?])?,
            };
            Ok((value.clone(), system))
        })
        .collect();
    let options = options(&given, &asked.playing, replay::sweep(asked));
    let meter = Meter::new(context);
    let found = questions::sweep(&asked.parameter, &values?, &options, &|it| meter.tell(it));
    let found = meter.end(found)?;
    answer::page(context, &asked.playing, &Subject::Sweep(&found))?;
    if output.is_json() {
        output.json(&found)?;
    } else {
        points::sweep(&found, output)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn storm(context: &Context, asked: &Storm, output: &mut Output) -> Result<ExitCode, CommandError> {
    let given = Given::find(context, asked.what.as_deref(), &asked.playing, output)?;
    let sizes = asked.sizes.iter().map(|it| duration("--sizes", it));
    let shocks = StormOptions {
        loads: asked.loads.clone(),
        sizes: sizes.collect::<Result<_, _>>()?,
        trigger: given.trigger(&asked.trigger, output)?,
        name: asked.trigger.clone(),
        before: duration("--before", &asked.before)?,
        after: duration("--after", &asked.after)?,
    };
    let system = given.system(&[])?;
    let options = options(&given, &asked.playing, replay::storm(asked));
    let meter = Meter::new(context);
    let found = questions::storm(&system, &shocks, &options, &|it| meter.tell(it));
    let found = meter.end(found)?;
    answer::page(context, &asked.playing, &Subject::Storm(&found))?;
    if output.is_json() {
        output.json(&found)?;
    } else {
        map::show(&found, output)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn options(given: &Given<'_>, playing: &Playing, command: String) -> Options {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Options {
        seed: playing.seed,
        replications: playing.replications,
        threads: playing.threads.map_or(cores, usize::from),
        assumptions: given.assumptions.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command,
        ..Options::default()
    }
}

fn duration(option: &str, text: &str) -> Result<Duration, CommandError> {
    parse_duration(text).map_err(|it| CommandError::wrong(format!("{option}: {it}")))
}

fn rate(option: &str, text: &str) -> Result<Rate, CommandError> {
    text.parse().map_err(|it| CommandError::wrong(format!("{option}: {it}")))
}

/// A share above nothing.
fn share(option: &str, text: &str) -> Result<f64, CommandError> {
    let share: Share = text.parse().map_err(|it| CommandError::wrong(format!("{option}: {it}")))?;
    if share == Share::ZERO {
        return Err(CommandError::wrong(format!("{option}: it must be above 0%")));
    }
    Ok(share.as_fraction())
}

fn optional_share(option: &str, text: Option<&str>) -> Result<Option<f64>, CommandError> {
    text.map(|it| share(option, it)).transpose()
}

impl From<QuestionError> for CommandError {
    fn from(error: QuestionError) -> Self {
        Self::Wrong(model::chain(&error))
    }
}
