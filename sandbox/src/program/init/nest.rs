//! The half that becomes the function.

use std::convert::Infallible;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::RecvFlags;
use rustix::process::{PidfdFlags, getpid, pidfd_open};

use crate::protocol::packet::{self, Receiver};
use crate::protocol::plan::{Assign, Prepare, Report};
use crate::spec::{Entry, PACKAGE_DIR, PRIVATE_DIR};
use crate::steps::{self, AtStep, Step, StepError};
use crate::sys::process::{exec, exit_now, reset_signals};

/// Where a program without a slash in its name is looked for when the environment has no
/// `PATH` (execvp(3)).
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Parks, then becomes what it is assigned. Ends without running anything of the parent's.
pub(super) fn run(socket: &OwnedFd, mut receiver: Receiver, prepare: &Prepare) -> ! {
    match hatch(socket, &mut receiver, prepare) {
        // The spawner has closed the socket: this nest is not needed.
        Ok(None) => {}
        Ok(Some(never)) => match never {},
        Err(error) => super::report(socket, &Report::Failed(error)),
    }
    exit_now(127)
}

fn hatch(
    socket: &OwnedFd,
    receiver: &mut Receiver,
    prepare: &Prepare,
) -> Result<Option<Infallible>, StepError> {
    // Here, where nobody waits for it: sixty calls.
    reset_signals();
    park(socket)?;
    let packet = receiver.receive(socket, RecvFlags::empty());
    let Some((bytes, attached)) = packet.at(Step::Process, "waiting for an assignment")? else {
        return Ok(None);
    };
    let assign: Assign = packet::decode(bytes).at(Step::Check, "assignment")?;
    become_function(socket, &assign, &attached, prepare).map(Some)
}

/// Sends itself along: signals to the function go by this descriptor, past the reaper, which
/// could not pass them on.
fn park(socket: &OwnedFd) -> Result<(), StepError> {
    let own = pidfd_open(getpid(), PidfdFlags::empty()).at(Step::Process, "pidfd")?;
    packet::send_message(socket, &Report::Parked, &[own.as_fd()]).at(Step::Process, "parking")
}

fn become_function(
    socket: &OwnedFd,
    assign: &Assign,
    attached: &[OwnedFd],
    prepare: &Prepare,
) -> Result<Infallible, StepError> {
    let (given, trees) = attached.split_at_checked(given_count(assign.entry)).ok_or_else(|| {
        let error = io::Error::from_raw_os_error(libc::EBADMSG);
        StepError::new(Step::Check, "descriptors of the assignment", &error)
    })?;
    let program = Command::parse(assign)?;
    let proxy = match assign.proxied {
        true => Some(steps::namespaces::listen_for_proxy(&prepare.steps)?),
        false => None,
    };
    let has_root = prepare.steps.contains(&Step::Root);
    if has_root {
        for (tree, inside) in trees.iter().zip(&assign.mounts) {
            steps::root::add(tree.as_fd(), inside)?;
        }
        // What a stem cell is to become is mounted later, by the reaper.
        if !prepare.is_stem {
            steps::root::seal(assign.tmp_bytes)?;
        }
    }
    confine(assign, prepare)?;
    let package = assign.folders.first().map_or("/", String::as_str);
    let work_dir = if has_root { PACKAGE_DIR } else { package };
    rustix::process::chdir(work_dir).at(Step::Package, work_dir)?;
    rustix::process::setsid().at(Step::Process, "session")?;
    if prepare.steps.contains(&Step::Seccomp) {
        steps::seccomp::filter()?;
    }
    let given: Vec<BorrowedFd<'_>> = given.iter().map(AsFd::as_fd).collect();
    let attached: Vec<_> = proxy.iter().map(AsFd::as_fd).collect();
    packet::send_message(socket, &Report::Executing, &attached).at(Step::Process, "report")?;
    // The low numbers are about to become the function's.
    let socket = rustix::io::fcntl_dupfd_cloexec(socket, 64).at(Step::Descriptors, "socket")?;
    let ready = steps::descriptors::place(&given)
        .and_then(|()| steps::limits::limit(assign.files, assign.processes));
    let failed = match ready {
        Ok(()) => program.exec(),
        Err(error) => error,
    };
    super::report(&socket, &Report::Failed(failed));
    exit_now(127)
}

fn given_count(entry: Entry) -> usize {
    match entry {
        Entry::Inherited => 4,
        Entry::Probed { .. } => 2,
    }
}

