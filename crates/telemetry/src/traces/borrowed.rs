//! A span whose texts are somewhere else: in the head, or in a block that was read.
//!
//! Most spans that are looked at are not what is looked for; they are not worth a copy of their texts.

use crate::traces::span::{Kind, Link, Span};

/// A span with borrowed texts; the fields are those of [`Span`].
#[derive(Clone, Debug, Default)]
pub(super) struct Borrowed<'a> {
    pub(super) trace: u128,
    pub(super) id: u64,
    pub(super) parent: Option<u64>,
    pub(super) kind: Kind,
    pub(super) service: &'a str,
    pub(super) operation: &'a str,
    pub(super) remote: &'a str,
    pub(super) start_us: u64,
    pub(super) duration_us: u64,
    pub(super) tags: Vec<(&'a str, &'a str)>,
    pub(super) events: Vec<(u64, &'a str)>,
    pub(super) links: Vec<Link>,
    pub(super) is_error: bool,
    pub(super) shared: bool,
}

impl Borrowed<'_> {
    /// All of it, with texts of its own.
    pub(super) fn to_span(&self) -> Span {
        Span {
            trace: self.trace,
            id: self.id,
            parent: self.parent,
            kind: self.kind,
            service: self.service.to_owned(),
            operation: self.operation.to_owned(),
            remote: self.remote.to_owned(),
            start_us: self.start_us,
            duration_us: self.duration_us,
            tags: self.tags.iter().map(|it| (it.0.to_owned(), it.1.to_owned())).collect(),
            events: self.events.iter().map(|it| (it.0, it.1.to_owned())).collect(),
            links: self.links.clone(),
            is_error: self.is_error,
            shared: self.shared,
        }
    }
}
