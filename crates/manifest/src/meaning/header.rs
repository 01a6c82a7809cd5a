//! Names and values of headers (RFC 9110, section 5), and methods.

use std::collections::BTreeMap;

use model::route::HeaderEdits;

use super::Reader;
use crate::problem::Place;
use crate::spec::{HeaderEditsSpec, Scalar};
use crate::yaml::At;

/// Headers that say how a message is transferred: whoever passes it on writes them.
const OF_THE_CONNECTION: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether a text is a token: what names of headers and methods are made of.
pub(super) fn is_token(text: &str) -> bool {
    let sign = |it: u8| it.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&it);
    !text.is_empty() && text.bytes().all(sign)
}

impl Reader<'_> {
    /// A header's name in lower case, in which it is compared.
    pub(super) fn header_name(&mut self, name: &str, place: Place) -> Option<String> {
        if is_token(name) {
            return Some(name.to_ascii_lowercase());
        }
        let message = format!("`{name}` is not the name of a header; write for example `x-user`");
        self.findings.error(place, message);
        None
    }

    /// A header that may be changed.
    fn edited_name(&mut self, name: &str, place: Place) -> Option<String> {
        let name = self.header_name(name, place)?;
        if OF_THE_CONNECTION.contains(&name.as_str()) {
            let message = format!("`{name}` is written by whoever passes a message on; remove it");
            self.findings.error(place, message);
            return None;
        }
        Some(name)
    }

    /// A header's value: one line.
    pub(super) fn header_value(&mut self, value: &str, place: Place) -> Option<String> {
        if value.chars().any(|it| it.is_control() && it != '\t') {
            let message = "the value of a header is one line, without control characters";
            self.findings.error(place, message);
            return None;
        }
        Some(value.trim().to_owned())
    }

    /// Methods, each of which may stand there once.
    pub(super) fn methods(&mut self, methods: Option<&[String]>, at: At<'_>) -> Vec<String> {
        let mut meant: Vec<String> = Vec::new();
        for (index, method) in methods.into_iter().flatten().enumerate() {
            let place = at.item(index).place;
            let capitals = method.to_ascii_uppercase();
            let message = if !is_token(method) {
                format!("`{method}` is not a method; write for example `GET`")
            } else if *method != capitals {
                format!("methods are written in capitals; write `{capitals}`")
            } else if meant.contains(method) {
                format!("`{method}` stands there twice; remove one")
            } else {
                meant.push(method.clone());
                continue;
            };
            self.findings.error(place, message);
        }
        meant
    }

    pub(super) fn header_edits(
        &mut self,
        spec: Option<&HeaderEditsSpec>,
        at: At<'_>,
    ) -> HeaderEdits {
        let Some(HeaderEditsSpec { set, add, remove }) = spec else {
            return HeaderEdits::default();
        };
        let set = self.header_values(set.as_ref(), at.key("set"));
        let add = self.header_values(add.as_ref(), at.key("add"));
        let names = remove.as_deref().unwrap_or_default().iter().enumerate();
        let remove: Vec<String> = names
            .filter_map(|(index, name)| self.edited_name(name, at.key("remove").item(index).place))
            .collect();
        for (name, _) in &set {
            if remove.contains(name) {
                let message = format!(
                    "`{name}` is set and removed; what is set replaces what was there, so remove \
                     it from `remove`"
                );
                self.findings.error(at.key("remove").place, message);
            }
        }
        HeaderEdits { set, add, remove }
    }

    fn header_values(
        &mut self,
        headers: Option<&BTreeMap<String, Scalar>>,
        at: At<'_>,
    ) -> Vec<(String, String)> {
        let mut meant: Vec<(String, String)> = Vec::new();
        for (name, Scalar(value)) in headers.into_iter().flatten() {
            let lower = self.edited_name(name, at.named(name));
            let value = self.header_value(value, at.key(name).place);
            let (Some(lower), Some(value)) = (lower, value) else { continue };
            if meant.iter().any(|(it, _)| *it == lower) {
                let message = format!("`{lower}` stands there in two spellings; remove one");
                self.findings.error(at.named(name), message);
            }
            meant.push((lower, value));
        }
        meant
    }
}
