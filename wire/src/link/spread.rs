//! Links evenly over the cores of a node.
//!
//! The kernel spreads connections by their addresses, which is even over thousands of them. Links are few, each as busy as
//! a core of a gateway, and they stay: two of them on one core would leave the other one idle for days.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::Stream;

/// A connection between two runtimes.
#[derive(Debug)]
enum Socket {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

/// What all cores know.
#[derive(Debug)]
struct Seats(Vec<Seat>);

#[derive(Debug)]
struct Seat {
    links: AtomicUsize,
    /// As many as gateways have cores; nothing bounds them but the descriptors of this process.
    door: UnboundedSender<Socket>,
}

/// The part of one core.
#[derive(Debug)]
pub struct Share {
    seats: Arc<Seats>,
    index: usize,
    arrivals: UnboundedReceiver<Socket>,
}

/// A link that is counted on its core, until this is dropped.
#[derive(Debug)]
pub struct Seated {
    seats: Arc<Seats>,
    index: usize,
}

/// A share for each of `cores`.
pub fn shares(cores: usize) -> Vec<Share> {
    let (doors, arrivals): (Vec<_>, Vec<_>) = (0..cores).map(|_| unbounded_channel()).unzip();
    let seat = |door| Seat { links: AtomicUsize::new(0), door };
    let seats = Arc::new(Seats(doors.into_iter().map(seat).collect()));
    let share = |(index, arrivals)| Share { seats: Arc::clone(&seats), index, arrivals };
    arrivals.into_iter().enumerate().map(share).collect()
}

impl Share {
    /// Takes a connection that this core has accepted, or sends it to the core that has the fewest.
    ///
    /// # Errors
    /// As epoll_ctl(2), when it cannot leave this core, and `Unsupported` for what no listener accepts; it is closed then.
    pub fn place(&self, stream: Stream) -> io::Result<Option<(Stream, Seated)>> {
        let count = |index: &usize| self.seats.0[*index].links.load(Ordering::Relaxed);
        let emptiest = (0..self.seats.0.len()).min_by_key(count).unwrap_or(self.index);
        // At the same time another core may choose alike: the next link makes up for it.
        let index = if count(&emptiest) < count(&self.index) { emptiest } else { self.index };
        let links = &self.seats.0[index].links;
        links.fetch_add(1, Ordering::Relaxed);
        if index == self.index {
            return Ok(Some((stream, self.seated())));
        }
        let is_sent =
            Socket::of(stream).map(|socket| self.seats.0[index].door.send(socket).is_ok());
        if !matches!(is_sent, Ok(true)) {
            links.fetch_sub(1, Ordering::Relaxed);
        }
        is_sent.map(|_| None)
    }

    /// The next connection that another core has sent here. Cancel safe.
    ///
    /// # Errors
    /// As epoll_ctl(2); that connection is closed.
    pub async fn arrival(&mut self) -> io::Result<(Stream, Seated)> {
        let Some(socket) = self.arrivals.recv().await else {
            // This share has a sender itself: it cannot happen, and if it did, nothing would arrive.
            return std::future::pending().await;
        };
        let seated = self.seated();
        let stream = match socket {
            Socket::Tcp(stream) => Stream::Tcp(TcpStream::from_std(stream)?),
            Socket::Unix(stream) => Stream::Unix(UnixStream::from_std(stream)?),
        };
        Ok((stream, seated))
    }

    /// For a link that has been counted.
    fn seated(&self) -> Seated {
        Seated { seats: Arc::clone(&self.seats), index: self.index }
    }
}

impl Socket {
    fn of(stream: Stream) -> io::Result<Self> {
        if let Stream::Tcp(stream) = stream {
            return stream.into_std().map(Self::Tcp);
        }
        // What a listener accepts is one of the two.
        let Stream::Unix(stream) = stream else { return Err(io::ErrorKind::Unsupported.into()) };
        stream.into_std().map(Self::Unix)
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        self.seats.0[self.index].links.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(share: &Share) -> Vec<usize> {
        share.seats.0.iter().map(|seat| seat.links.load(Ordering::Relaxed)).collect()
    }

    #[tokio::test]
    async fn links_that_one_core_accepts_are_served_by_all() {
        let mut shares = shares(3);
        let (mut here, mut peers) = (Vec::new(), Vec::new());
        for _ in 0..6 {
            let (ours, theirs) = UnixStream::pair().expect("sockets can be made");
            peers.push(theirs);
            here.extend(shares[0].place(Stream::Unix(ours)).expect("it can leave"));
        }
        assert_eq!(counts(&shares[0]), [2, 2, 2]);
        assert_eq!(here.len(), 2);
        let mut there = Vec::new();
        for _ in 0..2 {
            there.push(shares[1].arrival().await.expect("it arrives"));
            there.push(shares[2].arrival().await.expect("it arrives"));
        }
        drop(here);
        assert_eq!(counts(&shares[0]), [0, 2, 2]);
        // Whoever accepts now keeps what it has room for.
        let (ours, _theirs) = UnixStream::pair().expect("sockets can be made");
        assert!(shares[0].place(Stream::Unix(ours)).expect("it stays").is_some());
        drop(there);
        assert_eq!(counts(&shares[0]), [0, 0, 0]);
    }
}
