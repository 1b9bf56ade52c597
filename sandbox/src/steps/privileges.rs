//! Giving privileges up for good: no capability can come back by an exec, and no program can
//! gain any. Before Landlock and seccomp, which a process without privileges may only use once
//! it has promised that.

use std::io;

use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, Signal, set_dumpable_behavior, set_parent_process_death_signal,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

use super::{AtStep, Step, StepError};

/// One more than the kernel will ever number capabilities with, in 64 bits of them.
const CAPABILITIES: u32 = 64;

/// Empties the bounding set (capabilities(7)). Takes `CAP_SETPCAP`, so before the others go; takes
/// nothing away yet from who has capabilities now, so it can be done ahead, while a nest parks.
pub(crate) fn drop_bounding_set() -> Result<(), StepError> {
    for number in 0..CAPABILITIES {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        match remove_capability_from_bounding_set(capability) {
            // The kernel numbers no further.
            Err(Errno::INVAL) => break,
            dropped => dropped.at(Step::Capabilities, "bounding set")?,
        }
    }
    Ok(())
}

/// Empties all other sets.
pub(crate) fn drop_capabilities() -> io::Result<()> {
    clear_ambient_capability_set()?;
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    Ok(set_capabilities(None, none)?)
}

pub(crate) fn promise_no_new_privileges() -> Result<(), StepError> {
    set_no_new_privs(true).at(Step::NoNewPrivileges, "")
}

/// Dies with its parent (PR_SET_PDEATHSIG(2const)). Forgotten when ids change, so after that;
/// a parent that is gone by then is noticed by its closed socket.
pub(crate) fn die_with_parent() -> Result<(), StepError> {
    set_parent_process_death_signal(Some(Signal::KILL)).at(Step::Process, "death signal")
}

/// Hides this process's memory and descriptors from others of the same id.
pub(crate) fn hide() -> Result<(), StepError> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable).at(Step::Process, "dumpable")
}
