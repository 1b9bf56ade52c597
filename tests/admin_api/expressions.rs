//! An expression decides where requests go, is refused with its field where it is none, and is shown by explain.

use serde_json::json;

use crate::kit::{NEW, Site, refuses, route};

#[test]
fn an_expression_leads_requests_and_a_hostile_one_is_refused() {
    let site = Site::start(&[]);
    site.add_function_of("a", "00000000000000aa");
    site.add_function_of("b", "00000000000000bb");
    let beta = r#"request.headers["x-user"] in ["ada", "eve"] && !request.path.endsWith("/plain")"#;
    let mut object = route("a");
    object["function"] = json!("local/b");
    object["when"] = json!({ "expression": beta });
    let answer = site.put("/v1/routes/beta?wait=20", &[NEW], &object);
    assert_eq!(answer.status, 200, "{}", answer.text());
    for (path, header, function) in [
        ("/a/x", "X-User:+ada", "local/b"),
        ("/a/plain", "X-User:+ada", "local/a"),
        ("/a/x", "X-User:+bob", "local/a"),
        ("/a/x", "X-Other:+ada", "local/a"),
    ] {
        let told = site.get(&format!("/v1/explain?url={path}&header={header}"));
        assert_eq!(told["function"], function, "{path} {header}: {told}");
        if function == "local/a" {
            let other = &told["others"][0];
            assert_eq!(
                (&other["what"], &other["why_not"]),
                (&json!("route beta"), &json!(format!("its expression is not true: {beta}")))
            );
        }
    }
    let nested = format!("{}true{}", "(".repeat(400), ")".repeat(400));
    for (expression, why) in [
        (r#"request.pathh == "a""#, "when.expression: column 9: there is no pathh here"),
        (
            r#"request.path.matches("(a+)+$")"#,
            "when.expression: column 14: \"matches\" is not asked here",
        ),
        (
            "request.headers.all(x, request.headers.all(y, x < y))",
            "when.expression: column 17: loops",
        ),
        (&nested, "parts inside each other"),
    ] {
        object["when"] = json!({ "expression": expression });
        refuses(&site.put("/v1/routes/hostile", &[NEW], &object), 422, why);
    }
}
