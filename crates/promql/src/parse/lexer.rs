//! Cuts an expression into words, by the rules of Prometheus' own lexer: which words there are depends on
//! whether one stands in braces, in brackets, or in neither.
//!
//! It reads the whole text before anything is parsed, up to what it cannot read; the parser complains of
//! that only when it gets there, so that errors come in the order of the text.

use super::syntax::{Operator, ParseError, Span};
use super::token::{Token, TokenKind};

/// All words of a text, the last of them [`TokenKind::End`] or [`TokenKind::Error`]; and what the error was.
pub(super) fn words(text: &str) -> (Vec<Token>, Option<ParseError>) {
    let mut lexer = Lexer { text, at: 0, start: 0, parens: 0, place: Place::Outside };
    let mut tokens = Vec::new();
    loop {
        match lexer.next() {
            Ok(kind) => {
                tokens.push(Token { kind, span: lexer.span() });
                if kind == TokenKind::End {
                    return (tokens, None);
                }
            }
            Err(message) => {
                tokens.push(Token { kind: TokenKind::Error, span: lexer.span() });
                return (tokens, Some(ParseError::new(text, lexer.span(), message)));
            }
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    /// The byte that is read next.
    at: usize,
    /// Where the word began.
    start: usize,
    parens: usize,
    place: Place,
}

/// What the next word stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    Braces,
    Brackets,
    /// Brackets, after a colon.
    SubqueryStep,
}

impl<'a> Lexer<'a> {
    fn span(&self) -> Span {
        Span { start: self.start, end: self.at }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn word(&self) -> &'a str {
        self.text.get(self.start..self.at).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn take_if(&mut self, fits: impl Fn(char) -> bool) -> bool {
        let fits = self.peek().is_some_and(fits);
        if fits {
            self.take();
        }
        fits
    }

    fn take_while(&mut self, fits: impl Fn(char) -> bool) {
        while self.take_if(&fits) {}
    }

    fn next(&mut self) -> Result<TokenKind, String> {
        loop {
            self.take_while(|it| matches!(it, ' ' | '\t' | '\n' | '\r'));
            if self.peek() != Some('#') {
                break;
            }
            self.take_while(|it| it != '\n');
        }
        self.start = self.at;
        match self.take() {
            None => self.end(),
            Some(first) => match self.place {
                Place::Outside => self.outside(first),
                Place::Braces => self.in_braces(first),
                Place::Brackets | Place::SubqueryStep => self.in_brackets(first),
            },
        }
    }

    fn end(&self) -> Result<TokenKind, String> {
        if self.place == Place::Braces {
            return Err("unexpected end of input inside braces".to_owned());
        }
        if self.parens != 0 {
            return Err("unclosed left parenthesis".to_owned());
        }
        if self.place != Place::Outside {
            return Err("unclosed left bracket".to_owned());
        }
        Ok(TokenKind::End)
    }

    fn outside(&mut self, first: char) -> Result<TokenKind, String> {
        Ok(match first {
            ',' => TokenKind::Comma,
            '@' => TokenKind::At,
            '+' => TokenKind::Operator(Operator::Add),
            '-' => TokenKind::Operator(Operator::Subtract),
            '*' => TokenKind::Operator(Operator::Multiply),
            '/' => TokenKind::Operator(Operator::Divide),
            '%' => TokenKind::Operator(Operator::Modulo),
            '^' => TokenKind::Operator(Operator::Power),
            '=' => return self.equal(),
            '!' if self.take_if(|it| it == '=') => TokenKind::Operator(Operator::NotEqual),
            '!' => return Err(self.unexpected("character after '!': ")),
            '<' if self.take_if(|it| it == '=') => TokenKind::Operator(Operator::LessOrEqual),
            '<' => TokenKind::Operator(Operator::Less),
            '>' if self.take_if(|it| it == '=') => TokenKind::Operator(Operator::GreaterOrEqual),
            '>' => TokenKind::Operator(Operator::Greater),
            '0'..='9' => return self.number_or_duration(),
            '.' if self.peek().is_some_and(|it| it.is_ascii_digit()) => {
                return self.number_or_duration();
            }
            '"' | '\'' | '`' => return self.string(first),
            'a'..='z' | 'A'..='Z' | '_' | ':' => {
                self.take_while(|it| it.is_ascii_alphanumeric() || it == '_' || it == ':');
                TokenKind::of_word(self.word())
            }
            '(' => {
                self.parens += 1;
                TokenKind::LeftParen
            }
            ')' if self.parens == 0 => {
                // Prometheus complains of what would come next.
                self.start = self.at;
                return Err("unexpected right parenthesis ')'".to_owned());
            }
            ')' => {
                self.parens -= 1;
                TokenKind::RightParen
            }
            '{' => {
                self.place = Place::Braces;
                TokenKind::LeftBrace
            }
            '[' => {
                self.place = Place::Brackets;
                TokenKind::LeftBracket
            }
            ']' => return Err("unexpected right bracket ']'".to_owned()),
            other => return Err(format!("unexpected character: {}", quoted(other))),
        })
    }

    fn equal(&mut self) -> Result<TokenKind, String> {
        Ok(match self.peek() {
            Some('=') => {
                self.take();
                TokenKind::Operator(Operator::Equal)
            }
            Some('~') => {
                self.take();
                return Err("unexpected character after '=': '~'".to_owned());
            }
            _ => TokenKind::Equal,
        })
    }

    fn unexpected(&mut self, place: &str) -> String {
        let found = self.take().map_or_else(|| "'\\ufffd'".to_owned(), quoted);
        format!("unexpected {place}{found}")
    }

    fn in_braces(&mut self, first: char) -> Result<TokenKind, String> {
        Ok(match first {
            '{' => return Err("unexpected left brace '{'".to_owned()),
            '}' => {
                self.place = Place::Outside;
                TokenKind::RightBrace
            }
            'a'..='z' | 'A'..='Z' | '_' => {
                self.take_while(|it| it.is_ascii_alphanumeric() || it == '_');
                TokenKind::Identifier
            }
            ',' => TokenKind::Comma,
            '"' | '\'' | '`' => return self.string(first),
            '=' if self.take_if(|it| it == '~') => TokenKind::EqualRegex,
            '=' => TokenKind::Equal,
            '!' if self.take_if(|it| it == '~') => TokenKind::NotRegex,
            '!' if self.take_if(|it| it == '=') => TokenKind::NotEqual,
            '!' => return Err(self.unexpected("character after '!' inside braces: ")),
            other => return Err(format!("unexpected character inside braces: {}", quoted(other))),
        })
    }

    fn in_brackets(&mut self, first: char) -> Result<TokenKind, String> {
        Ok(match first {
            ']' => {
                self.place = Place::Outside;
                TokenKind::RightBracket
            }
            ':' if self.place == Place::SubqueryStep => {
                return Err("unexpected colon ':'".to_owned());
            }
            ':' => {
                self.place = Place::SubqueryStep;
                TokenKind::Colon
            }
            '0'..='9' | '.' => return self.number_or_duration(),
            '+' | '-' | '*' | '/' | '%' | '^' | '(' => {
                return Err("arithmetic of durations is not supported".to_owned());
            }
            other => {
                return Err(format!("unexpected character inside brackets: {}", quoted(other)));
            }
        })
    }

    /// What begins with a digit. Letters that follow belong to it, so that `5mm` is one word and wrong.
    fn number_or_duration(&mut self) -> Result<TokenKind, String> {
        while let Some(next) = self.peek() {
            let sign = matches!(next, '+' | '-')
                && self.word().ends_with(['e', 'E'])
                && !self.word().starts_with("0x")
                && !self.word().starts_with("0X");
            if !sign && !next.is_ascii_alphanumeric() && next != '.' && next != '_' {
                break;
            }
            self.take();
        }
        if super::number::number(self.word()).is_some() {
            return Ok(TokenKind::Number);
        }
        match super::number::duration_ms(self.word()) {
            Some(_) => Ok(TokenKind::Duration),
            None => Err(self.bad_number()),
        }
    }

    /// What is no number and no duration, called as Prometheus calls it: by the digits it begins with, or whole
    /// if it is made of the parts of durations.
    fn bad_number(&self) -> String {
        let word = self.word();
        let digits = word.find(|it: char| !it.is_ascii_digit()).unwrap_or(word.len());
        let (digits, rest) = word.split_at_checked(digits).unwrap_or((word, ""));
        if rest.chars().all(|it| it.is_ascii_digit() || "ywdhms".contains(it)) {
            return format!("not a valid duration string: {word:?}");
        }
        let called = if rest.starts_with(['e', 'E', '.', '_']) { word } else { digits };
        format!("bad number or duration syntax: {called:?}")
    }

    fn string(&mut self, quote: char) -> Result<TokenKind, String> {
        let unterminated = || {
            let kind = if quote == '`' { "raw" } else { "quoted" };
            Err(format!("unterminated {kind} string"))
        };
        loop {
            match self.take() {
                None => return unterminated(),
                Some('\n') if quote != '`' => return unterminated(),
                Some('\\') if quote != '`' => {
                    self.take();
                }
                Some(it) if it == quote => return Ok(TokenKind::String),
                Some(_) => {}
            }
        }
    }
}

/// A character as Go's `%q` writes it.
fn quoted(character: char) -> String {
    match character {
        '\'' => "'\\''".to_owned(),
        other => format!("{other:?}"),
    }
}
