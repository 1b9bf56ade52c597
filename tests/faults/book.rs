//! Who ran which call: told by the functions themselves, to somebody who is there when all programs are gone.

use std::collections::HashMap;
use std::net::UdpSocket;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use hatchway_tests::hosts::Host;

/// Where functions say it, on the loopback of their host.
const LISTENS_AT: (&str, u16) = ("127.0.0.1", 9999);

/// What no function says: has the writer say that it has come so far, and end.
const MARK: &[u8] = b"mark";
const END: &[u8] = b"";

/// All calls that were run, by their numbers. Clones are the same book.
#[derive(Clone, Debug, Default)]
pub(crate) struct Book(Arc<(Mutex<Pages>, Condvar)>);

/// The hosts that have run each call, one for each time.
pub(crate) type Runs = HashMap<u64, Vec<String>>;

#[derive(Debug, Default)]
struct Pages {
    runs: Runs,
    /// How often each writer was asked whether it has come so far, and how often it has said so.
    asked: Vec<(UdpSocket, u64, u64)>,
}

/// Writes down what is run on one host, until it is dropped.
#[derive(Debug)]
pub(crate) struct Writer {
    socket: UdpSocket,
    thread: Option<JoinHandle<()>>,
}

impl Book {
    /// Begins to listen on `host`, which is called `name`.
    pub(crate) fn listen(&self, host: &Host, name: &str) -> Writer {
        let socket = host.within(|| UdpSocket::bind(LISTENS_AT)).expect("a host of our own");
        let [reader, asks] = [0; 2].map(|_| socket.try_clone().expect("a descriptor"));
        let pages = &mut *self.pages();
        let (book, name, number) = (self.clone(), name.to_owned(), pages.asked.len());
        pages.asked.push((asks, 0, 0));
        let thread = thread::spawn(move || book.write(&reader, number, &name));
        Writer { socket, thread: Some(thread) }
    }

    fn write(&self, reader: &UdpSocket, number: usize, name: &str) {
        let mut buffer = [0; 64];
        while let Ok(count) = reader.recv(&mut buffer) {
            let pages = &mut *self.pages();
            match &buffer[..count] {
                END => return,
                MARK => pages.asked[number].2 += 1,
                said => {
                    let call = str::from_utf8(said).ok().and_then(|text| text.parse().ok());
                    let call = call.expect("functions say numbers");
                    pages.runs.entry(call).or_default().push(name.to_owned());
                }
            }
            self.0.1.notify_all();
        }
    }

    /// The hosts that have run a call by now, one for each time.
    pub(crate) fn of(&self, call: u64) -> Vec<String> {
        self.up_to_now().runs.get(&call).cloned().unwrap_or_default()
    }

    /// All calls that have been run by now.
    pub(crate) fn runs(&self) -> Runs {
        self.up_to_now().runs.clone()
    }

    /// The pages, once everything is written that was said before.
    fn up_to_now(&self) -> MutexGuard<'_, Pages> {
        let mut pages = self.pages();
        for (socket, asked, _) in &mut pages.asked {
            *asked += 1;
            socket.send_to(MARK, LISTENS_AT).expect("it is our own socket");
        }
        let is_behind = |pages: &mut Pages| pages.asked.iter().any(|(_, asked, seen)| seen < asked);
        self.0.1.wait_while(pages, is_behind).unwrap_or_else(PoisonError::into_inner)
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.socket.send_to(END, LISTENS_AT).expect("it is our own socket");
        if let Some(thread) = self.thread.take() {
            thread.join().expect("functions say numbers");
        }
    }
}
