//! What has to be known and made before the first sandbox.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{getegid, geteuid};
use rustix::thread::UnshareFlags;

use super::allowed::Allowed;
use super::trial;
use crate::cgroup::find::Layout;
use crate::cgroup::none::NoGroups;
use crate::cgroup::v1::V1;
use crate::cgroup::v2::V2;
use crate::cgroup::{Groups, find, record};
use crate::etc;
use crate::folder::{self, Folder};
use crate::grants::{Backend, Grant, Grants};
use crate::protocol::event::DOOR;
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
    /// What may be mounted into a sandbox.
    pub(super) allowed: Allowed,
    /// The folder of this run: the node's, who may have put anything in its place by now.
    pub(super) run_dir: Folder,
    /// An empty folder to build roots on, by path: each sandbox looks it up in its own mount
    /// namespace, and a descriptor of ours would lead to ours.
    pub(super) stage: PathBuf,
    /// What every sandbox sees as `/etc`.
    pub(super) etc: Folder,
    pub(super) is_rootless: bool,
}

/// Cleans up after an earlier run, makes the folders, tries every step.
///
/// # Errors
/// A sentence for the operator.
pub(super) fn prepare(charter: Charter) -> Result<Ground, String> {
    let is_rootless = enter_user_namespace();
    let allowed = Allowed::open(&charter.mounts)?;
    let failed = |error: io::Error| at(&charter.run_dir, &error);
    let run_dir = Folder::open(&charter.run_dir).map_err(failed)?;
    let stage = charter.run_dir.join("stage");
    make_dir(&run_dir.join("stage")).map_err(failed)?;
    let etc = make_dir(&run_dir.join("etc")).map_err(failed)?;
    etc::write(&etc.path()).map_err(failed)?;
    let groups = open_groups(&charter, &run_dir.path()).map_err(failed)?;
    let mut ground = Ground {
        allowed,
        run_dir,
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
fn make_dir(dir: &Path) -> io::Result<Folder> {
    folder::remove(dir)?;
    Folder::make_own(dir)
}

/// The best backend that this machine gives, free of what earlier runs have left.
fn open_groups(charter: &Charter, run_dir: &Path) -> io::Result<Box<dyn Groups>> {
    let name = charter.cgroup_name.as_str();
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
        for name in [record::FILE, DOOR, "stage", "etc"] {
            folder::remove(&self.run_dir.join(name))?;
        }
        Ok(())
    }
}
