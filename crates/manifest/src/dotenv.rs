//! Files of variables, `.env` and those under `env_file`, as Compose reads them: `export A=1`, `'..'` as it stands, `".."`
//! with escapes and references, several lines in both quotes, ` #` for a comment.

use std::collections::BTreeMap;

use crate::interpolate::{Lookup, interpolate};

/// Variables a file may have: an environment of more does not fit a process.
const VARIABLES_MAX: usize = 10_000;

/// What a file of variables is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// To fill references: what the shell says wins, and every name has a value.
    Interpolation,
    /// As the environment of a service: what the file says wins, and a name alone is passed through.
    Environment,
}

/// What is wrong with such a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}: {message}")]
pub(crate) struct Fault {
    pub(crate) line: usize,
    pub(crate) message: String,
}

/// The variables of a file in its order; of two with one name the later counts.
pub(crate) fn parse(
    text: &str,
    shell: &Lookup<'_>,
    used: Use,
) -> Result<Vec<(String, String)>, Fault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    let mut read = Vec::new();
    let mut rest = text.as_str();
    loop {
        rest = rest.trim_start();
        let line =
            1 + text.get(..text.len() - rest.len()).unwrap_or_default().matches('\n').count();
        let fault = |message: String| Fault { line, message };
        if rest.is_empty() {
            return Ok(read);
        }
        if VARIABLES_MAX <= read.len() {
            return Err(fault(format!("more than {VARIABLES_MAX} variables")));
        }
        if rest.starts_with('#') {
            rest = rest.split_once('\n').map_or("", |it| it.1);
            continue;
        }
        let (name, value, after) = assignment(rest).map_err(fault)?;
        rest = after;
        let value = match value {
            Written::Nothing if used == Use::Environment => shell(name),
            Written::Nothing => {
                return Err(fault(format!("`{name}` has no value; write `{name}=`, or remove it")));
            }
            Written::Raw(value) => Some(value.to_owned()),
            Written::Text(value) => {
                let lookup = |name: &str| match used {
                    Use::Interpolation => shell(name).or_else(|| known.get(name).cloned()),
                    Use::Environment => known.get(name).cloned().or_else(|| shell(name)),
                };
                Some(interpolate(&value, &lookup).map_err(fault)?.text)
            }
        };
        if let Some(value) = value {
            known.insert(name.to_owned(), value.clone());
            read.retain(|(it, _): &(String, String)| it != name);
            read.push((name.to_owned(), value));
        }
    }
}

/// A value as it is written.
#[derive(Debug, PartialEq, Eq)]
enum Written<'a> {
    /// Only a name.
    Nothing,
    /// In single quotes.
    Raw(&'a str),
    /// With references.
    Text(String),
}

/// The name and the value that `text` begins with, and what follows them.
fn assignment(text: &str) -> Result<(&str, Written<'_>, &str), String> {
    let text = match text.strip_prefix("export") {
        Some(rest) if rest.starts_with([' ', '\t']) => rest.trim_start_matches([' ', '\t']),
        _ => text,
    };
    let line = text.split('\n').next().unwrap_or_default();
    let next = text.get(line.len()..).unwrap_or_default();
    let end = line.find(['=', ':']).unwrap_or(line.len());
    let (name, value) = line.split_at_checked(end).unwrap_or((line, ""));
    let name = name.trim();
    let is_sign = |it: char| it.is_ascii_alphanumeric() || "_.-".contains(it);
    if name.is_empty() || !name.chars().all(is_sign) {
        // What stands there may be part of a secret.
        return Err("a variable is written `NAME=value`".to_owned());
    }
    let Some(value) = value.get(1..) else { return Ok((name, Written::Nothing, next)) };
    let value = value.trim_start_matches([' ', '\t']);
    // Quotes may go over several lines.
    let from_value = text.get(line.len() - value.len()..).unwrap_or_default();
    let quoted = |quote: char| from_value.strip_prefix(quote);
    if let Some(inner) = quoted('\'') {
        let (inner, after) = inner.split_once('\'').ok_or_else(|| unclosed(name, '\''))?;
        return Ok((name, Written::Raw(inner), behind(after)));
    }
    if let Some(inner) = quoted('"') {
        let (inner, after) = unescaped(inner).ok_or_else(|| unclosed(name, '"'))?;
        return Ok((name, Written::Text(inner), behind(after)));
    }
    let had_space = value.len() + 1 < line.len() - end;
    let comment = [" #", "\t#"].iter().filter_map(|it| value.find(it)).min();
    let value = match comment {
        _ if had_space && value.starts_with('#') => "",
        Some(at) => value.get(..at).unwrap_or_default(),
        None => value,
    };
    Ok((name, Written::Text(value.trim_end().to_owned()), next))
}

fn unclosed(name: &str, quote: char) -> String {
    format!("the value of `{name}` begins with {quote} and never ends")
}

/// What follows the line on which a quote ended.
fn behind(after: &str) -> &str {
    after.split_once('\n').map_or("", |it| it.1)
}

/// What stands before the double quote that ends it, with escapes put in, and what follows.
fn unescaped(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                // A dollar sign that refers to nothing.
                '$' => value.push_str("$$"),
                sign @ ('"' | '\\' | '\'') => value.push(sign),
                other => value.extend(['\\', other]),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shell(name: &str) -> Option<String> {
        (name == "SHELLS").then(|| "s".to_owned())
    }

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str)]) {
        let read = parse(text, &shell, Use::Environment).unwrap();
        let read: Vec<_> = read.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(read, expected);
    }

    #[test]
    fn files_are_read_as_compose_does() {
        check("\u{feff}A=1\r\nB = 2 \r\n", &[("A", "1"), ("B", "2")]);
        check("export A=1\n# c\n\nexported=2", &[("A", "1"), ("exported", "2")]);
        check("A='$X #'\nB=\"a\\n$A\\$A\"", &[("A", "$X #"), ("B", "a\n$X #$A")]);
        check("A=x # c\nB=x#c\nC= # c\nD=#c", &[("A", "x"), ("B", "x#c"), ("C", ""), ("D", "#c")]);
        check("A=\"1\n2\" # c\nB='3\n4'\nC=5", &[("A", "1\n2"), ("B", "3\n4"), ("C", "5")]);
        check("A=1\nB=${A}${X:-d}$SHELLS\nA=2", &[("B", "1ds"), ("A", "2")]);
        check("a.b-c=1\n1x=2\nSHELLS\nNONE", &[("a.b-c", "1"), ("1x", "2"), ("SHELLS", "s")]);
        check("H=$2a$14$x.\nP=a=b==", &[("H", "$2a$14."), ("P", "a=b==")]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, expected) in [
            ("A=1\nB", "2: `B` has no value; write `B=`, or remove it"),
            ("A=1\n\nB='x\n", "3: the value of `B` begins with ' and never ends"),
            ("A=\"x", "1: the value of `A` begins with \" and never ends"),
            ("not a name=1", "1: a variable is written `NAME=value`"),
            ("A=${X:?why}", "1: `X` is not set in your shell or in .env: why"),
        ] {
            let fault = parse(text, &shell, Use::Interpolation).unwrap_err();
            assert_eq!(fault.to_string(), expected);
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[A-C='\"\\\\$#{} \n\t:-]{0,60}") {
            drop(parse(&text, &shell, Use::Environment));
        }

        #[test]
        fn quoted_values_come_back(value in "[^'\r]{0,40}") {
            let read = parse(&format!("A='{value}'"), &shell, Use::Environment).unwrap();
            prop_assert_eq!(&read[0].1, &value);
        }
    }
}
