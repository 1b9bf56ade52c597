//! The API as a document (OpenAPI 3.1), written from the table that requests are routed by.

use hatchway_proto::api::Problem;
use hatchway_wire::admin::Role;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::operation::{Answer, Kind, Operation, Parameter, Place};
use super::operations::OPERATIONS;

const ABOUT: &str = "What operators ask a gateway, and how they change the rules that all gateways follow. An object is \
    known by its revision, which is its ETag: whoever writes says which form was seen (If-Match), so that nobody \
    overwrites unknowingly what somebody else has done. Every change is recorded with who and why.";

/// `gateway/openapi.json` is its text.
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let mut paths = Map::new();
    for operation in OPERATIONS.iter() {
        let told = told(operation, &mut generator);
        let path = paths.entry(operation.path.clone()).or_insert_with(|| json!({}));
        path[operation.method.as_str().to_lowercase()] = told;
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Hatchway admin API", "version": "1", "description": ABOUT,
                  "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" } },
        "security": [{ "token": [] }, { "certificate": [] }, {}],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "As hatchway token new makes one." },
                "certificate": { "type": "mutualTLS", "description": "Of a name that was given a role." },
            },
        },
    })
}

fn told(operation: &Operation, generator: &mut SchemaGenerator) -> Value {
    let of_path = operation.path.split('/').filter_map(|segment| segment.strip_prefix('{'));
    let of_path = of_path.map(|name| {
        let name = name.trim_end_matches('}');
        json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 } })
    });
    let others = operation.parameters.iter().map(|one| parameter(one));
    let parameters: Vec<Value> = of_path.chain(others).collect();
    let (kind, mut answer) = match operation.answer {
        Answer::Json(of) | Answer::Object(of) => {
            ("application/json", json!({ "schema": of(generator) }))
        }
        Answer::Text => ("text/plain", json!({ "schema": { "type": "string" } })),
    };
    answer = json!({ "description": "Done", "content": { kind: answer } });
    if let Answer::Object(_) = operation.answer {
        answer["headers"] = json!({
            "ETag": { "description": "Its revision, in double quotes", "schema": { "type": "string" } },
        });
    }
    let problem = json!({ "schema": generator.subschema_for::<Problem>() });
    let mut told = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "description": format!("Takes the role {}.", Role::of(&operation.method)),
        "parameters": parameters,
        "responses": {
            "200": answer,
            "default": { "description": "Why not", "content": { "application/problem+json": problem } },
        },
    });
    if let Some(body) = operation.body {
        let schema = json!({ "schema": body(generator) });
        told["requestBody"] =
            json!({ "required": true, "content": { "application/json": schema } });
    }
    told
}

fn parameter(parameter: &Parameter) -> Value {
    let text = json!({ "type": "string" });
    let schema = match parameter.kind {
        Kind::Text => text,
        Kind::Texts => json!({ "type": "array", "items": text }),
        Kind::Number(from, to) => json!({ "type": "integer", "minimum": from, "maximum": to }),
        Kind::Tag => json!({ "type": "string", "pattern": "^(\\*|\"[0-9]+\")$" }),
    };
    json!({
        "name": parameter.name,
        "in": match parameter.place { Place::Query => "query", Place::Header => "header" },
        "required": parameter.is_required,
        "description": parameter.about,
        "schema": schema,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_file_is_current() {
        let published = include_str!("../../openapi.json");
        let now = serde_json::to_string_pretty(&document()).expect("a document is JSON") + "\n";
        assert!(
            published == now,
            "gateway/openapi.json is out of date: \
             `cargo run -p hatchway-cli -- schema --api > gateway/openapi.json`"
        );
    }

    #[test]
    fn every_operation_has_a_name_and_a_place_of_its_own() {
        for (index, one) in OPERATIONS.iter().enumerate() {
            for other in &OPERATIONS[..index] {
                assert_ne!(one.id, other.id);
                assert!(one.path != other.path || one.method != other.method, "{}", one.path);
            }
        }
    }
}
