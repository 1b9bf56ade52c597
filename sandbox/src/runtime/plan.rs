//! A start plan: everything the start of a function process depends on, as a value.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Adapters, Interpreters, Missing, Runtime, command, node, python};
use crate::spec::{PACKAGE_DIR, PRIVATE_DIR, PROXY_PORT, SOCKET_NAME};

/// `PORT` of every function. Free in a sandbox, which has a loopback of its own.
pub const PORT: u16 = 8080;

/// What every function finds; `LANG` because Python falls back to ASCII in the C locale of a bare
/// environment.
const BASE_ENVIRONMENT: [(&str, &str); 4] = [
    ("HOME", "/tmp"),
    ("LANG", "C.UTF-8"),
    ("PATH", "/usr/local/bin:/usr/bin:/bin"),
    ("TMPDIR", "/tmp"),
];

/// Where a function process finds its own files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The unpacked package, and the working directory.
    pub package: PathBuf,
    /// The adapters.
    pub adapters: PathBuf,
    /// Where a `command` may listen on a Unix socket.
    pub socket: PathBuf,
}

impl Default for Layout {
    /// Inside a sandbox with a root of its own. Without one (isolation by best effort), the paths
    /// are the host's.
    fn default() -> Self {
        Self {
            package: PACKAGE_DIR.into(),
            adapters: "/hatchway".into(),
            socket: Path::new(PRIVATE_DIR).join(SOCKET_NAME),
        }
    }
}

/// For whom a sandbox runs, and within which limits.
#[derive(Clone, Debug)]
pub struct Assignment<'a> {
    pub tenant: &'a str,
    pub function: &'a str,
    pub version: &'a str,
    pub sandbox: &'a str,
    /// Requests that may run in the sandbox at once, at least 1.
    pub concurrency: u32,
    /// The memory limit of the sandbox; a garbage collector should know it.
    pub memory_bytes: Option<u64>,
    /// The function's own variables. Names that the platform sets are ignored here, whatever their
    /// value.
    pub env: &'a BTreeMap<String, String>,
}

/// How to start one function process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartPlan {
    /// The first element is an absolute path, or a name for the sandbox's `PATH`.
    pub argv: Vec<String>,
    /// The whole environment, sorted by name; nothing is inherited.
    pub env: Vec<(String, String)>,
    /// `(on the host, inside)`: what to mount read-only beside the package and the system's own
    /// folders.
    pub read_only_mounts: Vec<(PathBuf, PathBuf)>,
    /// True when descriptor 3 is to be the listening socket and descriptor 4 the pipe for the word
    /// "ready". False when the process listens by itself, on `PORT` or on `HATCHWAY_SOCKET`.
    pub inherits_listener: bool,
}

impl StartPlan {
    /// Plans the start of `runtime` for `assignment`.
    ///
    /// # Errors
    /// When the runtime needs an interpreter that this machine lacks.
    pub fn new(
        runtime: &Runtime,
        assignment: &Assignment<'_>,
        interpreters: &Interpreters,
        adapters: &Adapters,
        layout: &Layout,
    ) -> Result<Self, Missing> {
        let mut plan = match runtime {
            Runtime::Node(entry) => {
                let interpreter = interpreters.node.as_ref().map_err(Clone::clone)?;
                node::plan(entry, interpreter, assignment, layout)
            }
            Runtime::Python(entry) => {
                let interpreter = interpreters.python.as_ref().map_err(Clone::clone)?;
                python::plan(entry, interpreter, layout)
            }
            Runtime::Command { argv } => command::plan(argv, layout),
        };
        if plan.inherits_listener {
            let inside = layout.adapters.clone();
            plan.read_only_mounts.push((adapters.dir.clone(), inside));
        }
        let own = std::mem::take(&mut plan.env);
        plan.env = environment(assignment, own);
        Ok(plan)
    }
}

