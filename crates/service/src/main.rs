//! The `service` binary.

fn main() {}
