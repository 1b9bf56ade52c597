//! The grammar of an authority: who is asked for (RFC 9110 7.2, RFC 3986 3.2).

use std::net::Ipv6Addr;

use super::HeadError;

/// The longest host name of DNS is 253 bytes; with a port and a final dot that is 260.
const HOST_BYTES: usize = 260;

/// Checks `Host` or the authority of an absolute target: a name, an IPv4 address or `[`IPv6`]`, then `:`port if any.
///
/// Narrower than RFC 3986 where readers differ: no userinfo (RFC 9110 4.2.4), no percent-encoding and no sub-delims,
/// for no name that resolves has them and `,` or `;` splits for some; no empty label, no IPvFuture, no zone, no empty port.
pub(super) fn check_authority(value: &[u8]) -> Result<&str, HeadError> {
    let text = std::str::from_utf8(value).map_err(|_| HeadError::BadHost)?;
    if value.is_empty() || value.len() > HOST_BYTES {
        return Err(HeadError::BadHost);
    }
    let port = if value[0] == b'[' { after_ipv6(text)? } else { after_name(value)? };
    check_port(port)?;
    Ok(text)
}

/// Checks the bracketed address and returns what follows it.
fn after_ipv6(text: &str) -> Result<&[u8], HeadError> {
    let (address, rest) = text[1..].split_once(']').ok_or(HeadError::BadHost)?;
    address.parse::<Ipv6Addr>().map_err(|_| HeadError::BadHost)?;
    Ok(rest.as_bytes())
}

/// Checks dot-separated labels and returns what follows them. A single final dot is the DNS root.
#[inline]
fn after_name(value: &[u8]) -> Result<&[u8], HeadError> {
    // An empty label is two dots in a row, the first of which may be thought of as standing before the name.
    let (mut previous, mut empty_label) = (DOT, 0);
    for (at, &byte) in value.iter().enumerate() {
        let class = CLASS[usize::from(byte)];
        if class == OTHER {
            let ends = byte == b':' && at > 0 && empty_label == 0;
            return if ends { Ok(&value[at..]) } else { Err(HeadError::BadHost) };
        }
        empty_label |= previous & class & DOT;
        previous = class;
    }
    if empty_label == 0 { Ok(&[]) } else { Err(HeadError::BadHost) }
}

const OTHER: u8 = 0;
const LABEL: u8 = 1;
const DOT: u8 = 2;

/// One load a byte: every request passes here.
const CLASS: [u8; 256] = {
    let mut map = [OTHER; 256];
    let label = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_~";
    let mut i = 0;
    while i < label.len() {
        map[label[i] as usize] = LABEL;
        i += 1;
    }
    map[b'.' as usize] = DOT;
    map
};

/// Checks nothing, or a colon and a port number.
fn check_port(text: &[u8]) -> Result<(), HeadError> {
    match text {
        [] => Ok(()),
        [b':', digits @ ..]
            if matches!(digits.len(), 1..=5) && digits.iter().all(u8::is_ascii_digit) =>
        {
            let port = digits.iter().fold(0_u32, |port, digit| port * 10 + u32::from(digit - b'0'));
            if port <= u32::from(u16::MAX) { Ok(()) } else { Err(HeadError::BadHost) }
        }
        _ => Err(HeadError::BadHost),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_addresses_and_ports_are_accepted() {
        for host in [
            "a",
            "example.com",
            "EXAMPLE.com",
            "example.com.",
            "a_b.example",
            "127.0.0.1",
            "127.0.0.1:80",
            "[::1]",
            "[2001:db8::1]:8080",
            "localhost:65535",
            "xn--bcher-kva.example",
            "a:0",
        ] {
            assert_eq!(check_authority(host.as_bytes()), Ok(host));
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for host in [
            "",
            " ",
            "a b",
            "a,b",
            "a;b",
            "user@a",
            "a/b",
            "a?b",
            "a#b",
            "a\\b",
            "a%41",
            ".a",
            "a..b",
            ".",
            "a:",
            ":80",
            "a:65536",
            "a:+80",
            "a:80:80",
            "a:8 0",
            "a:000080",
            "[::1",
            "::1",
            "[::1]80",
            "[::1]:",
            "[fe80::1%eth0]",
            "[v1.x]",
            "[]",
            "[127.0.0.1]",
            "b\u{fc}cher.example",
            "a'b",
            "a(b)",
            "a\tb",
            "a:http",
            "http://a",
        ] {
            assert_eq!(check_authority(host.as_bytes()), Err(HeadError::BadHost), "{host}");
        }
        assert_eq!(check_authority(&[b'a'; 261]), Err(HeadError::BadHost));
        assert_eq!(check_authority(b"a\xff"), Err(HeadError::BadHost));
    }
}
