//! Whom a gateway would connect to. Whoever can write to etcd could otherwise have it connect to anything that it can reach: the
//! metadata of a cloud, etcd itself, its own admin port.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use hatchway_proto::catalog::Registration;
use hatchway_proto::network::Network;
use hatchway_wire::link::Security;
use hatchway_wire::listen::Address;

use crate::forward::Node;
use crate::place::NodeFacts;

/// Addresses that are allowed, as an operator writes them: `10.0.0.0/8`, `10.0.0.0/8@8090-8099`, `unix:/run/hatchway`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// A network, and ports.
    Net(Network, RangeInclusive<u16>),
    /// Sockets below a folder, or one.
    Below(PathBuf),
}

impl FromStr for Allowed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.starts_with('/') {
                true => Ok(Self::Below(path.into())),
                false => {
                    Err(format!("{text:?}: a path starts with a slash, as in unix:/run/hatchway"))
                }
            };
        }
        let (network, ports) = text.split_once('@').map_or((text, None), |(n, p)| (n, Some(p)));
        let network = network.parse()?;
        let Some(ports) = ports else { return Ok(Self::Net(network, 1..=u16::MAX)) };
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let port = |text: &str| text.parse().ok().filter(|port: &u16| *port > 0);
        match (port(first), port(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Self::Net(network, first..=last)),
            _ => Err(format!(
                "{ports:?} are no ports: write 10.0.0.0/8@8090 or 10.0.0.0/8@8090-8099"
            )),
        }
    }
}

impl Allowed {
    fn has(&self, address: &Address) -> bool {
        match (self, address) {
            (Self::Net(network, ports), Address::Tcp(address)) => {
                network.contains(address.ip()) && ports.contains(&address.port())
            }
            (Self::Below(folder), Address::Unix(path)) => {
                let climbs = path.components().any(|part| part.as_os_str() == "..");
                path.starts_with(folder) && !climbs
            }
            (Self::Net(..), Address::Unix(_)) | (Self::Below(_), Address::Tcp(_)) => false,
        }
    }
}

/// A registration as a node that may be asked. While etcd is not heard, a node may have started anew without our knowing: then
/// `is_current` is false, and whoever answers there is taken for it.
///
/// # Errors
/// Why it may not.
pub fn node(
    name: &str,
    registered: &Registration,
    (allowed, security): (&[Allowed], &Security),
    is_current: bool,
) -> Result<Node, String> {
    let address: Address = registered.address.parse()?;
    if !allowed.is_empty() && !allowed.iter().any(|allowed| allowed.has(&address)) {
        return Err("its address is not among those of --node-allow".to_owned());
    }
    security.check("a registration in etcd", &address).map_err(|error| error.to_string())?;
    let instance = registered.instance();
    if instance.is_none() {
        return Err(format!("its instance {:?} is no number in hex", registered.instance));
    }
    Ok(Node {
        facts: NodeFacts::new(name, registered.capacity_mib, registered.labels.clone()),
        address,
        instance: instance.filter(|_| is_current),
        is_leaving: registered.is_draining,
        registered: Some(Arc::new(registered.clone())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_allowed_by_its_network_and_port_or_by_its_folder() {
        for (allowed, address, is_allowed) in [
            ("10.0.0.0/8", "10.1.2.3:8090", true),
            ("10.0.0.0/8", "11.1.2.3:8090", false),
            ("10.0.0.0/8@8090-8099", "10.1.2.3:8099", true),
            ("10.0.0.0/8@8090-8099", "10.1.2.3:2379", false),
            ("127.0.0.1@8090", "127.0.0.1:8090", true),
            ("fd00::/8@8090", "[fd00::1]:8090", true),
            ("unix:/run/hatchway", "unix:/run/hatchway/n.sock", true),
            ("unix:/run/hatchway", "unix:/run/hatchway-other/n.sock", false),
            ("unix:/run/hatchway", "unix:/run/hatchway/../docker.sock", false),
            ("unix:/run/hatchway", "127.0.0.1:80", false),
        ] {
            let allowed: Allowed = allowed.parse().expect("it is one");
            let address: Address = address.parse().expect("it is one");
            assert_eq!(allowed.has(&address), is_allowed, "{allowed:?} {address}");
        }
        for wrong in ["10.0.0.0/33", "unix:run", "10.0.0.0/8@0", "10.0.0.0/8@9-8", "10.0.0.0/8@x"] {
            assert!(wrong.parse::<Allowed>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn who_answers_in_the_place_of_a_node_is_believed_only_while_etcd_is_away() {
        let registered = Registration {
            address: "127.0.0.1:8090".into(),
            instance: "7".into(),
            ..Registration::default()
        };
        let security = Security::default();
        let of = |registered: &Registration, is_current| {
            node("n", registered, (&[], &security), is_current)
        };
        assert_eq!(of(&registered, true).map(|node| node.instance), Ok(Some(7)));
        assert_eq!(of(&registered, false).map(|node| node.instance), Ok(None));
        let far = Registration { address: "10.0.0.1:8090".into(), ..registered.clone() };
        assert!(of(&far, true).is_err(), "beyond the machine links are encrypted");
        assert!(of(&Registration { instance: String::new(), ..registered }, true).is_err());
    }
}
