//! From what a function asks for to a connection: listed, looked up once, checked, connected to.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hatchway_proto::catalog::{Destination, Host};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::Guest;
use super::address::{Checked, Ground, Reach};
use super::metered::Metered;
use super::refusal::Refusal;

/// For a lookup, and for all tries to connect.
const CLOCK: Duration = Duration::from_secs(10);

/// For one of several addresses.
const TRY_CLOCK: Duration = Duration::from_secs(4);

/// Addresses of one name that are tried.
const TRIES: usize = 4;

impl Guest {
    /// A connection to where the function wants to go, if it may.
    ///
    /// # Errors
    /// Why not.
    pub(super) async fn connect(&self, destination: &Destination) -> Result<Metered, Refusal> {
        if !self.rules.iter().any(|rule| rule.allows(destination)) {
            let (function, destination) = (self.function.clone(), destination.clone());
            return Err(Refusal::NotListed { function, destination });
        }
        let found = timeout(CLOCK, look_up(destination)).await;
        let found = found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let found = found
            .map_err(|source| Refusal::Unresolved { host: destination.host.clone(), source })?;
        let checked = choose(&self.reach, &found)
            .map_err(|ground| Refusal::Address { host: destination.host.clone(), ground })?;
        let stream = timeout(CLOCK, connect_to_one(&checked)).await;
        let stream = stream.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let stream = stream
            .map_err(|source| Refusal::Unreachable { destination: destination.clone(), source })?;
        Ok(Metered::new(stream, self.metrics.moved(&self.function)))
    }
}

/// By the system's resolver: what the node finds, its functions find.
async fn look_up(destination: &Destination) -> io::Result<Vec<SocketAddr>> {
    let port = destination.port;
    match &destination.host {
        Host::Address(address) => Ok(vec![SocketAddr::new(*address, port)]),
        Host::Name(name) => Ok(lookup_host((&**name, port)).await?.collect()),
    }
}

/// Those of the addresses that may be connected to.
///
/// # Errors
/// Why none is left: the first one's.
fn choose(reach: &Reach, found: &[SocketAddr]) -> Result<Vec<Checked>, Ground> {
    let mut checked = Vec::new();
    let mut refused = None;
    for address in found {
        match reach.check(*address) {
            Ok(address) => checked.push(address),
            Err(ground) => refused = refused.or(Some(ground)),
        }
    }
    match (checked.is_empty(), refused) {
        (true, Some(ground)) => Err(ground),
        (true, None) | (false, _) => Ok(checked),
    }
}

/// The first that answers; the last one's error.
async fn connect_to_one(checked: &[Checked]) -> io::Result<TcpStream> {
    let mut error = io::Error::from(io::ErrorKind::NotFound);
    for address in checked.iter().take(TRIES) {
        let tried = timeout(TRY_CLOCK, TcpStream::connect(address.address())).await;
        match tried.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(failed) => error = failed,
        }
    }
    Err(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(found: &[&str]) -> Result<Vec<SocketAddr>, Ground> {
        let found: Vec<SocketAddr> =
            found.iter().map(|address| address.parse().expect("an address")).collect();
        let checked = choose(&Reach::new(Vec::new()), &found)?;
        Ok(checked.into_iter().map(Checked::address).collect())
    }

    /// What a name stands for is said anew by whoever runs its servers, for each that asks.
    #[test]
    fn a_name_that_leads_inwards_leads_nowhere() {
        assert_eq!(chosen(&["127.0.0.1:80"]), Err(Ground::Loopback));
        assert_eq!(chosen(&["169.254.169.254:80", "10.0.0.1:80"]), Err(Ground::Metadata));
        let outside: SocketAddr = "192.88.98.1:80".parse().expect("an address");
        assert_eq!(chosen(&["10.0.0.1:80", "192.88.98.1:80"]), Ok(vec![outside]));
        assert_eq!(chosen(&[]), Ok(Vec::new()), "then nobody is there");
    }
}
