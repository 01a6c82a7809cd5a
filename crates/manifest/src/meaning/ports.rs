//! The further ports of a service: names, numbers, and the variables that tell them.

use std::collections::BTreeMap;

use model::PortName;
use model::service::PORTS_MAX;

use super::Reader;
use super::reference::Scope;
use super::service::Written;
use crate::spec::PortSpec;

impl Reader<'_> {
    /// The further ports of a service's instances. What tells one must tell nothing else.
    pub(super) fn ports(
        &mut self,
        written: &Written<'_>,
        scope: &mut Scope,
    ) -> BTreeMap<PortName, Option<u16>> {
        let at = written.at.key("ports");
        let mut meant = BTreeMap::new();
        for (name, spec) in written.spec.ports.iter().flatten() {
            let place = at.named(name);
            let Some(name) = self.findings.take(place, name.parse::<PortName>()) else { continue };
            let variable = name.variable();
            if let Some(callee) = scope.callees.get(&variable) {
                let message = format!(
                    "`{variable}` would tell this port, and tells where `{callee}` is; choose another name"
                );
                self.findings.error(place, message);
            } else if let Some(other) = scope.ports.get(&variable) {
                let message = format!(
                    "`{variable}` would tell this port, and tells the port `{other}`; choose another name"
                );
                self.findings.error(place, message);
            }
            let fixed = match spec {
                None | Some(PortSpec::Any(_)) => None,
                Some(PortSpec::Fixed(port)) => Some(*port),
            };
            scope.ports.insert(variable, name.to_string());
            meant.insert(name, fixed);
        }
        if PORTS_MAX < meant.len() {
            let message = format!("a service has at most {PORTS_MAX} further ports");
            self.findings.error(at.place, message);
        }
        meant
    }
}
