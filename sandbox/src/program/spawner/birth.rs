//! Starting one sandbox.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::process::{Signal, WaitId, WaitIdOptions, WaitIdStatus, pidfd_send_signal, waitid};

use super::setup::Ground;
use crate::cgroup::{Doors, GroupPaths, Limits, file};
use crate::protocol::packet;
use crate::protocol::plan::{Assign, Prepare, Word};
use crate::protocol::stem::Become;
use crate::spec::{Entry, Network, PACKAGE_DIR, PRIVATE_DIR, SandboxSpec};
use crate::steps::root::{copy_tree, private_dir};
use crate::steps::{AtStep, Step, StepError};
use crate::sys::process::{Child, Program, start};

/// A process that isolates itself, and the two sockets to its two halves.
#[derive(Debug)]
pub(super) struct Newborn {
    pub(super) child: Child,
    pub(super) reaper: OwnedFd,
    pub(super) nest: OwnedFd,
}

/// Makes the group of a sandbox, without limits: those come with the assignment.
pub(super) fn group(ground: &Ground, name: &str) -> Result<GroupPaths, StepError> {
    let made = ground.groups.create(name);
    made.map_err(|error| StepError {
        step: Step::Group,
        errno: file::errno(&error),
        detail: name.to_owned(),
    })
}

/// What a nest is made for, as far as it has to be known in advance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub(super) network: Network,
    /// Its reaper keeps the right to mount, see [`protocol::stem`](crate::protocol::stem).
    pub(super) is_stem: bool,
}

impl From<Network> for Kind {
    fn from(network: Network) -> Self {
        Self { network: network.of_nest(), is_stem: false }
    }
}

/// Starts a sandbox-init in `group` and sends it everything that needs no assignment.
pub(super) fn prepare(
    ground: &Ground,
    group: &GroupPaths,
    uid: u32,
    kind: Kind,
) -> Result<Newborn, StepError> {
    let (reaper, theirs) = packet::pair().at(Step::Process, "socket")?;
    let (nest, nest_theirs) = packet::pair().at(Step::Process, "socket")?;
    let doors = ground.groups.doors(group).at(Step::Join, "")?;
    let path = CString::new(ground.charter.init.as_os_str().as_bytes());
    let path =
        path.map_err(|_| io::Error::from(io::ErrorKind::InvalidInput)).at(Step::Process, "")?;
    let child = start(&Program {
        path: &path,
        stdin: theirs.as_fd(),
        own_pids: ground.steps.contains(&Step::Process),
        group: match &doors {
            Doors::Born(dir) => Some(dir.as_fd()),
            Doors::Join(_) => None,
        },
    })
    .at(Step::Process, "")?;
    let newborn = Newborn { child, reaper, nest };
    let sent = send_plan(ground, &newborn, &nest_theirs, &doors, uid, kind);
    if let Err(error) = sent {
        newborn.abandon();
        return Err(error);
    }
    Ok(newborn)
}

fn send_plan(
    ground: &Ground,
    newborn: &Newborn,
    nest: &OwnedFd,
    doors: &Doors,
    uid: u32,
    kind: Kind,
) -> Result<(), StepError> {
    let plan = Prepare {
        steps: ground.steps.clone(),
        stage: ground.stage.display().to_string(),
        network: kind.network,
        uid,
        reaper_uid: ground.charter.uid_base,
        rootless: ground.is_rootless,
        is_stem: kind.is_stem,
    };
    let etc = match ground.steps.contains(&Step::Root) {
        true => Some(copy_tree(ground.etc.as_fd(), true).at(Step::Root, "etc")?),
        false => None,
    };
    let etc = etc.as_ref().map_or(ground.etc.as_fd(), AsFd::as_fd);
    let mut attached = vec![nest.as_fd(), etc];
    if let Doors::Join(files) = doors {
        attached.extend(files.iter().map(AsFd::as_fd));
    }
    packet::send_message(&newborn.reaper, &plan, &attached).at(Step::Process, "plan")
}

impl Newborn {
    /// Ends a process that nothing will ever be heard of again, and collects it.
    pub(super) fn abandon(&self) -> Option<WaitIdStatus> {
        // It may have ended by itself, which comes to the same.
        let _ = pidfd_send_signal(&self.child.pidfd, Signal::KILL);
        let pidfd = WaitId::PidFd(self.child.pidfd.as_fd());
        waitid(pidfd, WaitIdOptions::EXITED).ok().flatten()
    }
}

/// What an assignment carries, made before it is sent.
#[derive(Debug)]
pub(super) struct Luggage {
    trees: Vec<OwnedFd>,
    mounts: Vec<String>,
    /// The private folder of a probed function, by which its socket is found later.
    pub(super) private: Option<OwnedFd>,
}

/// Takes along the folders that `spec` names, if they may be mounted.
pub(super) fn pack(ground: &Ground, spec: &SandboxSpec) -> Result<Luggage, StepError> {
    // Without a root of its own a sandbox is told their names instead, and they are looked at all the same.
    let hosts = ground.allowed.hosts(spec)?;
    let hosts: Vec<_> = hosts.iter().map(AsFd::as_fd).collect();
    load(ground, spec, &hosts)
}

