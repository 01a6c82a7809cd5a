//! The journal as its one user sees it: on a real folder, cut, changed, killed and filled up.
#![cfg(test)]

mod basics;
mod damage;
mod full;
mod kill;
mod retention;
mod support;
