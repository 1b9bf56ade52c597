//! The document says what the API does: the one that is served is the one that is published, and a stranger who goes by it
//! is answered as it says.

use std::process::Command;

use hatchway_tests::{python_with_packages, skipped};
use serde_json::Value;

use crate::kit::Site;

#[test]
fn the_published_document_is_the_one_that_is_served() {
    let site = Site::start_and_announce(&[]);
    let published = include_str!("../../gateway/openapi.json");
    let published: Value = serde_json::from_str(published).expect("JSON");
    assert_eq!(site.get("/openapi.json"), published);
}

/// Some thousand requests that Schemathesis makes of the document: right ones, wrong ones, and chains of them.
#[test]
fn whoever_goes_by_the_document_is_answered_as_it_says() {
    let Some(python) = python_with_packages() else {
        return skipped("the document of the admin API", "schemathesis in a venv");
    };
    let site = Site::start_and_announce(&[]);
    site.add_function("hello");
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("http://{}/openapi.json", site.gateway.admin.address);
    let mut checker = Command::new(python.with_file_name("st"));
    checker.current_dir(folder.path()).args(["run", &url, "--max-examples", "8", "--no-shrink"]);
    checker.args(["--generation-deterministic", "--no-color"]);
    // A document knows the form of an object, and not that its functions and versions have to be there.
    checker.args(["--exclude-checks", "positive_data_acceptance"]);
    let output = checker.output().expect("the checker starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(site.get("/v1/status")["program"], "hatchway-gateway", "it goes on serving");
}
