//! Packages that cannot be had: each has its name, and is served as soon as it can.

use std::fs;
use std::process::Command;

use hatchway_tests::{Answer, GatewayProgram, NodeProgram, eventually, skipped};

use crate::kit::{Site, is_draft, machine, noise, packages, project, shelf, wait_for, write};

#[track_caller]
fn fails_by(gateway: &GatewayProgram, node: &NodeProgram, reason: &str) -> Answer {
    let answer = eventually(reason, || {
        let answer = gateway.get("/word");
        answer.header("proxy-status").contains(&format!("details=\"{reason}\"")).then_some(answer)
    });
    assert_eq!((answer.status, answer.problem().reason.as_str()), (503, reason));
    assert!(answer.header("retry-after").parse::<u32>().is_ok());
    assert_eq!(packages(node)[0]["reason"], reason);
    assert!(packages(node)[0]["detail"].as_str().is_some_and(|why| !why.is_empty()));
    answer
}

#[test]
fn damaged_cut_or_missing_it_has_a_name_and_is_never_half_used() {
    let site = Site::start();
    let (here, edge) = (machine(), machine());
    site.deploy(&project("one"), &[]);
    let path = site.package();
    let whole = fs::read(&path).expect("it can be read");
    let mut turned = whole.clone();
    turned[whole.len() / 2] ^= 1;
    fs::write(&path, turned).expect("own folder");
    let node = site.node(&here, &[]);
    let gateway = site.serving(&edge, &[&node]);
    fails_by(&gateway, &node, "package-damaged");
    fs::write(&path, &whole[..whole.len() - 1]).expect("own folder");
    fails_by(&gateway, &node, "package-damaged");
    fs::remove_file(&path).expect("own folder");
    fails_by(&gateway, &node, "package-missing");
    eventually("nothing of it stays", || shelf(&here).is_empty().then_some(()));

    fs::write(&path, whole).expect("own folder");
    // Without any request: the rules name it.
    wait_for(&node, "ready", 1);
    eventually("it answers", || (gateway.get("/word").status == 200).then_some(()));
}

#[test]
fn without_a_store_it_says_so() {
    let site = Site::start();
    let (here, edge) = (machine(), machine());
    site.deploy(&project("one"), &[]);
    let node = NodeProgram::start_with(&here, &site.rules());
    let gateway = site.serving(&edge, &[&node]);
    let answer = gateway.get("/word");
    assert!(answer.header("proxy-status").contains("no-store"), "{answer:?}");
}

/// A small disk in the place of a folder, for as long as this lives.
struct SmallDisk(String);

impl SmallDisk {
    fn over(folder: &str, size: &str) -> Option<Self> {
        // Who a node becomes that root starts.
        let options = format!("size={size},uid=65534,gid=65534");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "hw-test", folder]);
        let is_mounted = mount.output().ok()?.status.success();
        is_mounted.then(|| Self(folder.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Busy, it goes with the last who uses it.
        let _ = Command::new("umount").args(["--lazy", &self.0]).status();
    }
}

#[test]
fn a_full_disk_costs_the_version_that_does_not_fit_and_no_other() {
    let site = Site::start();
    let (here, edge) = (machine(), machine());
    let folder = here.state().join("packages");
    fs::create_dir(&folder).expect("own folder");
    let Some(small) = SmallDisk::over(&folder.display().to_string(), "12m") else {
        return skipped("a_full_disk", "the right to mount");
    };
    let project = project("one");
    site.deploy(&project, &[]);
    let node = site.node(&here, &[]);
    let gateway = site.serving(&edge, &[&node]);
    wait_for(&node, "ready", 1);
    write(&project, "two");
    project.write("large.bin", noise(16 << 20, 1));
    site.deploy(&project, &["--share", "50%"]);
    wait_for(&node, "failed", 1);
    let failed = packages(&node).into_iter().find(|package| package["state"] == "failed");
    assert_eq!(failed.expect("it failed")["reason"], "package-disk");
    eventually("the other one answers", || (gateway.get("/word").status == 200).then_some(()));
    let is_clear = || !shelf(&here).iter().any(|path| is_draft(path));
    eventually("nothing of it stays", || is_clear().then_some(()));
    drop(gateway);
    drop(small);
    node.stop();
}
