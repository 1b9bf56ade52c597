//! What the README tells people to type, typed.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use hatchway_tests::{Etcd, Pair, Project, apply_to, eventually, program_path};

/// A command of the README, and what it says that it prints; nothing where it says nothing.
#[derive(Debug)]
struct Typed {
    command: String,
    printed: Vec<String>,
}

/// The commands below a heading: lines of its blocks that begin with a `$`.
fn typed(heading: &str) -> Vec<Typed> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(readme).expect("it stands beside the crates");
    let section = readme.split("\n## ").find(|section| section.starts_with(heading));
    let section = section.unwrap_or_else(|| panic!("the README has no section {heading:?}"));
    let mut typed: Vec<Typed> = Vec::new();
    // Of the parts between fences, every second one is a block.
    for block in section.split("```").skip(1).step_by(2) {
        for line in block.lines().skip(1) {
            match (line.strip_prefix("$ "), typed.last_mut()) {
                (Some(command), _) => {
                    typed.push(Typed { command: command.to_owned(), printed: Vec::new() });
                }
                (None, Some(last)) => last.printed.push(line.to_owned()),
                (None, None) => panic!("{line:?} comes before any command"),
            }
        }
    }
    assert!(!typed.is_empty(), "{heading} has commands");
    typed
}

/// What the README calls by some name, and how it is called here.
#[derive(Default)]
struct Names(Vec<(String, String)>);

impl Names {
    fn called(mut self, there: &str, here: impl Into<String>) -> Self {
        self.0.push((there.to_owned(), here.into()));
        self
    }

    fn in_place(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (there, here)| text.replace(there, here))
    }

    /// Compares a table of versions with the one in the README, whose ids are others: a version is known from now on.
    fn learn(&mut self, expected: &[String], printed: &str) {
        let rows = |lines: &[&str]| -> Vec<Vec<String>> {
            let words = |line: &&str| line.split_whitespace().map(str::to_owned).collect();
            lines.iter().map(words).collect()
        };
        let expected = rows(&expected.iter().map(String::as_str).collect::<Vec<_>>());
        let printed = rows(&printed.lines().collect::<Vec<_>>());
        let told = |row: &Vec<String>| {
            let package = row.last().map(|path| path.rsplit('/').next().unwrap_or(path).to_owned());
            (row[1..row.len() - 1].to_vec(), package)
        };
        let told = |rows: &[Vec<String>]| rows.iter().map(told).collect::<Vec<_>>();
        assert_eq!(told(&expected), told(&printed));
        for (there, here) in expected.iter().zip(&printed).skip(1) {
            // People type the first digits.
            self.0.push((there[0][..4].to_owned(), here[0].clone()));
        }
    }
}

/// `greet`, as `hatchway new` makes it, and `greet-next`, which is another build of it.
fn projects(folder: &Path) {
    let hatchway = program_path("hatchway");
    let script = format!(
        "{} new greet --template node && cp -r greet greet-next && \
         find greet-next -name '*.mjs' -exec sh -c 'echo // The next version. >> $0' {{}} \\;",
        hatchway.display()
    );
    let made = Command::new("sh").args(["-ec", &script]).current_dir(folder).output();
    let made = made.expect("a shell");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// The files and folders that a page links to, from where it stands.
fn linked(page: &str) -> impl Iterator<Item = &str> {
    let targets = page.split("](").skip(1).filter_map(|after| after.split([')', '#']).next());
    targets.filter(|target| !target.is_empty() && !target.contains("://"))
}

#[test]
fn what_pages_link_to_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for page in
        ["README.md", "bench/README.md", "deploy/kubernetes/README.md", "proto/fuzz/README.md"]
    {
        let text = fs::read_to_string(root.join(page)).expect("it stands beside the crates");
        let folder = root.join(page).parent().expect("a page is in a folder").to_owned();
        let missing: Vec<&str> = linked(&text).filter(|link| !folder.join(link).exists()).collect();
        assert!(missing.is_empty(), "{page} links to what is not there: {missing:?}");
    }
}

#[test]
fn a_canary_is_pushed_as_the_readme_says() {
    let folder = tempfile::Builder::new().prefix("hw-readme").tempdir().expect("a folder");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("own folder");
    projects(folder.path());
    let project = Project::over(&folder.path().join("greet"));
    let (pair, etcd) = (Pair::start(&project), Etcd::start());
    apply_to(&project, &["--etcd".to_owned(), etcd.url()]);
    let mut names = Names::default()
        .called("/etc/hatchway/catalog.json", project.catalog().display().to_string())
        .called("http://127.0.0.1:2379", etcd.url());
    let programs = program_path("hatchway");
    let programs = programs.parent().expect("a program stands in a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    for Typed { command, printed } in typed("Push a canary") {
        let line = names.in_place(&command);
        let output = Command::new("sh")
            .args(["-ec", &line])
            .current_dir(folder.path())
            .env("PATH", format!("{}:{path}", programs.display()))
            .env("HATCHWAY_ADMIN", format!("http://{}", pair.gateway.admin.address))
            .output()
            .expect("a shell");
        let told = String::from_utf8_lossy(&output.stdout);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {told}{error}");
        if printed.first().is_some_and(|line| line.starts_with("VERSION")) {
            names.learn(&printed, &told);
        }
    }
    let canary = &names.0.last().expect("the README shows its versions").1;
    eventually("the canary serves everybody", || {
        let stable = &pair.gateway.admin.status()["functions"][0]["version"];
        (stable == canary.as_str()).then_some(())
    });
    assert_eq!(pair.gateway.get("/greet").status, 200);
}