/// Takes along `hosts`: what `spec` names as its package and further folders.
pub(super) fn load(
    ground: &Ground,
    spec: &SandboxSpec,
    hosts: &[BorrowedFd<'_>],
) -> Result<Luggage, StepError> {
    let mut luggage = Luggage { trees: Vec::new(), mounts: Vec::new(), private: None };
    if !ground.steps.contains(&Step::Root) {
        return Ok(luggage);
    }
    let more = spec.read_only.iter().map(|(_, inside)| inside.as_path());
    for (host, inside) in hosts.iter().zip(std::iter::once(Path::new(PACKAGE_DIR)).chain(more)) {
        let tree = copy_tree(*host, true);
        luggage.trees.push(tree.at(Step::Package, &inside.display().to_string())?);
        luggage.mounts.push(inside.display().to_string());
    }
    if matches!(spec.entry, Entry::Probed { .. }) {
        let dir = private_dir().at(Step::Package, PRIVATE_DIR)?;
        let kept = dir.try_clone().at(Step::Package, PRIVATE_DIR)?;
        luggage.private = Some(kept);
        luggage.trees.push(dir);
        luggage.mounts.push(PRIVATE_DIR.to_owned());
    }
    Ok(luggage)
}

/// Tells a nest what to become.
pub(super) fn assign(
    ground: &Ground,
    nest: BorrowedFd<'_>,
    spec: &SandboxSpec,
    given: &[OwnedFd],
    luggage: &Luggage,
) -> Result<(), StepError> {
    let assign = Assign {
        argv: spec.argv.clone(),
        env: spec.env.clone(),
        mounts: luggage.mounts.clone(),
        files: spec.files,
        processes: processes(ground, spec),
        tmp_bytes: spec.tmp_bytes,
        entry: spec.entry,
        proxied: spec.network == Network::Proxied,
        folders: match ground.steps.contains(&Step::Root) {
            true => Vec::new(),
            false => hosts(spec).map(|path| path.display().to_string()).collect(),
        },
    };
    let attached: Vec<_> = given.iter().chain(&luggage.trees).map(AsFd::as_fd).collect();
    packet::send_message(nest, &assign, &attached).at(Step::Process, "assignment")
}

/// The limit of processes for the process itself, where no controller counts them.
fn processes(ground: &Ground, spec: &SandboxSpec) -> Option<u64> {
    let counts = ground.groups.counts_processes() || !ground.steps.contains(&Step::Identity);
    (!counts).then(|| spec.pids.into())
}

/// Has the reaper of a stem cell mount what this is to become.
pub(super) fn furnish(
    reaper: &OwnedFd,
    spec: &SandboxSpec,
    luggage: &Luggage,
) -> Result<(), StepError> {
    let word = Word::Furnish {
        mounts: luggage.mounts.clone(),
        tmp_bytes: spec.tmp_bytes,
        proxied: spec.network == Network::Proxied,
    };
    let attached: Vec<_> = luggage.trees.iter().map(AsFd::as_fd).collect();
    packet::send_message(reaper, &word, &attached).at(Step::Process, "furnishing")
}

/// What the stem cell itself is told then.
pub(super) fn become_of(ground: &Ground, spec: &SandboxSpec) -> Become {
    Become {
        argv: spec.argv.clone(),
        env: spec.env.clone(),
        cwd: PACKAGE_DIR.to_owned(),
        files: spec.files,
        processes: processes(ground, spec),
    }
}

/// The folders of the host that `spec` names, the package first.
fn hosts(spec: &SandboxSpec) -> impl Iterator<Item = &PathBuf> {
    std::iter::once(&spec.package).chain(spec.read_only.iter().map(|(host, _)| host))
}

/// Children of a zygote that may be on their way into their own groups at a time.
const FORKS_AT_A_TIME: u32 = 16;
/// The weight of what can wait: it runs when nobody else wants to.
const BACKGROUND_MILLIS: u32 = 10;

/// The limits of the group that holds `spec`: its own processes, and our reaper.
pub(super) fn limits(spec: &SandboxSpec) -> Limits {
    Limits { pids: spec.pids + 1, ..child_limits(spec) }
}

/// As [`limits`], for a zygote that loads its code, which nobody waits for. Its children are born
/// in its group, and our reaper in there is to outlive it.
pub(super) fn zygote_limits(spec: &SandboxSpec) -> Limits {
    Limits {
        weight_millis: BACKGROUND_MILLIS,
        pids: spec.pids + 1 + FORKS_AT_A_TIME,
        is_whole: false,
        ..child_limits(spec)
    }
}

/// As [`limits`], for a stem cell until it is assigned: nobody waits for it.
pub(super) fn stem_limits(spec: &SandboxSpec) -> Limits {
    Limits { weight_millis: BACKGROUND_MILLIS, ..limits(spec) }
}

/// The limits of a child of a zygote: nobody of ours is in its group.
pub(super) fn child_limits(spec: &SandboxSpec) -> Limits {
    Limits {
        memory_bytes: spec.memory_bytes,
        cpu_millis: spec.cpu_millis,
        weight_millis: spec.cpu_millis,
        pids: spec.pids,
        is_whole: true,
    }
}
