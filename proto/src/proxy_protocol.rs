//! What a load balancer says of a client before the client's own first byte: the PROXY protocol, version 2.
//!
//! HAProxy, doc/proxy-protocol.txt, section 2.2. The older form in text is not read: it has no length, and so no end that
//! can be trusted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Every header begins with this.
pub const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Up to and with the length of what follows.
pub const PREFIX_BYTES: usize = 16;
/// The most that may follow: addresses, and what balancers add to them.
pub const REST_BYTES: usize = 4096;

const TYPE_SSL: u8 = 0x20;
const CLIENT_SSL: u8 = 1;

/// Whom a connection is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The client's address; none when the balancer speaks for itself (a check of health), or for a client without one.
    pub client: Option<IpAddr>,
    /// The client speaks TLS with the balancer.
    pub is_encrypted: bool,
}

/// Why a connection is not listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It begins with something else.
    #[error("not a header of the PROXY protocol, version 2")]
    Signature,
    /// Another version or command.
    #[error("an unknown version or command")]
    Version,
    /// Not TCP over IP, and not a Unix socket.
    #[error("an unknown kind of address")]
    Family,
    /// Too long, or too short for its addresses.
    #[error("a length that is not possible")]
    Length,
    /// What follows the addresses is cut.
    #[error("what follows the addresses is cut")]
    Extra,
}

/// Reads the first 16 bytes; gives how many follow.
///
/// # Errors
/// [`Malformed`].
pub fn rest_len(prefix: &[u8; PREFIX_BYTES]) -> Result<usize, Malformed> {
    if prefix[..12] != SIGNATURE {
        return Err(Malformed::Signature);
    }
    if !matches!(prefix[12], 0x20 | 0x21) {
        return Err(Malformed::Version);
    }
    let len = usize::from(u16::from_be_bytes([prefix[14], prefix[15]]));
    if len > REST_BYTES { Err(Malformed::Length) } else { Ok(len) }
}

/// Reads a whole header, of which `rest` is what [`rest_len`] counts.
///
/// # Errors
/// [`Malformed`].
pub fn parse(prefix: &[u8; PREFIX_BYTES], rest: &[u8]) -> Result<Header, Malformed> {
    rest_len(prefix)?;
    if prefix[12] == 0x20 {
        // LOCAL: whatever follows is to be passed over.
        return Ok(Header::default());
    }
    let addresses = |len: usize| rest.split_at_checked(len).ok_or(Malformed::Length);
    let (client, extra) = match prefix[13] {
        0x00 => (None, rest),
        0x11 => {
            let (block, extra) = addresses(12)?;
            let source: [u8; 4] = block[..4].try_into().expect("four bytes");
            (Some(IpAddr::V4(Ipv4Addr::from(source))), extra)
        }
        0x21 => {
            let (block, extra) = addresses(36)?;
            let source: [u8; 16] = block[..16].try_into().expect("sixteen bytes");
            (Some(IpAddr::V6(Ipv6Addr::from(source)).to_canonical()), extra)
        }
        0x31 => (None, addresses(216)?.1),
        _ => return Err(Malformed::Family),
    };
    Ok(Header { client, is_encrypted: is_encrypted(extra)? })
}

/// Reads what follows the addresses: a type, a length and a value each.
fn is_encrypted(mut extra: &[u8]) -> Result<bool, Malformed> {
    let mut is_encrypted = false;
    while let [kind, high, low, rest @ ..] = extra {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, rest) = rest.split_at_checked(len).ok_or(Malformed::Extra)?;
        if *kind == TYPE_SSL {
            is_encrypted = value.first().is_some_and(|client| client & CLIENT_SSL != 0);
        }
        extra = rest;
    }
    if extra.is_empty() { Ok(is_encrypted) } else { Err(Malformed::Extra) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Header, Malformed> {
        let (prefix, rest) = bytes.split_first_chunk().expect("sixteen bytes");
        let len = rest_len(prefix)?;
        assert_eq!(len, rest.len(), "the case itself");
        parse(prefix, rest)
    }

    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let len = u16::try_from(rest.len()).expect("short").to_be_bytes();
        [&SIGNATURE[..], &[command, family], &len, rest].concat()
    }

    const V4: [u8; 12] = [192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x34, 0, 80];

    #[test]
    fn headers_that_balancers_send_are_read() {
        let v6 = {
            let client: Ipv6Addr = "2001:db8::7".parse().unwrap();
            [&client.octets()[..], &[0; 20]].concat()
        };
        let mapped = {
            let client: Ipv6Addr = "::ffff:192.0.2.7".parse().unwrap();
            [&client.octets()[..], &[0; 20]].concat()
        };
        let over_tls = [&V4[..], &[0x04, 0, 1, 9, 0x20, 0, 5, 1, 0, 0, 0, 0]].concat();
        let in_plain = [&V4[..], &[0x20, 0, 5, 0, 0, 0, 0, 0]].concat();
        for (bytes, client, is_encrypted) in [
            (header(0x21, 0x11, &V4), Some("192.0.2.7"), false),
            (header(0x21, 0x21, &v6), Some("2001:db8::7"), false),
            (header(0x21, 0x21, &mapped), Some("192.0.2.7"), false),
            (header(0x21, 0x11, &over_tls), Some("192.0.2.7"), true),
            (header(0x21, 0x11, &in_plain), Some("192.0.2.7"), false),
            (header(0x21, 0x31, &[0; 216]), None, false),
            (header(0x21, 0x00, &[]), None, false),
            (header(0x20, 0x00, &[]), None, false),
            (header(0x20, 0x11, &V4), None, false),
            (header(0x20, 0x99, &[1, 2, 3]), None, false),
        ] {
            let client = client.map(|text| text.parse().unwrap());
            assert_eq!(read(&bytes), Ok(Header { client, is_encrypted }), "{bytes:?}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let mut other = header(0x21, 0x11, &V4);
        other[11] = b'\r';
        let long = vec![0; REST_BYTES + 1];
        for (bytes, why) in [
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 1 80\r\n".to_vec(), Malformed::Signature),
            (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), Malformed::Signature),
            (other, Malformed::Signature),
            (header(0x11, 0x11, &V4), Malformed::Version),
            (header(0x22, 0x11, &V4), Malformed::Version),
            (header(0x21, 0x12, &V4), Malformed::Family),
            (header(0x21, 0x01, &V4), Malformed::Family),
            (header(0x21, 0x11, &V4[..11]), Malformed::Length),
            (header(0x21, 0x21, &V4), Malformed::Length),
            (header(0x21, 0x31, &[0; 215]), Malformed::Length),
            (header(0x21, 0x11, &long), Malformed::Length),
            (header(0x21, 0x11, &[&V4[..], &[4]].concat()), Malformed::Extra),
            (header(0x21, 0x11, &[&V4[..], &[4, 0, 2, 1]].concat()), Malformed::Extra),
        ] {
            assert_eq!(read(&bytes), Err(why), "{bytes:?}");
        }
    }
}
