//! `${..}` in texts: what may be referred to where, and which of it is known already now.
//!
//! What the file itself and the caller's shell say (`config`, `env`) is put in at once, so that a
//! release carries it with it. What exists only when an instance starts (its port, its callees,
//! its resources) stays a reference, checked to be one that will be filled.

use std::collections::{BTreeMap, BTreeSet};

use model::name::callee_variables;
use model::template::{Part, Reference, Template, TemplateError};

use super::Reader;
use crate::check::{did_you_mean, listed};
use crate::problem::Place;

/// What a resource tells about itself.
pub(crate) const RESOURCE_FIELDS: [&str; 6] =
    ["url", "host", "port", "user", "password", "database"];
/// What every instance is told, beside the addresses of its callees.
const PLATFORM_VARIABLES: [&str; 7] = [
    "PORT",
    "PELAGO_APPLICATION",
    "PELAGO_SERVICE",
    "PELAGO_INSTANCE",
    "PELAGO_RELEASE",
    "OTEL_SERVICE_NAME",
    "TMPDIR",
];
/// What an instance of a service with data is told as well.
const DATA_VARIABLE: &str = "DATA_DIR";
/// Bytes a value may have with everything put in: what Linux takes for one string of an
/// environment (`MAX_ARG_STRLEN`, execve(2)).
const VALUE_BYTES_MAX: usize = 128 << 10;
/// Bytes that references may put in over a whole file: room for thousands of values of some length,
/// and a bound for a file that repeats a long one thousands of times.
pub(super) const PUT_IN_BYTES_MAX: usize = 16 << 20;
/// Bytes that count for a value beside its text: its name and its place in a map, roughly.
const VALUE_OVERHEAD: usize = 64;
/// Values of an environment that refer to each other in a row: more than three is hard to follow.
const VALUE_DEPTH_MAX: usize = 32;

/// A value of the environment as written.
#[derive(Clone, Debug)]
pub(crate) struct Variable {
    pub(crate) text: String,
    pub(crate) place: Place,
}

/// What one service may refer to.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    /// Its environment as written.
    pub(crate) environment: BTreeMap<String, Variable>,
    /// `CART_URL`, `CART_HOST` and the like, and whose they are.
    pub(crate) callees: BTreeMap<String, String>,
    /// `PORT_ADMIN` and the like, and which port each is.
    pub(crate) ports: BTreeMap<String, String>,
    /// Whether it has data, whose place it is told.
    pub(crate) has_data: bool,
    /// Resources that were referred to.
    pub(crate) used: BTreeSet<String>,
}

/// What a path stands for, if it is known to whoever asks; or why it cannot be.
type Inner<'a, R> = dyn FnMut(&mut R, &mut Scope, &str) -> Result<Option<String>, String> + 'a;

impl Scope {
    pub(crate) fn add_callee(&mut self, callee: &str) {
        let owned = |variable| (variable, callee.to_owned());
        self.callees.extend(callee_variables(callee).map(owned));
    }

    fn knows(&self, variable: &str) -> bool {
        self.environment.contains_key(variable)
            || self.callees.contains_key(variable)
            || self.ports.contains_key(variable)
            || is_platform(variable)
            || self.has_data && variable == DATA_VARIABLE
    }
}

/// Whether Pelago sets this variable.
pub(crate) fn is_platform(variable: &str) -> bool {
    PLATFORM_VARIABLES.contains(&variable)
}

