//! An expression as text again, in the one way Prometheus writes it.

use std::fmt::{self, Display, Formatter};

use super::number::{duration_text, literal_text, quoted};
use super::syntax::{
    Aggregate, At, Binary, Cardinality, Expr, ExprKind, Grouping, Matching, Returns, Selector,
    Shift, Sign, Subquery,
};
use crate::labels::NAME;
use crate::source::{Matcher, MatcherKind};

impl Display for Expr {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Number(number) => formatter.write_str(&literal_text(*number)),
            ExprKind::String(text) => formatter.write_str(&quoted(text)),
            ExprKind::Selector(selector) => {
                write!(formatter, "{selector}{}", Shown(selector.shift))
            }
            ExprKind::Range { selector, range_ms } => {
                let range = duration_text(*range_ms);
                write!(formatter, "{selector}[{range}]{}", Shown(selector.shift))
            }
            ExprKind::Subquery(subquery) => {
                write!(formatter, "{}{}", subquery.expr, subquery_tail(subquery))
            }
            ExprKind::Paren(inner) => write!(formatter, "({inner})"),
            ExprKind::Unary { sign, operand } => {
                let sign = if *sign == Sign::Minus { "-" } else { "+" };
                write!(formatter, "{sign}{operand}")
            }
            ExprKind::Binary(binary) => binary.fmt(formatter),
            ExprKind::Aggregate(aggregate) => aggregate.fmt(formatter),
            ExprKind::Call(call) => {
                write!(formatter, "{}({})", call.function.name, List(&call.arguments))
            }
        }
    }
}

impl Display for Binary {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} {}", self.left, binary_middle(self), self.right)
    }
}

/// The operator with everything that stands between the operands.
pub(super) fn binary_middle(binary: &Binary) -> String {
    let returns = if binary.returns == Returns::Bool { " bool" } else { "" };
    let matching = binary.matching.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("{}{returns}{matching}", binary.operator.name())
}

impl Display for Matching {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let (word, names) = match &self.labels {
            Grouping::By(names) => ("on", names),
            Grouping::Without(names) => ("ignoring", names),
        };
        let plain = matches!(self.cardinality, Cardinality::OneToOne | Cardinality::ManyToMany);
        if plain && word == "ignoring" && names.is_empty() {
            return Ok(());
        }
        write!(formatter, " {word} ({})", Names(names))?;
        let group = match self.cardinality {
            Cardinality::ManyToOne => "group_left",
            Cardinality::OneToMany => "group_right",
            Cardinality::OneToOne | Cardinality::ManyToMany => return Ok(()),
        };
        write!(formatter, " {group} ({})", Names(&self.include))
    }
}

impl Display for Aggregate {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let head = aggregate_head(self);
        match &self.parameter {
            Some(parameter) => write!(formatter, "{head}({parameter}, {})", self.expr),
            None => write!(formatter, "{head}({})", self.expr),
        }
    }
}

/// What stands before the parentheses of an aggregation.
pub(super) fn aggregate_head(aggregate: &Aggregate) -> String {
    let name = aggregate.operator.name();
    match &aggregate.grouping {
        Grouping::Without(names) => format!("{name} without ({}) ", Names(names)),
        Grouping::By(names) if !names.is_empty() => format!("{name} by ({}) ", Names(names)),
        Grouping::By(_) => name.to_owned(),
    }
}

/// What follows the expression of a subquery.
pub(super) fn subquery_tail(subquery: &Subquery) -> String {
    let range = duration_text(subquery.range_ms);
    let step = subquery.step_ms.map(duration_text).unwrap_or_default();
    format!("[{range}:{step}]{}", Shown(subquery.shift))
}

impl Display for Selector {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.metric.as_deref().unwrap_or_default())?;
        let named = self.metric.is_some();
        let mut others = self.matchers.iter().filter(|it| !named || it.name != NAME).peekable();
        if others.peek().is_none() {
            return Ok(());
        }
        let mut others: Vec<String> = others.map(ToString::to_string).collect();
        others.sort();
        write!(formatter, "{{{}}}", others.join(","))
    }
}

impl Display for Matcher {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let operator = match self.kind {
            MatcherKind::Equal => "=",
            MatcherKind::NotEqual => "!=",
            MatcherKind::Regex(_) => "=~",
            MatcherKind::NotRegex(_) => "!~",
        };
        write!(formatter, "{}{operator}{}", label_name(&self.name), quoted(&self.value))
    }
}

/// The moment, after what it belongs to.
struct Shown(Shift);

impl Display for Shown {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self.0.at {
            Some(At::Time(at_ms)) => {
                let sign = if at_ms < 0 { "-" } else { "" };
                let at = at_ms.unsigned_abs();
                write!(formatter, " @ {sign}{}.{:03}", at / 1000, at % 1000)?;
            }
            Some(At::Start) => formatter.write_str(" @ start()")?,
            Some(At::End) => formatter.write_str(" @ end()")?,
            None => {}
        }
        if self.0.offset_ms != 0 {
            write!(formatter, " offset {}", duration_text(self.0.offset_ms))?;
        }
        Ok(())
    }
}

struct List<'a>(&'a [Expr]);

impl Display for List<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        for (place, expr) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(formatter, "{comma}{expr}")?;
        }
        Ok(())
    }
}

struct Names<'a>(&'a [String]);

impl Display for Names<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        for (place, name) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(formatter, "{comma}{}", label_name(name))?;
        }
        Ok(())
    }
}

/// A label's name, in quotes if it could not be read without them.
fn label_name(name: &str) -> String {
    let plain = name.starts_with(|it: char| it.is_ascii_alphabetic() || it == '_')
        && name.chars().all(|it| it.is_ascii_alphanumeric() || it == '_');
    if plain { name.to_owned() } else { quoted(name) }
}
