//! By TLS, a certificate says who somebody is, and its name what they may.

use std::process::Output;

use hatchway_tests::{Authority, GatewayProgram, Project, eventually};

use crate::kit::{hatchway, token};

struct Door {
    authority: Authority,
    gateway: GatewayProgram,
    _project: Project,
}

impl Door {
    /// Whose certificates of operators and viewers are looked at, beside tokens in `more`.
    fn open(more: &[String]) -> Self {
        let (authority, project) = (Authority::new(), Project::new(""));
        authority.issue("door", "localhost");
        for (file, name) in
            [("ops", "ann.ops.test"), ("uri-view", "spiffe://test/viewer"), ("other", "other.test")]
        {
            authority.issue(file, name);
        }
        let rules = r#"{"functions": {}, "versions": {}, "routes": {}, "releases": {}}"#;
        project.write("rules.json", rules);
        let rules = project.folder().join("rules.json").display().to_string();
        let path = |name: &str| authority.file().with_file_name(name).display().to_string();
        let words = [
            ["--catalog", &rules, "--admin-tls-cert", &path("door.pem")]
                .map(str::to_owned)
                .to_vec(),
            ["--admin-tls-key", &path("door.key")].map(str::to_owned).to_vec(),
            ["--admin-tls-ca", &path("ca.pem"), "--admin-allow", "*.ops.test=operate"]
                .map(str::to_owned)
                .to_vec(),
            ["--admin-allow", "spiffe://test/viewer=read"].map(str::to_owned).to_vec(),
            more.to_vec(),
        ];
        let gateway = GatewayProgram::start_with(&project, &words.concat());
        Self { authority, gateway, _project: project }
    }

    /// A command, by somebody with this certificate, or none.
    fn run(&self, words: &[&str], shown: Option<&str>, token: Option<&str>) -> Output {
        let path = |name: String| self.authority.file().with_file_name(name).display().to_string();
        let url = format!("https://localhost:{}", self.gateway.admin.address.port());
        let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        words.extend([
            "--gateway".to_owned(),
            url,
            "--admin-ca".to_owned(),
            path("ca.pem".to_owned()),
        ]);
        if let Some(file) = shown {
            let (pem, key) = (path(format!("{file}.pem")), path(format!("{file}.key")));
            words.extend(["--admin-cert".to_owned(), pem, "--admin-key".to_owned(), key]);
        }
        hatchway(&words.iter().map(String::as_str).collect::<Vec<_>>(), token)
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_name_in_a_certificate_has_a_role() {
    let door = Door::open(&[]);
    for shown in ["ops", "uri-view"] {
        let status = door.run(&["status"], Some(shown), None);
        assert!(status.status.success(), "{shown}: {}", stderr(&status));
    }
    let back = ["rollback", "0", "-m", "nothing to undo"];
    let undone = door.run(&back, Some("ops"), None);
    assert!(undone.status.success(), "{}", stderr(&undone));
    let refused = stderr(&door.run(&back, Some("uri-view"), None));
    assert!(refused.contains("spiffe://test/viewer has the role read"), "{refused}");
    let refused = stderr(&door.run(&["status"], Some("other"), None));
    assert!(refused.contains("none of the names that have a role"), "{refused}");
    let refused = stderr(&door.run(&["status"], None, None));
    assert!(refused.contains("say who you are"), "{refused}");

    // Of another authority: the handshake fails, whatever the name.
    let stranger = Authority::new();
    stranger.issue("ops", "ann.ops.test");
    for kind in ["pem", "key"] {
        let from = stranger.file().with_file_name(format!("ops.{kind}"));
        std::fs::copy(from, door.authority.file().with_file_name(format!("forged.{kind}")))
            .expect("own folder");
    }
    let forged = door.run(&["status"], Some("forged"), None);
    assert_eq!(forged.status.code(), Some(69), "{}", stderr(&forged));
}

#[test]
fn a_token_will_do_too_and_a_new_certificate_is_shown_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tokens");
    let ci = token(&file, "ci", "operate");
    let door = Door::open(&["--admin-tokens".to_owned(), file.display().to_string()]);
    let status = door.run(&["status"], None, Some(&ci));
    assert!(status.status.success(), "{}", stderr(&status));
    // For a name that is not ours any more: whoever connects is told by TLS.
    door.authority.issue("door", "elsewhere.test");
    eventually("the new certificate is shown", || {
        let status = door.run(&["status"], None, Some(&ci));
        (status.status.code() == Some(69)).then_some(())
    });
}