/// What a start has to do with compiled code: see `adapters/node/code.cjs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Code {
    /// It is to send a record of it, after its word on the ready pipe.
    Record,
    /// A record of an earlier start is the file `code` in this folder of the host.
    Recall(PathBuf),
}

/// Where a record is inside the sandbox.
const CODE_DIR: &str = "/hatchway-code";

impl StartPlan {
    /// For an ordinary start of Node.
    #[must_use]
    pub fn with_code(mut self, code: Code) -> Self {
        let word = match code {
            Code::Record => "record".to_owned(),
            Code::Recall(folder) => {
                self.read_only_mounts.push((folder, CODE_DIR.into()));
                format!("{CODE_DIR}/code")
            }
        };
        self.env.push(("HATCHWAY_CODE".to_owned(), word));
        self.env.sort_unstable();
        self
    }
}

impl StartPlan {
    /// For a [zygote](Self::zygote) of Node: what it asks of its own code before it is forked, by GET. Paths as a request
    /// line has them.
    #[must_use]
    pub fn with_warmup<'a>(mut self, paths: impl IntoIterator<Item = &'a str>) -> Self {
        let paths: Vec<&str> = paths.into_iter().collect();
        if !paths.is_empty() {
            self.env.push(("HATCHWAY_WARMUP".to_owned(), paths.join("\n")));
            self.env.sort_unstable();
        }
        self
    }
}