/// Gives up every right, each step while the one after it is still possible.
fn confine(assign: &Assign, prepare: &Prepare) -> Result<(), StepError> {
    let has = |step| prepare.steps.contains(&step);
    if has(Step::Identity) && prepare.rootless {
        steps::identity::become_id_rootless(prepare.uid)?;
        // The new user namespace has given all capabilities anew.
        if has(Step::Capabilities) {
            steps::privileges::drop_bounding_set()?;
        }
    }
    if has(Step::Identity) && !prepare.rootless {
        steps::identity::become_id(prepare.uid)?;
    }
    steps::privileges::drop_capabilities().at(Step::Capabilities, "")?;
    steps::privileges::promise_no_new_privileges()?;
    steps::privileges::die_with_parent()?;
    if has(Step::Landlock) {
        let (readable, writable) = reach(assign, has(Step::Root));
        steps::landlock::restrict(&readable, &writable)?;
    }
    Ok(())
}

/// What may be read and what may be written by path. Without a root of its own the host's
/// folders are what there is, and of them only what every sandbox has.
fn reach(assign: &Assign, has_root: bool) -> (Vec<&str>, Vec<&str>) {
    if has_root {
        return (vec!["/"], vec!["/tmp", "/dev", "/proc", PRIVATE_DIR]);
    }
    const HOST: [&str; 9] =
        ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/proc"];
    let readable = HOST.into_iter().chain(assign.folders.iter().map(String::as_str));
    (readable.collect(), vec!["/tmp", "/dev"])
}

/// The program to become, in the form the kernel wants, made while memory may be asked for.
struct Command {
    candidates: Vec<CString>,
    argv: Vec<CString>,
    env: Vec<CString>,
}

impl Command {
    fn parse(assign: &Assign) -> Result<Self, StepError> {
        let c_string = |text: String| {
            let made = CString::new(text).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
            made.at(Step::Check, "a word with a NUL byte")
        };
        let variables = assign.env.iter().map(|(name, value)| format!("{name}={value}"));
        Ok(Self {
            candidates: candidates(assign).into_iter().map(c_string).collect::<Result<_, _>>()?,
            argv: assign.argv.iter().cloned().map(c_string).collect::<Result<_, _>>()?,
            env: variables.map(c_string).collect::<Result<_, _>>()?,
        })
    }

    /// Tries each candidate; gives the most telling reason, as execvp(3) does.
    fn exec(&self) -> StepError {
        let mut reason = io::Error::from_raw_os_error(libc::ENOENT);
        for path in &self.candidates {
            let error = exec(path, &self.argv, &self.env);
            let is_absence =
                [Some(libc::ENOENT), Some(libc::ENOTDIR)].contains(&error.raw_os_error());
            if !is_absence {
                reason = error;
            }
        }
        let name = self.argv.first().map(|name| name.to_string_lossy().into_owned());
        StepError::new(Step::Exec, name.unwrap_or_default(), &reason)
    }
}

/// The paths that the command may mean: itself when it has a slash, else each folder of the
/// function's own `PATH`.
fn candidates(assign: &Assign) -> Vec<String> {
    let Some(name) = assign.argv.first() else {
        return Vec::new();
    };
    if name.contains('/') {
        return vec![name.clone()];
    }
    let path = assign.env.iter().find(|(key, _)| key == "PATH");
    let path = path.map_or(DEFAULT_PATH, |(_, value)| value);
    path.split(':').filter(|dir| !dir.is_empty()).map(|dir| format!("{dir}/{name}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assign(name: &str, path: Option<&str>) -> Assign {
        Assign {
            argv: vec![name.to_owned()],
            env: path.map(|path| ("PATH".to_owned(), path.to_owned())).into_iter().collect(),
            mounts: Vec::new(),
            files: 64,
            processes: None,
            tmp_bytes: 0,
            entry: Entry::Inherited,
            proxied: false,
            folders: Vec::new(),
        }
    }

    #[test]
    fn a_command_with_a_slash_is_taken_as_it_is() {
        assert_eq!(candidates(&assign("./server", Some("/bin"))), ["./server"]);
    }

    #[test]
    fn a_bare_command_is_looked_for_in_the_functions_own_path() {
        assert_eq!(candidates(&assign("node", Some("/a::/b"))), ["/a/node", "/b/node"]);
        assert_eq!(candidates(&assign("sh", None)).last().map(String::as_str), Some("/bin/sh"));
    }
}
