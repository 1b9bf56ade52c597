//! What a sandbox is given, and the ends of it that the node keeps.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::pipe::{PipeFlags, pipe_with};

use crate::link::Link;
use crate::protocol::order::Order;
use crate::spec::Entry;

/// Ends the sandbox `id` when dropped, wherever it has come to by then.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) link: Arc<Link>,
    pub(crate) id: u64,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.link.order(&Order::Kill { id: self.id });
    }
}

/// The node's ends of what a sandbox is given.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
    /// The reading end of the ready pipe.
    pub(crate) ready: Option<OwnedFd>,
    pub(crate) socket: Option<SocketFile>,
}

/// A listening socket's name in the run folder, removed with its sandbox, unless that lives on under another node.
#[derive(Debug)]
pub(crate) struct SocketFile {
    pub(crate) path: PathBuf,
    link: Arc<Link>,
}

impl SocketFile {
    /// That of the sandbox `id`.
    pub(crate) fn of(link: &Arc<Link>, run_dir: &Path, id: u64) -> Self {
        Self { path: run_dir.join(format!("{id}.sock")), link: Arc::clone(link) }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if !self.link.has_left() {
            // Left over it is removed at the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Both ends of everything.
#[derive(Debug)]
pub(crate) struct Equipment {
    pub(crate) given: Vec<OwnedFd>,
    pub(crate) kept: Kept,
}

impl Equipment {
    pub(crate) fn make(
        link: &Arc<Link>,
        run_dir: &Path,
        id: u64,
        entry: Entry,
    ) -> io::Result<Self> {
        let (stdout, stdout_theirs) = pipe_with(PipeFlags::CLOEXEC)?;
        let (stderr, stderr_theirs) = pipe_with(PipeFlags::CLOEXEC)?;
        let mut equipment = Self {
            given: vec![stdout_theirs, stderr_theirs],
            kept: Kept { stdout, stderr, ready: None, socket: None },
        };
        if entry == Entry::Inherited {
            let socket = SocketFile::of(link, run_dir, id);
            let listener = UnixListener::bind(&socket.path)?;
            equipment.kept.socket = Some(socket);
            let (ready, ready_theirs) = pipe_with(PipeFlags::CLOEXEC)?;
            equipment.kept.ready = Some(ready);
            equipment.given.extend([listener.into(), ready_theirs]);
        }
        Ok(equipment)
    }

    /// For a zygote: what it prints, and its word. Nobody connects to it.
    pub(crate) fn of_zygote() -> io::Result<Self> {
        let (stdout, stdout_theirs) = pipe_with(PipeFlags::CLOEXEC)?;
        let (stderr, stderr_theirs) = pipe_with(PipeFlags::CLOEXEC)?;
        let (ready, ready_theirs) = pipe_with(PipeFlags::CLOEXEC)?;
        Ok(Self {
            given: vec![stdout_theirs, stderr_theirs, ready_theirs],
            kept: Kept { stdout, stderr, ready: Some(ready), socket: None },
        })
    }
}
