//! What a hostile function might be after: things of this machine, of the daemon and of a neighbour.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use hatchway_tests::{Project, Up, proc};

/// The targets, and what has to be held for them to be there.
pub(crate) struct Bait {
    /// The first is a secret of the neighbour.
    pub(crate) files: Vec<String>,
    pub(crate) folders: Vec<String>,
    /// Processes of the daemon, and this one.
    pub(crate) pids: Vec<u32>,
    pub(crate) addresses: Vec<(String, String)>,
    pub(crate) sockets: Vec<String>,
    pub(crate) abstracts: Vec<String>,
    _listeners: (TcpListener, UnixListener),
}

impl Bait {
    /// The key by which a neighbour's shared memory is found, by whoever sees it.
    pub(crate) const SHARED_MEMORY: u32 = 0x6a7c;

    /// Lays it out: `neighbour` names abstract sockets that a neighbour holds open.
    pub(crate) fn lay(project: &Project, up: &Up, neighbour: &str) -> Self {
        let path = |path: std::path::PathBuf| path.display().to_string();
        let daemon = up.pid();
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback is up");
        let port = listener.local_addr().expect("it listens").port().to_string();
        let name = format!("hatchway-bait-{}-{port}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("it is short");
        let held = UnixListener::bind_addr(&address).expect("the name is new");
        let (gateway, admin) = (up.address.port().to_string(), up.admin.address.port().to_string());
        let mut hosts = vec!["127.0.0.1".to_owned(), "::1".to_owned()];
        hosts.extend(own_address());
        let ports = [&port, &gateway, &admin, "2379"];
        let pairs = hosts.iter().flat_map(|host| ports.map(|port| (host.clone(), port.to_owned())));
        let others = [("169.254.169.254", "80"), ("fe80::1", "80"), ("192.0.2.1", "80")];
        let others = others.map(|(host, port)| (host.to_owned(), port.to_owned()));
        Self {
            files: vec![
                path(project.folder().join("secret.txt")),
                path(project.state().join("lock")),
                format!("/proc/{daemon}/environ"),
                format!("/proc/{daemon}/mem"),
                format!("/proc/{daemon}/root/etc/hosts"),
                env!("CARGO_MANIFEST_DIR").to_owned() + "/Cargo.toml",
            ],
            folders: [path(project.root().to_owned()), path(project.state())]
                .into_iter()
                .chain(["/home", "/var", "/boot", "/sys", "/srv", "/root/.ssh"].map(str::to_owned))
                .collect(),
            pids: [daemon, std::process::id()]
                .into_iter()
                .chain(proc::descendants(daemon).iter().map(|one| one.pid))
                // A small number may be one of its own.
                .filter(|pid| *pid > 64)
                .collect(),
            addresses: pairs.chain(others).collect(),
            sockets: sockets(),
            abstracts: vec![name, neighbour.to_owned()],
            _listeners: (listener, held),
        }
    }
}

/// The address of this machine on its way to others, which is bound by no packet.
fn own_address() -> Option<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip().to_string())
}

/// What every sandbox calls its own: who connects to it meets itself.
const OWN_SOCKET: &str = "/run/hatchway/http.sock";

/// Every Unix socket with a path that this machine has: those of the daemon among them.
fn sockets() -> Vec<String> {
    let table = fs::read_to_string("/proc/net/unix").expect("proc is mounted");
    let paths = table.lines().filter_map(|line| line.split_whitespace().nth(7));
    let others = paths.filter(|path| path.starts_with('/') && *path != OWN_SOCKET);
    others.map(str::to_owned).take(64).collect()
}
