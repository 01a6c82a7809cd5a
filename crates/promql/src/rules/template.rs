//! Templates of labels and annotations, in the part of Go's template language that alerts use: values of labels, the
//! value of the alert, functions that write numbers for people, and choices by these.
//!
//! What repeats or asks for more (`range`, `query`, variables) is refused when the file is read, by name: an alert whose
//! text fails when it fires is worse than a file that is refused.

mod block;
mod format;
mod functions;
mod read;

use functions::Function;

use crate::labels::Labels;
use crate::parse::literal_text;

/// A text with places that are filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

/// What templates may ask for beside the alert.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// `$externalLabels`: what tells this installation from others.
    pub external_labels: Labels,
    /// `$externalURL`: where this installation is reached.
    pub external_url: String,
}

/// What an alert's templates are filled in with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope<'a> {
    pub(super) labels: &'a Labels,
    pub(super) value: f64,
    pub(super) surroundings: &'a Surroundings,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    Action(Pipeline),
    Choice(Choice),
}

/// What is written if something holds, and what if not.
#[derive(Clone, Debug, PartialEq)]
struct Choice {
    kind: Kind,
    condition: Pipeline,
    then: Vec<Part>,
    otherwise: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    If,
    /// What the condition gives is `.` where it holds.
    With,
}

/// Commands, each of which gets the result of the one before as its last argument.
type Pipeline = Vec<Command>;

#[derive(Clone, Debug, PartialEq)]
enum Command {
    Value(Operand),
    Call(&'static Function, Vec<Operand>),
}

#[derive(Clone, Debug, PartialEq)]
enum Operand {
    Label(String),
    Labels,
    ExternalLabel(String),
    ExternalLabels,
    ExternalUrl,
    Value,
    Text(String),
    Number(f64),
    Truth(bool),
    Dot,
    Pipeline(Pipeline),
}

/// What comes of an operand.
#[derive(Clone, Debug)]
enum Data {
    Text(String),
    Number(f64),
    Truth(bool),
}

impl Data {
    /// As it is written into the text.
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => literal_text(number),
            Self::Truth(truth) => truth.to_string(),
        }
    }

    /// Whether it counts as true: anything but nothing.
    fn holds(&self) -> bool {
        match self {
            Self::Text(text) => !text.is_empty(),
            Self::Number(number) => number.abs() > 0.0 || number.is_nan(),
            Self::Truth(truth) => *truth,
        }
    }
}

impl Template {
    /// One in which nothing is filled in, whatever stands in it.
    pub fn plain(text: &str) -> Self {
        Self { text: text.to_owned(), parts: vec![Part::Text(text.to_owned())] }
    }

    /// Reads one; if that fails, says what is not supported.
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(Self { text: text.to_owned(), parts: block::parts(text)? })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn expand(&self, scope: &Scope<'_>) -> String {
        let mut written = String::new();
        match (Frame { scope, dot: None }).write(&self.parts, &mut written) {
            Ok(()) => written,
            Err(error) => format!("<error expanding template: {error}>"),
        }
    }
}

/// The scope, and what is `.` in it.
#[derive(Clone, Copy)]
struct Frame<'a> {
    scope: &'a Scope<'a>,
    dot: Option<&'a Data>,
}

impl Frame<'_> {
    fn write(&self, parts: &[Part], into: &mut String) -> Result<(), String> {
        for part in parts {
            match part {
                Part::Text(text) => into.push_str(text),
                Part::Action(pipeline) => into.push_str(&self.pipeline(pipeline)?.into_text()),
                Part::Choice(choice) => {
                    let found = self.pipeline(&choice.condition)?;
                    let inner = Frame { scope: self.scope, dot: Some(&found) };
                    match (found.holds(), choice.kind) {
                        (false, _) => self.write(&choice.otherwise, into)?,
                        (true, Kind::If) => self.write(&choice.then, into)?,
                        (true, Kind::With) => inner.write(&choice.then, into)?,
                    }
                }
            }
        }
        Ok(())
    }

    fn pipeline(&self, pipeline: &Pipeline) -> Result<Data, String> {
        let mut before = None;
        for command in pipeline {
            before = Some(match command {
                Command::Value(operand) => self.operand(operand)?,
                Command::Call(function, operands) => {
                    let arguments = operands.iter().map(|it| self.operand(it));
                    let mut arguments: Vec<Data> = arguments.collect::<Result<_, _>>()?;
                    arguments.extend(before.take());
                    (function.compute)(arguments)?
                }
            });
        }
        before.ok_or_else(|| "missing value for command".to_owned())
    }

    fn operand(&self, operand: &Operand) -> Result<Data, String> {
        let scope = self.scope;
        let external = &scope.surroundings.external_labels;
        Ok(match operand {
            Operand::Label(name) => Data::Text(scope.labels.get(name).to_owned()),
            Operand::ExternalLabel(name) => Data::Text(external.get(name).to_owned()),
            Operand::Labels => Data::Text(map(scope.labels)),
            Operand::ExternalLabels => Data::Text(map(external)),
            Operand::ExternalUrl => Data::Text(scope.surroundings.external_url.clone()),
            Operand::Value => Data::Number(scope.value),
            Operand::Text(text) => Data::Text(text.clone()),
            Operand::Number(number) => Data::Number(*number),
            Operand::Truth(truth) => Data::Truth(*truth),
            Operand::Dot => self.dot.cloned().unwrap_or(Data::Truth(false)),
            Operand::Pipeline(pipeline) => self.pipeline(pipeline)?,
        })
    }
}

