//! A real etcd on free ports, with its data in a folder that goes with it.

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::eventually;
use crate::hosts::Host;
use crate::proc;

/// A running `etcd`. Ended when dropped.
#[derive(Debug)]
pub struct Etcd {
    child: Child,
    root: TempDir,
    /// Where it runs, when that is not where the test runs.
    host: Option<Host>,
    /// Each start with nothing, or with a backup, has a data folder of its own.
    generation: u32,
    url: String,
    peer: String,
    /// What it is told beside.
    flags: Vec<String>,
    /// What `etcdctl` has to show.
    access: Vec<String>,
}

impl Etcd {
    /// Starts one, and waits until it answers.
    ///
    /// # Panics
    /// When it does not: `etcd` and `etcdctl` are among what tests need.
    #[track_caller]
    pub fn start() -> Self {
        Self::start_as("http", Vec::new(), Vec::new())
    }

    /// Starts one on a host of its own.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    #[track_caller]
    pub fn start_on(host: &Host) -> Self {
        let url = |port| format!("http://{}", host.at(port));
        Self::launch(Some(host.clone()), (url(2379), url(2380)), Vec::new(), Vec::new())
    }

    /// Starts one that speaks TLS alone, and only with those whose certificate is of the authority in `folder`
    /// (`ca.pem`); its own certificate is `server.pem` there, that of its clients `client.pem`, with keys beside.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    #[track_caller]
    pub fn start_with_tls(folder: &Path) -> Self {
        let word = |flag: &str, name: &str| format!("{flag}={}", folder.join(name).display());
        let flags = [
            word("--trusted-ca-file", "ca.pem"),
            word("--cert-file", "server.pem"),
            word("--key-file", "server.key"),
            "--client-cert-auth".to_owned(),
        ];
        let access =
            [word("--cacert", "ca.pem"), word("--cert", "client.pem"), word("--key", "client.key")];
        Self::start_as("https", flags.into(), access.into())
    }

    fn start_as(scheme: &str, flags: Vec<String>, access: Vec<String>) -> Self {
        let url = format!("{scheme}://127.0.0.1:{}", free_port());
        let peer = format!("http://127.0.0.1:{}", free_port());
        Self::launch(None, (url, peer), flags, access)
    }

    #[track_caller]
    fn launch(
        host: Option<Host>,
        (url, peer): (String, String),
        flags: Vec<String>,
        access: Vec<String>,
    ) -> Self {
        let root = tempfile::Builder::new().prefix("hw-etcd").tempdir().expect("a folder");
        let child = spawn(host.as_ref(), (&root, 0), (&url, &peer), &flags);
        let etcd = Self { child, root, host, generation: 0, url, peer, flags, access };
        etcd.wait_until_it_answers();
        etcd
    }

    /// From now on it asks for this user's password.
    ///
    /// # Panics
    /// When it does not want to.
    pub fn ask_for_password(&mut self, user: &str, password: &str) {
        let both = format!("{user}:{password}");
        self.ctl(&["user", "add", "root:secret"]);
        self.ctl(&["user", "add", &both]);
        self.ctl(&["role", "add", "rules"]);
        self.ctl(&["role", "grant-permission", "--prefix=true", "rules", "read", "/hatchway/v1/"]);
        self.ctl(&["user", "grant-role", "root", "root"]);
        self.ctl(&["user", "grant-role", user, "rules"]);
        self.ctl(&["auth", "enable"]);
        self.access.push("--user=root:secret".to_owned());
    }

    /// Where clients find it.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Kill -9.
    pub fn kill(&mut self) {
        // It may be killed already.
        let _ = self.child.kill();
        self.child.wait().expect("it is our child");
    }

