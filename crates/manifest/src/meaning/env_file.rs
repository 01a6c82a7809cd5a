//! Files of variables: what they say becomes part of a service's environment, below what `environment` says.

use std::collections::BTreeMap;

use super::Reader;
use super::reference::{Scope, Variable};
use super::service::{Written, refused_name};
use crate::dotenv;
use crate::problem::Place;
use crate::spec::{EnvFileSpec, EnvFilesSpec};
use crate::yaml::At;

/// Files of variables that one service may name.
const FILES_MAX: usize = 100;

/// One file as it is named.
struct Named {
    path: String,
    is_required: bool,
    place: Place,
}

impl Reader<'_> {
    /// The variables that files say, what is inherited below a service's own.
    pub(super) fn env_files(
        &mut self,
        written: &Written<'_>,
        scope: &Scope,
    ) -> BTreeMap<String, Variable> {
        let Written { spec, at, defaults, defaults_at, .. } = written;
        let mut variables = BTreeMap::new();
        for (spec, at) in [
            (&defaults.env_file, defaults_at.key("env_file")),
            (&spec.env_file, at.key("env_file")),
        ] {
            let named = spec.as_ref().map(|it| self.named_files(it, at)).unwrap_or_default();
            if FILES_MAX < named.len() {
                let message = format!("there are more than {FILES_MAX} files; put some together");
                self.findings.error(at.place, message);
                continue;
            }
            for file in named {
                self.env_file(&file, scope, &mut variables);
            }
        }
        variables
    }

    fn named_files(&mut self, spec: &EnvFilesSpec, at: At<'_>) -> Vec<Named> {
        let list = match spec {
            EnvFilesSpec::One(path) => vec![(path.clone(), true, at.place)],
            EnvFilesSpec::Several(files) => {
                let named = |(index, file): (usize, &EnvFileSpec)| match file {
                    EnvFileSpec::Path(path) => (path.clone(), true, at.item(index).place),
                    EnvFileSpec::Map(map) => {
                        let path = map.path.clone().unwrap_or_default();
                        (path, map.required.unwrap_or(true), at.item(index).place)
                    }
                };
                files.iter().enumerate().map(named).collect()
            }
        };
        let filled = list.into_iter().filter_map(|(path, is_required, place)| {
            let path = self.early(&path, place)?;
            Some(Named { path, is_required, place })
        });
        filled.collect()
    }

    fn env_file(
        &mut self,
        file: &Named,
        scope: &Scope,
        variables: &mut BTreeMap<String, Variable>,
    ) {
        let Named { path, is_required, place } = file;
        let text = match self.files.text(path) {
            Ok(Some(text)) => text,
            Ok(None) if !is_required => return,
            Ok(None) => {
                let message = format!(
                    "the file of variables `{path}` is not there; add it, or write `{{path: {path}, \
                     required: false}}`"
                );
                return self.findings.error(*place, message);
            }
            Err(message) => {
                let message = format!("the file of variables `{path}` cannot be read: {message}");
                return self.findings.error(*place, message);
            }
        };
        let shell = |name: &str| self.environment.get(name).cloned();
        let read = match dotenv::parse(&text, &shell, dotenv::Use::Environment) {
            Ok(read) => read,
            Err(fault) => return self.findings.error(*place, format!("{path}:{fault}")),
        };
        for (name, value) in read {
            // It is written for other programs too, so that what has no place here is no mistake.
            if let Some(why) = refused_name(&name, scope) {
                self.findings.warn(*place, format!("{path}: {why}; left out"));
                continue;
            }
            let text = self.put_in(value.replace('$', "$$"));
            let Some(text) = self.findings.take(*place, text) else { return };
            variables.insert(name, Variable { text, place: *place });
        }
    }
}
