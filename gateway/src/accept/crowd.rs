//! Who is inside: connections of one core, in all and by address.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;

use foldhash::fast::RandomState;
use hatchway_wire::core::{Entered, InFlight};

use super::door::Door;

/// Why a connection stays outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// The core serves as many as it may.
    #[error("this gateway serves as many connections as it may")]
    House,
    /// The core serves as many of this address as it may.
    #[error("this gateway serves as many connections of this address as it may")]
    Address,
    /// The process holds as much memory as it may.
    #[error("this gateway holds as much memory as it may")]
    Memory,
}

type Counts = Rc<RefCell<HashMap<Origin, usize, RandomState>>>;

/// Counts connections.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    all: InFlight,
    by_address: Counts,
}

/// What is counted as one: an IPv4 address, or the first half of an IPv6 one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Origin {
    V4(u32),
    V6(u64),
}

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments().map(u64::from);
                Self::V6(a << 48 | b << 32 | c << 16 | d)
            }
        }
    }
}

/// One that is inside, until it is dropped.
#[derive(Debug)]
pub(super) struct Inside {
    _all: Entered,
    address: Option<(Origin, Counts)>,
}

impl Crowd {
    /// Lets one more in. Whoever has no address came through this machine, and is counted in all only.
    pub(super) fn enter(&self, address: Option<IpAddr>, door: &Door) -> Result<Inside, Full> {
        if self.all.count() >= door.connections_per_core {
            return Err(Full::House);
        }
        let address = address.map(|address| self.claim(address, door)).transpose()?;
        Ok(Inside { _all: self.all.enter(), address })
    }

    /// Counts one that is inside by an address that was learnt there.
    pub(super) fn name(
        &self,
        inside: &mut Inside,
        address: IpAddr,
        door: &Door,
    ) -> Result<(), Full> {
        inside.address = Some(self.claim(address, door)?);
        Ok(())
    }

    fn claim(&self, address: IpAddr, door: &Door) -> Result<(Origin, Counts), Full> {
        let origin = Origin::from(address);
        let mut counts = self.by_address.borrow_mut();
        let count = counts.entry(origin).or_default();
        if *count >= door.connections_per_address {
            return Err(Full::Address);
        }
        *count += 1;
        Ok((origin, Rc::clone(&self.by_address)))
    }

    /// Waits until nobody is inside. Cancel safe.
    pub(super) async fn none(&self) {
        self.all.none().await;
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let Some((origin, counts)) = &self.address else { return };
        let mut counts = counts.borrow_mut();
        if let Some(count) = counts.get_mut(origin) {
            *count -= 1;
            if *count == 0 {
                counts.remove(origin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(all: usize, address: usize) -> Door {
        Door { connections_per_core: all, connections_per_address: address, ..Door::default() }
    }

    fn enter(crowd: &Crowd, door: &Door, address: &str) -> Result<Inside, Full> {
        crowd.enter(Some(address.parse().unwrap()), door)
    }

    #[test]
    fn one_address_is_full_before_the_house_is() {
        let (crowd, door) = (Crowd::default(), door(3, 2));
        let inside = [enter(&crowd, &door, "10.0.0.1"), enter(&crowd, &door, "10.0.0.1")];
        assert!(inside.iter().all(Result::is_ok));
        assert_eq!(enter(&crowd, &door, "10.0.0.1").unwrap_err(), Full::Address);
        let other = enter(&crowd, &door, "10.0.0.2").unwrap();
        assert_eq!(enter(&crowd, &door, "10.0.0.3").unwrap_err(), Full::House);
        drop(other);
        drop(inside);
        assert!(enter(&crowd, &door, "10.0.0.1").is_ok());
        assert!(crowd.by_address.borrow().is_empty(), "nobody inside is remembered");
    }

    #[test]
    fn addresses_of_one_household_are_one() {
        let (crowd, door) = (Crowd::default(), door(10, 1));
        let _v6 = enter(&crowd, &door, "2001:db8:1:2::1").unwrap();
        assert!(enter(&crowd, &door, "2001:db8:1:2:ffff::9").is_err());
        let _other = enter(&crowd, &door, "2001:db8:1:3::1").unwrap();
        let _v4 = enter(&crowd, &door, "::ffff:10.0.0.1").unwrap();
        assert!(enter(&crowd, &door, "10.0.0.1").is_err());
    }

    #[test]
    fn who_has_no_address_is_counted_in_all() {
        let (crowd, door) = (Crowd::default(), door(1, 0));
        let _inside = crowd.enter(None, &door).unwrap();
        assert_eq!(crowd.enter(None, &door).unwrap_err(), Full::House);
    }
}
