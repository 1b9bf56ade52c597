//! Which addresses the proxy leads to.
//!
//! A list of hosts says where a function wants to go; where that is, whoever runs the name's servers decides. So each address is
//! looked at after the lookup: what is not out in the Internet is refused unless an operator allows its network.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use hatchway_proto::network::Network;

/// What clouds tell about a machine, keys to the operator's account among it: Amazon, Google, Azure and most others; Azure's wire
/// server; Alibaba; Oracle; Amazon and Google by IPv6.
const METADATA: [IpAddr; 6] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// Why an address is refused, as an operator and a function read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ground {
    /// Nobody, everybody, or many: no destination of a connection.
    Nowhere,
    /// What a cloud tells about this machine.
    Metadata,
    /// An address of this node.
    Own,
    Loopback,
    LinkLocal,
    /// Of networks that are somebody's own (RFC 1918, 4193, 6598).
    Private,
    /// Set aside, for documents and tests for example (RFC 6890).
    Reserved,
}

impl Ground {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Nowhere => "no address of one machine",
            Self::Metadata => "a cloud's metadata",
            Self::Own => "an address of the node itself",
            Self::Loopback => "a loopback address",
            Self::LinkLocal => "a link-local address",
            Self::Private => "an address of a private network",
            Self::Reserved => "a reserved address",
        }
    }
}

/// An address that has been looked at, and whose port is allowed: all that can be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Checked(SocketAddr);

impl Checked {
    pub(super) fn address(self) -> SocketAddr {
        self.0
    }
}

/// What an operator allows beside the Internet.
#[derive(Debug)]
pub(super) struct Reach(Vec<Network>);

impl Reach {
    pub(super) fn new(allowed: Vec<Network>) -> Self {
        Self(allowed)
    }

    /// Looks at one address.
    ///
    /// # Errors
    /// Why nobody is led there.
    pub(super) fn check(&self, address: SocketAddr) -> Result<Checked, Ground> {
        self.decide(address, is_own)
    }

    /// A node's own addresses and metadata have to be named one by one: who allows `10.0.0.0/8` thinks of neither.
    fn decide(
        &self,
        address: SocketAddr,
        is_own: impl Fn(IpAddr) -> bool,
    ) -> Result<Checked, Ground> {
        let ip = meant(address.ip());
        let ground = match ground(ip) {
            None | Some(Ground::Private | Ground::LinkLocal | Ground::Reserved) if is_own(ip) => {
                Some(Ground::Own)
            }
            ground => ground,
        };
        let is_allowed = |by_itself: bool| {
            let fits = |network: &&Network| !by_itself || network.is_one_address();
            self.0.iter().filter(fits).any(|network| network.contains(ip))
        };
        match ground {
            None => Ok(Checked(address)),
            Some(Ground::Nowhere) => Err(Ground::Nowhere),
            Some(ground) if is_allowed(matches!(ground, Ground::Metadata | Ground::Own)) => {
                Ok(Checked(address))
            }
            Some(ground) => Err(ground),
        }
    }
}

/// The IPv4 address that some of IPv6 stand for: mapped (RFC 4291), compatible, behind a translator (RFC 6052), in a
/// 6to4 network (RFC 3056).
fn meant(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let low = |segments: [u16; 2]| {
        let [[a, b], [c, d]] = segments.map(u16::to_be_bytes);
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, last] if (high, last) > (0, 1) => low([high, last]),
        [0x64, 0xff9b, 0, 0, 0, 0, high, last] => low([high, last]),
        [0x2002, high, last, ..] => low([high, last]),
        _ => ip,
    }
}

/// Why an address is not one of the Internet; none for one that is.
fn ground(ip: IpAddr) -> Option<Ground> {
    if METADATA.contains(&ip) {
        return Some(Ground::Metadata);
    }
    match ip {
        IpAddr::V4(v4) => ground_v4(v4),
        IpAddr::V6(v6) => ground_v6(v6),
    }
}

/// IANA's registry of special addresses (RFC 6890), and what is not unicast.
fn ground_v4(v4: Ipv4Addr) -> Option<Ground> {
    match v4.octets() {
        [0, ..] | [224..=239, ..] | [255, 255, 255, 255] => Some(Ground::Nowhere),
        [127, ..] => Some(Ground::Loopback),
        [169, 254, ..] => Some(Ground::LinkLocal),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => {
            Some(Ground::Private)
        }
        [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 18 | 19, ..] => Some(Ground::Reserved),
        [198, 51, 100, _] | [203, 0, 113, _] | [240..=255, ..] => Some(Ground::Reserved),
        _ => None,
    }
}

/// Of IPv6 only 2000::/3 is the Internet, but for what is set aside in it.
fn ground_v6(v6: Ipv6Addr) -> Option<Ground> {
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] | [0xff00..=0xffff, ..] => Some(Ground::Nowhere),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some(Ground::Loopback),
        [0xfe80..=0xfebf, ..] => Some(Ground::LinkLocal),
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Some(Ground::Private),
        // Teredo, ORCHID and the like; documents.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => {
            Some(Ground::Reserved)
        }
        [0x2000..=0x3fff, ..] => None,
        _ => Some(Ground::Reserved),
    }
}

