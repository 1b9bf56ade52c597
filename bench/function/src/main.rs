//! The function behind every gateway that is measured: a single-threaded epoll server with canned
//! answers, so that what is left in a figure is the gateway's.
//!
//! It is started like any command function: it listens on the Unix socket in `HATCHWAY_SOCKET`,
//! or else on the loopback port in `PORT`.
//!
//! Reading order: [`canned`] what is answered, [`connection`] one client, here the loop around them.

mod canned;
mod connection;
mod stream;

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use crate::canned::Canned;
use crate::connection::{Connection, Next};
use crate::stream::Listener;

/// Holds a 64 KiB body with its head in one read.
const SCRATCH_BYTES: usize = 256 * 1024;
/// Events fetched by one `epoll_wait`; more than the load makers hold open when they are busy.
const EVENTS: usize = 256;
/// The listener's key in epoll; clients count up from 1.
const LISTENER: u64 = 0;

fn main() -> io::Result<()> {
    Server::bind()?.serve()
}

struct Server {
    epoll: rustix::fd::OwnedFd,
    listener: Listener,
    clients: HashMap<u64, Connection>,
    next_key: u64,
    canned: Canned,
    scratch: Vec<u8>,
}

impl Server {
    fn bind() -> io::Result<Self> {
        let listener = Listener::from_environment()?;
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        watch(&epoll, listener.as_fd(), LISTENER, EventFlags::IN)?;
        Ok(Self {
            epoll,
            listener,
            clients: HashMap::new(),
            next_key: LISTENER + 1,
            canned: Canned::default(),
            scratch: vec![0; SCRATCH_BYTES],
        })
    }

    fn serve(mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(EVENTS);
        loop {
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in events.drain(..) {
                match event.data.u64() {
                    LISTENER => self.accept()?,
                    key => self.advance(key),
                }
            }
        }
    }

    /// Takes every client that is waiting.
    fn accept(&mut self) -> io::Result<()> {
        while let Some(stream) = self.listener.accept()? {
            let key = self.next_key;
            self.next_key += 1;
            watch(&self.epoll, stream.as_fd(), key, EventFlags::IN)?;
            self.clients.insert(key, Connection::new(stream));
        }
        Ok(())
    }

    /// Moves one client on, and drops it when it is done: closing takes it out of epoll.
    fn advance(&mut self, key: u64) {
        let Some(client) = self.clients.get_mut(&key) else {
            return;
        };
        let was_writing = client.is_writing();
        let kept = match client.advance(&self.canned, &mut self.scratch) {
            Next::Read if was_writing => self.rewatch(key, EventFlags::IN),
            Next::Write if !was_writing => self.rewatch(key, EventFlags::OUT),
            Next::Read | Next::Write => Ok(()),
            Next::Close => Err(io::ErrorKind::ConnectionAborted.into()),
        };
        if kept.is_err() {
            self.clients.remove(&key);
        }
    }

    fn rewatch(&self, key: u64, flags: EventFlags) -> io::Result<()> {
        let client = &self.clients[&key];
        Ok(epoll::modify(&self.epoll, client.as_fd(), EventData::new_u64(key), flags)?)
    }
}

fn watch(
    epoll: &rustix::fd::OwnedFd,
    source: BorrowedFd<'_>,
    key: u64,
    flags: EventFlags,
) -> io::Result<()> {
    Ok(epoll::add(epoll, source, EventData::new_u64(key), flags)?)
}
