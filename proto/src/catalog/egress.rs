//! Where a function may go through its node's proxy: hosts and ports, as a manifest lists them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest name in DNS (RFC 1035 section 2.3.4).
const MAX_NAME_BYTES: usize = 253;

/// A host as a client names it: `api.example.com`, `192.0.2.1`, `[2001:db8::1]`. Names are in lower case and without the
/// dot at their end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// To be looked up.
    Name(Box<str>),
    /// An address; one of IPv4 in the dress of IPv6 is the IPv4 one.
    Address(IpAddr),
}

/// A host, and a port of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Which host.
    pub host: Host,
    /// Which port; never zero.
    pub port: u16,
}

/// One line of the list: the hosts, and their port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Egress {
    hosts: Hosts,
    /// 80 and 443 when absent.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    /// `*`
    Any,
    /// `*.example.com`: whatever ends so, and not `example.com` itself.
    Below(Box<str>),
    One(Host),
}

impl Egress {
    /// The longest list.
    pub const MOST: usize = 256;
    /// As JSON schemas describe it; not all that match are right.
    pub const PATTERN: &'static str =
        r"^(\*|(\*\.)?[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$";

    /// True when the list lets a function go there.
    pub fn allows(&self, destination: &Destination) -> bool {
        let is_port = match self.port {
            Some(port) => port == destination.port,
            None => [80, 443].contains(&destination.port),
        };
        is_port
            && match (&self.hosts, &destination.host) {
                (Hosts::Any, _) => true,
                (Hosts::Below(domain), Host::Name(name)) => name
                    .strip_suffix(&**domain)
                    .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
                (Hosts::Below(_), Host::Address(_)) => false,
                (Hosts::One(host), asked) => host == asked,
            }
    }
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(inner) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            let address: Ipv6Addr = inner.parse().map_err(|_| format!("{text:?} is no address"))?;
            return Ok(Self::Address(IpAddr::V6(address).to_canonical()));
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Address(address.into()));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let is_label = |label: &str| {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            (1..=63).contains(&label.len()) && label.chars().all(is_plain)
        };
        if name.len() > MAX_NAME_BYTES || !name.split('.').all(is_label) {
            return Err(format!(
                "{text:?} is no host: write a name such as api.example.com, or an address"
            ));
        }
        // `127.1`, `2130706433` and `0x7f.1` are addresses to the C library, and names to nobody.
        let last = name.rsplit('.').next().unwrap_or(name);
        if last.starts_with(|c: char| c.is_ascii_digit()) && is_number(last) {
            return Err(format!(
                "{text:?} ends in a number and is no address: write its four numbers"
            ));
        }
        Ok(Self::Name(name.to_ascii_lowercase().into()))
    }
}

fn is_number(label: &str) -> bool {
    let hex = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    match hex {
        Some(digits) => digits.chars().all(|c| c.is_ascii_hexdigit()),
        None => label.chars().all(|c| c.is_ascii_digit()),
    }
}

/// Splits `host:port`, with the brackets of an IPv6 address where it has some.
fn split(text: &str) -> Result<(&str, Option<u16>), String> {
    if let Some((_, rest)) = text.split_once("://") {
        return Err(format!("{text:?} is a URL: write the host alone, {rest:?}"));
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(format!("{text:?} is written [{text}] where a port may follow"));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        Some(_) | None => (text, None),
    };
    let number = |port: &str| match port.parse() {
        Ok(number @ 1..) if port.starts_with(|c: char| c.is_ascii_digit()) => Ok(number),
        Ok(_) | Err(_) => Err(format!("{port:?} is no port: write a number from 1 to 65535")),
    };
    Ok((host, port.map(number).transpose()?))
}

impl FromStr for Destination {
    type Err = String;

