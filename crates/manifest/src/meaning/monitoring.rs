//! What is watched, as meant.

use std::collections::{BTreeMap, BTreeSet};

use model::PortName;
use model::monitoring::{
    ExposedPort, Exposition, RULE_FILES_MAX, RuleFile, Rules, SCRAPE_INTERVAL_DEFAULT,
    SCRAPE_INTERVAL_MIN,
};

use super::Reader;
use crate::check::is_stray;
use crate::problem::Place;
use crate::spec::{ExposedPortSpec, ExpositionMapSpec, ExpositionSpec, RulesMapSpec, RulesSpec};
use crate::yaml::At;

/// Where metrics are if only a port or an interval is said.
const PATH_DEFAULT: &str = "/metrics";

impl Reader<'_> {
    /// Where a service's instances expose their metrics.
    pub(super) fn exposition(
        &mut self,
        spec: &ExpositionSpec,
        ports: &BTreeMap<PortName, Option<u16>>,
        at: At<'_>,
    ) -> Option<Exposition> {
        let short;
        let (spec, path_at) = match spec {
            ExpositionSpec::Map(spec) => (spec, if at.has("path") { at.key("path") } else { at }),
            ExpositionSpec::Path(path) => {
                short =
                    ExpositionMapSpec { path: Some(path.clone()), ..ExpositionMapSpec::default() };
                (&short, at)
            }
        };
        let path = self.early(spec.path.as_deref().unwrap_or(PATH_DEFAULT), path_at.place)?;
        if !path.starts_with('/') || path.contains(is_stray) {
            let message = format!("{path:?} is no path; write one such as `/metrics`");
            self.findings.error(path_at.place, message);
            return None;
        }
        let interval = spec.interval.map_or(SCRAPE_INTERVAL_DEFAULT, |it| it.0);
        if interval < SCRAPE_INTERVAL_MIN {
            let message = "metrics are scraped once a second at most; write `interval: 1s` or more";
            self.findings.error(at.key("interval").place, message.to_owned());
        }
        let port = match &spec.port {
            None => None,
            Some(ExposedPortSpec::Number(port)) => Some(ExposedPort::Number(*port)),
            Some(ExposedPortSpec::Name(name)) => {
                Some(self.exposed_port(name, ports, at.key("port").place)?)
            }
        };
        Some(Exposition { path, port, interval })
    }

    /// One of the service's further ports, by its name.
    fn exposed_port(
        &mut self,
        name: &str,
        ports: &BTreeMap<PortName, Option<u16>>,
        place: Place,
    ) -> Option<ExposedPort> {
        let found = ports.keys().find(|it| it.as_str() == name);
        if found.is_none() {
            let known: BTreeSet<&str> = ports.keys().map(PortName::as_str).collect();
            let message = if known.is_empty() {
                format!("there is no port `{name}`; add it, as in `ports: {{{name}: any}}`")
            } else {
                self.unknown("port", name, &known)
            };
            self.findings.error(place, message);
        }
        found.cloned().map(ExposedPort::Name)
    }

    /// The rules; what stands in the files is for whoever reads files.
    pub(super) fn rules(&mut self, spec: Option<&RulesSpec>, at: At<'_>) -> Rules {
        let short;
        let (spec, files_at) = match spec {
            None => return Rules::default(),
            Some(RulesSpec::Map(spec)) => (spec, at.key("files")),
            Some(RulesSpec::Files(files)) => {
                short = RulesMapSpec { files: Some(files.clone()), webhook: None };
                (&short, at)
            }
        };
        let mut files: Vec<RuleFile> = Vec::new();
        for (index, name) in spec.files.iter().flatten().enumerate() {
            let place = files_at.item(index).place;
            let Some(name) = self.early(name, place) else { continue };
            if files.iter().any(|it| it.name == name) {
                self.findings.error(place, format!("`{name}` is named twice; remove one"));
            } else {
                files.push(RuleFile { name, text: String::new() });
            }
        }
        if RULE_FILES_MAX < files.len() {
            let message =
                format!("there are more than {RULE_FILES_MAX} files of rules; put some together");
            self.findings.error(files_at.place, message);
        }
        let webhook_at = at.key("webhook").place;
        let webhook = spec.webhook.as_deref().and_then(|it| self.early(it, webhook_at));
        if let Some(address) = webhook.as_ref().filter(|it| !is_address(it)) {
            let message = format!(
                "{address:?} is no address to post to; it begins with `http://` or `https://`"
            );
            self.findings.error(webhook_at, message);
        }
        Rules { files, webhook }
    }
}

/// Whether something can be posted there: one line, with a scheme that is spoken.
pub(super) fn is_address(text: &str) -> bool {
    let has_scheme = text.starts_with("http://") || text.starts_with("https://");
    has_scheme && !text.contains(is_stray)
}
