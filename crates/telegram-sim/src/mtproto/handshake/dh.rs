//! The Diffie-Hellman group which the key exchange and 2FA passwords use: Telegram's own 2048-bit safe prime.

use std::sync::LazyLock;

use num_bigint::BigUint;

/// Telegram's prime, which clients know and need not test.
const PRIME_HEX: &str = "\
c71caeb9c6b1c9048e6c522f70f13f73980d40238e3e21c14934d037563d930f48198a0aa7c14058229493d22530f4db\
fa336f6e0ac925139543aed44cce7c3720fd51f69458705ac68cd4fe6b6b13abdc9746512969328454f18faf8c595f64\
2477fe96bb2a941d5bcd1d4ac8cc49880708fa9b378e3c4f3a9060bee67cf9a4a4a695811051907e162753b56b0f6b41\
0dba74d8a84b2a14b3144e0ef1284754fd17ed950d5965b4b9dd46582db1178d169c6bc465b0d6ff9ca3928fef5b9ae4\
e418fc15e83ebea0f87fa9ff5eed70050ded2849f47bf959d956850ce929851f0d8115f635b105ee2e4e15d04b2454bf\
6f4fadf034b10403119cd8e3b92fcc5b";

/// The generator of the group.
pub const GENERATOR: i32 = 3;

/// The prime, big-endian.
pub static PRIME_BYTES: LazyLock<[u8; 256]> = LazyLock::new(|| {
    let mut bytes = [0; 256];
    hex::decode_to_slice(PRIME_HEX, &mut bytes).expect("the constant has 512 hex digits");
    bytes
});

/// The prime.
pub static PRIME: LazyLock<BigUint> = LazyLock::new(|| BigUint::from_bytes_be(&*PRIME_BYTES));

/// A random secret exponent of 2048 bits.
pub fn random_exponent() -> BigUint {
    let mut bytes = [0; 256];
    rand::fill(&mut bytes);
    BigUint::from_bytes_be(&bytes)
}

/// `base ^ exponent` in the group.
pub fn power(base: &BigUint, exponent: &BigUint) -> BigUint {
    base.modpow(exponent, &PRIME)
}

/// `g ^ exponent` in the group.
pub fn power_of_generator(exponent: &BigUint) -> BigUint {
    power(&BigUint::from(GENERATOR.unsigned_abs()), exponent)
}

/// Whether a value from outside is far enough from both ends of the group.
pub fn is_safe(value: &BigUint) -> bool {
    let margin = BigUint::from(1u8) << (2048 - 64);
    *value > margin && *value < &*PRIME - margin
}

/// A value as 256 bytes, big-endian, with leading zeros; it must be below 2^2048.
pub fn padded(value: &BigUint) -> [u8; 256] {
    pad(&value.to_bytes_be())
}

/// Bytes with zeros in front, or the last 256 of them.
pub fn pad(bytes: &[u8]) -> [u8; 256] {
    let mut out = [0; 256];
    let bytes = &bytes[bytes.len().saturating_sub(256)..];
    out[256 - bytes.len()..].copy_from_slice(bytes);
    out
}
