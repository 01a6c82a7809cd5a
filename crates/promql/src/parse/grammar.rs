//! Words to tree: precedence climbing over Prometheus' grammar.
//!
//! From the loosest: `or`; `and` and `unless`; comparisons; `+` and `-`; `*`, `/`, `%` and `atan2`; signs; `^`,
//! which alone binds to the right; `offset`, `@` and ranges.

use super::functions::Function;
use super::number::{duration_ms, number, unquoted};
use super::syntax::{
    Aggregate, Aggregation, Binary, Call, Cardinality, Expr, ExprKind, Grouping, Matching,
    Operator, ParseError, Returns, Sign, Span,
};
use super::token::{Keyword, Token, TokenKind};
use super::{DEPTH_MAX, LENGTH_MAX, lexer};

mod modifier;
mod selector;

type Parsed<T> = Result<T, ParseError>;

pub(super) struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    /// What the lexer said at the word that is an error.
    lexed: Option<ParseError>,
    at: usize,
    /// Levels between the whole and what is being read.
    depth: usize,
    /// Levels of the tree that was read last.
    height: usize,
}

/// How tightly an operator binds.
const fn precedence(operator: Operator) -> u8 {
    match operator {
        Operator::Or => 1,
        Operator::And | Operator::Unless => 2,
        it if it.is_comparison() => 3,
        Operator::Add | Operator::Subtract => 4,
        Operator::Power => 6,
        _ => SIGN,
    }
}

