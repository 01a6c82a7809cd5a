//! What may follow an expression: a range, a subquery, `offset` and `@`.

use super::{Parsed, Parser};
use crate::parse::number;
use crate::parse::syntax::{At, Expr, ExprKind, Operator, Shift, Span, Subquery};
use crate::parse::token::{Keyword, TokenKind};

const MODIFIABLE: &str =
    "must be preceded by an instant vector selector or range vector selector or a subquery";

impl Parser<'_> {
    /// Everything that follows an expression and belongs to it.
    pub(super) fn with_modifiers(&mut self, mut expr: Expr) -> Parsed<Expr> {
        loop {
            let height = self.height + 1;
            expr = match self.kind() {
                TokenKind::LeftBracket => self.range(expr)?,
                TokenKind::Keyword(Keyword::Offset) => self.offset(expr)?,
                TokenKind::At => self.at(expr)?,
                _ => return Ok(expr),
            };
            self.check_depth(height)?;
            self.height = height;
        }
    }

    fn range(&mut self, expr: Expr) -> Parsed<Expr> {
        const PLACE: &str = "subquery selector";
        let bracket = self.advance().span;
        let range_ms = self.positive_duration(PLACE, "duration")?;
        match self.kind() {
            TokenKind::RightBracket => return self.matrix(expr, (bracket, range_ms)),
            TokenKind::Colon => self.advance(),
            _ => return Err(self.unexpected("subquery or range", "\":\" or \"]\"")),
        };
        let step_ms = match self.kind() {
            TokenKind::RightBracket => None,
            TokenKind::Duration | TokenKind::Number => {
                let step_ms = self.positive_duration(PLACE, "duration or \"]\"")?;
                if self.kind() != TokenKind::RightBracket {
                    return Err(self.unexpected(PLACE, "\"]\""));
                }
                Some(step_ms)
            }
            _ => return Err(self.unexpected(PLACE, "duration or \"]\"")),
        };
        let span = expr.span.to(self.advance().span);
        let subquery = Subquery { expr, range_ms, step_ms, shift: Shift::default() };
        Ok(Expr { kind: ExprKind::Subquery(Box::new(subquery)), span })
    }

    fn matrix(&mut self, expr: Expr, (bracket, range_ms): (Span, i64)) -> Parsed<Expr> {
        let end = self.advance().span;
        let (span, brackets) = (expr.span.to(end), bracket.to(end));
        let ExprKind::Selector(selector) = expr.kind else {
            let message = "ranges only allowed for vector selectors".to_owned();
            return Err(self.error(brackets, message));
        };
        if selector.shift.offset_ms != 0 {
            let message = "no offset modifiers allowed before range".to_owned();
            return Err(self.error(brackets, message));
        }
        if selector.shift.at.is_some() {
            return Err(self.error(brackets, "no @ modifiers allowed before range".to_owned()));
        }
        Ok(Expr { kind: ExprKind::Range { selector, range_ms }, span })
    }

    fn positive_duration(&mut self, context: &str, expected: &str) -> Parsed<i64> {
        let span = self.span();
        let duration_ms = self.duration(context, expected)?;
        if duration_ms <= 0 {
            return Err(self.error(span, "duration must be greater than 0".to_owned()));
        }
        Ok(duration_ms)
    }

    /// A duration, or a number of seconds.
    #[expect(clippy::cast_possible_truncation, reason = "checked to be within an i64")]
    fn duration(&mut self, context: &str, expected: &str) -> Parsed<i64> {
        const LONGEST_MS: f64 = 9_223_372_036_854.0;
        let token = self.token();
        if !matches!(token.kind, TokenKind::Duration | TokenKind::Number) {
            return Err(self.unexpected(context, expected));
        }
        self.advance();
        let out_of_range = || self.error(token.span, "duration out of range".to_owned());
        if token.kind == TokenKind::Duration {
            return number::duration_ms(self.text_of(token)).ok_or_else(out_of_range);
        }
        let duration_ms = self.number_of(token).unwrap_or(f64::NAN) * 1000.0;
        if duration_ms.is_nan() || LONGEST_MS < duration_ms.abs() {
            return Err(out_of_range());
        }
        Ok(duration_ms.round() as i64)
    }

    fn sign(&mut self) -> i64 {
        match self.kind() {
            TokenKind::Operator(Operator::Subtract) => {
                self.advance();
                -1
            }
            TokenKind::Operator(Operator::Add) => {
                self.advance();
                1
            }
            _ => 1,
        }
    }

    fn offset(&mut self, mut expr: Expr) -> Parsed<Expr> {
        self.advance();
        let offset_ms = self.sign() * self.duration("offset", "duration")?;
        let end = self.before();
        let span = expr.span;
        let Some(shift) = shift_of(&mut expr) else {
            return Err(self.error(span, format!("offset modifier {MODIFIABLE}")));
        };
        if shift.offset_ms != 0 {
            let message = "offset may not be set multiple times".to_owned();
            return Err(self.error(span, message));
        }
        shift.offset_ms = offset_ms;
        expr.span = span.to(end);
        Ok(expr)
    }

    fn at(&mut self, mut expr: Expr) -> Parsed<Expr> {
        self.advance();
        let at = self.moment()?;
        let end = self.before();
        let span = expr.span;
        let Some(shift) = shift_of(&mut expr) else {
            return Err(self.error(span, format!("@ modifier {MODIFIABLE}")));
        };
        if shift.at.is_some() {
            let message = "@ <timestamp> may not be set multiple times".to_owned();
            return Err(self.error(span, message));
        }
        shift.at = Some(at);
        expr.span = span.to(end);
        Ok(expr)
    }

    /// What follows `@`: seconds since 1970, `start()` or `end()`.
    #[expect(clippy::cast_possible_truncation, reason = "checked to be within an i64")]
    fn moment(&mut self) -> Parsed<At> {
        const LATEST_S: f64 = 9_223_372_036_854_775.0;
        let at = match self.kind() {
            TokenKind::Keyword(Keyword::Start) => At::Start,
            TokenKind::Keyword(Keyword::End) => At::End,
            _ => {
                let sign = if self.sign() < 0 { -1.0 } else { 1.0 };
                let token = self.token();
                if !matches!(token.kind, TokenKind::Number | TokenKind::Duration) {
                    return Err(self.unexpected("@", "timestamp"));
                }
                self.advance();
                let seconds = sign * self.number_of(token).unwrap_or(f64::NAN);
                if seconds.is_nan() || LATEST_S < seconds.abs() {
                    let message = format!("timestamp out of bounds for @ modifier: {seconds:.6}");
                    return Err(self.error(token.span, message));
                }
                return Ok(At::Time((seconds * 1000.0).round() as i64));
            }
        };
        self.advance();
        self.expect(TokenKind::LeftParen, "@", "timestamp")?;
        self.expect(TokenKind::RightParen, "@", "timestamp")?;
        Ok(at)
    }
}

fn shift_of(expr: &mut Expr) -> Option<&mut Shift> {
    match &mut expr.kind {
        ExprKind::Selector(selector) | ExprKind::Range { selector, .. } => {
            Some(&mut selector.shift)
        }
        ExprKind::Subquery(subquery) => Some(&mut subquery.shift),
        _ => None,
    }
}
