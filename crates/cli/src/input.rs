//! The file of an application: finding it, reading it, saying what is wrong with it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use manifest::{Beside, Files, Kind, Problems};
use model::Application;

use crate::Context;
use crate::error::CommandError;
use crate::output::Output;

/// Names looked for in a folder, in this order.
const NAMES: [&str; 7] = [
    "pelago.yaml",
    "pelago.yml",
    "compose.yaml",
    "compose.yml",
    "docker-compose.yaml",
    "docker-compose.yml",
    "Procfile",
];
/// Bytes of a file of rules, at most: thousands of rules have less.
const RULES_BYTES_MAX: usize = 4 << 20;
/// Columns that problems are shown in.
const WIDTH: usize = 100;

/// An application and where its file is.
#[derive(Clone, Debug)]
pub(crate) struct Described {
    pub(crate) application: Application,
    /// The file, as it was named.
    pub(crate) file: PathBuf,
    /// The absolute path of the folder of the file.
    pub(crate) folder: PathBuf,
    /// The files beside it that were asked for, whether they are there or not.
    pub(crate) beside: Vec<PathBuf>,
}

/// The file that is meant: the one named, or the one in the folder named, or the one here.
pub(crate) fn find(context: &Context, named: Option<&Path>) -> Result<PathBuf, CommandError> {
    let path = context.folder.join(named.unwrap_or_else(|| Path::new("")));
    if path.is_file() {
        return Ok(path);
    }
    if !path.exists() {
        return Err(CommandError::wrong(format!("{} does not exist", path.display())));
    }
    NAMES.iter().map(|it| path.join(it)).find(|it| it.is_file()).ok_or_else(|| {
        CommandError::wrong(format!(
            "there is no pelago.yaml in {}; name a file, or write one (see `pelago schema`)",
            path.display()
        ))
    })
}

/// Reads the file that is meant, whatever kind it is. What is wrong with it, or odd, is printed.
pub(crate) fn read(
    context: &Context,
    named: Option<&Path>,
    output: &mut Output,
) -> Result<Described, CommandError> {
    let file = find(context, named)?;
    let text = text_of(&file).map_err(|source| CommandError::File {
        path: file.clone(),
        verb: "read",
        source,
    })?;
    let shown = shown(context, &file);
    let files = Folder::around(context, &shown);
    let result = understand(context, &shown, &text, &files);
    let (mut application, warnings, left_out) = match result {
        Ok(understood) => understood,
        Err(problems) => {
            report(&problems, output)?;
            let count = problems.list().len() + problems.left_off();
            let thing = if count == 1 { "problem" } else { "problems" };
            return Err(CommandError::wrong(format!("{count} {thing} in {shown}")));
        }
    };
    if !warnings.is_empty() {
        output.notes(&warnings.to_string())?;
    }
    for line in left_out {
        output.note(&line)?;
    }
    let folder = file.parent().unwrap_or(&context.folder);
    let folder = folder.canonicalize().map_err(|source| CommandError::File {
        path: folder.to_owned(),
        verb: "found",
        source,
    })?;
    read_rules(context, &mut application, &folder)?;
    let mut beside = files.asked.take();
    beside.extend(application.rules.files.iter().map(|it| folder.join(&it.name)));
    Ok(Described { application, file, folder, beside: beside.into_iter().collect() })
}

/// Reads the files of rules, and says what is wrong with them: where whoever has written them can see it.
fn read_rules(
    context: &Context,
    application: &mut Application,
    folder: &Path,
) -> Result<(), CommandError> {
    for file in &mut application.rules.files {
        let path = folder.join(&file.name);
        file.text = text_within(&path, RULES_BYTES_MAX).map_err(|source| CommandError::File {
            path: path.clone(),
            verb: "read",
            source,
        })?;
        if let Err(error) = promql::rules::read(&file.text) {
            return Err(CommandError::wrong(format!("{}:{error}", shown(context, &path))));
        }
    }
    Ok(())
}

type Understood = (Application, Problems, Vec<String>);

fn understand(
    context: &Context,
    name: &str,
    text: &str,
    files: &Folder,
) -> Result<Understood, Problems> {
    let environment = &environment_for_import(context, name);
    let beside = &Beside { environment, files };
    let imported = match manifest::detect(name, text) {
        Kind::Pelago => {
            let read = manifest::read_beside(name, text, beside)?;
            return Ok((read.application, read.warnings, Vec::new()));
        }
        Kind::Compose => manifest::import::compose_beside(name, text, beside)?,
        Kind::Procfile => manifest::import::procfile_beside(name, text, beside)?,
        Kind::Spigo => manifest::import::spigo(name, text, environment)?,
    };
    let left_out = imported.left_out.iter();
    let left_out =
        left_out.map(|it| format!("{name}:{}: {} is left out: {}", it.place.line, it.key, it.why));
    Ok((imported.application, imported.warnings, left_out.collect()))
}

/// The files beside a manifest.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// What was asked for.
    asked: RefCell<BTreeSet<PathBuf>>,
}

impl Folder {
    /// The folder of the file with this name, as it is named from here.
    pub(crate) fn around(context: &Context, name: &str) -> Self {
        let file = context.folder.join(name);
        let path = file.parent().map_or_else(|| context.folder.clone(), Path::to_owned);
        Self { path, asked: RefCell::default() }
    }
}

impl Files for Folder {
    fn text(&self, name: &str) -> Result<Option<String>, String> {
        let path = self.path.join(name);
        self.asked.borrow_mut().insert(path.clone());
        match text_of(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// The text of a file, if it is one and no longer than any file of an application is.
pub(crate) fn text_of(path: &Path) -> io::Result<String> {
    text_within(path, manifest::TEXT_BYTES_MAX)
}

/// The text of a file, if it is one and has an end within `bytes_max`: a device or a pipe would be read for ever.
fn text_within(path: &Path, bytes_max: usize) -> io::Result<String> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut bytes = Vec::new();
    let limit = bytes_max as u64 + 1;
    fs::File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    if limit <= bytes.len() as u64 {
        return Err(io::Error::other(format!("it has more than {bytes_max} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8"))
}

/// The caller's environment, and in it what an application is called whose file does not say and was named
/// without a folder: as the folder it is in.
pub(crate) fn environment_for_import(context: &Context, name: &str) -> BTreeMap<String, String> {
    let mut environment = context.environment.clone();
    if !name.contains('/')
        && let Some(folder) = context.folder.file_name()
    {
        let folder = folder.to_string_lossy().into_owned();
        environment.entry("COMPOSE_PROJECT_NAME".to_owned()).or_insert(folder);
    }
    environment
}

/// The path as a person would write it from here.
pub(crate) fn shown(context: &Context, path: &Path) -> String {
    let path = path.strip_prefix(&context.folder).unwrap_or(path);
    path.display().to_string()
}

pub(crate) fn report(problems: &Problems, output: &mut Output) -> Result<(), CommandError> {
    if output.is_json() {
        return output.json(problems);
    }
    match output.look() {
        crate::output::Look::Terminal => output.notes(&problems.render(WIDTH)),
        crate::output::Look::Plain => output.notes(&problems.to_string()),
    }
}

/// The name of an application that is only known when all of its file is read, if that can be.
pub(crate) fn name_of_all(context: &Context, name: &str, text: &str) -> Option<String> {
    let files = Folder::around(context, name);
    let (application, ..) = understand(context, name, text, &files).ok()?;
    Some(application.name.to_string())
}
