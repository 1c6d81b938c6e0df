//! What parameters of the same name have in common in all operations: their bounds, and the schemas of path parameters.
//!
//! The bounds of body fields are at the fields. The tests beside this file fail if a parameter or a field of a known
//! name has no bounds.

use tidegate_kernel::PageSize;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::schema::{ArrayItems, Components, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr};

use crate::http::support::path;
use crate::http::support::query::{LONGEST_VALUE, MOST_VALUES};

/// The longest cursor that the server makes; a longer one is invalid.
const LONGEST_CURSOR: usize = 1024;

/// Bounds the parameters of an operation.
pub(super) fn bound(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        let RefOr::T(parameter) = parameter else { continue };
        match parameter.parameter_in {
            ParameterIn::Query => bound_query(parameter),
            ParameterIn::Path | ParameterIn::Header | ParameterIn::Cookie | ParameterIn::QueryString => {}
        }
    }
}

/// Adds the parameters that `path` has to an operation, before its own, and the schemas of their ids to the components.
pub(super) fn add_path_parameters(path: &str, operation: &mut Operation, components: &mut Components) {
    let mut parameters: Vec<RefOr<Parameter>> =
        names(path).filter_map(|name| path::parameter(name, components)).map(Into::into).collect();
    if !parameters.is_empty() {
        let own = operation.parameters.get_or_insert_default();
        parameters.append(own);
        *own = parameters;
    }
}

/// The names in a path, such as `ws` in `/workspaces/{ws}`, in their order.
pub(super) fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('{').filter_map(|rest| rest.split_once('}')).map(|(name, _)| name)
}

fn bound_query(parameter: &mut Parameter) {
    match parameter.name.as_str() {
        "limit" => {
            let limit = ObjectBuilder::new()
                .schema_type(Type::Integer)
                .minimum(Some(1))
                .maximum(Some(PageSize::MAX))
                .default(Some(PageSize::default().get().into()));
            parameter.schema = Some(limit.build().into());
        }
        "cursor" => {
            let cursor = ObjectBuilder::new()
                .schema_type(Type::String)
                .min_length(Some(1))
                .max_length(Some(LONGEST_CURSOR))
                .pattern(Some("^[A-Za-z0-9_-]+$"));
            parameter.schema = Some(cursor.build().into());
        }
        _ => match &mut parameter.schema {
            Some(RefOr::T(Schema::Array(array))) => {
                array.max_items = Some(MOST_VALUES);
                if let ArrayItems::RefOrSchema(items) = &mut array.items
                    && let RefOr::T(Schema::Object(object)) = items.as_mut()
                    && object.enum_values.is_none()
                {
                    object.min_length.get_or_insert(1);
                    object.max_length.get_or_insert(LONGEST_VALUE);
                }
            }
            Some(RefOr::T(Schema::Object(object))) => without_null(&mut object.schema_type),
            _ => {}
        },
    }
}

/// Removes null from a parameter's types: a parameter is present or absent, never null.
fn without_null(schema_type: &mut SchemaType) {
    if let SchemaType::Array(types) = schema_type {
        types.retain(|one| *one != Type::Null);
        if let [one] = types.as_slice() {
            *schema_type = SchemaType::Type(one.clone());
        }
    }
}

/// Makes lists refer to their items instead of repeating them, so that a generated client has one type for each
/// resource.
pub(super) fn name_items(components: &mut Components) {
    let known: Vec<String> = components.schemas.keys().cloned().collect();
    for (name, schema) in &mut components.schemas {
        let Some(item) = name.strip_prefix("List_").filter(|item| known.iter().any(|known| known == item)) else {
            continue;
        };
        if let RefOr::T(Schema::Object(list)) = schema
            && let Some(RefOr::T(Schema::Array(array))) = list.properties.get_mut("items")
        {
            array.items = ArrayItems::RefOrSchema(Box::new(Ref::from_schema_name(item).into()));
        }
    }
}