/// True for an address of this machine. The kernel is asked for the way there, without sending anything: to itself it goes from
/// the very address (and this holds for one that was added a moment ago).
fn is_own(ip: IpAddr) -> bool {
    let source = || -> io::Result<IpAddr> {
        let any: IpAddr = match ip {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect((ip, 9))?;
        Ok(socket.local_addr()?.ip())
    };
    // No way there: then nobody comes to be connected either.
    source().is_ok_and(|source| source == ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(allowed: &[&str], address: &str, own: Option<&str>) -> Result<(), Ground> {
        let allowed = allowed.iter().map(|network| network.parse().expect("a network"));
        let own: Option<IpAddr> = own.map(|own| own.parse().expect("an address"));
        let address = SocketAddr::new(address.parse().expect(address), 443);
        let decided = Reach::new(allowed.collect()).decide(address, |ip| Some(ip) == own);
        decided.map(|checked| assert_eq!(checked.address(), address))
    }

    #[test]
    fn only_the_internet_is_reached() {
        for (address, expected) in [
            ("8.8.8.8", None),
            ("2606:4700::1111", None),
            ("0.0.0.0", Some(Ground::Nowhere)),
            ("0.1.2.3", Some(Ground::Nowhere)),
            ("::", Some(Ground::Nowhere)),
            ("224.0.0.1", Some(Ground::Nowhere)),
            ("ff02::1", Some(Ground::Nowhere)),
            ("255.255.255.255", Some(Ground::Nowhere)),
            ("127.0.0.1", Some(Ground::Loopback)),
            ("127.9.9.9", Some(Ground::Loopback)),
            ("::1", Some(Ground::Loopback)),
            ("169.254.1.1", Some(Ground::LinkLocal)),
            ("fe80::1", Some(Ground::LinkLocal)),
            ("169.254.169.254", Some(Ground::Metadata)),
            ("168.63.129.16", Some(Ground::Metadata)),
            ("100.100.100.200", Some(Ground::Metadata)),
            ("fd00:ec2::254", Some(Ground::Metadata)),
            ("10.1.2.3", Some(Ground::Private)),
            ("172.31.0.1", Some(Ground::Private)),
            ("172.32.0.1", None),
            ("192.168.0.1", Some(Ground::Private)),
            ("100.64.0.1", Some(Ground::Private)),
            ("fd12::1", Some(Ground::Private)),
            ("198.18.0.1", Some(Ground::Reserved)),
            ("240.0.0.1", Some(Ground::Reserved)),
            ("2001:db8::1", Some(Ground::Reserved)),
            ("100::1", Some(Ground::Reserved)),
        ] {
            assert_eq!(decide(&[], address, None).err(), expected, "{address}");
        }
    }

    #[test]
    fn an_address_of_ipv4_is_one_in_any_dress() {
        for (address, expected) in [
            ("::ffff:127.0.0.1", Ground::Loopback),
            ("::127.0.0.1", Ground::Loopback),
            ("::ffff:169.254.169.254", Ground::Metadata),
            ("64:ff9b::10.0.0.1", Ground::Private),
            ("64:ff9b::a9fe:a9fe", Ground::Metadata),
            ("2002:7f00:1::", Ground::Loopback),
            ("2002:a9fe:a9fe::1", Ground::Metadata),
        ] {
            assert_eq!(decide(&[], address, None), Err(expected), "{address}");
        }
        assert_eq!(decide(&[], "64:ff9b::8.8.8.8", None), Ok(()));
    }

    #[test]
    fn an_operator_may_allow_a_network() {
        assert_eq!(decide(&["10.0.0.0/8"], "10.1.2.3", None), Ok(()));
        assert_eq!(decide(&["10.0.0.0/8"], "::ffff:10.1.2.3", None), Ok(()));
        assert_eq!(decide(&["127.0.0.0/8"], "127.0.0.1", None), Ok(()));
        assert_eq!(decide(&["10.0.0.0/8"], "192.168.0.1", None), Err(Ground::Private));
        assert_eq!(decide(&["0.0.0.0/0"], "224.0.0.1", None), Err(Ground::Nowhere));
    }

    #[test]
    fn the_node_itself_and_its_cloud_are_allowed_by_name_only() {
        let own = Some("10.0.0.5");
        assert_eq!(decide(&[], "10.0.0.5", own), Err(Ground::Own));
        assert_eq!(decide(&["10.0.0.0/8"], "10.0.0.5", own), Err(Ground::Own));
        assert_eq!(decide(&["10.0.0.5/32"], "10.0.0.5", own), Ok(()));
        assert_eq!(decide(&["10.0.0.0/8"], "10.0.0.6", own), Ok(()));
        assert_eq!(decide(&[], "8.8.8.8", Some("8.8.8.8")), Err(Ground::Own), "a public one");
        let metadata = "169.254.169.254";
        assert_eq!(decide(&["169.254.0.0/16"], metadata, None), Err(Ground::Metadata));
        assert_eq!(decide(&["0.0.0.0/0"], metadata, None), Err(Ground::Metadata));
        assert_eq!(decide(&["169.254.169.254"], metadata, None), Ok(()));
    }

    #[test]
    fn the_kernel_knows_whose_address_it_is() {
        assert!(is_own("127.0.0.1".parse().expect("an address")));
        assert!(!is_own("192.0.2.1".parse().expect("an address")), "of documents");
    }
}
