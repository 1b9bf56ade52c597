//! Numbers that gateways which share nothing agree on: which node a version belongs to, which bucket a client is in.

/// A number of 64 bits for some parts, the same on every machine and in every build: FNV-1a (Fowler, Noll, Vo 1991) with a
/// zero between the parts, then the finaliser of MurmurHash3, which spreads its bits. Clients and nodes rely on it: changed,
/// it would move every one of them.
pub fn spread(parts: [&str; 2]) -> u64 {
    let [first, second] = parts;
    let bytes = first.bytes().chain([0]).chain(second.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    mix(hash)
}

/// Spreads the bits of a number: the finaliser of MurmurHash3 (Appleby).
pub fn mix(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}