impl Reader<'_> {
    /// A text in which only what is known now may be referred to, as plain text.
    pub(crate) fn early(&mut self, text: &str, place: Place) -> Option<String> {
        let template = self.parsed(text, place)?;
        let mut filled = String::new();
        for part in template.parts() {
            match part {
                Part::Literal(literal) => filled.push_str(literal),
                Part::Reference(reference) => match self.known(reference) {
                    Some(Ok(value)) => filled.push_str(&value),
                    Some(Err(message)) => {
                        self.findings.error(place, message);
                        return None;
                    }
                    None => {
                        let path = &reference.path;
                        let message = format!(
                            "`${{{path}}}` is not known yet here; only `${{env.NAME}}` and \
                             `${{config.KEY}}` are"
                        );
                        self.findings.error(place, message);
                        return None;
                    }
                },
            }
        }
        Some(filled)
    }

    /// A text that is filled when an instance starts.
    pub(crate) fn late(&mut self, text: &str, place: Place, scope: &mut Scope) -> Option<Template> {
        let text = self.resolved(text, place, scope, &mut |_, _, _| Ok(None))?;
        self.findings.take(place, text.parse())
    }

    /// The environment of a service: values may refer to each other, and are put into each other here
    /// so that whoever fills them need not know an order.
    pub(crate) fn environment(&mut self, scope: &mut Scope) -> BTreeMap<String, Template> {
        let variables = scope.environment.clone();
        let mut done = BTreeMap::new();
        for (name, variable) in &variables {
            let mut stack = vec![name.clone()];
            if let Some(text) = self.variable(variable, scope, &mut stack, &mut done) {
                done.insert(name.clone(), text);
            }
        }
        let parsed = done.into_iter().filter_map(|(name, text)| Some((name, text.parse().ok()?)));
        parsed.collect()
    }

    fn variable(
        &mut self,
        variable: &Variable,
        scope: &mut Scope,
        stack: &mut Vec<String>,
        done: &mut BTreeMap<String, String>,
    ) -> Option<String> {
        let Variable { text, place } = variable;
        let inner = &mut |reader: &mut Self, scope: &mut Scope, path: &str| {
            let Some(inner) = scope.environment.get(path).cloned() else { return Ok(None) };
            if let Some(known) = done.get(path) {
                return Ok(Some(known.clone()));
            }
            if stack.iter().any(|it| it == path) {
                let circle = match stack.as_slice() {
                    [only] => only.clone(),
                    more => format!("{} -> {path}", more.join(" -> ")),
                };
                return Err(format!(
                    "`{circle}` refers to itself; write `${{env.{path}}}` for the value in your \
                     shell"
                ));
            }
            if VALUE_DEPTH_MAX <= stack.len() {
                return Err(format!("more than {VALUE_DEPTH_MAX} values refer to each other here"));
            }
            stack.push(path.to_owned());
            let text = reader.variable(&inner, scope, stack, done);
            stack.pop();
            let text = text.unwrap_or_default();
            done.insert(path.to_owned(), text.clone());
            Ok(Some(text))
        };
        let text = self.resolved(text, *place, scope, inner)?;
        if VALUE_BYTES_MAX < text.len() {
            let message =
                format!("with everything put in this has more than {VALUE_BYTES_MAX} bytes");
            self.findings.error(*place, message);
            return None;
        }
        Some(text)
    }

    fn parsed(&mut self, text: &str, place: Place) -> Option<Template> {
        self.findings.take(place, text.parse())
    }

    /// The text of a template with everything put in that is known now; `inner` may know more.
    fn resolved(
        &mut self,
        text: &str,
        place: Place,
        scope: &mut Scope,
        inner: &mut Inner<'_, Self>,
    ) -> Option<String> {
        let template = self.parsed(text, place)?;
        let mut filled = String::new();
        for part in template.parts() {
            let reference = match part {
                Part::Literal(literal) => {
                    filled.push_str(&escaped(literal));
                    continue;
                }
                Part::Reference(reference) => reference,
            };
            let found = match self.known(reference) {
                Some(found) => found.map(|it| escaped(&it)),
                None => match inner(self, scope, &reference.path) {
                    Ok(Some(text)) if text.is_empty() => {
                        Ok(reference.default.as_deref().map(escaped).unwrap_or_default())
                    }
                    Ok(Some(text)) => self.put_in(text),
                    Ok(None) => self.checked(reference, scope).map(|()| written(reference)),
                    Err(message) => Err(message),
                },
            };
            filled.push_str(&self.findings.take(place, found)?);
            if VALUE_BYTES_MAX < filled.len() {
                break;
            }
        }
        Some(filled)
    }

    /// The value of `env.X` and `config.x`, which are known now; nothing for other references.
    fn known(&mut self, reference: &Reference) -> Option<Result<String, String>> {
        let found = self.looked_up(reference)?;
        Some(found.and_then(|it| self.put_in(it)))
    }

    /// A text that may refer to nothing but what is known now, with all of it put in.
    pub(super) fn filled_now(&mut self, text: &str) -> Result<String, String> {
        let template: Template = text.parse().map_err(|it: TemplateError| it.to_string())?;
        let mut filled = String::new();
        for part in template.parts() {
            match part {
                Part::Literal(literal) => filled.push_str(literal),
                Part::Reference(reference) => {
                    let only = || {
                        format!(
                            "`${{{}}}` is not known here; there is `${{env.NAME}}` and `${{config.KEY}}`",
                            reference.path
                        )
                    };
                    filled.push_str(&self.known(reference).unwrap_or_else(|| Err(only()))?);
                }
            }
        }
        Ok(filled)
    }

    /// Takes a text that is put in from the budget.
    pub(super) fn put_in(&mut self, text: String) -> Result<String, String> {
        let left = self.budget.checked_sub(text.len() + VALUE_OVERHEAD);
        self.budget = left.unwrap_or_default();
        let message = || {
            format!("references put more than {PUT_IN_BYTES_MAX} bytes into this file; use fewer")
        };
        left.map(|_| text).ok_or_else(message)
    }

    fn looked_up(&self, reference: &Reference) -> Option<Result<String, String>> {
        let Reference { path, default } = reference;
        let (value, missing) = if let Some(name) = path.strip_prefix("env.") {
            let missing = format!(
                "`{name}` is not set in your shell; set it, or write `${{env.{name}:-default}}`"
            );
            (self.environment.get(name).cloned(), missing)
        } else {
            let key = path.strip_prefix("config.")?;
            let known = self.config.keys().map(String::as_str);
            let remedy = match did_you_mean(key, known) {
                Some(meant) => format!("did you mean `${{config.{meant}}}`?"),
                None => format!("add it under `config`, or write `${{config.{key}:-default}}`"),
            };
            let missing = format!("there is no configuration value `{key}`; {remedy}");
            (self.config.get(key).map(ToString::to_string), missing)
        };
        let value = value.filter(|it| default.is_none() || !it.is_empty());
        Some(value.or_else(|| default.clone()).ok_or(missing))
    }

    /// Whether a reference that is filled later will be.
    fn checked(&self, reference: &Reference, scope: &mut Scope) -> Result<(), String> {
        let Reference { path, default } = reference;
        let parts: Vec<_> = path.split('.').collect();
        match parts.as_slice() {
            ["resources", name, field] => {
                if !self.resources.contains(name) {
                    return Err(self.unknown("resource", name, &self.resources));
                }
                if !RESOURCE_FIELDS.contains(field) {
                    let known = listed(&RESOURCE_FIELDS);
                    return Err(match did_you_mean(field, RESOURCE_FIELDS) {
                        Some(meant) => format!(
                            "a resource has no `{field}`; did you mean \
                             `${{resources.{name}.{meant}}}`?"
                        ),
                        None => format!("a resource has no `{field}`; it has {known}"),
                    });
                }
                scope.used.insert((*name).to_owned());
                Ok(())
            }
            ["resources", ..] => Err(format!(
                "`${{{path}}}` names no value of a resource; write for example \
                 `${{resources.NAME.url}}`"
            )),
            [variable] if scope.knows(variable) || default.is_some() => Ok(()),
            [variable] => Err(self.unknown_variable(variable, scope)),
            _ => Err(format!(
                "`${{{path}}}` refers to nothing; there is `${{NAME}}`, `${{resources.NAME.url}}`, \
                 `${{config.KEY}}` and `${{env.NAME}}`"
            )),
        }
    }

    fn unknown_variable(&self, variable: &str, scope: &Scope) -> String {
        let mut known: BTreeSet<&str> = PLATFORM_VARIABLES.into_iter().collect();
        known.extend(scope.environment.keys().map(String::as_str));
        known.extend(scope.callees.keys().chain(scope.ports.keys()).map(String::as_str));
        if self.environment.contains_key(variable) {
            return format!(
                "an instance is not told `{variable}`; write `${{env.{variable}}}` to take it from \
                 your shell"
            );
        }
        let tells = |it: &&&str| callee_variables(it).iter().any(|it| it == variable);
        let callee = self.services.iter().find(tells);
        if let Some(callee) = callee {
            return format!("an instance is not told `{variable}`; add `{callee}` to its `calls`");
        }
        if let Some(meant) = did_you_mean(variable, known.iter().copied()) {
            return format!("an instance is not told `{variable}`; did you mean `${{{meant}}}`?");
        }
        format!(
            "an instance is not told `{variable}`; add it to `environment`, or write \
             `${{{variable}:-default}}`; it is told {}",
            listed(&known)
        )
    }
}

fn escaped(text: &str) -> String {
    text.replace('$', "$$")
}

fn written(Reference { path, default }: &Reference) -> String {
    match default {
        Some(default) => format!("${{{path}:-{default}}}"),
        None => format!("${{{path}}}"),
    }
}
