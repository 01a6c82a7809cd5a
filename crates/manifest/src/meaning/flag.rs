//! Flags.

use std::collections::BTreeMap;

use model::route::Flag;
use model::units::Share;

use super::Reader;
use crate::spec::FlagSpec;
use crate::yaml::At;

impl Reader<'_> {
    pub(super) fn flags(
        &mut self,
        flags: Option<&BTreeMap<String, FlagSpec>>,
        at: At<'_>,
    ) -> BTreeMap<String, Flag> {
        let mut meant = BTreeMap::new();
        for (name, FlagSpec { default, percent, key }) in flags.into_iter().flatten() {
            let ok = |it: char| it.is_ascii_alphanumeric() || "-_.".contains(it);
            if name.is_empty() || !name.chars().all(ok) {
                let message =
                    format!("`{name}` is not a flag's name; use letters, digits, `-`, `_` and `.`");
                self.findings.error(at.named(name), message);
            }
            let percent = percent.map_or(Share::ZERO, |it| it.0);
            if key.as_deref() == Some("") {
                let message = "`key` is empty; write the attribute that tells recipients apart";
                self.findings.error(at.key(name).key("key").place, message);
            }
            if let Some(default) = *default {
                meant.insert(name.clone(), Flag { default, percent, key: key.clone() });
            }
        }
        meant
    }
}
