//! The outline of a schema: its parts, with references resolved.
//!
//! The validator's own resolver resolves the references, so that the count matches the validation: percent-encoding,
//! JSON pointers, `$id`, `$anchor` and `$dynamicAnchor` have the same meaning here and there.

use std::collections::HashMap;

use jsonschema::{Draft, Registry};
use referencing::{Error, Resolver};
use serde_json::{Map, Value};

use super::cost::{MAX_AT_ONE_VALUE, Part};
use super::keywords::visit;
use super::pattern::Patterns;
use super::{InputProblem, escaped};

/// The maximum number of parts (schemas and keywords) after all references are resolved. Thirty definitions that each
/// refer twice to the next one would have a thousand million.
const MAX_PARTS: usize = 5_000;
/// The maximum nesting of schemas after all references are resolved. The validator's calls nest equally deep.
const MAX_DEPTH: usize = 100;
/// The base URI of a schema without an `$id`.
const UNNAMED: &str = "json-schema:///";

/// The outline of a schema whose keywords were checked.
///
/// # Errors
/// [`InputProblem`]s if a reference leaves the schema, does not resolve or leads back to itself, or if there are too
/// many parts.
pub(super) fn outline(schema: &Value) -> Result<Part, Vec<InputProblem>> {
    let base = schema.get("$id").and_then(Value::as_str).unwrap_or(UNNAMED).trim_end_matches('#');
    let resource = Draft::Draft202012.create_resource_ref(schema);
    let registry = Registry::new()
        .draft(Draft::Draft202012)
        .add(base, resource)
        .and_then(jsonschema::RegistryBuilder::prepare)
        .map_err(|error| unregistered(schema, &error))?;
    let base = jsonschema::uri::from_str(base).map_err(|error| vec![InputProblem::new("/$id", error.to_string())])?;
    let resolver = registry.resolver(base);
    let mut places = HashMap::new();
    visit(schema, "", &mut |pointer, map| {
        places.insert(std::ptr::from_ref(map), pointer.to_owned());
    });
    let mut outline = Outline {
        places,
        patterns: Patterns::default(),
        open: Vec::new(),
        parts: 0,
        last: String::new(),
        unevaluated: None,
        problems: Vec::new(),
    };
    outline.unreached(schema, &resolver);
    if !outline.problems.is_empty() {
        return Err(outline.problems);
    }
    let part = outline.part(schema, &resolver).map_err(|problem| vec![problem])?;
    if part.cost(&Value::Null).check > MAX_AT_ONE_VALUE {
        let detail = format!(
            "checking one value takes over {MAX_AT_ONE_VALUE} steps: `unevaluatedProperties` and `unevaluatedItems` inside one another multiply the work"
        );
        return Err(vec![InputProblem::new(outline.unevaluated.unwrap_or_default(), detail)]);
    }
    Ok(part)
}

/// The validator's registry names a reference that it cannot resolve, but not its place.
fn unregistered(schema: &Value, error: &Error) -> Vec<InputProblem> {
    let mut found = Vec::new();
    if let Error::Unretrievable { uri, .. } = error {
        let document = |reference: &str| reference.split('#').next().unwrap_or_default().to_owned();
        let wanted = document(uri);
        visit(schema, "", &mut |pointer, map| {
            for (keyword, reference) in references(map) {
                if !reference.starts_with('#') && wanted.ends_with(document(reference).trim_start_matches(['.', '/'])) {
                    found.push(InputProblem::new(format!("{pointer}/{keyword}"), OUTSIDE));
                }
            }
        });
    }
    if found.is_empty() {
        let detail: String = error.to_string().chars().take(300).collect();
        found.push(InputProblem::new("", detail));
    }
    found
}

const UNEVALUATED: [&str; 2] = ["unevaluatedProperties", "unevaluatedItems"];

const OUTSIDE: &str = "a reference has to stay in this schema, such as #/$defs/…";

fn references(map: &Map<String, Value>) -> impl Iterator<Item = (&'static str, &str)> {
    ["$ref", "$dynamicRef"].into_iter().filter_map(|keyword| Some((keyword, map.get(keyword)?.as_str()?)))
}

struct Outline<'r> {
    /// The JSON pointer to each schema.
    places: HashMap<*const Map<String, Value>, String>,
    patterns: Patterns,
    /// The schemas that are being resolved, each inside the previous one.
    open: Vec<&'r Value>,
    parts: usize,
    /// The last reference that was followed.
    last: String,
    /// The first keyword that depends on what other keywords have evaluated.
    unevaluated: Option<String>,
    problems: Vec<InputProblem>,
}

impl<'r> Outline<'r> {
    /// Checks every reference, including those in parts to which nothing refers.
    fn unreached(&mut self, schema: &'r Value, resolver: &Resolver<'r>) {
        let Some(map) = schema.as_object() else { return };
        let Ok(resolver) = entered(schema, resolver) else {
            self.problems.push(InputProblem::new(self.place(map, "$id"), "this is no reference to a schema"));
            return;
        };
        for (keyword, reference) in references(map) {
            if let Err(error) = resolver.lookup(reference) {
                let place = self.place(map, keyword);
                self.problems.push(InputProblem::new(place, unresolved(&error)));
            }
        }
        for below in Draft::Draft202012.subresources_of(schema) {
            self.unreached(below, &resolver);
        }
    }

    fn place(&self, map: &Map<String, Value>, keyword: &str) -> String {
        let place = self.places.get(&std::ptr::from_ref(map));
        place.map_or_else(|| self.last.clone(), |place| format!("{place}/{}", escaped(keyword)))
    }

