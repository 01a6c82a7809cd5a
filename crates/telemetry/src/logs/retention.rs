//! What is forgotten when the store is over its size.
//!
//! Segments hold all services, so that taking the oldest whole ones would let one service's flood push out what
//! the others said. Instead, the service that holds most loses its oldest blocks, until the size fits: a
//! service that holds less than its even share of the store never loses a thing to the others. Fixed shares
//! would leave the room of services that say little unused. Age takes whole segments.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::part::{Part, Service};

/// What to take next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Forgotten {
    /// The place of a segment among all.
    pub(super) file: usize,
    /// The service whose blocks go.
    pub(super) service: Service,
}

/// The bytes that each service holds in segments.
pub(super) fn bytes_by_service(files: &[Arc<Part>]) -> BTreeMap<&Service, u64> {
    let mut bytes = BTreeMap::new();
    for part in files {
        for meta in &part.metas {
            if let Some(service) = part.services.get(meta.service as usize) {
                *bytes.entry(service).or_default() += meta.bytes();
            }
        }
    }
    bytes
}

/// The oldest blocks of the service that holds most.
pub(super) fn next(files: &[Arc<Part>]) -> Option<Forgotten> {
    let bytes = bytes_by_service(files);
    let (noisiest, _) = bytes.into_iter().max_by_key(|it| it.1)?;
    let file = files.iter().position(|part| {
        let number = part.services.iter().position(|it| it == noisiest);
        part.metas.iter().any(|it| Some(it.service as usize) == number)
    })?;
    Some(Forgotten { file, service: noisiest.clone() })
}
