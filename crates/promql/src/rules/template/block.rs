//! Cuts a template into texts and actions, and finds which of them an `if` or a `with` has between itself and its end.

use super::read::pipeline;
use super::{Choice, Kind, Part};

/// How deep choices may be nested.
const DEPTH_MAX: usize = 20;

/// Whether something is known as `.`, which is what the `with` around it has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dot {
    Known,
    Unknown,
}

/// A whole template.
pub(super) fn parts(text: &str) -> Result<Vec<Part>, String> {
    let mut blocks = Blocks { pieces: pieces(text)?.into_iter(), depth: 0 };
    match blocks.parts(Dot::Unknown)? {
        (parts, Closed::AtTheEnd) => Ok(parts),
        (_, Closed::End | Closed::Else { .. }) => {
            Err("{{ end }} or {{ else }} with nothing before it".to_owned())
        }
    }
}

enum Piece<'a> {
    Text(&'a str),
    Action(&'a str),
}

fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (action, after) = action(after).ok_or("{{ is not closed")?;
        let trimmed = action.strip_prefix("- ").map_or(before, |_| before.trim_end());
        pieces.push(Piece::Text(trimmed));
        let inner = action.strip_prefix("- ").unwrap_or(action);
        let inner = inner.strip_suffix(" -").unwrap_or(inner).trim();
        if !(inner.starts_with("/*") && inner.ends_with("*/")) {
            pieces.push(Piece::Action(inner));
        }
        rest = if action.ends_with(" -") { after.trim_start() } else { after };
    }
    pieces.push(Piece::Text(rest));
    pieces.retain(|it| !matches!(it, Piece::Text("")));
    Ok(pieces)
}

/// What stands before the closing braces, and what after. Braces in quotes do not close.
fn action(text: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some('"') if character == '\\' => escaped = true,
            Some(open) if character == open => quote = None,
            Some(_) => {}
            None if matches!(character, '"' | '`') => quote = Some(character),
            None => {
                let (before, rest) = text.split_at_checked(at)?;
                if let Some(after) = rest.strip_prefix("}}") {
                    return Some((before, after));
                }
            }
        }
    }
    None
}

/// How a run of pieces came to its end.
enum Closed<'a> {
    AtTheEnd,
    End,
    /// `else`, and what follows it in the same action.
    Else {
        rest: &'a str,
    },
}

struct Blocks<'a> {
    pieces: std::vec::IntoIter<Piece<'a>>,
    depth: usize,
}

impl<'a> Blocks<'a> {
    fn parts(&mut self, dot: Dot) -> Result<(Vec<Part>, Closed<'a>), String> {
        let mut parts = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let action = match piece {
                Piece::Text(text) => {
                    parts.push(Part::Text(text.to_owned()));
                    continue;
                }
                Piece::Action(action) => action,
            };
            let (word, rest) = first_word(action);
            match word {
                "end" => return Ok((parts, Closed::End)),
                "else" => return Ok((parts, Closed::Else { rest })),
                "if" | "with" => parts.push(self.choice(action, dot)?),
                _ => {
                    let read = pipeline(action, dot).map_err(|error| shown(action, &error))?;
                    parts.push(Part::Action(read));
                }
            }
        }
        Ok((parts, Closed::AtTheEnd))
    }

    /// An `if` or a `with`, up to its end.
    fn choice(&mut self, action: &'a str, dot: Dot) -> Result<Part, String> {
        let wrong = |error: &str| shown(action, error);
        self.depth += 1;
        if DEPTH_MAX < self.depth {
            return Err(wrong("nested too deep"));
        }
        let (word, condition) = first_word(action);
        let (kind, inner) = match word {
            "if" => (Kind::If, dot),
            "with" => (Kind::With, Dot::Known),
            _ => return Err(wrong("only if or with may follow else")),
        };
        let condition = pipeline(condition, dot).map_err(|error| wrong(&error))?;
        let (then, closed) = self.parts(inner)?;
        let otherwise = match closed {
            Closed::End => Vec::new(),
            Closed::Else { rest: "" } => match self.parts(dot)? {
                (otherwise, Closed::End) => otherwise,
                _ => return Err(wrong("its end is missing")),
            },
            Closed::Else { rest } => vec![self.choice(rest, dot)?],
            Closed::AtTheEnd => return Err(wrong("its end is missing")),
        };
        self.depth -= 1;
        Ok(Part::Choice(Choice { kind, condition, then, otherwise }))
    }
}

fn first_word(action: &str) -> (&str, &str) {
    let (word, rest) = action.split_once(char::is_whitespace).unwrap_or((action, ""));
    (word, rest.trim())
}

fn shown(action: &str, error: &str) -> String {
    format!("{{{{ {action} }}}}: {error}")
}