    /// Reads the authority of a CONNECT (RFC 9112 section 3.2.3): the port must be there.
    fn from_str(text: &str) -> Result<Self, String> {
        let (host, port) = split(text)?;
        let port = port.ok_or_else(|| format!("{text:?} names no port, as in {text}:443"))?;
        Ok(Self { host: host.parse()?, port })
    }
}

impl FromStr for Egress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, port) = split(text)?;
        let hosts = match (host, host.strip_prefix("*.")) {
            ("*", _) => Hosts::Any,
            (_, Some(domain)) => match domain.parse()? {
                Host::Name(name) => Hosts::Below(name),
                Host::Address(_) => {
                    return Err(format!("{text:?}: an address has nothing below it"));
                }
            },
            (host, None) => Hosts::One(host.parse()?),
        };
        Ok(Self { hosts, port })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl fmt::Display for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hosts {
            Hosts::Any => f.write_str("*")?,
            Hosts::Below(domain) => write!(f, "*.{domain}")?,
            Hosts::One(host) => write!(f, "{host}")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl Serialize for Egress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Egress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Egress {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Egress".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": Self::PATTERN })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(rule: &str, destination: &str) -> bool {
        let rule: Egress = rule.parse().expect(rule);
        rule.allows(&destination.parse().expect(destination))
    }

    #[test]
    fn a_host_is_reached_by_its_name_at_its_port() {
        for (rule, destination, expected) in [
            ("api.example.com:8443", "api.example.com:8443", true),
            ("api.example.com:8443", "api.example.com:443", false),
            ("api.example.com", "api.example.com:443", true),
            ("api.example.com", "api.example.com:80", true),
            ("api.example.com", "api.example.com:22", false),
            ("API.Example.com.", "api.example.COM:443", true),
            ("api.example.com", "api.example.com.:443", true),
            ("api.example.com", "evil-api.example.com:443", false),
            ("*.example.com", "a.b.example.com:443", true),
            ("*.example.com", "example.com:443", false),
            ("*.example.com", "evilexample.com:443", false),
            ("*", "anything.at.all:443", true),
            ("*", "192.0.2.1:443", true),
            ("*", "anything.at.all:25", false),
            ("*:25", "anything.at.all:25", true),
            ("192.0.2.1:53", "192.0.2.1:53", true),
            ("192.0.2.1:53", "[::ffff:192.0.2.1]:53", true),
            ("[2001:db8::1]:53", "[2001:db8:0::1]:53", true),
            ("[2001:db8::1]", "[2001:db8::1]:443", true),
        ] {
            assert_eq!(allows(rule, destination), expected, "{rule} {destination}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused_with_what_would_be_right() {
        for (text, why) in [
            ("", "no host"),
            ("a b", "no host"),
            ("https://api.example.com", "host alone"),
            ("api..example.com", "no host"),
            ("*.*.example.com", "no host"),
            ("api.*.com", "no host"),
            ("api.example.com:0", "no port"),
            ("api.example.com:+1", "no port"),
            ("api.example.com:65536", "no port"),
            ("2001:db8::1", "is written ["),
            ("[2001:db8::1", "no host"),
            ("*.192.0.2.1", "nothing below"),
            ("127.1", "ends in a number"),
            ("2130706433", "ends in a number"),
            ("0x7f000001", "ends in a number"),
            ("017700000001:80", "ends in a number"),
        ] {
            let error = text.parse::<Egress>().expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
        let error = "api.example.com".parse::<Destination>().expect_err("no port");
        assert!(error.contains("names no port"), "{error}");
    }

    #[test]
    fn it_is_written_as_it_is_read() {
        for text in ["*", "*:25", "*.example.com", "api.example.com:443", "[2001:db8::1]:53"] {
            let rule: Egress = text.parse().expect(text);
            assert_eq!(rule.to_string(), text);
            let json = serde_json::to_string(&rule).expect("a string");
            assert_eq!(serde_json::from_str::<Egress>(&json).expect("the same"), rule);
        }
    }
}
