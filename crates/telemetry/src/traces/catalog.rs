//! What there is to ask for: services, their operations, whom they call, tags and their values.
//!
//! It is made of the dictionaries of the segments, so that a list is answered without reading any; an entry goes
//! with the last segment that has it. It refuses to list what does not repeat: of the values of a tag, and of
//! everything else, it knows a limited number.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::traces::dictionary::Dictionary;

/// Services that are listed.
const SERVICES_MAX: usize = 10_000;
/// Operations of a service, or services it calls, that are listed.
const NAMES_MAX: usize = 2_000;
/// Keys of tags that are listed.
const KEYS_MAX: usize = 2_000;
/// Values of a tag that are listed.
const VALUES_MAX: usize = 512;

/// Names, each with the number of the last segment that has it.
type Names = BTreeMap<Arc<str>, u64>;

/// What there is to ask for.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    services: BTreeMap<Arc<str>, Service>,
    tags: BTreeMap<Arc<str>, Tag>,
}

#[derive(Debug, Default)]
struct Service {
    last: u64,
    operations: Names,
    remotes: Names,
}

#[derive(Debug, Default)]
struct Tag {
    last: u64,
    values: Names,
}

fn note(names: &mut Names, name: &str, number: u64, limit: usize) -> Option<Arc<str>> {
    if let Some((known, last)) = names.get_key_value(name).map(|it| (Arc::clone(it.0), *it.1)) {
        if last < number {
            names.insert(Arc::clone(&known), number);
        }
        return Some(known);
    }
    if name.is_empty() || limit <= names.len() {
        return None;
    }
    let name: Arc<str> = name.into();
    names.insert(Arc::clone(&name), number);
    Some(name)
}

impl Catalog {
    /// Notes what is in the segment with a number; the names of its pairs, of which each is in memory once.
    pub(super) fn add(&mut self, dictionary: &Dictionary, number: u64) -> Vec<[Arc<str>; 2]> {
        let mut pairs = Vec::with_capacity(dictionary.pairs.len());
        for pair in &dictionary.pairs {
            let names = [pair.service, pair.operation].map(|it| dictionary.names.get(it));
            let [service, operation] = names;
            let known = self.service(service, number);
            let operation =
                known.and_then(|it| note(&mut it.operations, operation, number, NAMES_MAX));
            let service = self.services.get_key_value(service).map(|it| Arc::clone(it.0));
            pairs.push([
                service.unwrap_or_else(|| names[0].into()),
                operation.unwrap_or_else(|| names[1].into()),
            ]);
        }
        for (service, remote) in &dictionary.remotes {
            if let Some(it) = self.service(dictionary.names.get(*service), number) {
                note(&mut it.remotes, dictionary.names.get(*remote), number, NAMES_MAX);
            }
        }
        for (key, value) in dictionary.tags() {
            self.tag(key, value, number);
        }
        pairs
    }

    fn service(&mut self, service: &str, number: u64) -> Option<&mut Service> {
        if !self.services.contains_key(service) {
            if service.is_empty() || SERVICES_MAX <= self.services.len() {
                return None;
            }
            self.services.insert(service.into(), Service::default());
        }
        let known = self.services.get_mut(service)?;
        known.last = known.last.max(number);
        Some(known)
    }

    fn tag(&mut self, key: &str, value: &str, number: u64) {
        if !self.tags.contains_key(key) {
            if KEYS_MAX <= self.tags.len() {
                return;
            }
            self.tags.insert(key.into(), Tag::default());
        }
        if let Some(tag) = self.tags.get_mut(key) {
            tag.last = tag.last.max(number);
            note(&mut tag.values, value, number, VALUES_MAX);
        }
    }

    /// Forgets what was last seen in segments below a number.
    pub(super) fn forget(&mut self, below: u64) {
        self.services.retain(|_, it| below <= it.last);
        for service in self.services.values_mut() {
            service.operations.retain(|_, it| below <= *it);
            service.remotes.retain(|_, it| below <= *it);
        }
        self.tags.retain(|_, it| below <= it.last);
        self.tags.values_mut().for_each(|it| it.values.retain(|_, last| below <= *last));
    }

    /// All services.
    pub(super) fn services(&self) -> impl Iterator<Item = &str> {
        self.services.keys().map(|it| &**it)
    }

    /// The services of a name, whatever its case.
    fn named(&self, service: &str) -> impl Iterator<Item = &Service> {
        self.services.iter().filter(|it| it.0.eq_ignore_ascii_case(service)).map(|it| it.1)
    }

    /// The operations of a service.
    pub(super) fn operations(&self, service: &str) -> impl Iterator<Item = &str> {
        self.named(service).flat_map(|it| it.operations.keys()).map(|it| &**it)
    }

    /// The services a service calls.
    pub(super) fn remotes(&self, service: &str) -> impl Iterator<Item = &str> {
        self.named(service).flat_map(|it| it.remotes.keys()).map(|it| &**it)
    }

    /// The keys of tags.
    pub(super) fn tag_keys(&self) -> impl Iterator<Item = &str> {
        self.tags.keys().map(|it| &**it)
    }

    /// The values of a tag.
    pub(super) fn tag_values(&self, key: &str) -> impl Iterator<Item = &str> {
        self.tags.get(key).into_iter().flat_map(|it| it.values.keys()).map(|it| &**it)
    }
}
