//! Every trick that a tar is known for is refused by name, and leaves nothing outside.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use hatchway_package::{Limits, UnpackError};
use tar::EntryType;

use crate::kit::{Tar, World};

#[track_caller]
fn refused(tar: Tar, reason: &str) {
    let world = World::new();
    let error = world.unpack(&tar.bytes()).expect_err("it is refused");
    assert!(error.to_string().contains(reason), "{error}, not {reason}");
    world.assert_nothing_beside();
}

#[test]
fn paths_that_lead_out_are_refused() {
    refused(Tar::default().file("/tmp/x", ""), "absolute path");
    refused(Tar::default().file("../x", ""), "..");
    refused(Tar::default().file("a/../../x", ""), "..");
    refused(Tar::default().file("a/..", ""), "..");
    refused(Tar::default().member(EntryType::Directory, b"../d", b"", b""), "..");
    refused(
        Tar::default().member(EntryType::GNULongName, b"l", b"", b"../x\0").file("a", ""),
        "..",
    );
    refused(
        Tar::default().member(EntryType::GNULongName, b"l", b"", b"a\0b\0").file("a", ""),
        "NUL",
    );
    let pax = Tar::default().member(EntryType::XHeader, b"x", b"", b"13 path=../x\n");
    refused(pax.file("a", ""), "..");
}

#[test]
fn links_lead_nowhere_outside() {
    refused(Tar::default().link("a", "/etc/passwd"), "link out of the package");
    refused(Tar::default().link("a", "../secret"), "link out of the package");
    refused(Tar::default().link("d/a", "../../secret"), "link out of the package");
    refused(Tar::default().link("a", "b/../../secret"), "link out of the package");
    refused(Tar::default().link("a", ""), "link to no path");
    let long = Tar::default().member(EntryType::GNULongLink, b"l", b"", b"../secret\0");
    refused(long.link("a", "fine"), "link out of the package");
    refused(Tar::default().member(EntryType::Link, b"a", b"/etc/passwd", b""), "hard link");
    refused(Tar::default().file("a", "").member(EntryType::Link, b"b", b"a", b""), "hard link");
}

#[test]
fn nothing_is_written_through_a_link() {
    refused(Tar::default().link("d", ".").file("d/x", ""), "goes through a link");
    refused(Tar::default().file("f", "").link("l", "f").file("l", "again"), "is there twice");
    refused(Tar::default().file("f", "").file("f/x", ""), "no folder");
    let chain = Tar::default().link("a/b", "..").link("a/c", "b").file("a/c/x", "");
    refused(chain, "goes through a link");
}

#[test]
fn a_name_stands_for_one_thing() {
    refused(Tar::default().file("a", "1").file("a", "2"), "is there twice");
    refused(Tar::default().file("a", "1").file("./a", "2"), "is there twice");
    let folders = |tar: Tar| tar.member(EntryType::Directory, b"d/", b"", b"");
    refused(folders(folders(Tar::default())), "is there twice");
    refused(folders(Tar::default().link("d", "e")), "is there twice");
    refused(Tar::default().file("a/", ""), "name of a folder");
}

#[test]
fn only_files_folders_and_links_are_made() {
    for (kind, reason) in [
        (EntryType::Char, "device"),
        (EntryType::Block, "device"),
        (EntryType::Fifo, "named pipe"),
        (EntryType::GNUSparse, "sparse"),
        (EntryType::new(b'M'), "of a kind"),
    ] {
        refused(Tar::default().member(kind, b"a", b"", b""), reason);
    }
}

#[test]
fn of_a_mode_only_the_right_to_execute_is_kept() {
    let world = World::new();
    let tar = Tar::default()
        .claim(EntryType::Regular, b"setuid", 0, 0o6755)
        .claim(EntryType::Regular, b"secret", 0, 0o000)
        .claim(EntryType::Directory, b"open", 0, 0o1777);
    world.unpack(&tar.bytes()).expect("it is a package");
    for (name, mode) in [("setuid", 0o755), ("secret", 0o644), ("open", 0o755)] {
        let found = fs::metadata(world.folder.join(name)).expect("it was made").permissions();
        assert_eq!(found.mode() & 0o7777, mode, "{name}");
    }
}

#[test]
fn what_is_more_than_the_limits_is_not_written() {
    let limits = Limits { entries: 10, file_bytes: 1000, total_bytes: 1500, ..Limits::default() };
    let too_large = |tar: Tar, reason: &str| {
        let world = World::new();
        let error = world.unpack_within(&tar.bytes(), &limits).expect_err("it is too large");
        assert!(matches!(error, UnpackError::TooLarge { .. }), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    };
    too_large(Tar::default().claim(EntryType::Regular, b"a", 1 << 40, 0), "1000 bytes in one file");
    let x = "x".repeat(800);
    too_large(Tar::default().file("a", &x).file("b", &x), "1500 bytes in all files");
    let many = (0..11).fold(Tar::default(), |tar, number| tar.file(&number.to_string(), ""));
    too_large(many, "10 members");
    let comments =
        (0..11).fold(Tar::default(), |tar, _| tar.member(EntryType::XGlobalHeader, b"g", b"", b""));
    too_large(comments, "10 members");

    let deep = "d/".repeat(100) + "f";
    refused(
        Tar::default().member(EntryType::GNULongName, b"l", b"", deep.as_bytes()).file("a", ""),
        "folders",
    );
    refused(
        Tar::default().claim(EntryType::GNULongName, b"l", 1 << 30, 0),
        "a header of 1073741824 bytes",
    );
}

#[test]
fn next_to_nothing_does_not_become_gigabytes() {
    let world = World::new();
    let size = 300 << 20;
    let mut tar = Tar::default().claim(EntryType::Regular, b"zeros", size, 0).bytes();
    tar.resize(tar.len() + 300 * (1 << 20), 0);
    let error = world.unpack(&tar).expect_err("it is a bomb");
    assert!(error.to_string().contains("100 bytes for each packed one"), "{error}");
    let written = fs::metadata(world.folder.join("zeros")).expect("it was begun").len();
    assert!(written < 80 << 20, "{written}");
}
