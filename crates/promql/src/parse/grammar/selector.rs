//! Which series: a metric's name, and matchers in braces.

use regex::Regex;

use super::{Parsed, Parser};
use crate::labels::NAME;
use crate::parse::pattern::anchored;
use crate::parse::syntax::{Expr, ExprKind, ParseError, Selector, Shift, Span};
use crate::parse::token::{Token, TokenKind};
use crate::source::{Matcher, MatcherKind};

/// Matchers one selector may have; people write a handful.
const MATCHERS_MAX: usize = 100;

impl Parser<'_> {
    /// A selector, after the metric's name if it has one.
    pub(super) fn selector(&mut self, name: Option<Token>) -> Parsed<Expr> {
        let start = name.map_or_else(|| self.span(), |it| it.span);
        let metric = name.map(|it| self.text_of(it).to_owned());
        let mut matchers = Vec::new();
        let mut end = start;
        if self.kind() == TokenKind::LeftBrace {
            end = self.braces(&mut matchers)?;
        }
        let span = start.to(end);
        let mut names = matchers.iter().filter(|it| it.name == NAME);
        if let (Some(metric), Some(second)) = (&metric, names.next()) {
            return Err(self.named_twice(span, metric, &second.value));
        }
        if let Some(metric) = &metric {
            matchers.push(Matcher::equal(NAME, metric));
        }
        let selector = Selector { metric, matchers, shift: Shift::default() };
        Ok(Expr { kind: ExprKind::Selector(selector), span })
    }

    fn named_twice(&self, span: Span, first: &str, second: &str) -> ParseError {
        self.error(span, format!("metric name must not be set twice: {first:?} or {second:?}"))
    }

    fn braces(&mut self, matchers: &mut Vec<Matcher>) -> Parsed<Span> {
        const PLACE: &str = "label matching";
        self.advance();
        let mut quoted_name: Option<String> = None;
        while self.kind() != TokenKind::RightBrace {
            let token = self.token();
            let name = match token.kind {
                TokenKind::Identifier => {
                    self.advance();
                    self.text_of(token).to_owned()
                }
                TokenKind::String => self.string()?,
                _ => return Err(self.unexpected(PLACE, "identifier or \"}\"")),
            };
            let ends = matches!(self.kind(), TokenKind::Comma | TokenKind::RightBrace);
            if token.kind == TokenKind::String && ends {
                if let Some(first) = quoted_name.replace(name.clone()) {
                    return Err(self.named_twice(token.span, &first, &name));
                }
                matchers.push(Matcher::equal(NAME, &name));
            } else {
                matchers.push(self.matcher((name, token.span))?);
            }
            if MATCHERS_MAX < matchers.len() {
                let message = format!("more than {MATCHERS_MAX} matchers");
                return Err(self.error(token.span, message));
            }
            match self.kind() {
                TokenKind::Comma => {
                    self.advance();
                }
                TokenKind::RightBrace => {}
                _ => return Err(self.unexpected(PLACE, "\",\" or \"}\"")),
            }
        }
        Ok(self.advance().span)
    }

    fn matcher(&mut self, (name, span): (String, Span)) -> Parsed<Matcher> {
        let operator = self.kind();
        if !matches!(
            operator,
            TokenKind::Equal | TokenKind::NotEqual | TokenKind::EqualRegex | TokenKind::NotRegex
        ) {
            return Err(self.unexpected("label matching", "label matching operator"));
        }
        self.advance();
        if self.kind() != TokenKind::String {
            return Err(self.unexpected("label matching", "string"));
        }
        let value = self.string()?;
        let kind = match operator {
            TokenKind::Equal => MatcherKind::Equal,
            TokenKind::NotEqual => MatcherKind::NotEqual,
            TokenKind::EqualRegex => MatcherKind::Regex(self.regex(span, &value)?),
            _ => MatcherKind::NotRegex(self.regex(span, &value)?),
        };
        Ok(Matcher { name, kind, value })
    }

    fn regex(&self, span: Span, pattern: &str) -> Parsed<Regex> {
        anchored(pattern).map_err(|error| {
            let why = error.to_string();
            let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
            self.error(span, format!("error parsing regexp {pattern:?}: {why}"))
        })
    }

    /// Names in parentheses.
    pub(super) fn label_names(&mut self) -> Parsed<Vec<String>> {
        const PLACE: &str = "grouping opts";
        self.expect(TokenKind::LeftParen, PLACE, "\"(\"")?;
        let mut names = Vec::new();
        while self.kind() != TokenKind::RightParen {
            let token = self.token();
            names.push(match token.kind {
                TokenKind::String => self.string()?,
                kind if kind.names_label() => {
                    self.advance();
                    self.text_of(token).to_owned()
                }
                _ => return Err(self.unexpected(PLACE, "label")),
            });
            match self.kind() {
                TokenKind::Comma => {
                    self.advance();
                }
                TokenKind::RightParen => {}
                _ => return Err(self.unexpected(PLACE, "\",\" or \")\"")),
            }
        }
        self.advance();
        Ok(names)
    }
}
