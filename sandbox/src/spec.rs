//! What a sandbox is to be, checked before anything is touched.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Where the package of a function lies inside its sandbox; also its working directory.
pub const PACKAGE_DIR: &str = "/app";
/// The private, writable folder of a probed function: its socket is `http.sock` in there.
pub const PRIVATE_DIR: &str = "/run/hatchway";
/// The name a probed function's Unix socket has in [`PRIVATE_DIR`].
pub const SOCKET_NAME: &str = "http.sock";

/// Where a proxied sandbox finds its node's proxy on its loopback.
pub const PROXY_PORT: u16 = 3128;

/// Below this not even a shell starts under a memory limit.
const MIN_MEMORY_BYTES: u64 = 4 << 20;
const MAX_MEMORY_BYTES: u64 = 1 << 40;
/// The kernel's smallest quota is 1 ms; we use periods of 100 ms.
const MIN_CPU_MILLIS: u32 = 10;
const MAX_CPU_MILLIS: u32 = 1_024_000;
const MAX_PIDS: u32 = 32_768;
/// 0, 1, 2, the listener, the ready pipe, and a little for the loader.
const MIN_FILES: u64 = 16;
const MAX_FILES: u64 = 1 << 20;
const MAX_TMP_BYTES: u64 = 1 << 40;
/// What one message to the spawner holds, with room for quoting: see `protocol`.
const MAX_WORDS_BYTES: usize = 80 << 10;
const MAX_MOUNTS: usize = 16;

/// One sandbox, as a node asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SandboxSpec {
    /// Unique for as long as the spawner runs.
    pub id: u64,
    /// `tenant/function@version`, for messages only.
    pub name: String,
    /// The program and its arguments. A name without a slash is looked up in the given `PATH`.
    pub argv: Vec<String>,
    /// The whole environment: nothing is inherited.
    pub env: Vec<(String, String)>,
    /// The folder on the host that appears read-only at [`PACKAGE_DIR`].
    pub package: PathBuf,
    /// More read-only mounts, `(on the host, inside)`: the runtime's tree, our adapters.
    pub read_only: Vec<(PathBuf, PathBuf)>,
    /// Limit of the whole group in bytes, page cache and `/tmp` included.
    pub memory_bytes: u64,
    /// Thousandths of a core, per period of 100 ms.
    pub cpu_millis: u32,
    /// Processes and threads together.
    pub pids: u32,
    /// Open descriptors of each process.
    pub files: u64,
    /// Size of the private `/tmp` and `/dev/shm`, together, in bytes.
    pub tmp_bytes: u64,
    pub network: Network,
    pub entry: Entry,
}

/// What a sandbox can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// A network namespace of its own in which only the loopback is up.
    None,
    /// The same, and in it a listener on [`PROXY_PORT`] that the node is given: what connects there has come out of this
    /// sandbox, and of no other.
    Proxied,
    /// The host's network.
    Open,
}

impl Network {
    /// What the nest of such a sandbox is made with: nests know no listener yet.
    pub(crate) fn of_nest(self) -> Self {
        match self {
            Self::None | Self::Proxied => Self::None,
            Self::Open => Self::Open,
        }
    }
}

/// How the node reaches the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// Descriptor 3 is a listening Unix socket, descriptor 4 the writing end of the ready pipe.
    Inherited,
    /// The function opens its own door: a Unix socket in [`PRIVATE_DIR`] or `port` on the
    /// loopback. The node tries both until one answers.
    Probed { port: u16 },
}

/// What to do about an isolation step that this machine cannot give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Isolation {
    /// Refuse to start, naming each.
    Strict,
    /// Start without it, naming each in [`Grants`](crate::Grants).
    BestEffort,
}

/// Why a specification was refused; nothing has been touched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    #[error("there is no command to run")]
    NoCommand,
    #[error("{what} holds a NUL byte")]
    Nul { what: &'static str },
    #[error("{name:?} is not a name for an environment variable")]
    VariableName { name: String },
    #[error("command and environment are {bytes} bytes together, at most {MAX_WORDS_BYTES} fit")]
    TooLong { bytes: usize },
    #[error("{path:?} is not an absolute path without '..'")]
    Path { path: PathBuf },
    #[error("{path:?} inside the sandbox is taken or forbidden")]
    MountPoint { path: PathBuf },
    #[error("{count} extra mounts, at most {MAX_MOUNTS} are possible")]
    TooManyMounts { count: usize },
    #[error("{field} is {value}, it must lie in {min}..={max}")]
    Range { field: &'static str, value: u64, min: u64, max: u64 },
}

impl SandboxSpec {
    /// Looks at every field. The library calls it before it sends an order, and the spawner
    /// again before it obeys one.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), SpecError> {
        self.check_words()?;
        self.check_paths()?;
        in_range("memory_bytes", self.memory_bytes, MIN_MEMORY_BYTES, MAX_MEMORY_BYTES)?;
        Self::check_cpu(self.cpu_millis)?;
        in_range("pids", self.pids.into(), 1, MAX_PIDS.into())?;
        in_range("files", self.files, MIN_FILES, MAX_FILES)?;
        in_range("tmp_bytes", self.tmp_bytes, 0, MAX_TMP_BYTES)?;
        match self.entry {
            Entry::Inherited => Ok(()),
            Entry::Probed { port } => in_range("port", port.into(), 1, u16::MAX.into()),
        }
    }

    /// Looks at a limit of processor time.
    pub(crate) fn check_cpu(cpu_millis: u32) -> Result<(), SpecError> {
        let (min, max) = (MIN_CPU_MILLIS.into(), MAX_CPU_MILLIS.into());
        in_range("cpu_millis", cpu_millis.into(), min, max)
    }

    fn check_words(&self) -> Result<(), SpecError> {
        if self.argv.first().is_none_or(String::is_empty) {
            return Err(SpecError::NoCommand);
        }
        for (name, _) in &self.env {
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(SpecError::VariableName { name: name.clone() });
            }
        }
        let values = self.env.iter().map(|(_, value)| value);
        for (what, mut words) in [
            ("the command", Box::new(self.argv.iter()) as Box<dyn Iterator<Item = &String>>),
            ("the environment", Box::new(values)),
            ("the name", Box::new(std::iter::once(&self.name))),
        ] {
            if words.any(|word| word.contains('\0')) {
                return Err(SpecError::Nul { what });
            }
        }
        let argv: usize = self.argv.iter().map(String::len).sum();
        let env: usize = self.env.iter().map(|(k, v)| k.len() + v.len()).sum();
        let bytes = argv + env + self.name.len();
        if bytes > MAX_WORDS_BYTES {
            return Err(SpecError::TooLong { bytes });
        }
        Ok(())
    }

    fn check_paths(&self) -> Result<(), SpecError> {
        if self.read_only.len() > MAX_MOUNTS {
            return Err(SpecError::TooManyMounts { count: self.read_only.len() });
        }
        let hosts = self.read_only.iter().map(|(host, _)| host);
        for path in std::iter::once(&self.package).chain(hosts) {
            if !is_plain(path) {
                return Err(SpecError::Path { path: path.clone() });
            }
        }
        for (_, inside) in &self.read_only {
            if !is_plain(inside) || !may_be_mounted(inside) {
                return Err(SpecError::MountPoint { path: inside.clone() });
            }
        }
        Ok(())
    }
}

