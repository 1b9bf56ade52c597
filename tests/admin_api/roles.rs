//! Who may do what: by tokens, and by where they come from.

use std::fs;
use std::process::Output;

use hatchway_tests::{Project, eventually, program_path};
use serde_json::{Value, json};

use crate::kit::{NEW, Site, hatchway, refuses, route, token};

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn who_reads_does_not_write_and_who_writes_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tokens");
    let (reads, operates) = (token(&file, "grafana", "read"), token(&file, "ci", "operate"));
    let site = Site::start(&["--admin-tokens", &file.display().to_string()]);
    let with = |token: &str| format!("Bearer {token}");
    let ask = |token: &str, method: &str, path: &str, body: &Value| {
        site.ask(method, path, &[("authorization", &with(token)), NEW], body)
    };
    assert_eq!(site.ask("GET", "/healthz", &[], &Value::Null).status, 200);
    for path in ["/metrics", "/v1/status", "/v1/rules", "/openapi.json"] {
        let anonymous = site.ask("GET", path, &[], &Value::Null);
        refuses(&anonymous, 401, "say who you are");
        assert_eq!(anonymous.headers["www-authenticate"], "Bearer");
        assert_eq!(ask(&reads, "GET", path, &Value::Null).status, 200);
    }
    let function = json!({});
    let path = "/v1/functions/local/hello";
    refuses(
        &ask(&reads, "PUT", path, &function),
        403,
        "grafana has the role read, and this takes the role operate",
    );
    refuses(&ask("hatchway_wrong", "PUT", path, &function), 401, "not known");
    let written = ask(&operates, "PUT", &format!("{path}?who=somebody+else&why=new"), &function);
    assert_eq!(written.status, 200, "{}", written.text());

    // The commands say the same, and are named by their token too.
    let url = format!("http://{}", site.gateway.admin.address);
    let history = hatchway(&["history", "--gateway", &url, "--json"], Some(&reads));
    assert!(history.status.success(), "{}", stderr(&history));
    let told: Value = serde_json::from_slice(&history.stdout).expect("JSON");
    assert_eq!((&told[0]["who"], &told[0]["why"]), (&"ci".into(), &"new".into()), "{told}");
    let back = ["rollback", "0", "--gateway", &url];
    assert!(stderr(&hatchway(&back, Some(&reads))).contains("grafana has the role read"));
    assert!(stderr(&hatchway(&["status", "--gateway", &url], None)).contains("say who you are"));

    // A token whose line has gone is worth nothing from then on.
    let lines = fs::read_to_string(&file).expect("it is there");
    assert!(!lines.contains(&operates), "the file has no token");
    let left: String = lines
        .lines()
        .filter(|line| !line.starts_with("ci "))
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(&file, left).expect("own folder");
    eventually("the token of ci is known no more", || {
        (ask(&operates, "GET", "/v1/status", &Value::Null).status == 401).then_some(())
    });
    assert_eq!(ask(&reads, "GET", "/v1/status", &Value::Null).status, 200);
    let said = site.gateway.output().to_string();
    assert!(!said.contains(&operates) && !said.contains(&reads), "no token in the log");
}

#[test]
fn a_browser_cannot_be_made_to_write() {
    let site = Site::start(&[]);
    let page = ("origin", "https://evil.example");
    refuses(&site.put("/v1/routes/a", &[page, NEW], &route("a")), 403, "may not change anything");
    let rebound = [("host", "evil.example")];
    refuses(&site.ask("GET", "/v1/rules", &rebound, &Value::Null), 421, "no name of this machine");
    let simple = site.ask("POST", "/v1/rollback", &[], &Value::Null);
    refuses(&simple, 415, "Content-Type: application/json");
}

#[test]
fn a_door_that_strangers_reach_does_not_open_by_itself() {
    let project = Project::new("");
    let file = project.folder().join("catalog.json");
    fs::write(&file, r#"{"functions": {}, "versions": {}, "routes": {}, "releases": {}}"#)
        .expect("own folder");
    let file = file.display().to_string();
    let tokens = project.folder().join("tokens");
    token(&tokens, "ci", "operate");
    let tokens = tokens.display().to_string();
    for (more, why) in [
        (&["--admin", "0.0.0.0:0"][..], "hatchway token new NAME --role operate"),
        (
            &["--admin", "0.0.0.0:0", "--admin-tokens", &tokens],
            "tokens would go there in plain text",
        ),
    ] {
        let output = std::process::Command::new(program_path("hatchway-gateway"))
            .args(["--catalog", &file, "--node", "unix:/nowhere/socket", "--listen", "127.0.0.1:0"])
            .args(more)
            .output()
            .expect("the program starts");
        assert_eq!(output.status.code(), Some(78), "{}", stderr(&output));
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
    }
}