/// Signs bind as products do, and so looser than powers.
const SIGN: u8 = 5;

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str) -> Parsed<Self> {
        if LENGTH_MAX < text.len() {
            let message = format!("the expression is longer than {LENGTH_MAX} bytes");
            return Err(ParseError::new(text, Span { start: 0, end: text.len() }, message));
        }
        let (tokens, lexed) = lexer::words(text);
        Ok(Self { text, tokens, lexed, at: 0, depth: 0, height: 0 })
    }

    /// The whole text as one expression.
    pub(super) fn whole(mut self) -> Parsed<Expr> {
        if self.kind() == TokenKind::End {
            let start = Span { start: 0, end: 0 };
            return Err(self.error(start, "no expression found in input".to_owned()));
        }
        let expr = self.expression(0)?;
        match self.kind() {
            TokenKind::End => Ok(expr),
            _ => Err(self.unexpected("", "")),
        }
    }

    fn expression(&mut self, loosest: u8) -> Parsed<Expr> {
        self.depth += 1;
        self.check_depth(self.depth)?;
        let mut left = self.operand()?;
        let mut height = self.height;
        while let TokenKind::Operator(operator) = self.kind() {
            let level = precedence(operator);
            if level < loosest {
                break;
            }
            let operator_span = self.advance().span;
            let (returns, matching) = self.binary_modifiers((operator, operator_span))?;
            let tighter = if operator == Operator::Power { level } else { level + 1 };
            let right = self.expression(tighter)?;
            let span = left.span.to(right.span);
            if operator.is_set()
                && matching.as_ref().is_some_and(|it| it.cardinality != Cardinality::ManyToMany)
            {
                let message = format!("no grouping allowed for {:?} operation", operator.name());
                return Err(self.error(span, message));
            }
            let binary = Binary { operator, operator_span, left, right, returns, matching };
            left = Expr { kind: ExprKind::Binary(Box::new(binary)), span };
            height = 1 + height.max(self.height);
            self.check_depth(height)?;
        }
        self.height = height;
        self.depth -= 1;
        Ok(left)
    }

    fn check_depth(&self, depth: usize) -> Parsed<()> {
        if depth <= DEPTH_MAX {
            return Ok(());
        }
        let message = format!("the expression is nested deeper than {DEPTH_MAX} levels");
        Err(self.error(self.span(), message))
    }

    /// A sign and what it stands before, or something with its range and moment.
    fn operand(&mut self) -> Parsed<Expr> {
        let sign = match self.kind() {
            TokenKind::Operator(Operator::Add) => Sign::Plus,
            TokenKind::Operator(Operator::Subtract) => Sign::Minus,
            _ => {
                let primary = self.primary()?;
                return self.with_modifiers(primary);
            }
        };
        let start = self.advance().span;
        let operand = self.expression(SIGN + 1)?;
        self.height += 1;
        let span = start.to(operand.span);
        let kind = match (operand.kind, sign) {
            (ExprKind::Number(number), Sign::Minus) => ExprKind::Number(-number),
            (ExprKind::Number(number), Sign::Plus) => ExprKind::Number(number),
            (kind, sign) => {
                let operand = Box::new(Expr { kind, span: operand.span });
                ExprKind::Unary { sign, operand }
            }
        };
        Ok(Expr { kind, span })
    }

    fn primary(&mut self) -> Parsed<Expr> {
        self.height = 1;
        let token = self.token();
        let before_call = self.peek(1) == TokenKind::LeftParen;
        match token.kind {
            TokenKind::Number | TokenKind::Duration => self.number_literal(),
            TokenKind::String => {
                let text = self.string()?;
                Ok(Expr { kind: ExprKind::String(text), span: token.span })
            }
            TokenKind::LeftParen => {
                self.advance();
                let inner = self.expression(0)?;
                let end = self.expect(TokenKind::RightParen, "", "")?.span;
                self.height += 1;
                Ok(Expr { kind: ExprKind::Paren(Box::new(inner)), span: token.span.to(end) })
            }
            TokenKind::Aggregation(operator) if self.opens_aggregation() => {
                self.aggregate(operator)
            }
            TokenKind::Identifier if before_call => self.call(),
            TokenKind::LeftBrace => self.selector(None),
            kind if kind.names_metric() => {
                self.advance();
                self.selector(Some(token))
            }
            _ => Err(self.unexpected("", "")),
        }
    }

    fn opens_aggregation(&self) -> bool {
        matches!(
            self.peek(1),
            TokenKind::LeftParen | TokenKind::Keyword(Keyword::By | Keyword::Without)
        )
    }

    fn number_literal(&mut self) -> Parsed<Expr> {
        let token = self.advance();
        let Some(value) = self.number_of(token) else {
            return Err(self.error(token.span, "not a number".to_owned()));
        };
        Ok(Expr { kind: ExprKind::Number(value), span: token.span })
    }

    /// A number, or the seconds of a duration.
    #[expect(clippy::cast_precision_loss, reason = "a number is what an f64 makes of it")]
    fn number_of(&self, token: Token) -> Option<f64> {
        let text = self.text_of(token);
        match token.kind {
            TokenKind::Duration => duration_ms(text).map(|it| it as f64 / 1000.0),
            _ => number(text),
        }
    }

    fn string(&mut self) -> Parsed<String> {
        let token = self.advance();
        unquoted(self.text_of(token)).ok_or_else(|| {
            let message = format!("invalid escape in the string {}", self.text_of(token));
            self.error(token.span, message)
        })
    }

    fn aggregate(&mut self, operator: Aggregation) -> Parsed<Expr> {
        let start = self.advance().span;
        let mut grouping = self.grouping()?;
        if self.kind() != TokenKind::LeftParen {
            return Err(self.unexpected("aggregation", ""));
        }
        let (mut arguments, mut end) = self.arguments()?;
        if grouping.is_none() {
            grouping = self.grouping()?;
            if grouping.is_some() {
                end = self.before();
            }
        }
        let wanted = 1 + usize::from(operator.parameter().is_some());
        let span = start.to(end);
        if arguments.is_empty() {
            let message = "no arguments for aggregate expression provided".to_owned();
            return Err(self.error(span, message));
        }
        let count = arguments.len();
        let expr = arguments.pop().filter(|_| count == wanted).ok_or_else(|| {
            let message = format!(
                "wrong number of arguments for aggregate expression provided, expected {wanted}, got {count}"
            );
            self.error(span, message)
        })?;
        let parameter = arguments.pop();
        let grouping = grouping.unwrap_or(Grouping::By(Vec::new()));
        let aggregate = Aggregate { operator, expr, parameter, grouping };
        Ok(Expr { kind: ExprKind::Aggregate(Box::new(aggregate)), span })
    }

    /// `by (..)` or `without (..)`, if it is there.
    fn grouping(&mut self) -> Parsed<Option<Grouping>> {
        let make = match self.kind() {
            TokenKind::Keyword(Keyword::By) => Grouping::By,
            TokenKind::Keyword(Keyword::Without) => Grouping::Without,
            _ => return Ok(None),
        };
        self.advance();
        self.label_names().map(|names| Some(make(names)))
    }

    fn call(&mut self) -> Parsed<Expr> {
        let name = self.advance();
        let Some(function) = Function::find(self.text_of(name)) else {
            let message = format!("unknown function with name {:?}", self.text_of(name));
            return Err(self.error(name.span, message));
        };
        let (arguments, end) = self.arguments()?;
        let span = name.span.to(end);
        Ok(Expr { kind: ExprKind::Call(Call { function, arguments }), span })
    }

    /// Expressions in parentheses, and where these end.
    fn arguments(&mut self) -> Parsed<(Vec<Expr>, Span)> {
        self.expect(TokenKind::LeftParen, "", "")?;
        let mut arguments = Vec::new();
        let mut height = 0;
        if self.kind() == TokenKind::RightParen {
            self.height = 1;
            return Ok((arguments, self.advance().span));
        }
        loop {
            arguments.push(self.expression(0)?);
            height = self.height.max(height);
            if self.kind() != TokenKind::Comma {
                break;
            }
            let comma = self.advance();
            if self.kind() == TokenKind::RightParen {
                let message = "trailing commas not allowed in function call args".to_owned();
                return Err(self.error(comma.span, message));
            }
        }
        self.height = height + 1;
        let end = self.expect(TokenKind::RightParen, "", "")?.span;
        Ok((arguments, end))
    }

    fn binary_modifiers(
        &mut self,
        (operator, span): (Operator, Span),
    ) -> Parsed<(Returns, Option<Matching>)> {
        let mut returns = Returns::Filter;
        if self.kind() == TokenKind::Keyword(Keyword::Bool) {
            self.advance();
            if !operator.is_comparison() {
                let message = "bool modifier can only be used on comparison operators".to_owned();
                return Err(self.error(span, message));
            }
            returns = Returns::Bool;
        }
        let make = match self.kind() {
            TokenKind::Keyword(Keyword::On) => Grouping::By,
            TokenKind::Keyword(Keyword::Ignoring) => Grouping::Without,
            _ => return Ok((returns, None)),
        };
        self.advance();
        let labels = make(self.label_names()?);
        let mut cardinality =
            if operator.is_set() { Cardinality::ManyToMany } else { Cardinality::OneToOne };
        let mut include = Vec::new();
        let group = match self.kind() {
            TokenKind::Keyword(Keyword::GroupLeft) => Some(Cardinality::ManyToOne),
            TokenKind::Keyword(Keyword::GroupRight) => Some(Cardinality::OneToMany),
            _ => None,
        };
        if let Some(group) = group {
            self.advance();
            cardinality = group;
            if self.kind() == TokenKind::LeftParen {
                include = self.label_names()?;
            }
        }
        Ok((returns, Some(Matching { cardinality, labels, include })))
    }

    fn kind(&self) -> TokenKind {
        self.peek(0)
    }

    fn peek(&self, ahead: usize) -> TokenKind {
        self.tokens.get(self.at + ahead).map_or(TokenKind::End, |it| it.kind)
    }

    fn token(&self) -> Token {
        let end = Span { start: self.text.len(), end: self.text.len() };
        self.tokens.get(self.at).copied().unwrap_or(Token { kind: TokenKind::End, span: end })
    }

    fn span(&self) -> Span {
        self.token().span
    }

    /// The word just read.
    fn before(&self) -> Span {
        self.tokens.get(self.at.wrapping_sub(1)).map_or(self.span(), |it| it.span)
    }

    fn advance(&mut self) -> Token {
        let token = self.token();
        self.at += 1;
        token
    }

    fn expect(&mut self, kind: TokenKind, context: &str, expected: &str) -> Parsed<Token> {
        if self.kind() == kind {
            Ok(self.advance())
        } else {
            Err(self.unexpected(context, expected))
        }
    }

    fn text_of(&self, token: Token) -> &'a str {
        self.text.get(token.span.start..token.span.end).unwrap_or_default()
    }

    fn error(&self, span: Span, message: String) -> ParseError {
        ParseError::new(self.text, span, message)
    }

    /// The word that stands here does not belong here.
    fn unexpected(&self, context: &str, expected: &str) -> ParseError {
        let token = self.token();
        if let (TokenKind::Error, Some(error)) = (token.kind, &self.lexed) {
            return error.clone();
        }
        let mut message = format!("unexpected {}", token.kind.describe(self.text_of(token)));
        for (link, what) in [(" in ", context), (", expected ", expected)] {
            if !what.is_empty() {
                message.push_str(link);
                message.push_str(what);
            }
        }
        self.error(token.span, message)
    }
}
