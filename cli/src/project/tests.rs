//! Whole projects on disk.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use tempfile::TempDir;

use super::*;

const NODE: &str =
    "[function.a]\nruntime = \"node\"\nhandler = \"a.mjs#a\"\nhttp = { path = \"/a\" }\n";
const COMMAND: &str =
    "[function.a]\nruntime = \"command\"\ncommand = [\"./run\"]\nhttp = { path = \"/a\" }\n";

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().expect("a temporary folder can be made");
    for (path, text) in files {
        write(folder.path(), path, text);
    }
    folder
}

fn write(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn loaded(folder: &TempDir) -> Project {
    load(&[folder.path().to_path_buf()]).unwrap_or_else(|found| panic!("{found:#?}"))
}

fn mistakes(folder: &TempDir) -> Vec<String> {
    let found = load(&[folder.path().to_path_buf()]).map(|_| ()).unwrap_err();
    found
        .iter()
        .map(|one| format!("{} ({})", one.message, one.help.as_deref().unwrap_or("")))
        .collect()
}

fn version(folder: &TempDir) -> VersionId {
    loaded(folder).functions[0].version
}

#[test]
fn a_folder_is_a_project_or_holds_some() {
    let manifest = |name: &str| NODE.replace("function.a", &format!("function.{name}"));
    let two = folder(&[
        ("one/hatchway.toml", &manifest("one")),
        ("one/a.mjs", "export function a() {}"),
        ("two/hatchway.toml", &manifest("two").replace("/a\"", "/two\"")),
        ("two/a.mjs", "export function a() {}"),
        ("three/readme", ""),
    ]);
    let project = loaded(&two);
    let names: Vec<&str> = project.functions.iter().map(|function| function.name.name()).collect();
    assert_eq!(names, ["one", "two"]);
    assert_eq!(project.objects.versions.len(), 2);
    assert_eq!(project.functions[0].folder, two.path().join("one").canonicalize().unwrap());
    let again = load(&[two.path().join("one"), two.path().to_path_buf()]).unwrap();
    assert_eq!(again.functions.len(), 2);
    assert!(mistakes(&folder(&[]))[0].contains("no hatchway.toml"));
}

#[test]
fn mistakes_in_text_and_files_of_several_projects_come_at_once() {
    let all = folder(&[
        ("one/hatchway.toml", &NODE.replace("a.mjs#a", "a.mjs#b")),
        ("one/a.mjs", "export function a() {}"),
        ("two/hatchway.toml", &format!("{NODE}memory = \"1MB\"\n")),
        ("three/hatchway.toml", "x = "),
        ("four/hatchway.toml", "\u{0}\u{7f}"),
    ]);
    let found = mistakes(&all).join("\n");
    for expected in [
        "a.mjs has no \"b\" (did you mean \"a.mjs#a\"?)",
        "`/a` leads to `a` already",
        "has a function `a` already",
        "is not a size",
        "there is no file \"a.mjs\"",
    ] {
        assert!(found.contains(expected), "{expected} in\n{found}");
    }
}

#[test]
fn a_missing_file_is_reported_with_the_one_that_was_meant() {
    let cases = [
        (NODE.to_owned(), "a.js", "there is no file \"a.mjs\" (did you mean \"a.js\"?)"),
        (NODE.replace("a.mjs", "src/hello.mjs"), "src/helo.mjs", "\"src/helo.mjs\""),
        (COMMAND.to_owned(), "run.sh", "no program \"./run\" (did you mean \"run.sh\"?)"),
        (COMMAND.to_owned(), "run", "is not executable (`chmod +x "),
        (COMMAND.replace("./run", "run"), "run", "(write \"./run\")"),
        (COMMAND.replace("./run", "target/release/x"), "Cargo.toml", "`cargo build --release`"),
        (
            format!("{COMMAND}package = \"shp\""),
            "shop/run",
            "no folder \"shp\" (did you mean \"shop\"?)",
        ),
        (
            format!("{COMMAND}assets = \"pub\""),
            "public/x",
            "no folder \"pub\" (did you mean \"public\"?)",
        ),
        (
            NODE.replace("node", "python").replace("handler = \"a.mjs#a\"", "app = \"man:app\""),
            "main.py",
            "no Python module `man`: \"man.py\" is missing (did you mean \"main:app\"?)",
        ),
    ];
    for (manifest, file, expected) in cases {
        let found = mistakes(&folder(&[("hatchway.toml", &manifest), (file, "")])).join("\n");
        assert!(found.contains(expected), "{expected} in\n{found}");
    }
}

#[test]
fn nothing_of_a_package_leads_out_of_it() {
    let manifest = format!("{NODE}assets = \"public\"\n");
    let package = folder(&[("hatchway.toml", &manifest), ("public/x", ""), ("secret", "")]);
    symlink("/etc/hostname", package.path().join("a.mjs")).unwrap();
    symlink("x", package.path().join("public/fine")).unwrap();
    symlink("../secret", package.path().join("public/leak")).unwrap();
    let found = mistakes(&package);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("\"a.mjs\" is a link out of the package"), "{found:?}");
    assert!(found[1].starts_with("\"public/leak\" is a link out of \"public\""), "{found:?}");
}