/// All labels, as Go writes a map.
fn map(labels: &Labels) -> String {
    let labels: Vec<String> =
        labels.iter().map(|(name, value)| format!("{name}:{value}")).collect();
    format!("map[{}]", labels.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(template: &str, value: f64, expected: &str) {
        let labels = Labels::of([("job", "cart"), ("instance", "10.0.0.1:80"), ("__name__", "up")]);
        let surroundings = Surroundings {
            external_labels: Labels::of([("region", "north")]),
            external_url: "http://localhost:9090".to_owned(),
        };
        let scope = Scope { labels: &labels, value, surroundings: &surroundings };
        assert_eq!(Template::parse(template).map(|it| it.expand(&scope)).as_deref(), Ok(expected));
    }

    #[track_caller]
    fn refused(template: &str, error: &str) {
        assert_eq!(Template::parse(template).map(|it| it.text), Err(error.to_owned()));
    }

    #[test]
    fn values_are_filled_in() {
        check(
            "{{ $labels.job }} of {{.Labels.instance}}: {{ $value }}",
            1.5,
            "cart of 10.0.0.1:80: 1.5",
        );
        check("{{ $labels.nothing }}|{{ $externalLabels.region }}", 0.0, "|north");
        check("a {{- /* nothing */ -}} b {{ \"x\" }}{{`y`}}{{ 3 }}", 0.0, "ab xy3");
        check("{{ $labels }}", 0.0, "map[__name__:up instance:10.0.0.1:80 job:cart]");
        check("{{ .Value }} {{ $value }}", 12_345_678.0, "1.2345678e+07 1.2345678e+07");
        check("{{ $externalURL }}/x", 0.0, "http://localhost:9090/x");
        check("no { braces }", 0.0, "no { braces }");
    }

    #[test]
    fn functions_write_numbers_for_people() {
        check("{{ $value | humanize }}", 1_234_567.0, "1.235M");
        check("{{ humanize $value }}", 0.000_12, "120u");
        check("{{ $value | humanize1024 }}", 2_097_152.0, "2Mi");
        check("{{ $value | humanizePercentage }}", 0.123_456, "12.35%");
        check("{{ $value | humanizeDuration }}", 93_784.0, "1d 2h 3m 4s");
        check("{{ $value | humanizeDuration }}", 3.25, "3.25s");
        check("{{ $value | humanizeDuration }}", 0.0042, "4.2ms");
        check(
            "{{ $value | humanizeTimestamp }}",
            1_435_065_584.128,
            "2015-06-23 13:19:44.128 +0000 UTC",
        );
        check(
            "{{ printf \"%.2f of %s (%5.1f|%-4s|%d)\" $value $labels.job 2.25 \"a\" 7 }}",
            1.0,
            "1.00 of cart (  2.2|a   |7)",
        );
        check("{{ $value | printf \"%.1f%%\" }}", 12.34, "12.3%");
        check("{{ printf \"%g\" (parseDuration \"1h\") }}", 0.0, "3600");
        check("{{ $labels.job | toUpper | printf \"%q\" }}", 0.0, "\"CART\"");
        check(
            "{{ reReplaceAll \"c(.)\" \"$1-\" $labels.job }} {{ title \"a b\" }}",
            0.0,
            "a-rt A B",
        );
        check("{{ stripPort $labels.instance }}", 0.0, "10.0.0.1");
        check(
            "{{ \"x\" | humanize }}",
            0.0,
            "<error expanding template: error calling humanize: \"x\" is no number>",
        );
    }

    #[test]
    fn choices_are_made() {
        let by_value =
            "{{ if gt $value 1.0 }}high{{ else if eq $value 1.0 }}one{{ else }}low{{ end }}";
        check(by_value, 2.0, "high");
        check(by_value, 1.0, "one");
        check(by_value, 0.5, "low");
        let found = "a{{ with $labels.job }} in {{ . }}{{ end }}";
        check(
            &format!(
                "{found}{{{{ with $labels.nothing }}}} on {{{{ . }}}}{{{{ else }}}}!{{{{ end }}}}"
            ),
            0.0,
            "a in cart!",
        );
        let both = "{{ if and $labels.job (not $labels.nothing) }}{{ eq $labels.job \"x\" \"cart\" }}{{ end }}";
        check(both, 0.0, "true");
        let either = "{{ if or false (ne $labels.job \"cart\") }}a{{ end }}{{ if match \"^c\" $labels.job }}b{{ end }}";
        check(either, 0.0, "b");
        check("{{ lt 1.0 2.0 }} {{ le \"a\" \"b\" }} {{ ge 1.0 2.0 }}", 0.0, "true true false");
    }

    #[test]
    fn what_repeats_is_refused() {
        refused("{{ if $value }}a", "{{ if $value }}: its end is missing");
        refused("a{{ end }}", "{{ end }} or {{ else }} with nothing before it");
        refused(
            "{{ if $value }}a{{ else range 1 }}{{ end }}",
            "{{ range 1 }}: only if or with may follow else",
        );
        refused("{{ . }}", "{{ . }}: \".\" is not supported in templates");
        refused(
            "{{ query \"up\" }}",
            "{{ query \"up\" }}: \"query\" is not supported in templates",
        );
        refused("{{ $x }}", "{{ $x }}: \"$x\" is not supported in templates");
        refused("{{ humanize }}", "{{ humanize }}: humanize takes 1 argument, not 0");
        refused("{{ $value | }}", "{{ $value | }}: something is missing");
        refused("{{ $value", "{{ is not closed");
    }
}
