//! Whether an expression that reads well also makes sense: every part gives what the part around it takes.

use super::functions::{Last, Type};
use super::syntax::{
    Aggregate, Binary, Call, Cardinality, Expr, ExprKind, Grouping, Operator, ParseError, Returns,
    Selector,
};
use crate::source::{Matcher, MatcherKind};

/// Refuses the first part that does not fit.
pub(super) fn check(text: &str, expr: &Expr) -> Result<(), ParseError> {
    Checker { text }.check(expr).map(drop)
}

struct Checker<'a> {
    text: &'a str,
}

type Checked = Result<Type, ParseError>;

impl Expr {
    /// What it gives.
    pub fn gives(&self) -> Type {
        match &self.kind {
            ExprKind::Number(_) => Type::Scalar,
            ExprKind::String(_) => Type::String,
            ExprKind::Selector(_) | ExprKind::Aggregate(_) => Type::Vector,
            ExprKind::Range { .. } | ExprKind::Subquery(_) => Type::Matrix,
            ExprKind::Paren(inner) | ExprKind::Unary { operand: inner, .. } => inner.gives(),
            ExprKind::Binary(binary) => match (binary.left.gives(), binary.right.gives()) {
                (Type::Scalar, Type::Scalar) => Type::Scalar,
                _ => Type::Vector,
            },
            ExprKind::Call(call) => call.function.gives,
        }
    }
}

impl Checker<'_> {
    fn error<T>(&self, expr: &Expr, message: String) -> Result<T, ParseError> {
        Err(ParseError::new(self.text, expr.span, message))
    }

    fn check(&self, expr: &Expr) -> Checked {
        match &expr.kind {
            ExprKind::Number(_) | ExprKind::String(_) => {}
            ExprKind::Selector(selector) | ExprKind::Range { selector, .. } => {
                self.selector(expr, selector)?;
            }
            ExprKind::Subquery(subquery) => {
                let inner = self.check(&subquery.expr)?;
                if inner != Type::Vector {
                    let found = inner.name();
                    let message =
                        format!("subquery is only allowed on instant vector, got {found} instead");
                    return self.error(expr, message);
                }
            }
            ExprKind::Paren(inner) => return self.check(inner),
            ExprKind::Unary { operand, .. } => {
                let inner = self.check(operand)?;
                if !matches!(inner, Type::Scalar | Type::Vector) {
                    let message = format!(
                        "unary expression only allowed on expressions of type scalar or instant vector, got {:?}",
                        inner.to_string()
                    );
                    return self.error(expr, message);
                }
                return Ok(inner);
            }
            ExprKind::Binary(binary) => return self.binary(expr, binary),
            ExprKind::Aggregate(aggregate) => self.aggregate(aggregate)?,
            ExprKind::Call(call) => self.call(expr, call)?,
        }
        Ok(expr.gives())
    }

    fn expect(&self, expr: &Expr, wanted: Type, context: &str) -> Result<(), ParseError> {
        let found = self.check(expr)?;
        if found == wanted {
            return Ok(());
        }
        self.error(expr, format!("expected type {wanted} in {context}, got {found}"))
    }

    fn aggregate(&self, aggregate: &Aggregate) -> Result<(), ParseError> {
        self.expect(&aggregate.expr, Type::Vector, "aggregation expression")?;
        if let (Some(parameter), Some(wanted)) =
            (&aggregate.parameter, aggregate.operator.parameter())
        {
            self.expect(parameter, wanted, "aggregation parameter")?;
        }
        Ok(())
    }

    fn call(&self, expr: &Expr, call: &Call) -> Result<(), ParseError> {
        let function = call.function;
        let (least, most) = (function.arguments_min(), function.takes.len());
        let (count, name) = (call.arguments.len(), function.name);
        if function.last == Last::Once && count != most {
            let message = format!("expected {most} argument(s) in call to {name:?}, got {count}");
            return self.error(expr, message);
        }
        if count < least {
            let message =
                format!("expected at least {least} argument(s) in call to {name:?}, got {count}");
            return self.error(expr, message);
        }
        if function.last == Last::Optional && most < count {
            let message =
                format!("expected at most {most} argument(s) in call to {name:?}, got {count}");
            return self.error(expr, message);
        }
        let wanted = function.takes.iter().chain(function.takes.last().into_iter().cycle());
        for (argument, wanted) in call.arguments.iter().zip(wanted) {
            self.expect(argument, *wanted, &format!("call to function {name:?}"))?;
        }
        Ok(())
    }

    fn binary(&self, expr: &Expr, binary: &Binary) -> Checked {
        let left = self.check(&binary.left)?;
        let right = self.check(&binary.right)?;
        let operator = binary.operator;
        let scalars = left == Type::Scalar && right == Type::Scalar;
        if operator.is_comparison() && scalars && binary.returns == Returns::Filter {
            let message = "comparisons between scalars must use BOOL modifier".to_owned();
            return Err(ParseError::new(self.text, binary.operator_span, message));
        }
        if let Some(matching) = &binary.matching
            && matching.cardinality != Cardinality::OneToOne
            && let Grouping::By(names) = &matching.labels
            && let Some(name) = names.iter().find(|it| matching.include.contains(it))
        {
            let message = format!("label {name:?} must not occur in ON and GROUP clause at once");
            return Err(ParseError::new(self.text, binary.operator_span, message));
        }
        for (side, found) in [(&binary.left, left), (&binary.right, right)] {
            if !matches!(found, Type::Scalar | Type::Vector) {
                let message = "binary expression must contain only scalar and instant vector types"
                    .to_owned();
                return self.error(side, message);
            }
        }
        let vectors = left == Type::Vector && right == Type::Vector;
        if !vectors && binary.matching.as_ref().is_some_and(|it| !it.labels.names().is_empty()) {
            let message = "vector matching only allowed between instant vectors".to_owned();
            return self.error(expr, message);
        }
        if !vectors && operator.is_set() {
            return self.set_of_scalar(expr, operator);
        }
        Ok(if scalars { Type::Scalar } else { Type::Vector })
    }

    fn set_of_scalar(&self, expr: &Expr, operator: Operator) -> Checked {
        let name = operator.name();
        self.error(expr, format!("set operator {name:?} not allowed in binary scalar expression"))
    }

    /// A selector that fits every series there is would read the whole store.
    fn selector(&self, expr: &Expr, selector: &Selector) -> Result<(), ParseError> {
        if selector.matchers.iter().any(|it| !fits_empty(it)) {
            return Ok(());
        }
        let message = "vector selector must contain at least one non-empty matcher".to_owned();
        self.error(expr, message)
    }
}

/// Whether a series without the label fits.
fn fits_empty(matcher: &Matcher) -> bool {
    match &matcher.kind {
        MatcherKind::Equal => matcher.value.is_empty(),
        MatcherKind::NotEqual => !matcher.value.is_empty(),
        MatcherKind::Regex(regex) => regex.is_match(""),
        MatcherKind::NotRegex(regex) => !regex.is_match(""),
    }
}