    /// The outline of a schema inside another one.
    fn part(&mut self, schema: &'r Value, resolver: &Resolver<'r>) -> Result<Part, InputProblem> {
        let resolver = entered(schema, resolver).map_err(|error| InputProblem::new(&self.last, unresolved(&error)))?;
        self.written_out(schema, &resolver)
    }

    fn boxed(&mut self, schema: &'r Value, resolver: &Resolver<'r>) -> Result<Option<Box<Part>>, InputProblem> {
        Ok(Some(Box::new(self.part(schema, resolver)?)))
    }

    /// The outline of a schema whose resolver was already entered.
    fn written_out(&mut self, schema: &'r Value, resolver: &Resolver<'r>) -> Result<Part, InputProblem> {
        self.count(1)?;
        let Some(map) = schema.as_object() else { return Ok(Part::default()) };
        if self.open.len() >= MAX_DEPTH {
            let detail = format!("schemas nest more than {MAX_DEPTH} deep once their references are written out");
            return Err(InputProblem::new(&self.last, detail));
        }
        self.open.push(schema);
        let part = self.keywords(map, resolver);
        self.open.pop();
        part
    }

    fn count(&mut self, parts: usize) -> Result<(), InputProblem> {
        self.parts += parts;
        if self.parts <= MAX_PARTS {
            return Ok(());
        }
        let detail = format!("the schema has more than {MAX_PARTS} parts once its references are written out");
        Err(InputProblem::new(&self.last, detail))
    }

    fn keywords(&mut self, map: &'r Map<String, Value>, resolver: &Resolver<'r>) -> Result<Part, InputProblem> {
        let mut part = Part::default();
        if let (Some(keyword), None) =
            (UNEVALUATED.iter().find(|keyword| map.contains_key(**keyword)), &self.unevaluated)
        {
            self.unevaluated = Some(self.place(map, keyword));
        }
        for (keyword, value) in map {
            self.count(1)?;
            part.own += 1;
            match keyword.as_str() {
                "$ref" | "$dynamicRef" => {
                    let at = self.place(map, keyword);
                    if let Some(reference) = value.as_str() {
                        part.all.push(self.followed(reference, at, resolver)?);
                    }
                }
                "allOf" => part.all.extend(self.list(value, resolver)?),
                "anyOf" | "oneOf" => {
                    part.tried.extend(self.list(value, resolver)?);
                    part.keeps_alternatives = true;
                }
                "not" | "if" => part.tried.push(self.part(value, resolver)?),
                "then" | "else" => part.all.push(self.part(value, resolver)?),
                "dependentSchemas" | "dependencies" => {
                    part.all.extend(self.named(value, resolver)?.into_iter().map(|(_, part)| part));
                }
                "properties" => part.properties.extend(self.named(value, resolver)?),
                "patternProperties" => {
                    for (pattern, schema) in self.named(value, resolver)? {
                        let weight = self.patterns.weight(&pattern).unwrap_or(u64::MAX);
                        part.patterns.push((weight, schema));
                    }
                }
                "additionalProperties" => part.additional = self.boxed(value, resolver)?,
                "propertyNames" => part.names = self.boxed(value, resolver)?,
                "prefixItems" => part.prefix = self.list(value, resolver)?,
                "items" => part.items = self.boxed(value, resolver)?,
                "contains" => part.contains = self.boxed(value, resolver)?,
                "unevaluatedProperties" | "unevaluatedItems" => {
                    let below = self.boxed(value, resolver)?;
                    if keyword == "unevaluatedItems" {
                        part.unevaluated_items = below;
                    } else {
                        part.unevaluated_properties = below;
                    }
                }
                "pattern" => {
                    let weight = value.as_str().map(|pattern| self.patterns.weight(pattern).unwrap_or(u64::MAX));
                    part.each_byte = part.each_byte.saturating_add(weight.unwrap_or_default());
                }
                "enum" | "const" | "required" | "dependentRequired" => {
                    part.own += super::cost::values(value);
                }
                "uniqueItems" => part.unique = true,
                "format" => part.each_byte = part.each_byte.saturating_add(1),
                _ => {}
            }
        }
        Ok(part)
    }

    fn list(&mut self, value: &'r Value, resolver: &Resolver<'r>) -> Result<Vec<Part>, InputProblem> {
        value.as_array().into_iter().flatten().map(|schema| self.part(schema, resolver)).collect()
    }

    fn named(&mut self, value: &'r Value, resolver: &Resolver<'r>) -> Result<Vec<(String, Part)>, InputProblem> {
        let members = value.as_object().into_iter().flatten();
        members.map(|(name, schema)| Ok((name.clone(), self.part(schema, resolver)?))).collect()
    }

    fn followed(&mut self, reference: &str, at: String, resolver: &Resolver<'r>) -> Result<Part, InputProblem> {
        self.last = at;
        let found = resolver.lookup(reference).map_err(|error| InputProblem::new(&self.last, unresolved(&error)))?;
        let (target, resolver, _) = found.into_inner();
        if self.open.iter().any(|open| std::ptr::eq(*open, target)) {
            return Err(InputProblem::new(&self.last, "this reference leads back to itself"));
        }
        self.written_out(target, &resolver)
    }
}

/// The resolver inside `schema`, which may have an `$id`.
fn entered<'r>(schema: &Value, resolver: &Resolver<'r>) -> Result<Resolver<'r>, Error> {
    resolver.in_subresource(Draft::Draft202012.create_resource_ref(schema))
}

fn unresolved(error: &Error) -> String {
    match error {
        Error::Unretrievable { .. } => OUTSIDE.to_owned(),
        other => format!("this reference leads nowhere: {}", other.to_string().chars().take(200).collect::<String>()),
    }
}
