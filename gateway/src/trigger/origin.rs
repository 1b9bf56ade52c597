//! Who sends a request, when it comes through proxies that the operator trusts.
//!
//! Each proxy adds the address that it sees to the end of a list; whatever stands further left was said by somebody else.
//! So the list is read from its right end, past the proxies that are trusted: the first other address is the client's.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hatchway_proto::http1::RequestHead;
use hatchway_proto::network::Network;
use hatchway_wire::http1::Peer;

/// The proxies that are believed. None by default.
#[derive(Clone, Debug, Default)]
pub struct Trusted(Arc<[Network]>);

impl From<&[Network]> for Trusted {
    fn from(networks: &[Network]) -> Self {
        Self(networks.into())
    }
}

impl Trusted {
    /// True for the address of a trusted proxy.
    pub fn includes(&self, address: Option<IpAddr>) -> bool {
        address.is_some_and(|address| self.0.iter().any(|network| network.contains(address)))
    }

    /// Who sent a request that came from `peer`.
    pub(super) fn origin<'p>(&self, head: &RequestHead<'_>, peer: Peer<'p>) -> Peer<'p> {
        if !self.includes(peer.address) {
            return peer;
        }
        let listed = self.client(list(head, "x-forwarded-for", whole));
        let standard = self.client(list(head, "forwarded", |item| parameter(item, "for")));
        let address = match (listed, standard) {
            // A proxy that knows one of the two passes on whatever its client says in the other.
            (Some(one), Some(other)) if one != other => peer.address,
            (one, other) => one.or(other).or(peer.address),
        };
        let is_encrypted = is_encrypted(head).unwrap_or(peer.is_encrypted);
        // A certificate that was shown to us is the proxy's.
        Peer { address, is_encrypted, credential: None, ..peer }
    }

    /// The right-most address that is no proxy's; the left-most one when all are.
    fn client<'h>(&self, from_right: impl Iterator<Item = Option<&'h str>>) -> Option<IpAddr> {
        let mut client = None;
        for item in from_right {
            // What stands left of a word that is no address was said by nobody we know.
            let Some(address) = item.and_then(address) else { break };
            client = Some(address);
            if !self.includes(client) {
                break;
            }
        }
        client
    }
}

/// The items of all fields with this name, from the right.
fn list<'h>(
    head: &RequestHead<'h>,
    name: &'static str,
    read: impl Fn(&'h str) -> Option<&'h str>,
) -> impl Iterator<Item = Option<&'h str>> {
    let fields: Vec<_> =
        head.fields().filter(|field| field.name.eq_ignore_ascii_case(name)).collect();
    fields
        .into_iter()
        .rev()
        .flat_map(|field| {
            // A value that is no text is one item that is no address.
            std::str::from_utf8(field.value).unwrap_or("?").rsplit(',')
        })
        .map(move |item| read(item.trim_matches([' ', '\t'])))
}

fn whole(item: &str) -> Option<&str> {
    Some(item)
}

/// The value of a parameter in an element of `Forwarded` (RFC 7239 section 4).
fn parameter<'h>(element: &'h str, name: &str) -> Option<&'h str> {
    element.split(';').find_map(|pair| {
        let (found, value) = pair.trim_matches([' ', '\t']).split_once('=')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim_matches('"'))
    })
}

/// `192.0.2.7`, `192.0.2.7:80`, `2001:db8::7`, `[2001:db8::7]` or `[2001:db8::7]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse().map(|address: SocketAddr| address.ip());
    bare.parse().or_else(|_| with_port()).ok().map(|address: IpAddr| address.to_canonical())
}

