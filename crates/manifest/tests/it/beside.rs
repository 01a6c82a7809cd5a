//! What stands beside a file: `.env`, and files of variables.

use std::collections::BTreeMap;

use manifest::import::{Imported, compose_beside, procfile_beside};
use manifest::{Beside, Files, Problems, read_beside};

use crate::environment;

/// Files by their names.
#[derive(Debug, Default)]
pub(crate) struct Texts(pub(crate) BTreeMap<&'static str, &'static str>);

impl Files for Texts {
    fn text(&self, name: &str) -> Result<Option<String>, String> {
        match self.0.get(name) {
            Some(&"\0") => Err("it is no file".to_owned()),
            found => Ok(found.map(|it| (*it).to_owned())),
        }
    }
}

type Reader = fn(&str, &str, &Beside<'_>) -> Result<Imported, Problems>;

/// What becomes of a file beside others.
pub(crate) fn imported(
    read: Reader,
    text: &str,
    files: &[(&'static str, &'static str)],
) -> Result<Imported, Problems> {
    let (environment, files) = (environment(), Texts(files.iter().copied().collect()));
    read("shop/file", text, &Beside { environment: &environment, files: &files })
}

/// The environment of a service of a file beside others, or what is wrong.
#[track_caller]
fn check(text: &str, files: &[(&'static str, &'static str)], expected: &[(&str, &str)]) {
    let (environment, files) = (environment(), Texts(files.iter().copied().collect()));
    let beside = Beside { environment: &environment, files: &files };
    let application = read_beside("pelago.yaml", text, &beside).unwrap().application;
    let told = &application.services.values().next().unwrap().environment;
    let told: Vec<_> = told.iter().map(|(name, it)| (name.as_str(), it.to_string())).collect();
    let told: Vec<_> = told.iter().map(|(name, it)| (*name, it.as_str())).collect();
    assert_eq!(told, expected);
}

/// Issue 12: `.env` was not read, and who expected it got an empty value.
#[test]
fn variables_beside_a_manifest() {
    let text =
        "name: a\nservices: {a: {command: x, environment: {A: '${env.OWN}', T: '${env.TAG}'}}}";
    check(text, &[(".env", "OWN=1\nTAG=file\n")], &[("A", "1"), ("T", "1.4")]);
    let text = "name: a\ndefaults: {env_file: all.env}\nservices: {a: {command: x, environment: {B: b}, \
                env_file: [own.env, {path: none.env, required: false}]}}";
    let files = [("all.env", "A=1\nC=1"), ("own.env", "export A='$x'\nB=2\nD=${C:-$TAG}")];
    check(text, &files, &[("A", "$$x"), ("B", "b"), ("C", "1"), ("D", "1.4")]);
}

#[test]
fn what_is_wrong_beside_a_manifest() {
    let check = |files: &[(&'static str, &'static str)], expected: &str| {
        let (environment, files) = (environment(), Texts(files.iter().copied().collect()));
        let beside = Beside { environment: &environment, files: &files };
        let text = "name: a\nservices: {a: {command: x, env_file: a.env}}";
        let found = match read_beside("a", text, &beside) {
            Ok(read) => read.warnings.to_string(),
            Err(problems) => problems.to_string(),
        };
        assert_eq!(found, expected);
    };
    check(
        &[],
        "a:2:38: the file of variables `a.env` is not there; add it, or write `{path: a.env, \
         required: false}`",
    );
    check(
        &[("a.env", "A=1\nB='")],
        "a:2:38: a.env:2: the value of `B` begins with ' and never ends",
    );
    check(
        &[("a.env", "\0")],
        "a:2:38: the file of variables `a.env` cannot be read: it is no file",
    );
    check(
        &[("a.env", ""), (".env", "A")],
        "a:1:1: .env:1: `A` has no value; write `A=`, or remove it",
    );
    // It is for other programs as well.
    check(
        &[("a.env", "PORT=80")],
        "a:2:38: warning: a.env: `PORT` is set by Pelago; write `port:` in the service to choose it; \
         left out",
    );
}

#[test]
fn variables_beside_a_compose_file() {
    let text = "services:\n  a: {image: 'x:${NEW}', restart: always, command: [run, $PASSWORD], env_file: app.env, \
                environment: {B: over, V: '${V:?need it}'}}\n";
    let files = [(".env", "NEW=1\nV=from-dotenv\nPASSWORD=secret"), ("app.env", "A=1\nB=2")];
    let imported = imported(compose_beside, text, &files).unwrap();
    let service = imported.application.services.values().next().unwrap();
    let told: Vec<_> =
        service.environment.iter().map(|(name, it)| format!("{name}={it}")).collect();
    assert_eq!(told, ["A=1", "B=over", "V=from-dotenv"]);
    let model::service::Source::Image { reference, command } = &service.source else { panic!() };
    let words: Vec<_> = command.iter().map(ToString::to_string).collect();
    assert_eq!((reference.as_str(), words), ("x:1", vec!["run".to_owned(), "secret".to_owned()]));
    assert_eq!(imported.warnings.to_string(), "");
}

#[test]
fn variables_beside_a_procfile() {
    let imported =
        imported(procfile_beside, "web: echo $A\n", &[(".env", "A=1\nPORT=5000")]).unwrap();
    assert!(imported.yaml.contains("env_file: .env"), "{}", imported.yaml);
    let service = imported.application.services.values().next().unwrap();
    let told: Vec<_> =
        service.environment.iter().map(|(name, it)| format!("{name}={it}")).collect();
    assert_eq!(told, ["A=1"]);
    assert!(imported.warnings.to_string().contains("`PORT` is set by Pelago"));
}

/// Issue 12: what a line names as its port is asked, and routed to.
#[test]
fn a_procfile_with_a_port_of_its_own() {
    let imported = imported(procfile_beside, "web: python3 -m http.server 13456\n", &[]).unwrap();
    let service = imported.application.services.values().next().unwrap();
    assert_eq!(service.port, Some(13_456));
    assert_eq!(service.health.readiness.as_ref().unwrap().probe, model::health::Probe::Tcp);
}
