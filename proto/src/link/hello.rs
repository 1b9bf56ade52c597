//! The greeting: who speaks, which versions, and how much may come at once.

use super::LinkError;
use super::payload::Fields;

const MAGIC: [u8; 4] = *b"HWLK";

/// The only version that is spoken: the first one had no deadline in CALL, and no ANSWER.
pub const VERSION: u16 = 2;

/// A gateway wants to hear who served its calls: answers of the node then have the field `hatchway-served`.
pub const ACCOUNTS: u64 = 1;

/// A gateway that has this in its [`features`](Hello::features) is told by DRAIN when another process takes over.
pub const HEIRS: u64 = 2;

/// What each side says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The oldest version that the sender speaks.
    pub lowest: u16,
    /// The newest.
    pub highest: u16,
    /// What it can do, or wants done, beyond its version: [`ACCOUNTS`], [`HEIRS`]. Others are ignored.
    pub features: u64,
    /// Drawn when the program started.
    pub instance: u128,
    /// Bytes of each call's DATA that it takes before it has given credit. Of no meaning from a gateway: a CALL says it.
    pub first_credit: u32,
    /// Calls that it takes at a time on this connection; 0 from a gateway.
    pub calls: u32,
}

impl Hello {
    /// A gateway's.
    pub fn of_gateway(instance: u128) -> Self {
        Self::of_node(instance, 0, 0)
    }

    /// A node's.
    pub fn of_node(instance: u128, first_credit: u32, calls: u32) -> Self {
        Self { lowest: VERSION, highest: VERSION, features: 0, instance, first_credit, calls }
    }

    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&self.lowest.to_be_bytes());
        out.extend_from_slice(&self.highest.to_be_bytes());
        out.extend_from_slice(&self.features.to_be_bytes());
        out.extend_from_slice(&self.instance.to_be_bytes());
        out.extend_from_slice(&self.first_credit.to_be_bytes());
        out.extend_from_slice(&self.calls.to_be_bytes());
    }

    /// Reads a payload; what a later version adds behind it is skipped.
    ///
    /// # Errors
    /// [`LinkError::Hello`] for other first bytes, [`LinkError::BadPayload`] for too few.
    pub fn decode(payload: &[u8]) -> Result<Self, LinkError> {
        let mut fields = Fields::new(payload);
        if fields.array()? != MAGIC {
            return Err(LinkError::Hello);
        }
        Ok(Self {
            lowest: fields.u16()?,
            highest: fields.u16()?,
            features: fields.u64()?,
            instance: u128::from_be_bytes(fields.array()?),
            first_credit: fields.u32()?,
            calls: fields.u32()?,
        })
    }

    /// Asks for what `features` says as well.
    #[must_use]
    pub fn with(self, features: u64) -> Self {
        Self { features, ..self }
    }

    /// The version that both speak.
    ///
    /// # Errors
    /// [`LinkError::Version`] when there is none.
    pub fn common_version(&self, other: &Self) -> Result<u16, LinkError> {
        let (lowest, highest) = (self.lowest.max(other.lowest), self.highest.min(other.highest));
        if lowest <= highest { Ok(highest) } else { Err(LinkError::Version) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speaks(lowest: u16, highest: u16) -> Hello {
        Hello { lowest, highest, ..Hello::of_gateway(1) }
    }

    #[test]
    fn the_newest_common_version_is_spoken() {
        for (ours, theirs, common) in [
            (speaks(1, 1), speaks(1, 1), Ok(1)),
            (speaks(1, 3), speaks(2, 5), Ok(3)),
            (speaks(2, 5), speaks(1, 3), Ok(3)),
            (speaks(1, 1), speaks(2, 2), Err(LinkError::Version)),
            (speaks(3, 2), speaks(1, 5), Err(LinkError::Version)),
        ] {
            assert_eq!(ours.common_version(&theirs), common);
        }
    }

    #[test]
    fn what_a_later_version_adds_is_skipped() {
        let hello = Hello::of_node(7, 65_536, 1000);
        let mut bytes = Vec::new();
        hello.encode(&mut bytes);
        bytes.extend_from_slice(b"more");
        assert_eq!(Hello::decode(&bytes), Ok(hello));
        assert_eq!(Hello::decode(b"GET / HTTP/1.1\r\n"), Err(LinkError::Hello));
        assert_eq!(Hello::decode(&bytes[..39]), Err(LinkError::BadPayload));
    }
}
