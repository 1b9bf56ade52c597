//! The trial by which a daemon finds out whether its Node can be forked.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use hatchway_sandbox::runtime::{Adapters, Interpreter, Unforkable, install_adapters};

use crate::runtime_support::interpreters;

fn adapters(dir: &Path) -> Adapters {
    install_adapters(&dir.join("adapters")).unwrap()
}

/// A Node whose adapters are not what they should be.
fn verdict_with(file: &str, from: &str, to: &str) -> Unforkable {
    let dir = tempfile::tempdir().unwrap();
    let adapters = adapters(dir.path());
    let path = adapters.dir.join("node/zygote").join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} has changed: {from}");
    fs::write(&path, text.replace(from, to)).unwrap();
    interpreters().node.unwrap().try_fork(&adapters).unwrap_err()
}

#[test]
fn a_supported_node_can_be_forked() {
    let dir = tempfile::tempdir().unwrap();
    interpreters().node.unwrap().try_fork(&adapters(dir.path())).unwrap();
}

#[test]
fn children_that_are_not_seeded_anew_are_noticed() {
    let verdict = verdict_with("fork.cjs", "  random.reseed();\n", "");
    assert!(matches!(verdict, Unforkable::Alike { .. }), "{verdict}");
    let verdict = verdict_with("random.cjs", "i < CACHED_UUIDS", "i < 1");
    assert!(matches!(&verdict, Unforkable::Alike { what } if what == "uuid"), "{verdict}");
    let verdict = verdict_with("random.cjs", "while (left >= DRAW_BYTES)", "while (false)");
    assert!(matches!(&verdict, Unforkable::Alike { what } if what == "int"), "{verdict}");
}

#[test]
fn a_zygote_that_cannot_load_its_addon_says_so() {
    let verdict = verdict_with("fork.cjs", "addon.node", "nothing.node");
    let Unforkable::NotReady { word } = verdict else { panic!("{verdict}") };
    assert!(word.contains(r#""what":"runtime""#), "{word}");
}

#[test]
fn a_node_that_counts_on_threads_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let adapters = adapters(dir.path());
    let node = interpreters().node.unwrap();
    // One that does not know the flag.
    let wrapper = dir.path().join("node");
    let script = "#!/bin/bash\nexec NODE \"${@/--single-threaded/--no-memory-reducer}\"\n";
    fs::write(&wrapper, script.replace("NODE", &node.path)).unwrap();
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    let path = wrapper.display().to_string();
    let verdict = Interpreter { path, ..node }.try_fork(&adapters).unwrap_err();
    assert!(matches!(verdict, Unforkable::Unable { .. } | Unforkable::Late { .. }), "{verdict}");
}

#[test]
fn a_version_that_nobody_has_tested_is_not_tried() {
    let dir = tempfile::tempdir().unwrap();
    let node = Interpreter { version: (19, 9, 0), ..interpreters().node.unwrap() };
    let verdict = node.try_fork(&adapters(dir.path())).unwrap_err();
    assert_eq!(verdict.to_string(), "only versions [20, 22, 24, 26] have been tested with");
}
