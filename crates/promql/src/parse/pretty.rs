//! Long expressions over several lines, as Prometheus' `format_query` lays them out.

use super::print::{aggregate_head, binary_middle, subquery_tail};
use super::syntax::{Expr, ExprKind, Sign};

/// What is no longer than this stays on its line: Prometheus' width.
const LINE_MAX: usize = 100;

impl Expr {
    /// The expression with a line for every part where it is long.
    pub fn pretty(&self) -> String {
        self.lines(0)
    }

    fn lines(&self, level: usize) -> String {
        let indent = "  ".repeat(level);
        let plain = self.to_string();
        if plain.len() <= LINE_MAX {
            return format!("{indent}{plain}");
        }
        match &self.kind {
            ExprKind::Aggregate(aggregate) => {
                let head = aggregate_head(aggregate);
                let parameter = aggregate.parameter.as_ref();
                let parameter = parameter.map(|it| format!("{},\n", it.lines(level + 1)));
                let inner = aggregate.expr.lines(level + 1);
                format!("{indent}{head}(\n{}{inner}\n{indent})", parameter.unwrap_or_default())
            }
            ExprKind::Binary(binary) => {
                let (left, right) = (binary.left.lines(level + 1), binary.right.lines(level + 1));
                format!("{left}\n{indent}{}\n{right}", binary_middle(binary))
            }
            ExprKind::Call(call) => {
                let arguments: Vec<_> =
                    call.arguments.iter().map(|it| it.lines(level + 1)).collect();
                format!("{indent}{}(\n{}\n{indent})", call.function.name, arguments.join(",\n"))
            }
            ExprKind::Paren(inner) => format!("{indent}(\n{}\n{indent})", inner.lines(level + 1)),
            ExprKind::Subquery(subquery) => {
                format!("{}{}", subquery.expr.lines(level), subquery_tail(subquery))
            }
            ExprKind::Unary { sign, operand } => {
                let sign = if *sign == Sign::Minus { "-" } else { "+" };
                format!("{indent}{sign}{}", operand.lines(level).trim())
            }
            ExprKind::Number(_)
            | ExprKind::String(_)
            | ExprKind::Selector(_)
            | ExprKind::Range { .. } => format!("{indent}{plain}"),
        }
    }
}
