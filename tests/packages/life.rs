//! What becomes of packages on a node: fetched together, removed for want of room, half there when it is killed.

use std::fs;

use hatchway_tests::{Project, eventually, together};

use crate::kit::{Site, is_draft, machine, noise, packages, project, shelf, wait_for, write};
use crate::stores::Web;

#[test]
fn twenty_versions_at_once_are_fetched_once_each() {
    let site = Site::start();
    let (here, edge) = (machine(), machine());
    let mut manifest = String::new();
    for number in 0..20 {
        manifest += &format!(
            "[function.f{number}]\nruntime = \"node\"\npackage = \"f{number}\"\nhandler = \"a.mjs#a\"\n\
             assets = \"public\"\nhttp = {{ path = \"/f{number}\" }}\n"
        );
    }
    let project = Project::new(&manifest);
    for number in 0..20_u32 {
        project.write(&format!("f{number}/a.mjs"), "export const a = () => 1;\n");
        project.write(&format!("f{number}/public/index.html"), number.to_string());
        project.write(&format!("f{number}/noise.bin"), noise(1 << 20, number + 1));
    }
    let told = site.deploy(&project, &[]);
    assert_eq!((&told["packages"], &told["uploaded"]), (&20.into(), &20.into()));
    let node = site.node(&here, &["--no-fetch-ahead"]);
    let gateway = site.serving(&edge, &[&node]);
    let answers = together(40, |client| gateway.get(&format!("/f{}", client % 20)));
    for (client, answer) in answers.iter().enumerate() {
        assert_eq!(answer.text(), (client % 20).to_string());
    }
    wait_for(&node, "ready", 20);
    assert_eq!(node.admin.metrics().sum("node_package_fetches_total", &[]), 20.0);
}

#[test]
fn what_no_rule_names_any_more_goes_for_want_of_room_and_nothing_else() {
    let site = Site::start();
    let (here, edge) = (machine(), machine());
    let node = site.node(&here, &["--package-disk", "3MiB"]);
    let gateway = site.gateway(&edge, &[&node]);
    let project = project("0");
    for (word, seed) in [("1", 1), ("2", 2), ("3", 3), ("4", 4)] {
        write(&project, word);
        project.write("noise.bin", noise(1 << 20, seed));
        site.deploy(&project, &["--wait"]);
        eventually("it answers", || (gateway.get("/word").text() == word).then_some(()));
    }
    // Old ones are named for ten seconds more, for requests that are under way.
    let disk = || node.admin.metrics().sum("node_package_disk_bytes", &[]);
    eventually("the disk is within its budget", || (disk() <= f64::from(3 << 20)).then_some(()));
    assert!(packages(&node).iter().any(|package| package["is_named"] == true));
    eventually("what was removed is gone", || {
        (shelf(&here).len() == packages(&node).len()).then_some(())
    });
    assert_eq!(gateway.get("/word").text(), "4");
}

#[test]
fn killed_half_way_it_begins_again_and_leaves_nothing() {
    let site = Site::start();
    let (here, edge) = (machine(), machine());
    let project = project("one");
    project.write("noise.bin", noise(4 << 20, 1));
    site.deploy(&project, &[]);
    let web = Web::over(&site.package());
    web.stall_after(2 << 20);
    let node = site.node(&here, &["--store", &web.url()]);
    let begun = || {
        let draft = shelf(&here).into_iter().find(|path| is_draft(path))?;
        fs::metadata(draft.join("files/noise.bin")).ok().filter(|file| file.len() > 1 << 20)
    };
    eventually("a part of it is unpacked", begun);
    node.kill();
    assert_eq!(shelf(&here).len(), 1, "what a crash leaves");

    web.stall_after(u64::MAX);
    let node = site.node_again(&here, &["--store", &web.url()]);
    wait_for(&node, "ready", 1);
    let gateway = site.serving(&edge, &[&node]);
    assert_eq!(gateway.get("/word").text(), "one");
    let names = shelf(&here);
    assert!(names.len() == 1 && !is_draft(&names[0]), "{names:?}");

    // It is on the disk: without the store it is still there.
    drop(web);
    drop(gateway);
    node.stop();
    let node = site.node(&here, &["--store", "http://127.0.0.1:1"]);
    let gateway = site.serving(&edge, &[&node]);
    assert_eq!(gateway.get("/word").text(), "one");
}
