//! Resource limits of the process: lowering one takes no privilege, and they are meant for the
//! function, not for our own last steps, so they come right before the exec.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{AtStep, Step, StepError};

/// Open files, processes where no controller counts them, and no core dumps: they would be
/// written by the kernel, to wherever the host keeps them.
pub(crate) fn limit(files: u64, processes: Option<u64>) -> Result<(), StepError> {
    at_most(Resource::Nofile, files, "open files")?;
    at_most(Resource::Core, 0, "core size")?;
    // Kernel memory that outlives the sandbox or is charged to nobody.
    at_most(Resource::Msgqueue, 0, "message queues")?;
    if let Some(processes) = processes {
        at_most(Resource::Nproc, processes, "processes")?;
    }
    Ok(())
}

/// Lowers both limits to `wanted`, or to what we ourselves have where that is less: raising it
/// takes a capability that a container may not have.
fn at_most(resource: Resource, wanted: u64, name: &str) -> Result<(), StepError> {
    let ours = getrlimit(resource).maximum;
    let limit = Some(ours.map_or(wanted, |ours| ours.min(wanted)));
    let both = Rlimit { current: limit, maximum: limit };
    setrlimit(resource, both).at(Step::Limits, name)
}
