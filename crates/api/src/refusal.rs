//! What can be described and not be run by this version: the same words for whoever checks a file and for whoever applies
//! it.

use model::Application;
use model::service::Source;

/// What of `definition` cannot be run, each with where and what to do; nothing if all can.
pub fn refusals(definition: &Application) -> Vec<String> {
    let mut refusals = Vec::new();
    for (name, service) in &definition.services {
        if let Source::Image { reference, .. } = &service.source {
            refusals.push(format!(
                "service `{name}` is the image {reference}, and this version runs processes only; \
                 give it an `artifact` and a `command`, or describe its `behaviour`"
            ));
        }
        for resource in service.uses.keys() {
            refusals.push(format!(
                "service `{name}` depends on resource `{resource}`, and this version cannot run \
                 resources; run it yourself and pass its address by `environment`"
            ));
        }
    }
    refusals
}