fn in_range(field: &'static str, value: u64, min: u64, max: u64) -> Result<(), SpecError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(SpecError::Range { field, value, min, max })
}

/// True for an absolute UTF-8 path of ordinary names, short enough for the kernel.
fn is_plain(path: &Path) -> bool {
    let Some(text) = path.to_str() else {
        return false;
    };
    let mut parts = path.components();
    text.len() < 4096
        && !text.contains('\0')
        && parts.next() == Some(Component::RootDir)
        && parts.all(|part| matches!(part, Component::Normal(_)))
}

/// True where an extra mount cannot cover what isolation itself has put there.
fn may_be_mounted(inside: &Path) -> bool {
    const OURS: [&str; 7] = ["/app", "/dev", "/etc", "/proc", "/run", "/sys", "/tmp"];
    inside != Path::new("/") && !OURS.iter().any(|ours| inside.starts_with(ours))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> SandboxSpec {
        SandboxSpec {
            id: 1,
            name: "acme/hello@1".into(),
            argv: vec!["sh".into(), "-c".into(), "true".into()],
            env: vec![("GREETING".into(), "hi".into())],
            package: "/srv/package".into(),
            read_only: vec![("/opt/node".into(), "/opt/node".into())],
            memory_bytes: 64 << 20,
            cpu_millis: 500,
            pids: 32,
            files: 256,
            tmp_bytes: 1 << 20,
            network: Network::None,
            entry: Entry::Inherited,
        }
    }

    #[test]
    fn an_ordinary_specification_passes() {
        assert_eq!(spec().check(), Ok(()));
    }

    #[test]
    fn a_command_is_needed() {
        for argv in [vec![], vec![String::new()]] {
            assert_eq!(SandboxSpec { argv, ..spec() }.check(), Err(SpecError::NoCommand));
        }
    }

    #[test]
    fn nul_bytes_and_odd_variable_names_are_refused() {
        let argv = vec!["sh".into(), "a\0b".into()];
        let refused = SandboxSpec { argv, ..spec() }.check();
        assert_eq!(refused, Err(SpecError::Nul { what: "the command" }));
        for name in ["", "A=B", "A\0"] {
            let env = vec![(name.to_owned(), String::new())];
            let refused = SandboxSpec { env, ..spec() }.check();
            assert_eq!(refused, Err(SpecError::VariableName { name: name.into() }));
        }
    }

    #[test]
    fn what_does_not_fit_one_message_is_refused() {
        let argv = vec!["x".repeat(MAX_WORDS_BYTES)];
        let refused = SandboxSpec { argv, ..spec() }.check();
        assert!(matches!(refused, Err(SpecError::TooLong { .. })));
    }

    #[test]
    fn paths_are_absolute_and_go_down_only() {
        for package in ["app", "/srv/../etc", ""] {
            let package = PathBuf::from(package);
            let refused = SandboxSpec { package: package.clone(), ..spec() }.check();
            assert_eq!(refused, Err(SpecError::Path { path: package }));
        }
    }

    #[test]
    fn an_extra_mount_cannot_cover_what_isolation_put_there() {
        for inside in ["/", "/proc", "/etc/ssl", "/app", "/tmp/x", "/a/../etc", "/dev/shm"] {
            let read_only = vec![(PathBuf::from("/opt"), PathBuf::from(inside))];
            let refused = SandboxSpec { read_only, ..spec() }.check();
            assert!(matches!(refused, Err(SpecError::MountPoint { .. })), "{inside}");
        }
    }

    #[test]
    fn numbers_lie_in_their_ranges() {
        let refused = SandboxSpec { memory_bytes: 1 << 20, ..spec() }.check();
        assert!(matches!(refused, Err(SpecError::Range { field: "memory_bytes", .. })));
        let refused = SandboxSpec { pids: 0, ..spec() }.check();
        assert!(matches!(refused, Err(SpecError::Range { field: "pids", .. })));
        let refused = SandboxSpec { entry: Entry::Probed { port: 0 }, ..spec() }.check();
        assert!(matches!(refused, Err(SpecError::Range { field: "port", .. })));
    }
}
