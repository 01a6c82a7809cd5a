//! The words of the language: what the lexer tells apart, and how each is named in an error.

use super::syntax::{Aggregation, Operator, Span};

/// One word and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) span: Span,
}

/// What a word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// The text is over.
    End,
    /// The lexer could not go on; what it said is kept beside the words.
    Error,
    Identifier,
    MetricIdentifier,
    Number,
    Duration,
    String,
    Operator(Operator),
    Aggregation(Aggregation),
    Keyword(Keyword),
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Comma,
    Colon,
    Equal,
    NotEqual,
    EqualRegex,
    NotRegex,
    At,
}

/// Words that are neither operators nor aggregations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    Bool,
    By,
    GroupLeft,
    GroupRight,
    Ignoring,
    Offset,
    On,
    Without,
    Start,
    End,
}

impl Keyword {
    pub(super) const ALL: [Self; 10] = [
        Self::Bool,
        Self::By,
        Self::GroupLeft,
        Self::GroupRight,
        Self::Ignoring,
        Self::Offset,
        Self::On,
        Self::Without,
        Self::Start,
        Self::End,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::By => "by",
            Self::GroupLeft => "group_left",
            Self::GroupRight => "group_right",
            Self::Ignoring => "ignoring",
            Self::Offset => "offset",
            Self::On => "on",
            Self::Without => "without",
            Self::Start => "start",
            Self::End => "end",
        }
    }

    /// Whether it may also be the name of a metric, where one is expected.
    const fn may_be_metric(self) -> bool {
        matches!(self, Self::By | Self::Without | Self::Offset | Self::Start | Self::End)
    }
}

impl TokenKind {
    /// What a word means that is written in letters.
    pub(super) fn of_word(word: &str) -> Self {
        let lower = word.to_ascii_lowercase();
        if let Some(it) = Keyword::ALL.into_iter().find(|it| it.name() == lower) {
            return Self::Keyword(it);
        }
        if let Some(it) = Aggregation::ALL.iter().find(|it| it.name() == lower) {
            return Self::Aggregation(*it);
        }
        match lower.as_str() {
            "and" => Self::Operator(Operator::And),
            "or" => Self::Operator(Operator::Or),
            "unless" => Self::Operator(Operator::Unless),
            "atan2" => Self::Operator(Operator::Atan2),
            "inf" | "nan" => Self::Number,
            _ if word.contains(':') => Self::MetricIdentifier,
            _ => Self::Identifier,
        }
    }

    /// Whether a metric may be called so.
    pub(super) fn names_metric(self) -> bool {
        match self {
            Self::Identifier | Self::MetricIdentifier | Self::Aggregation(_) => true,
            Self::Keyword(keyword) => keyword.may_be_metric(),
            Self::Operator(it) => it.is_set(),
            _ => false,
        }
    }

    /// Whether a label may be called so.
    pub(super) fn names_label(self) -> bool {
        match self {
            Self::Identifier | Self::Aggregation(_) | Self::Keyword(_) => true,
            Self::Operator(it) => it.is_set() || it == Operator::Atan2,
            _ => false,
        }
    }

    /// The word as an error calls it, in Prometheus' words.
    pub(super) fn describe(self, text: &str) -> String {
        match self {
            Self::End => "end of input".to_owned(),
            Self::Error => "error".to_owned(),
            Self::Identifier => format!("identifier {text:?}"),
            Self::MetricIdentifier => format!("metric identifier {text:?}"),
            Self::Number => format!("number {}", shortened(text)),
            Self::Duration => format!("duration {}", shortened(text)),
            Self::String => format!("string {}", shortened(text)),
            Self::Operator(_) | Self::At | Self::NotEqual | Self::EqualRegex | Self::NotRegex => {
                format!("<op:{text}>")
            }
            Self::Aggregation(_) => format!("<aggr:{text}>"),
            Self::Keyword(Keyword::Start | Keyword::End) => format!("{text:?}"),
            Self::Keyword(_) => format!("<{text}>"),
            _ => format!("{text:?}"),
        }
    }
}

/// Long words are cut after ten characters.
fn shortened(text: &str) -> String {
    const KEPT: usize = 10;
    if text.len() <= KEPT {
        return format!("{text:?}");
    }
    let kept: String = text.chars().take(KEPT).collect();
    format!("{kept:?}...")
}