    /// Starts it again with the data that it had.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.kill();
        let data = (&self.root, self.generation);
        self.child = spawn(self.host.as_ref(), data, (&self.url, &self.peer), &self.flags);
        self.wait_until_it_answers();
    }

    /// Starts it again, at the same address, with nothing.
    #[track_caller]
    pub fn start_empty(&mut self) {
        self.generation += 1;
        self.start_again();
    }

    /// What it holds, as a backup.
    #[track_caller]
    pub fn backup(&self) {
        let path = self.root.path().join("backup").display().to_string();
        self.ctl(&["snapshot", "save", &path]);
    }

    /// Starts it again, at the same address, with what the backup holds.
    #[track_caller]
    pub fn restore(&mut self) {
        self.kill();
        self.generation += 1;
        let data = data(&self.root, self.generation);
        let peers = format!("default={}", self.peer);
        let path = self.root.path().join("backup").display().to_string();
        let words = ["snapshot", "restore", &path, "--data-dir", &data];
        let of_cluster = ["--initial-cluster", &peers, "--initial-advertise-peer-urls", &self.peer];
        self.ctl(&[&words[..], &of_cluster[..]].concat());
        self.start_again();
    }

    /// Stops it in its tracks: connections stay, answers do not come.
    pub fn freeze(&self) {
        proc::freeze(self.child.id());
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        proc::thaw(self.child.id());
    }

    /// `etcdctl`, and what it prints.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn ctl(&self, words: &[&str]) -> String {
        let output = self.ctl_command(words).output().expect("etcdctl starts");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "etcdctl {words:?}: {error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn ctl_command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").arg("--endpoints").arg(self.url());
        command.args(&self.access).args(words);
        command
    }

    /// Puts a value below the default prefix.
    ///
    /// # Panics
    /// When it is refused, as the next.
    #[track_caller]
    pub fn put(&self, key: &str, value: &str) {
        self.ctl(&["put", "--", &format!("/hatchway/v1/{key}"), value]);
    }

    /// Deletes a key below the default prefix.
    #[track_caller]
    pub fn delete(&self, key: &str) {
        self.ctl(&["del", &format!("/hatchway/v1/{key}")]);
    }

    /// Deletes every key there is.
    #[track_caller]
    pub fn delete_all(&self) {
        self.ctl(&["del", "", "--from-key"]);
    }

    /// Forgets every revision but the newest.
    #[track_caller]
    pub fn compact(&self) {
        let status = self.ctl(&["endpoint", "status", "--write-out", "json"]);
        let status: serde_json::Value = serde_json::from_str(&status).expect("it is JSON");
        let revision = status[0]["Status"]["header"]["revision"].to_string();
        self.ctl(&["compact", &revision]);
    }

    #[track_caller]
    fn wait_until_it_answers(&self) {
        eventually("etcd answers", || {
            let mut command = self.ctl_command(&["--command-timeout", "1s", "get", "x"]);
            let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
            status.expect("etcdctl starts").success().then_some(())
        });
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.root.path().join("log")).unwrap_or_default();
            let last: Vec<&str> = log.lines().rev().take(20).collect();
            eprintln!("--- etcd printed last:\n{}", last.join("\n"));
        }
    }
}

/// Somebody else could take it before etcd does; the kernel hands the same one out again late.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

fn data(root: &TempDir, generation: u32) -> String {
    root.path().join(format!("data{generation}")).display().to_string()
}

fn spawn(
    host: Option<&Host>,
    (root, generation): (&TempDir, u32),
    (client, peer): (&str, &str),
    flags: &[String],
) -> Child {
    let log = File::options().create(true).append(true).open(root.path().join("log"));
    let name = format!("default={peer}");
    let mut command = Command::new("etcd");
    command
        .args(["--data-dir", &data(root, generation), "--logger", "zap", "--log-level", "warn"])
        .args(["--listen-client-urls", client, "--advertise-client-urls", client])
        .args(["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer])
        .args(["--initial-cluster", &name])
        .args(flags)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log.expect("own folder"));
    let child = match host {
        Some(host) => host.within(|| command.spawn()),
        None => command.spawn(),
    };
    child.expect("etcd starts: `make setup-test` installs it")
}
