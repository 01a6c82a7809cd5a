//! Every decision about one request: balance, retry, break, limit, hedge, eject.
#![cfg_attr(not(test), no_std)]
#![warn(clippy::std_instead_of_core, clippy::std_instead_of_alloc, clippy::alloc_instead_of_core)]
