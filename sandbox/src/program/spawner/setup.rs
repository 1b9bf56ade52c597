//! What has to be known and made before the first sandbox.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::process::{getegid, geteuid};
use rustix::thread::UnshareFlags;

use super::trial;
use crate::cgroup::find::Layout;
use crate::cgroup::none::NoGroups;
use crate::cgroup::v1::V1;
use crate::cgroup::v2::V2;
use crate::cgroup::{Groups, find, record};
use crate::etc;
use crate::grants::{Backend, Grant, Grants};
use crate::protocol::order::Charter;
use crate::spec::Isolation;
use crate::steps::identity::map_ids;
use crate::steps::{OPTIONAL_STEPS, Step};
use crate::sys::namespace::unshare;

/// Everything a start needs that is the same for every sandbox.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) charter: Charter,
    pub(super) grants: Grants,
    /// The steps that are granted, as each sandbox is told them.
    pub(super) steps: Vec<Step>,
    pub(super) groups: Box<dyn Groups>,
    /// An empty folder to build roots on, by path: each sandbox looks it up in its own mount
    /// namespace, and a descriptor of ours would lead to ours.
    pub(super) stage: PathBuf,
    /// What every sandbox sees as `/etc`.
    pub(super) etc: OwnedFd,
    pub(super) is_rootless: bool,
}

/// Cleans up after an earlier run, makes the folders, tries every step.
///
/// # Errors
/// A sentence for the operator.
pub(super) fn prepare(charter: Charter) -> Result<Ground, String> {
    let is_rootless = enter_user_namespace();
    let run_dir = &charter.run_dir;
    let stage = run_dir.join("stage");
    make_dir(&stage).map_err(|e| at(&stage, &e))?;
    let etc_dir = run_dir.join("etc");
    let etc = make_dir(&etc_dir).map_err(|e| at(&etc_dir, &e))?;
    etc::write(&etc_dir).map_err(|e| at(&etc_dir, &e))?;
    let groups = open_groups(&charter).map_err(|e| at(run_dir, &e))?;
    let mut ground = Ground {
        grants: Grants { backend: groups.backend(), steps: Vec::new() },
        charter,
        steps: OPTIONAL_STEPS.to_vec(),
        groups,
        stage,
        etc,
        is_rootless,
    };
    let tried = try_steps(&mut ground).and_then(|grants| {
        ground.grants.steps = grants;
        ground.refuse_missing()
    });
    match tried {
        Ok(()) => Ok(ground),
        Err(reason) => match ground.clear() {
            Ok(()) => Err(reason),
            Err(error) => Err(format!("{reason}; and what was made stays: {error}")),
        },
    }
}

fn at(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

/// An ordinary user becomes root of a user namespace that holds nobody but itself, and from
/// there on everything is done as root does it (user_namespaces(7)). False for root, and where
/// user namespaces are forbidden: then the trial shows what is left.
fn enter_user_namespace() -> bool {
    let (uid, gid) = (geteuid(), getegid());
    if uid.is_root() {
        return false;
    }
    unshare(UnshareFlags::NEWUSER)
        .and_then(|()| map_ids(0, uid.as_raw(), gid.as_raw()))
        .and_then(|()| unshare(UnshareFlags::NEWNS))
        .is_ok()
}

/// Makes `dir` anew, readable by all; what an earlier run left is removed.
fn make_dir(dir: &Path) -> io::Result<OwnedFd> {
    remove_dir(dir)?;
    fs::DirBuilder::new().mode(0o755).create(dir)?;
    // Whatever the mask of this process took away.
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755))?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::open(dir, flags, Mode::empty())?)
}

/// The best backend that this machine gives, free of what earlier runs have left.
fn open_groups(charter: &Charter) -> io::Result<Box<dyn Groups>> {
    let (run_dir, name) = (&charter.run_dir, charter.cgroup_name.as_str());
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let layout = find::parse(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"));
    record::clear(run_dir, name, &layout.mounts)?;
    let groups = best_backend(&layout, name);
    record::write(run_dir, &groups.trees().dirs())?;
    Ok(groups)
}

fn best_backend(layout: &Layout, name: &str) -> Box<dyn Groups> {
    let mut why = String::from("control groups are not mounted");
    if let Some(unified) = &layout.v2 {
        match V2::open(unified, name) {
            Ok(groups) => return Box::new(groups),
            Err(error) => why = error.to_string(),
        }
    }
    if !layout.v1.is_empty() {
        match V1::open(layout, name) {
            Ok(groups) => return Box::new(groups),
            Err(error) => why = error.to_string(),
        }
    }
    Box::new(NoGroups { why })
}

/// Starts sandboxes that end at their exec, each without the steps that failed before, until
/// one comes through. What is left in `ground.steps` is what this machine gives.
fn try_steps(ground: &mut Ground) -> Result<Vec<Grant>, String> {
    let mut grants: Vec<Grant> = Vec::new();
    if let Some(why) = ground.groups.lacks() {
        grants.push(Grant { step: Step::Group, missing: Some(why) });
    } else {
        grants.push(Grant { step: Step::Group, missing: None });
    }
    let mut missing: Vec<(Step, String)> = Vec::new();
    if ground.grants.backend == Backend::None {
        ground.steps.retain(|step| *step != Step::Join);
    }
    while let Err(error) = trial::run(ground) {
        if !ground.steps.contains(&error.step) {
            return Err(format!("a sandbox cannot be started here: {error}"));
        }
        let lost = [&[error.step], error.step.dependents()].concat();
        for step in lost.into_iter().filter(|step| ground.steps.contains(step)) {
            missing.push((step, error.to_string()));
        }
        ground.steps.retain(|step| !missing.iter().any(|(lost, _)| lost == step));
    }
    for step in OPTIONAL_STEPS {
        if step == Step::Join && ground.grants.backend == Backend::None {
            continue;
        }
        let why = missing.iter().find(|(lost, _)| *lost == step);
        grants.push(Grant { step, missing: why.map(|(_, why)| why.clone()) });
    }
    grants.sort_by_key(|grant| grant.step);
    Ok(grants)
}

impl Ground {
    fn refuse_missing(&self) -> Result<(), String> {
        if self.charter.isolation == Isolation::BestEffort {
            return Ok(());
        }
        let missing: Vec<String> =
            self.grants.missing().map(|(step, why)| format!("{step} ({why})")).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(format!("isolation is strict, and missing here: {}", missing.join("; ")))
    }

    /// Undoes [`prepare`]; every sandbox has to be gone.
    pub(super) fn clear(&self) -> io::Result<()> {
        self.groups.remove_all()?;
        record::remove(&self.charter.run_dir)?;
        remove_dir(&self.stage)?;
        remove_dir(&self.charter.run_dir.join("etc"))
    }
}

/// Removes a folder with all in it; one that is gone is as good.
fn remove_dir(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
