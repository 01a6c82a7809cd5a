//! The binary: arguments, seed, clock, wiring.

mod emulate;
mod load;
mod proxy;
mod serve;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser as _;
use cli::Context;
use cli::arguments::{Arguments, Command, Format, Settings};
use host::Clock;
use host::limits::Usual;

fn main() -> ExitCode {
    // The processes beside instances come first: there are many of them, and each is to be small and
    // quick, without a runtime or a command line parser.
    let mut words = std::env::args_os().skip(1);
    match (words.next(), words.next()) {
        (Some(word), Some(folder)) if word == "supervise" => supervise(&folder),
        (Some(word), Some(folder)) if word == "enter" => enter(&folder),
        (Some(word), Some(open_files)) if word == "as-usual" => as_usual(&open_files, words),
        _ => command(),
    }
}

fn supervise(folder: &OsString) -> ExitCode {
    let supervised = std::env::current_exe()
        .map_err(runtime::supervisor::SuperviseError::from)
        .and_then(|program| runtime::supervisor::supervise(Path::new(folder), &program));
    match supervised {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn enter(folder: &OsString) -> ExitCode {
    fail(&runtime::supervisor::enter(Path::new(folder)))
}

/// Becomes a health check's program, with what was usual before the control process gave itself more.
fn as_usual(open_files: &OsString, mut words: impl Iterator<Item = OsString>) -> ExitCode {
    let open_files = open_files.to_str().and_then(|it| it.parse().ok());
    let umask = words.next().and_then(|it| it.to_str()?.parse().ok()).unwrap_or_default();
    let Some(program) = words.next() else { return ExitCode::from(NOT_RUN) };
    if let Err(error) = host::limits::give_back(Usual { open_files, umask }) {
        return fail(&error);
    }
    let source = std::process::Command::new(&program).args(words).exec();
    // Where even this cannot be written, the exit code says it.
    let why = model::chain(&NotRun { program, source });
    drop(writeln!(std::io::stderr(), "{}", cli::visible::block(&why)));
    ExitCode::from(NOT_RUN)
}

/// What a shell ends with when it cannot run a program (POSIX, 2.8.2).
const NOT_RUN: u8 = 127;

#[derive(Debug, thiserror::Error)]
#[error("`{}` could not be run", program.display())]
struct NotRun {
    program: OsString,
    source: std::io::Error,
}

fn command() -> ExitCode {
    let Arguments { settings, command } = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(refusal) => return refused(&refusal),
    };
    let serves_many = matches!(
        command,
        Command::Serve(_) | Command::Proxy(_) | Command::Emulate | Command::Load(_)
    );
    let usual = serves_many.then(host::limits::prepare);
    let context = match context(&settings) {
        Ok(context) => context,
        Err(error) => return fail(&*error),
    };
    let result = match command {
        Command::Asking(asking) => in_runtime(cli::run(context, asking)),
        Command::Serve(asked) => in_runtime(serve::run(context, asked, usual)),
        Command::Proxy(asked) => Ok(proxy::run(asked)),
        Command::Emulate => in_one_thread(emulate::run(context)),
        Command::Load(asked) => in_one_thread(load::run(context, asked)),
        Command::Supervise { folder } => return supervise(&folder.into_os_string()),
        Command::Enter { folder } => return enter(&folder.into_os_string()),
    };
    match result {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

/// Says what is wrong with the arguments, or the help that was asked for.
fn refused(refusal: &clap::Error) -> ExitCode {
    let text = refusal.render().to_string();
    // An argument that is repeated to a person may have come from elsewhere.
    match cli::visible::block(&text) {
        Cow::Borrowed(_) => refusal.exit(),
        Cow::Owned(shown) => {
            drop(write!(std::io::stderr(), "{shown}"));
            u8::try_from(refusal.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
        }
    }
}

fn context(settings: &Settings) -> Result<Context, Box<dyn std::error::Error>> {
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let folder = std::env::current_dir()?;
    let data = settings.data.clone().or_else(|| data_folder(&environment));
    let data = data.ok_or("neither HOME nor PELAGO_DATA is set; say where with --data")?;
    let context = Context {
        data: folder.join(data),
        folder,
        environment,
        program: std::env::current_exe()?,
        now: || Clock::start().timestamp(),
        format: Format::Text,
        application: None,
    };
    Ok(context.with(settings))
}

fn data_folder(environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    let folder = |name: &str| environment.get(name).filter(|it| !it.is_empty()).map(PathBuf::from);
    let shared = || folder("XDG_DATA_HOME").map(|it| it.join("pelago"));
    let home = || folder("HOME").map(|it| it.join(".local/share/pelago"));
    folder("PELAGO_DATA").or_else(shared).or_else(home)
}

/// Runs on as many threads as there are cores, for what serves many at once.
fn in_runtime(work: impl Future<Output = ExitCode>) -> std::io::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let code = runtime.block_on(work);
    // What still blocks, such as a long read, is not waited for.
    runtime.shutdown_background();
    Ok(code)
}

/// Runs on one thread: a synthetic service is to be small, and a load generator steady.
fn in_one_thread(work: impl Future<Output = ExitCode>) -> std::io::Result<ExitCode> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work))
}

/// Says why, and that it failed.
fn fail(error: &(dyn std::error::Error + 'static)) -> ExitCode {
    // Where even this cannot be written, the exit code says it.
    drop(writeln!(std::io::stderr(), "error: {}", cli::visible::block(&model::chain(error))));
    ExitCode::FAILURE
}
