//! Data that outlives releases, and how a service that has some is replaced.

use model::rollout::{Strategy, Update};
use model::service::Data;
use model::stopping::StopSignal;

use super::Reader;
use super::service::Written;
use crate::spec::{DataMappingSpec, DataSpec};

impl Reader<'_> {
    /// The data of a service.
    pub(super) fn data(&mut self, written: &Written<'_>) -> Option<Data> {
        let at = written.at.key("data");
        let (name, place, shared) = match written.spec.data.as_ref()? {
            DataSpec::Name(name) => (name, at.place, false),
            DataSpec::Mapping(DataMappingSpec { name, shared }) => {
                (name.as_ref()?, at.key("name").place, shared.unwrap_or(false))
            }
        };
        let name = self.findings.take(place, name.parse())?;
        if written.at.has("behaviour") {
            let message = "a `behaviour` keeps nothing; remove `data`";
            self.findings.error(at.place, message);
        }
        Some(Data { name, shared })
    }

    /// What its instances are asked to stop by.
    pub(super) fn stop_signal(&mut self, written: &Written<'_>) -> StopSignal {
        let Some(text) = &written.spec.stop_signal else { return StopSignal::default() };
        let place = written.at.key("stop_signal").place;
        self.findings.take(place, text.parse()).unwrap_or_default()
    }

    /// How a service with this data is replaced: where only one instance may have it, by nothing that needs two.
    pub(super) fn replaced(
        &mut self,
        written: &Written<'_>,
        data: Option<&Data>,
        update: Update,
    ) -> Update {
        if data.is_none_or(|it| it.shared) || update.strategy == Strategy::Recreate {
            return update;
        }
        if written.spec.update.as_ref().is_some_and(|it| it.strategy.is_some()) {
            let message = "its data is for one instance at a time, and this lets two of them run; write \
                           `strategy: recreate`, or `shared: true` in `data` if it can be shared";
            let place = written.at.key("update").key("strategy").place;
            self.findings.error(place, message);
        }
        Update { strategy: Strategy::Recreate, steps: Vec::new(), ..update }
    }
}
