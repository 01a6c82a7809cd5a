//! Reads what stands between the braces of a template.

use super::block::Dot;
use super::functions::Function;
use super::{Command, Operand, Pipeline};
use crate::parse::{number, unquoted};

/// How deep pipelines may be nested in parentheses.
const DEPTH_MAX: usize = 20;

/// An action that gives a value.
pub(super) fn pipeline(text: &str, dot: Dot) -> Result<Pipeline, String> {
    let words = words(text)?;
    let mut reader = Reader { words: &words, depth: 0, dot };
    let pipeline = reader.pipeline()?;
    match reader.words.first() {
        None => Ok(pipeline),
        Some(word) => Err(format!("{word:?} is too much")),
    }
}

/// Words, strings with their quotes, and single `|`, `(` and `)`.
fn words(text: &str) -> Result<Vec<&str>, String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '|' | '(' | ')' => 1,
            '"' | '`' => string_length(rest, first).ok_or("a string is not closed")?,
            _ => {
                let ends = |it: char| it.is_whitespace() || "|()\"`".contains(it);
                rest.find(ends).unwrap_or(rest.len())
            }
        };
        let (word, after) = rest.split_at_checked(length).ok_or("a word is cut")?;
        words.push(word);
        rest = after.trim_start();
    }
    Ok(words)
}

fn string_length(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        if !escaped && character == quote {
            return Some(at + 1);
        }
        escaped = !escaped && character == '\\' && quote == '"';
    }
    None
}

struct Reader<'a> {
    words: &'a [&'a str],
    depth: usize,
    dot: Dot,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    fn pipeline(&mut self) -> Result<Pipeline, String> {
        let mut commands = Vec::new();
        loop {
            let command = self.command(commands.len().min(1))?;
            commands.push(command);
            if self.words.first() != Some(&"|") {
                return Ok(commands);
            }
            self.next();
        }
    }

    /// A function with what it takes beside what is piped into it, or one operand.
    fn command(&mut self, piped: usize) -> Result<Command, String> {
        let first = *self.words.first().ok_or("something is missing")?;
        let is_name = first.starts_with(|it: char| it.is_ascii_alphabetic())
            && !matches!(first, "true" | "false");
        if !is_name {
            return Ok(Command::Value(self.operand()?));
        }
        self.next();
        let function = Function::find(first)
            .ok_or_else(|| format!("{first:?} is not supported in templates"))?;
        let mut operands = Vec::new();
        while self.words.first().is_some_and(|it| !matches!(*it, "|" | ")")) {
            operands.push(self.operand()?);
        }
        function.check(operands.len() + piped)?;
        Ok(Command::Call(function, operands))
    }

    fn operand(&mut self) -> Result<Operand, String> {
        let word = self.next().ok_or("something is missing")?;
        let label = |prefixes: [&str; 2]| {
            prefixes.iter().find_map(|it| word.strip_prefix(it)).map(str::to_owned)
        };
        if word == "(" {
            self.depth += 1;
            if DEPTH_MAX < self.depth {
                return Err(format!("more than {DEPTH_MAX} parentheses"));
            }
            let inner = self.pipeline()?;
            return match self.next() {
                Some(")") => Ok(Operand::Pipeline(inner)),
                _ => Err("a parenthesis is not closed".to_owned()),
            };
        }
        if word.starts_with(['"', '`']) {
            let text =
                unquoted(word).ok_or_else(|| format!("{word} has an escape that is none"))?;
            return Ok(Operand::Text(text));
        }
        if let Some(name) = label(["$labels.", ".Labels."]) {
            return Ok(Operand::Label(name));
        }
        if let Some(name) = label(["$externalLabels.", ".ExternalLabels."]) {
            return Ok(Operand::ExternalLabel(name));
        }
        Ok(match word {
            "$value" | ".Value" => Operand::Value,
            "$labels" | ".Labels" => Operand::Labels,
            "$externalLabels" | ".ExternalLabels" => Operand::ExternalLabels,
            "$externalURL" | ".ExternalURL" => Operand::ExternalUrl,
            "." if self.dot == Dot::Known => Operand::Dot,
            "true" => Operand::Truth(true),
            "false" => Operand::Truth(false),
            _ => match number(word).filter(|_| word.contains(|it: char| it.is_ascii_digit())) {
                Some(number) => Operand::Number(number),
                None if word == "|" => return Err("something is missing".to_owned()),
                None => return Err(format!("{word:?} is not supported in templates")),
            },
        })
    }
}
