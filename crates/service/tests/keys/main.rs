//! How credentials are sealed: with a keyring file and with Vault, also while that is away, and over moves and rotations.

#![expect(clippy::unwrap_used, reason = "a test that fails here should stop here")]

#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "the journeys use more of it")]
mod common;
#[path = "../common/sealed_rows.rs"]
mod sealed_rows;

mod keepers;
mod outages;
mod rotation;
mod suite;
mod ways_in;
