//! `hatchway-spawner`: the only one that keeps privileges.
//!
//! One thread, one loop. `setup` finds out what this machine gives, and `trial` tries every
//! step once for it. `keeper` is the loop. `hatch` follows an order, by one of the parked
//! `nests` or by a fresh one, `birth` makes and assigns it, `resident` is what is known
//! of it, `allowed` what of the host it may see, `listen` hears what it says and sees its end, `leaving` waits until nobody is left
//! of it, `door` connects to it, `seats` are its user id. `zygote` makes one that is forked, `park`
//! has it forked, `depart` ends a child, `fork` is what is known of a child, `peer` is its process. `stem` makes a runtime that
//! boots in advance, and has it become a function.
//!
//! When the node goes without a word, its socket closes: what serves lives on for a while, for the next node to `adopt`,
//! and everything ends when none comes.

mod adopt;
mod allowed;
mod birth;
mod depart;
mod door;
mod fork;
mod hatch;
mod keeper;
mod leaving;
mod listen;
mod nests;
mod obey;
mod park;
mod peer;
mod resident;
mod seats;
mod setup;
mod stem;
mod trial;
mod zygote;

use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitCode;

use rustix::net::RecvFlags;

use crate::protocol::event::Welcome;
use crate::protocol::order::Charter;
use crate::protocol::packet::{self, Receiver};
use crate::sys::process::{ignore_signal, take_stdin};

/// Runs the program: descriptor 0 is its socket to the node.
pub fn main() -> ExitCode {
    // A Ctrl-C reaches the whole group of the terminal. The node drains then and still needs
    // us; we go when it does.
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGPIPE] {
        ignore_signal(signal);
    }
    let node = take_stdin();
    let mut receiver = Receiver::new();
    let charter = match receive_charter(&mut receiver, &node) {
        Ok(charter) => charter,
        Err(error) => {
            eprintln!("hatchway-spawner is started by hatchway-node or hatchway up: {error}");
            return ExitCode::from(64);
        }
    };
    match serve(charter, node, receiver) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hatchway-spawner: {error}");
            ExitCode::FAILURE
        }
    }
}

fn receive_charter(receiver: &mut Receiver, node: &OwnedFd) -> io::Result<Charter> {
    let packet = receiver.receive(node, RecvFlags::empty())?;
    let (bytes, _) = packet.ok_or(io::ErrorKind::UnexpectedEof)?;
    packet::decode(bytes)
}

fn serve(charter: Charter, node: OwnedFd, receiver: Receiver) -> io::Result<()> {
    let ground = match setup::prepare(charter) {
        Ok(ground) => ground,
        Err(reason) => return packet::send_message(&node, &Welcome::Refused { reason }, &[]),
    };
    let grants = ground.grants.clone();
    let keeper = keeper::Keeper::new(ground, node, receiver)?;
    keeper.welcome(grants);
    keeper.run()
}
