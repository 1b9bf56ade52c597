//! What is packed comes back, and is the same wherever it is packed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use hatchway_package::{Limits, pack, unpack};

use crate::kit::{World, by_tar_crate, project};

#[test]
fn a_folder_comes_back_as_it_was() {
    let source = tempfile::tempdir().expect("a folder can be made");
    let (bytes, told) = project(source.path());
    let program = source.path().join("server.js");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).expect("own file");
    let world = World::new();
    let unpacked =
        unpack(&bytes[..], &told.digest, &world.folder, &Limits::default()).expect("whole");
    assert_eq!((unpacked.total_bytes, unpacked.entries), (told.total_bytes, told.entries));
    let same = Command::new("diff").arg("-r").arg(source.path()).arg(&world.folder).output();
    let same = same.expect("diff starts");
    assert!(same.status.success(), "{}", String::from_utf8_lossy(&same.stdout));
    let link = fs::read_link(world.folder.join("node_modules/.bin/serve")).expect("it is a link");
    assert_eq!(link.to_str(), Some("../../server.js"));
}

#[test]
fn the_same_files_are_the_same_package_whoever_packs_them() {
    let (one, other) =
        (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let (first, told) = project(one.path());
    let (second, again) = project(other.path());
    assert_eq!(told, again);
    assert!(first == second, "byte by byte");
    let names = ["server.js".into()];
    let alone = pack(one.path(), names.to_vec(), std::io::sink()).expect("it can be packed");
    fs::write(other.path().join("server.js"), "serve(2)").expect("own file");
    let changed = pack(other.path(), names.to_vec(), std::io::sink()).expect("it can be packed");
    assert_ne!(alone.digest, changed.digest);
}

#[test]
fn links_that_lead_out_are_left_out_and_named() {
    let source = tempfile::tempdir().expect("a folder can be made");
    std::os::unix::fs::symlink("/usr/bin/python3", source.path().join("python3"))
        .expect("own folder");
    let told = pack(source.path(), vec!["python3".into()], std::io::sink());
    let told = told.expect("it can be packed");
    assert_eq!((told.entries, told.left_out), (0, vec!["python3".into()]));
}

#[test]
fn what_other_programs_pack_is_understood() {
    let source = tempfile::tempdir().expect("a folder can be made");
    project(source.path());
    let world = World::new();
    world.unpack(&by_tar_crate(source.path())).expect("with long names by GNU");
    for format in ["gnu", "pax", "ustar"] {
        let output = Command::new("tar")
            .args(["--create", "--file", "-", "--format", format, "--directory"])
            .arg(source.path())
            .arg(".")
            .output()
            .expect("tar starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let world = World::new();
        world.unpack(&output.stdout).unwrap_or_else(|error| panic!("{format}: {error}"));
        let same = Command::new("diff").arg("-r").arg(source.path()).arg(&world.folder).status();
        assert!(same.expect("diff starts").success(), "{format}");
    }
}
