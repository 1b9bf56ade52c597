//! The JSON schema of the manifest, for editors and for the documentation.

use schemars::Schema;
use schemars::generate::SchemaSettings;

use super::written::Document;

/// JSON schema (draft 2020-12) of `hatchway.toml`. It knows the fields and the form of their values; what
/// must agree with something else is known to [`super::parse`] alone. `hatchway.schema.json` beside this
/// crate's `Cargo.toml` is its text.
pub fn schema() -> Schema {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<Document>();
    schema.insert("title".to_owned(), super::FILE_NAME.into());
    schema
}

#[cfg(test)]
mod tests {
    use jsonschema::Validator;

    use super::*;
    use crate::manifest::read::{Field, Table};
    use crate::manifest::written::{FunctionTable, HttpTable, ProjectTable, TimeoutsTable};
    use crate::manifest::{parse, tests::EXAMPLE};

    fn validator() -> Validator {
        jsonschema::validator_for(schema().as_value()).expect("our own schema is a schema")
    }

    fn accepts(text: &str) -> bool {
        let document: toml::Value = toml::from_str(text).expect("the test's text is TOML");
        let document = serde_json::to_value(document).expect("TOML without dates is JSON");
        validator().is_valid(&document)
    }

    #[test]
    fn it_accepts_the_documented_example_and_refuses_what_is_no_manifest() {
        assert!(accepts(EXAMPLE));
        for (right, wrong) in [
            ("memory = ", "memry = "),
            ("128MiB", "128MB"),
            ("\"node\" ", "\"nodejs\" "),
            ("concurrency = 16", "concurrency = \"16\""),
            ("path = \"/hello\"", "path = \"hello\""),
            ("function.hello", "function.Hello"),
            ("first_byte", "firstbyte"),
            ("GREETING", "PORT"),
            ("http = { path = \"/hello\" }\n", ""),
        ] {
            let text = EXAMPLE.replacen(right, wrong, 1);
            assert_ne!(text, EXAMPLE);
            assert!(!accepts(&text), "{wrong}");
        }
    }

    /// A field's example must be right for the schema and for the reader: people copy it.
    #[test]
    fn every_example_in_a_message_is_accepted_by_schema_and_reader() {
        for Field { name, example } in FunctionTable::FIELDS {
            let runtime = match *name {
                "app" => "python",
                "command" => "command",
                _ => "node",
            };
            let mut text = format!("[function.a]\n{name} = {example}\n");
            for (other, line) in [
                ("runtime", format!("runtime = \"{runtime}\"\n")),
                ("http", "http = { path = \"/a\" }\n".to_owned()),
                ("main", "main = \"a.js\"\n".to_owned()),
                ("network", "network = \"egress-proxy\"\n".to_owned()),
            ] {
                // The one belongs to the other.
                if other == "network" && *name != "egress" {
                    continue;
                }
                let is_run = matches!(*name, "handler" | "app" | "command");
                if other != *name && !(other == "main" && is_run) {
                    text.push_str(&line);
                }
            }
            assert!(accepts(&text), "{text}");
            assert!(parse("f", &text).is_ok(), "{text}\n{:?}", parse("f", &text));
        }
        for (table, fields) in [
            ("http", HttpTable::FIELDS),
            ("timeouts", TimeoutsTable::FIELDS),
            ("project", ProjectTable::FIELDS),
        ] {
            for Field { name, example } in fields {
                let line = format!("{table} = {{ {name} = {example} }}\n");
                let function = "[function.a]\nruntime = \"node\"\n";
                let http = "http = { path = \"/a\" }\n";
                let text = match table {
                    "project" => format!("{line}{function}{http}"),
                    "http" => format!("{function}{line}"),
                    _ => format!("{function}{http}{line}"),
                };
                assert!(accepts(&text), "{text}");
            }
        }
    }

    #[test]
    fn the_published_file_is_current() {
        let published = include_str!("../../hatchway.schema.json");
        let now = serde_json::to_string_pretty(&schema()).expect("a schema is JSON") + "\n";
        assert!(
            published == now,
            "proto/hatchway.schema.json is out of date: \
             `cargo run -p hatchway-cli -- schema > proto/hatchway.schema.json`"
        );
    }
}
