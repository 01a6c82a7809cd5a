//! The selectors in an expression.

use super::syntax::{Expr, ExprKind, Selector};

impl Expr {
    /// Every selector in it, from left to right.
    pub fn selectors(&self) -> Vec<&Selector> {
        match &self.kind {
            ExprKind::Number(_) | ExprKind::String(_) => Vec::new(),
            ExprKind::Selector(selector) | ExprKind::Range { selector, .. } => vec![selector],
            ExprKind::Subquery(subquery) => subquery.expr.selectors(),
            ExprKind::Paren(inner) | ExprKind::Unary { operand: inner, .. } => inner.selectors(),
            ExprKind::Binary(binary) => {
                let mut found = binary.left.selectors();
                found.extend(binary.right.selectors());
                found
            }
            ExprKind::Aggregate(aggregate) => {
                let parameter = aggregate.parameter.iter();
                parameter.chain([&aggregate.expr]).flat_map(Self::selectors).collect()
            }
            ExprKind::Call(call) => call.arguments.iter().flat_map(Self::selectors).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::parse::parse;

    #[test]
    fn selectors_are_found_wherever_they_stand() {
        let text = "sum(rate(a[5m])) / (b + topk(scalar(c), max_over_time(d[1h:1m]))) > -e";
        let expr = parse(text).unwrap();
        let found: Vec<_> = expr.selectors().iter().filter_map(|it| it.metric.clone()).collect();
        assert_eq!(found, ["a", "b", "c", "d", "e"]);
    }
}
