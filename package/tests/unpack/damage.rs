//! Packages that are not what their name says, and disks that do not take them.

use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::Command;

use hatchway_package::{Limits, UnpackError, unpack};
use tempfile::tempdir;

use crate::kit::{World, project};

/// Set for a copy of this program that runs one test on a disk of its own.
const SMALL_DISK: &str = "HATCHWAY_TEST_SMALL_DISK";

#[test]
fn cut_short_at_any_place_it_is_damaged() {
    let source = tempdir().expect("a folder can be made");
    let (bytes, told) = project(source.path());
    let step = bytes.len() / 50;
    for length in (0..bytes.len()).step_by(step).chain([bytes.len() - 1]) {
        let world = World::new();
        let error = unpack(&bytes[..length], &told.digest, &world.folder, &Limits::default());
        assert!(matches!(error, Err(UnpackError::Damaged { .. })), "at {length}: {error:?}");
    }
}

#[test]
fn with_any_bit_turned_it_is_damaged() {
    let source = tempdir().expect("a folder can be made");
    let (bytes, told) = project(source.path());
    let ends = (0..64).chain(bytes.len() - 64..bytes.len());
    let between = (64..bytes.len() - 64).step_by(bytes.len() / 100);
    for at in ends.chain(between) {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        let world = World::new();
        let error = unpack(&bytes[..], &told.digest, &world.folder, &Limits::default());
        assert!(matches!(error, Err(UnpackError::Damaged { .. })), "at {at}: {error:?}");
        world.assert_nothing_beside();
    }
}

#[test]
fn another_package_is_not_taken_for_it() {
    let source = tempdir().expect("a folder can be made");
    let (bytes, told) = project(source.path());
    let world = World::new();
    let more = [&bytes[..], &bytes[..]].concat();
    for other in [&more[..], b"", b"no tar at all"] {
        let error = unpack(other, &told.digest, &world.folder, &Limits::default());
        assert!(matches!(error, Err(UnpackError::Damaged { .. })), "{error:?}");
    }
}

/// Gives a little, and fails then.
struct Broken<'a>(&'a [u8]);

impl Read for Broken<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::ErrorKind::ConnectionReset.into()),
            read => Ok(read),
        }
    }
}

#[test]
fn a_source_that_fails_is_told_from_a_package_that_is_damaged() {
    let source = tempdir().expect("a folder can be made");
    let (bytes, told) = project(source.path());
    for length in [0, 1000, bytes.len()] {
        let world = World::new();
        let broken = Broken(&bytes[..length]);
        let error = unpack(broken, &told.digest, &world.folder, &Limits::default());
        assert!(matches!(error, Err(UnpackError::Source(_))), "after {length}: {error:?}");
    }
}

#[test]
fn more_bytes_than_a_package_may_have_are_not_read() {
    let source = tempdir().expect("a folder can be made");
    let (bytes, told) = project(source.path());
    let limits = Limits { packed_bytes: 1000, ..Limits::default() };
    let world = World::new();
    let error = unpack(&bytes[..], &told.digest, &world.folder, &limits);
    assert!(matches!(error, Err(UnpackError::TooLarge { what: "bytes", .. })), "{error:?}");
}

#[test]
fn a_full_disk_is_the_disks_fault() {
    if let Some(disk) = std::env::var_os(SMALL_DISK) {
        return on_small_disk(PathBuf::from(disk));
    }
    let disk = tempdir().expect("a folder can be made");
    let mount = "mount -t tmpfs -o size=64k hatchway-test \"$0\" && exec \"$@\"";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", mount])
        .arg(disk.path())
        .arg(std::env::current_exe().expect("it runs"))
        .args(["--exact", "damage::a_full_disk_is_the_disks_fault"])
        .env(SMALL_DISK, disk.path())
        .output()
        .expect("unshare starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

fn on_small_disk(disk: PathBuf) {
    let source = tempdir().expect("a folder can be made");
    let (bytes, told) = project(source.path());
    let folder = disk.join("folder");
    fs::create_dir(&folder).expect("it is empty still");
    let error = unpack(&bytes[..], &told.digest, &folder, &Limits::default());
    let Err(UnpackError::Disk(error)) = error else { panic!("{error:?}") };
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}
