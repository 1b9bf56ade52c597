//! The JSON schema of the manifest, for editors and for the documentation.

use schemars::Schema;
use schemars::generate::SchemaSettings;

use super::written::Document;

/// JSON schema (draft 2020-12) of `hatchway.toml`. It knows the fields and the form of their values; what
/// must agree with something else is known to [`super::parse`] alone.
pub fn schema() -> Schema {
    let mut schema =
        SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Document>();
    schema.insert("title".to_owned(), super::FILE_NAME.into());
    schema
}