/// What the nearest proxy says of the client's connection.
fn is_encrypted(head: &RequestHead<'_>) -> Option<bool> {
    let listed = list(head, "x-forwarded-proto", whole).next();
    let standard = || list(head, "forwarded", |item| parameter(item, "proto")).next();
    match listed.or_else(standard)?? {
        proto if proto.eq_ignore_ascii_case("https") => Some(true),
        proto if proto.eq_ignore_ascii_case("http") => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use hatchway_proto::http1::{Limits, parse_request};

    use super::*;

    fn origin(from: &str, lines: &str) -> (String, bool) {
        let networks = ["10.0.0.0/8", "2001:db8:1::/48"].map(|text| text.parse().unwrap());
        let trusted = Trusted::from(&networks[..]);
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        let head = parse_request(head.as_bytes(), &Limits::default()).unwrap().unwrap();
        let peer = Peer { address: Some(from.parse().unwrap()), ..Peer::default() };
        let Peer { address, is_encrypted, .. } = trusted.origin(&head, peer);
        (address.unwrap().to_string(), is_encrypted)
    }

    #[test]
    fn the_client_is_the_right_most_address_that_is_no_trusted_proxy() {
        let proxy = "10.0.0.1";
        for (from, lines, client) in [
            (proxy, "", proxy),
            (proxy, "X-Forwarded-For: 192.0.2.7\r\n", "192.0.2.7"),
            (proxy, "X-Forwarded-For: 192.0.2.7, 10.2.2.2\r\n", "192.0.2.7"),
            (proxy, "X-Forwarded-For: 6.6.6.6, 192.0.2.7\r\n", "192.0.2.7"),
            (proxy, "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 192.0.2.7\r\n", "192.0.2.7"),
            (proxy, "X-Forwarded-For: 192.0.2.7:4711\r\n", "192.0.2.7"),
            (proxy, "X-Forwarded-For: [2001:db8::7]:4711\r\n", "2001:db8::7"),
            (proxy, "X-Forwarded-For: 2001:db8::7,2001:db8:1::9\r\n", "2001:db8::7"),
            (proxy, "X-Forwarded-For: ::ffff:192.0.2.7\r\n", "192.0.2.7"),
            (proxy, "X-Forwarded-For: 10.3.3.3, 10.2.2.2\r\n", "10.3.3.3"),
            // What is no address ends the list that can be believed.
            (proxy, "X-Forwarded-For: unknown\r\n", proxy),
            (proxy, "X-Forwarded-For: 6.6.6.6, unknown, 10.2.2.2\r\n", "10.2.2.2"),
            (proxy, "X-Forwarded-For: 6.6.6.6,\r\n", proxy),
            (proxy, "X-Forwarded-For: 192.0.2.7x\r\n", proxy),
            (proxy, "Forwarded: for=192.0.2.7;proto=http\r\n", "192.0.2.7"),
            (proxy, "Forwarded: for=6.6.6.6, For=\"[2001:db8::7]:4711\"\r\n", "2001:db8::7"),
            (proxy, "Forwarded: for=6.6.6.6, for=_hidden\r\n", proxy),
            // Two that agree are believed, two that do not are not.
            (proxy, "X-Forwarded-For: 192.0.2.7\r\nForwarded: for=192.0.2.7\r\n", "192.0.2.7"),
            (proxy, "X-Forwarded-For: 192.0.2.7\r\nForwarded: for=6.6.6.6\r\n", proxy),
            // Whoever is not trusted speaks for itself alone.
            ("192.0.2.9", "X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n", "192.0.2.9"),
        ] {
            assert_eq!(origin(from, lines).0, client, "{lines}");
        }
    }

    #[test]
    fn the_nearest_proxy_says_how_the_client_came() {
        for (from, lines, is_encrypted) in [
            ("10.0.0.1", "X-Forwarded-Proto: https\r\n", true),
            ("10.0.0.1", "X-Forwarded-Proto: HTTPS\r\n", true),
            ("10.0.0.1", "X-Forwarded-Proto: https, http\r\n", false),
            ("10.0.0.1", "Forwarded: for=192.0.2.7;proto=https\r\n", true),
            ("10.0.0.1", "X-Forwarded-Proto: gopher\r\n", false),
            ("10.0.0.1", "", false),
            ("192.0.2.9", "X-Forwarded-Proto: https\r\n", false),
        ] {
            assert_eq!(origin(from, lines).1, is_encrypted, "{lines}");
        }
    }
}