/// By what stock clients find a proxy: curl, Python's `urllib` and `requests`, Go, and Node where it looks (from 22.21
/// on `NODE_USE_ENV_PROXY` has it). `http_proxy` is the one spelling that all of them read for plain HTTP.
fn proxy_environment() -> [(&'static str, String); 7] {
    let proxy = || format!("http://127.0.0.1:{PROXY_PORT}");
    let own = || "localhost,127.0.0.1,::1".to_owned();
    [
        ("HTTP_PROXY", proxy()),
        ("HTTPS_PROXY", proxy()),
        ("NODE_USE_ENV_PROXY", "1".to_owned()),
        ("NO_PROXY", own()),
        ("http_proxy", proxy()),
        ("https_proxy", proxy()),
        ("no_proxy", own()),
    ]
}

impl StartPlan {
    /// For a [proxied](crate::Network::Proxied) sandbox: tells where the proxy is, by those variables that the
    /// function has not set itself.
    #[must_use]
    pub fn through_proxy(mut self) -> Self {
        for (name, value) in proxy_environment() {
            if let Err(place) = self.env.binary_search_by(|(known, _)| known.as_str().cmp(name)) {
                self.env.insert(place, (name.to_owned(), value));
            }
        }
        self
    }
}

/// The base, then the function's own variables, then the platform's, each layer over the one
/// before.
fn environment(
    assignment: &Assignment<'_>,
    runtime: Vec<(String, String)>,
) -> Vec<(String, String)> {
    let mut env = BTreeMap::new();
    env.extend(base_environment());
    env.extend(
        (assignment.env.iter())
            .filter(|(name, _)| !name.starts_with("HATCHWAY_"))
            .map(|(name, value)| (name.clone(), value.clone())),
    );
    for (name, value) in [
        ("HATCHWAY_CONCURRENCY", assignment.concurrency.to_string()),
        ("HATCHWAY_FUNCTION", assignment.function.to_owned()),
        ("HATCHWAY_SANDBOX", assignment.sandbox.to_owned()),
        ("HATCHWAY_TENANT", assignment.tenant.to_owned()),
        ("HATCHWAY_VERSION", assignment.version.to_owned()),
        ("PORT", PORT.to_string()),
    ] {
        env.insert(name.to_owned(), value);
    }
    env.extend(runtime);
    env.into_iter().collect()
}

/// What a process is started with that is for nobody yet.
pub(super) fn base_environment() -> Vec<(String, String)> {
    BASE_ENVIRONMENT.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// Tells an adapter that descriptors 3 and 4 are meant for it. The adapter removes the variable, so
/// that a child process of the function, which has the variable's environment but not the
/// descriptors, keeps its hands off them.
pub(super) fn listener_mark() -> (String, String) {
    ("HATCHWAY_LISTENER".to_owned(), "3".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan_with(env: &BTreeMap<String, String>) -> StartPlan {
        let assignment = Assignment {
            tenant: "acme",
            function: "hello",
            version: "v1",
            sandbox: "s7",
            concurrency: 16,
            memory_bytes: None,
            env,
        };
        let interpreters = Interpreters {
            node: Err(Missing::NotFound { program: "node".into() }),
            python: Err(Missing::NotFound { program: "python3".into() }),
        };
        let adapters = Adapters { dir: "/var/lib/hatchway/adapters".into() };
        let runtime = Runtime::Command { argv: vec!["./server".into()] };
        StartPlan::new(&runtime, &assignment, &interpreters, &adapters, &Layout::default())
            .expect("a command needs no interpreter")
    }

    fn value<'a>(plan: &'a StartPlan, name: &str) -> Option<&'a str> {
        (plan.env.iter().find(|(n, _)| n == name)).map(|(_, v)| v.as_str())
    }

    #[test]
    fn the_environment_is_the_base_the_functions_own_and_the_platforms() {
        let own = BTreeMap::from([("GREETING".to_owned(), "hi".to_owned())]);
        let plan = plan_with(&own);
        assert_eq!(value(&plan, "GREETING"), Some("hi"));
        assert_eq!(value(&plan, "HOME"), Some("/tmp"));
        assert_eq!(value(&plan, "HATCHWAY_FUNCTION"), Some("hello"));
        assert_eq!(value(&plan, "HATCHWAY_TENANT"), Some("acme"));
        assert_eq!(value(&plan, "HATCHWAY_CONCURRENCY"), Some("16"));
        assert_eq!(value(&plan, "CARGO_PKG_NAME"), None, "inherited from this test");
    }

    #[test]
    fn a_function_may_change_its_path_but_not_who_it_is() {
        let own = [
            ("PATH", "/app/bin"),
            ("HATCHWAY_TENANT", "rival"),
            ("HATCHWAY_LISTENER", "9"),
            ("PORT", "1"),
        ];
        let own = own.map(|(n, v)| (n.to_owned(), v.to_owned())).into();
        let plan = plan_with(&own);
        assert_eq!(value(&plan, "PATH"), Some("/app/bin"));
        assert_eq!(value(&plan, "HATCHWAY_TENANT"), Some("acme"));
        assert_eq!(value(&plan, "HATCHWAY_LISTENER"), None);
        assert_eq!(value(&plan, "PORT"), Some("8080"));
    }

    #[test]
    fn a_proxied_function_is_told_where_and_may_know_better() {
        let own = BTreeMap::from([("https_proxy".to_owned(), "http://mine".to_owned())]);
        let plan = plan_with(&own).through_proxy();
        assert_eq!(value(&plan, "https_proxy"), Some("http://mine"));
        assert_eq!(value(&plan, "http_proxy"), Some("http://127.0.0.1:3128"));
        assert!(plan.env.is_sorted());
    }

    #[test]
    fn a_runtime_without_its_interpreter_is_refused() {
        let env = BTreeMap::new();
        let assignment = Assignment {
            tenant: "t",
            function: "f",
            version: "v",
            sandbox: "s",
            concurrency: 1,
            memory_bytes: None,
            env: &env,
        };
        let missing = Missing::NotFound { program: "node".into() };
        let interpreters = Interpreters {
            node: Err(missing.clone()),
            python: Err(Missing::NotFound { program: "python3".into() }),
        };
        let runtime = Runtime::Node(super::super::NodeEntry::Main { script: "server.js".into() });
        let adapters = Adapters { dir: "/a".into() };
        let refused =
            StartPlan::new(&runtime, &assignment, &interpreters, &adapters, &Layout::default());
        assert_eq!(refused, Err(missing));
    }
}
