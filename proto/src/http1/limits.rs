//! How large a head may be, and why.

/// Bounds on one head. A caller lowers them; the hard ceilings are [`HEAD_BYTES_MAX`] and [`MAX_FIELDS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a whole head with its empty line. More is `431`.
    pub head_bytes: usize,
    /// Fields in a head. More is `431`.
    pub fields: usize,
    /// Bytes of the request target as sent. More is `414`.
    pub target_bytes: usize,
}

/// Ceiling of [`Limits::head_bytes`]. A single line is below 64 KiB in any case: its length is kept in 16 bits.
pub const HEAD_BYTES_MAX: usize = 128 * 1024;

/// Ceiling of [`Limits::fields`]: the parser's scratch lives on the stack, 32 bytes a field.
pub const MAX_FIELDS: usize = 128;

/// What chunk extensions and trailers of one message may add up to. Nothing reads extensions, so a sender of more than
/// this is making work (CVE-2023-39326 in Go was this).
pub const FRAMING_OVERHEAD_BYTES: u16 = 16 * 1024;

/// The longest method we forward. The longest registered one has 17 bytes (`UPDATEREDIRECTREF`).
pub(super) const METHOD_BYTES: usize = 32;

/// Names that `Connection` may nominate beside the options we know. Each is compared with each field.
pub(super) const NOMINATED: u8 = 16;

impl Default for Limits {
    /// 64 KiB because Kerberos and several large cookies together exceed the 8 to 32 KiB of common servers; 100 fields
    /// because browsers send 15 to 25 and meshes add as many; 8,000 octets of target is what RFC 9112 3 asks for at least.
    fn default() -> Self {
        Self { head_bytes: 64 * 1024, fields: 100, target_bytes: 8192 }
    }
}

impl Limits {
    /// For hops behind the border. Room for what we add on the way, so that a head at the border's limit is not refused
    /// further in, where it could no longer be blamed on the client.
    pub fn inside() -> Self {
        Self { head_bytes: 80 * 1024, fields: 120, target_bytes: 8192 }
    }
}
