//! What stands around a file that is read: the variables of whoever reads it, and the files beside it. Whoever can
//! read files hands them in; this crate reads none by itself.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::dotenv;
use crate::problem::{Findings, Place};

/// The file of variables that is read by itself where it stands beside another.
pub(crate) const DOTENV: &str = ".env";

/// The variables and files that a file may refer to.
#[derive(Clone, Copy, Debug)]
pub struct Beside<'a> {
    /// The variables of whoever reads it. They win over those of `.env`.
    pub environment: &'a BTreeMap<String, String>,
    /// The files around it.
    pub files: &'a dyn Files,
}

/// Files by their names, as seen from the folder of the file that is read.
pub trait Files: std::fmt::Debug {
    /// The text of a file; nothing if there is none of that name, or why it cannot be read.
    fn text(&self, name: &str) -> Result<Option<String>, String>;
}

/// No file at all.
#[derive(Clone, Copy, Debug)]
pub struct NoFiles;

impl Files for NoFiles {
    fn text(&self, _: &str) -> Result<Option<String>, String> {
        Ok(None)
    }
}

impl<'a> Beside<'a> {
    /// Only variables.
    pub const fn alone(environment: &'a BTreeMap<String, String>) -> Self {
        Self { environment, files: &NoFiles }
    }

    /// The variables with those of `.env` below them.
    pub(crate) fn variables(&self, findings: &mut Findings) -> Cow<'a, BTreeMap<String, String>> {
        let text = match self.files.text(DOTENV) {
            Ok(Some(text)) => text,
            Ok(None) => return Cow::Borrowed(self.environment),
            Err(message) => {
                findings.error(Place::START, format!("{DOTENV} cannot be read: {message}"));
                return Cow::Borrowed(self.environment);
            }
        };
        let shell = |name: &str| self.environment.get(name).cloned();
        match dotenv::parse(&text, &shell, dotenv::Use::Interpolation) {
            Ok(read) => {
                let mut variables: BTreeMap<_, _> = read.into_iter().collect();
                let own = self.environment.iter();
                variables.extend(own.map(|(name, value)| (name.clone(), value.clone())));
                Cow::Owned(variables)
            }
            Err(fault) => {
                findings.error(Place::START, format!("{DOTENV}:{fault}"));
                Cow::Borrowed(self.environment)
            }
        }
    }
}
