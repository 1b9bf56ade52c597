//! Names in certificates: who the other end may be.

use std::fmt;
use std::str::FromStr;

use rustls::pki_types::DnsName;
use webpki::EndEntityCert;

/// A name that a certificate may have: of a host (`node.hatchway.internal`), of any host of a domain (`*.nodes.example.com`,
/// one label), or a URI as SPIFFE has them (`spiffe://example.com/hatchway/node`), compared byte by byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerName {
    /// In small letters.
    Host(Box<str>),
    /// What follows the first label, in small letters.
    HostOf(Box<str>),
    /// As written.
    Uri(Box<str>),
}

/// What is none of the three.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no name of a certificate: write a host name, *.domain, or a URI like spiffe://example.com/node"
)]
pub struct NotAName(String);

impl FromStr for PeerName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let host = |text: &str| {
            let name = DnsName::try_from(text).map_err(|_| NotAName(text.to_owned()))?;
            Ok(name.as_ref().to_ascii_lowercase().into_boxed_str())
        };
        if let Some(domain) = text.strip_prefix("*.") {
            return host(domain).map(Self::HostOf);
        }
        match text.split_once("://") {
            Some((scheme, rest)) if !scheme.is_empty() && !rest.is_empty() => {
                Ok(Self::Uri(text.into()))
            }
            Some(_) => Err(NotAName(text.to_owned())),
            None => host(text).map(Self::Host),
        }
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(name) | Self::Uri(name) => f.write_str(name),
            Self::HostOf(domain) => write!(f, "*.{domain}"),
        }
    }
}

impl PeerName {
    /// A wildcard in a certificate is not a name of anybody: only the operator says who may be whom.
    pub(super) fn is_host(&self, presented: &str) -> bool {
        match self {
            Self::Host(name) => presented.eq_ignore_ascii_case(name),
            Self::HostOf(domain) => presented
                .split_once('.')
                .is_some_and(|(label, rest)| label != "*" && rest.eq_ignore_ascii_case(domain)),
            Self::Uri(_) => false,
        }
    }

    pub(super) fn is_uri(&self, presented: &str) -> bool {
        matches!(self, Self::Uri(uri) if **uri == *presented)
    }
}

/// The names of which the other end has to have one.
#[derive(Clone, Debug)]
pub struct PeerNames {
    /// What the other end is to us, for messages.
    pub peer: &'static str,
    /// At least one.
    pub names: Vec<PeerName>,
}

/// A certificate of our authority that belongs to somebody else.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("a certificate for {presented} is not that of a {peer}, which has to be for {expected}")]
pub(super) struct WrongName {
    peer: &'static str,
    presented: String,
    expected: String,
}

/// As it reads: rustls shows the reasons of others in this form alone.
impl fmt::Debug for WrongName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PeerNames {
    /// Looks for one of them.
    ///
    /// # Errors
    /// Says which names there are.
    pub(super) fn check(&self, certificate: &EndEntityCert<'_>) -> Result<(), WrongName> {
        let mut presented = Vec::new();
        for host in certificate.valid_dns_names() {
            if self.names.iter().any(|name| name.is_host(host)) {
                return Ok(());
            }
            presented.push(host);
        }
        for uri in certificate.valid_uri_names() {
            if self.names.iter().any(|name| name.is_uri(uri)) {
                return Ok(());
            }
            presented.push(uri);
        }
        let expected = self.names.iter().map(PeerName::to_string).collect::<Vec<_>>();
        let presented =
            if presented.is_empty() { "nobody".to_owned() } else { presented.join(", ") };
        Err(WrongName { peer: self.peer, presented, expected: expected.join(" or ") })
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn names(texts: &[&str]) -> PeerNames {
        let names = texts.iter().map(|text| text.parse().unwrap()).collect();
        PeerNames { peer: "node", names }
    }

    /// The answer of `expected` to a certificate for `presented`.
    fn check(expected: &[&str], presented: &[&str]) -> Result<(), String> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = presented
            .iter()
            .map(|name| match name.contains("://") {
                true => SanType::URI((*name).try_into().unwrap()),
                false => SanType::DnsName((*name).try_into().unwrap()),
            })
            .collect();
        let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone();
        let certificate = EndEntityCert::try_from(&der).unwrap();
        names(expected).check(&certificate).map_err(|wrong| wrong.to_string())
    }

    #[test]
    fn one_of_the_names_is_enough_and_it_has_to_be_whole() {
        let spiffe = "spiffe://test/hatchway/node";
        for (expected, presented, is_one) in [
            (&["node.test"][..], &["other.test", "Node.Test"][..], true),
            (&["node.test"], &["a.node.test"], false),
            (&["node.test"], &["*.test"], false),
            (&["*.nodes.test"], &["n1.nodes.test"], true),
            (&["*.nodes.test"], &["nodes.test"], false),
            (&["*.nodes.test"], &["a.n1.nodes.test"], false),
            (&["*.nodes.test"], &["*.nodes.test"], false),
            (&["node.test", spiffe], &[spiffe], true),
            (&[spiffe], &["spiffe://test/hatchway/node/x"], false),
            (&["node.test"], &[], false),
        ] {
            assert_eq!(check(expected, presented).is_ok(), is_one, "{expected:?} {presented:?}");
        }
    }

    #[test]
    fn a_wrong_name_is_told_with_those_that_would_be_right() {
        let said = check(&["a.test", "*.b.test"], &["gateway.test", "spiffe://test/x"]);
        assert_eq!(
            said.unwrap_err(),
            "a certificate for gateway.test, spiffe://test/x is not that of a node, which has to be for a.test or *.b.test",
        );
    }

    #[test]
    fn what_is_no_name_is_not_taken_for_one() {
        for text in ["", "*", "*.", "a b", "://x", "spiffe://", "*.*.test", "10.0.0.1:80"] {
            assert!(text.parse::<PeerName>().is_err(), "{text:?}");
        }
        for text in ["node.test", "*.b.test", "spiffe://test/x"] {
            assert_eq!(text.parse::<PeerName>().unwrap().to_string(), text);
        }
    }
}
