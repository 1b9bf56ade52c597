//! The ground under the figures: a network namespace of our own with a known congestion control,
//! room for many descriptors, two cores with fixed parts, and what this machine is.

use std::env;
use std::fs;
use std::process::{Command, ExitCode};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::sched_getaffinity;
use serde::Serialize;

use crate::child::output_of;
use crate::error::{During as _, Result};

/// Handed to ourselves when we start again inside the namespaces.
pub(crate) const INSIDE: &str = "--inside-namespaces";

/// Ten thousand idle clients, as many sockets behind them, and room for pipes.
const WANTED_DESCRIPTORS: u64 = 65_536;

/// A shell as the first process of the namespace: it takes Ctrl-C, and when it ends, the kernel ends
/// all that was started below it.
const INIT: &str = r#"trap 'exit 130' INT TERM; "$@" & wait $!"#;

/// Starts this program again in a network and a process namespace of its own, and waits for it.
/// `None` when the kernel does not let us: then we measure where we are.
///
/// The network namespace is for congestion control: many machines default to bbr, which paces with
/// timers even on loopback; the choice is made per namespace.
pub(crate) fn reenter() -> Option<ExitCode> {
    let unshare = ["--net", "--pid", "--fork", "--kill-child", "--mount-proc"];
    let possible = Command::new("unshare").args(unshare).arg("true").output();
    if !possible.is_ok_and(|output| output.status.success()) {
        return None;
    }
    let status = Command::new("unshare")
        .args(unshare)
        .args(["sh", "-c", INIT, "sh"])
        .arg(env::current_exe().ok()?)
        .args(env::args_os().skip(1))
        .arg(INSIDE)
        .status()
        .ok()?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Some(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Sets up the new network namespace: loopback, a congestion control without timers, and ports enough
/// for a connection per request.
pub(crate) fn prepare_network() -> Result<()> {
    output_of(Command::new("ip").args(["link", "set", "lo", "up"]))?;
    set("ip_local_port_range", "2048 65000")?;
    set("tcp_tw_reuse", "1")?;
    // A namespace may take cubic only where the machine lists it as allowed; reno it may always take.
    // Neither paces, and without loss the two do not differ.
    set("tcp_congestion_control", "cubic").or_else(|_| set("tcp_congestion_control", "reno"))
}

fn set(name: &str, value: &str) -> Result<()> {
    let path = format!("/proc/sys/net/ipv4/{name}");
    fs::write(&path, value).during(&format!("write {path}"))
}

/// Raises the limit of open files as far as we may, for us and all that we start.
pub(crate) fn raise_descriptor_limit() {
    let now = getrlimit(Resource::Nofile);
    let all = Some(WANTED_DESCRIPTORS);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: all, maximum: all });
    if raised.is_err() {
        // Without the right to raise the hard limit, the soft one still can go up to it.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: now.maximum, maximum: now.maximum });
    }
}

/// Which core does what. With one core only, both are the same, and the report says so.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Cores {
    pub(crate) gateway: usize,
    pub(crate) load: usize,
}

impl Cores {
    /// The first two cores that we may use.
    pub(crate) fn choose() -> Self {
        let allowed = sched_getaffinity(None).unwrap_or_default();
        let mut cores = (0..1024).filter(|&core| allowed.is_set(core));
        let gateway = cores.next().unwrap_or(0);
        Self { gateway, load: cores.next().unwrap_or(gateway) }
    }
}

/// What a reader must know to compare these figures with others.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    cpu_model: String,
    kernel: String,
    congestion_control: String,
    cores: Cores,
    commit: String,
}

impl Machine {
    pub(crate) fn describe(cores: Cores) -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let cpu_info = read("/proc/cpuinfo");
        let model =
            cpu_info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let commit = output_of(Command::new("git").args(["describe", "--always", "--dirty"]));
        Self {
            cpu_model: model.map(|(_, name)| name.trim().to_owned()).unwrap_or_default(),
            kernel: read("/proc/sys/kernel/osrelease"),
            congestion_control: read("/proc/sys/net/ipv4/tcp_congestion_control"),
            cores,
            commit: commit.unwrap_or_default().trim().to_owned(),
        }
    }

    pub(crate) fn line(&self) -> String {
        format!(
            "{}, Linux {}, {}; gateway on core {}, load and function on core {}; commit {}",
            self.cpu_model,
            self.kernel,
            self.congestion_control,
            self.cores.gateway,
            self.cores.load,
            self.commit
        )
    }
}