#[test]
fn a_version_follows_names_modes_contents_and_links() {
    let package = folder(&[("hatchway.toml", COMMAND), ("run", "1"), ("lib/b", "")]);
    let path = |name: &str| package.path().join(name);
    let mode = |mode| fs::set_permissions(path("run"), PermissionsExt::from_mode(mode)).unwrap();
    mode(0o755);
    let mut seen = vec![version(&package)];
    assert_eq!(version(&package), seen[0], "nothing has changed");
    let mut changed = |what: &str| {
        let now = version(&package);
        assert!(!seen.contains(&now), "{what}");
        seen.push(now);
    };
    fs::write(path("run"), "2").unwrap();
    changed("content");
    mode(0o700);
    changed("mode");
    fs::rename(path("lib/b"), path("lib/c")).unwrap();
    changed("name");
    symlink("c", path("lib/link")).unwrap();
    changed("link");
    fs::remove_file(path("lib/link")).unwrap();
    symlink("d", path("lib/link")).unwrap();
    changed("target of a link");
}

#[test]
fn what_tools_make_counts_by_its_stamp_or_not_at_all() {
    let manifest = COMMAND.replace("./run", "./target/release/run");
    let package = folder(&[("hatchway.toml", &manifest), ("Cargo.toml", "")]);
    let program = "target/release/run";
    write(package.path(), program, "1");
    fs::set_permissions(package.path().join(program), PermissionsExt::from_mode(0o755)).unwrap();
    let first = version(&package);
    for outside in [
        ".git/index",
        ".hatchway/x",
        "__pycache__/b.pyc",
        "target/release/deps/x",
        ".run.swp",
        "4913",
        "run~",
        ".#run",
        "#run#",
    ] {
        write(package.path(), outside, "");
        assert_eq!(version(&package), first, "{outside}");
    }
    let modified = fs::metadata(package.path().join(program)).unwrap().modified().unwrap();
    write(package.path(), program, "2");
    let file = fs::File::options().write(true).open(package.path().join(program)).unwrap();
    file.set_modified(modified).unwrap();
    let second = version(&package);
    assert_ne!(second, first, "the program itself counts with its content");
    write(package.path(), "node_modules/x/index.js", "longer");
    let third = version(&package);
    assert_ne!(third, second);
    write(package.path(), "node_modules/x/index.js", "longer still");
    assert_ne!(version(&package), third);
}

#[test]
fn a_folder_named_target_that_is_not_cargos_counts_like_any_other() {
    let package = folder(&[("hatchway.toml", COMMAND), ("run", ""), ("target/a/b/c", "1")]);
    fs::set_permissions(package.path().join("run"), PermissionsExt::from_mode(0o755)).unwrap();
    let first = version(&package);
    write(package.path(), "target/a/b/c", "2");
    assert_ne!(version(&package), first);
}

#[test]
fn functions_of_one_package_share_its_digest() {
    let more = NODE.replace("function.a", "function.b").replace("/a\"", "/b\"");
    let package = folder(&[("hatchway.toml", &format!("{NODE}{more}")), ("a.mjs", "export let a")]);
    let project = loaded(&package);
    let digests: Vec<&str> =
        project.objects.versions.values().map(|version| version.package.digest.as_str()).collect();
    assert_eq!(digests.len(), 2);
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn what_is_declared_and_not_installed_is_noted() {
    let package = folder(&[
        ("hatchway.toml", NODE),
        ("a.mjs", "export let a"),
        ("package.json", "{\"dependencies\": {\"express\": \"5\"}}"),
    ]);
    assert!(loaded(&package).notes[0].contains("npm install"));
    write(package.path(), "node_modules/express/x", "");
    assert!(loaded(&package).notes.is_empty());
}
