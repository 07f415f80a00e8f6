//! The simulator over real HTTP.

mod client;
mod errors;
mod faults;
mod sending;
