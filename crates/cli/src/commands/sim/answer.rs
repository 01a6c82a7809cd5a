//! Answers in files: a page, and the formats of other tools.

use std::fs;
use std::path::PathBuf;

use model::Timestamp;
use report::Subject;
use report::export::{self, Architecture};
use simulator::System;
use simulator::questions::Answer;

use crate::Context;
use crate::arguments::simulation::Playing;
use crate::error::CommandError;

/// Writes the page that is wanted, if one is.
pub(super) fn page(
    context: &Context,
    playing: &Playing,
    subject: &Subject<'_>,
) -> Result<(), CommandError> {
    match &playing.html {
        Some(path) => write(context, path, &report::page(subject)),
        None => Ok(()),
    }
}

/// A form and the file it goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Export {
    form: Form,
    file: PathBuf,
}

/// Forms other tools read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Zipkin,
    Otlp,
    Prometheus,
    Graph,
    GraphMl,
    Dot,
    Mermaid,
}

/// Each form by its name.
const FORMS: [(&str, Form); 7] = [
    ("zipkin", Form::Zipkin),
    ("otlp", Form::Otlp),
    ("prometheus", Form::Prometheus),
    ("graph", Form::Graph),
    ("graphml", Form::GraphMl),
    ("dot", Form::Dot),
    ("mermaid", Form::Mermaid),
];

/// What is to be written where, and the moment that spans begin at.
pub(super) fn exports(
    texts: &[String],
    epoch: &str,
) -> Result<(Vec<Export>, Timestamp), CommandError> {
    let export = |text: &String| {
        let wrong = || {
            let forms: Vec<&str> = FORMS.iter().map(|it| it.0).collect();
            CommandError::wrong(format!(
                "--export: `{text}` names no form and file; write for example `zipkin=spans.json` (forms are {})",
                forms.join(", ")
            ))
        };
        let (name, file) = text.split_once('=').ok_or_else(wrong)?;
        let form = FORMS.iter().find(|it| it.0 == name).ok_or_else(wrong)?.1;
        if file.is_empty() {
            return Err(wrong());
        }
        Ok(Export { form, file: file.into() })
    };
    let wrong = || {
        CommandError::wrong(format!(
            "--epoch: `{epoch}` is no time; write for example `2026-01-01T00:00:00Z`"
        ))
    };
    let exports: Result<Vec<Export>, CommandError> = texts.iter().map(export).collect();
    Ok((exports?, Timestamp::parse(epoch).ok_or_else(wrong)?))
}

/// Writes one export.
pub(super) fn export(
    context: &Context,
    wanted: &Export,
    (system, answer): (&System, &Answer),
    epoch: Timestamp,
) -> Result<(), CommandError> {
    let architecture = Architecture {
        application: system.application(),
        network: &system.scenario().network,
        report: Some(&answer.report),
        at: epoch,
    };
    let text = match wanted.form {
        Form::Zipkin => export::zipkin(&answer.traces, epoch),
        Form::Otlp => export::otlp(&answer.traces, epoch),
        Form::Prometheus => export::prometheus(&answer.report),
        Form::Graph => export::graph(&architecture),
        Form::GraphMl => export::graphml(&architecture),
        Form::Dot => export::dot(&architecture),
        Form::Mermaid => export::mermaid(&architecture),
    };
    write(context, &wanted.file, &text)
}

fn write(context: &Context, path: &std::path::Path, text: &str) -> Result<(), CommandError> {
    let path = context.folder.join(path);
    fs::write(&path, text).map_err(|source| CommandError::File { path, verb: "written", source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_name_a_form_and_a_file() {
        let epoch = "2026-01-01T00:00:00Z";
        let of = |text: &str| exports(&[text.to_owned()], epoch);
        let (found, at) = of("zipkin=a=b.json").unwrap();
        assert_eq!(found, [Export { form: Form::Zipkin, file: "a=b.json".into() }]);
        assert_eq!(at.to_string(), "2026-01-01T00:00:00.000Z");
        insta::assert_snapshot!(of("csv=x").unwrap_err(), @"--export: `csv=x` names no form and file; write for example `zipkin=spans.json` (forms are zipkin, otlp, prometheus, graph, graphml, dot, mermaid)");
        insta::assert_snapshot!(exports(&[], "soon").unwrap_err(), @"--epoch: `soon` is no time; write for example `2026-01-01T00:00:00Z`");
        assert!(of("dot=").is_err() && of("dot").is_err());
    }
}
