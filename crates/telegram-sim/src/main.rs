//! The `telegram-sim` binary.

fn main() {}
