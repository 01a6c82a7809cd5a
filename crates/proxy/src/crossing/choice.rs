//! What a request itself says of where it goes: the key it is told apart by, and the release it asks for.

use std::net::IpAddr;

use model::ReleaseNumber;
use model::edge::RequestKey;
use world::routing::RequestMatch;

use super::{Asked, Facts};
use crate::edge::Edge;

/// What a request says of where it goes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    /// What it is told apart by on this edge, as a hash.
    pub(super) key: Option<u64>,
    /// The release it asks for.
    pub(super) release: Option<ReleaseNumber>,
}

/// What a request says, of what matters on this edge.
pub(super) fn tell(edge: &Edge, asked: &impl Asked, facts: &Facts) -> Told {
    let is_there = |wanted: &RequestMatch| {
        let (found, wanted) = match wanted {
            RequestMatch::Header(it) => (asked.header(&it.name), it),
            RequestMatch::Cookie(it) => (asked.cookie(&it.name), it),
        };
        match (found, &wanted.value) {
            (Some(found), Some(value)) => found == value.as_bytes(),
            (found, None) => found.is_some(),
            (None, Some(_)) => false,
        }
    };
    let key = edge.key().and_then(|it| hash_of(&it, asked, facts.client));
    Told { key, release: edge.asked_release(&is_there) }
}

/// The hash of what `key` names in a request; nothing if the request does not have it.
pub(crate) fn hash_of(key: &RequestKey, asked: &impl Asked, client: IpAddr) -> Option<u64> {
    Some(match key {
        RequestKey::Header(name) => hash(asked.header(name)?),
        RequestKey::Cookie(name) => hash(asked.cookie(name)?),
        RequestKey::ClientAddress => match client {
            IpAddr::V4(address) => hash(&address.octets()),
            IpAddr::V6(address) => hash(&address.octets()),
        },
    })
}

/// FNV-1a with a finish that spreads it over all bits (Fowler, Noll, Vo; Steele et al. for the finish). The
/// same for a key on every worker and after every restart.
fn hash(bytes: &[u8]) -> u64 {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    model::Rng::new(hash).next_u64()
}
