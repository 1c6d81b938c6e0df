//! The parts of a document other than its steps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use super::checker::{Checker, Part, shown};
use super::document::{Content, Node};
use super::names::{KnownStep, Names};
use super::{Definition, Problem, steps};
use crate::compiled::{CURRENT_SEMANTICS, CompiledWorkflow, Concurrency};
use crate::expression::{Root, ValueTemplate};
use crate::input::InputSchema;
use crate::step::StepRegistry;
use crate::trigger::{CronTrigger, EventTrigger, Schedule, ScheduleError, Trigger};

/// The maximum number of triggers of one workflow.
pub(super) const MAX_TRIGGERS: usize = 20;
/// The maximum number of concurrent runs for one concurrency key.
pub(super) const MAX_CONCURRENCY: u32 = 1_000;
/// The maximum number of characters in a name.
pub(super) const MAX_NAME: usize = 100;
/// The maximum number of characters in a description.
pub(super) const MAX_DESCRIPTION: usize = 2_000;

const FIELDS: [&str; 8] = ["tidegate", "name", "description", "inputs", "triggers", "steps", "outputs", "concurrency"];

pub(super) fn definition(source: &str, root: &Node, registry: &StepRegistry) -> Result<Definition, Vec<Problem>> {
    let mut checker = Checker::new(source);
    checker.unfit(&Part { node: root, pointer: String::new() });
    let compiled = compile(&mut checker, root, registry);
    let problems = checker.finish();
    match compiled {
        Some(definition) if problems.is_empty() => Ok(definition),
        _ => Err(problems),
    }
}

/// The parts of a document that would be lost or read as something else.
pub(super) fn unfit(source: &str, root: &Node) -> Vec<Problem> {
    let mut checker = Checker::new(source);
    checker.unfit(&Part { node: root, pointer: String::new() });
    checker.finish()
}

fn compile(checker: &mut Checker<'_>, root: &Node, registry: &StepRegistry) -> Option<Definition> {
    let part = Part { node: root, pointer: String::new() };
    let fields = checker.object(&part, &FIELDS)?;
    let semantics = match fields.get("tidegate") {
        Some(part) => semantics(checker, &part),
        None => Some(CURRENT_SEMANTICS),
    };
    let name = fields.require(checker, "name").and_then(|part| name(checker, &part));
    let description = fields.get("description").map(|part| description(checker, &part));
    let inputs = inputs(checker, fields.get("inputs").as_ref());
    let declared = inputs.as_ref().and_then(|inputs| InputSchema::declared(inputs.schema()));

    let steps_part = fields.require(checker, "steps");
    let steps = steps_part.and_then(|part| steps::steps(checker, &part, declared.as_ref(), registry));
    let known = steps.as_ref().map(|steps| steps.known.clone()).unwrap_or_default();
    let names =
        Names { roots: &Root::ALL, place: "outputs", inputs: declared.as_ref(), steps: &known, ended: None, own: None };
    let outputs = match fields.get("outputs") {
        Some(part) if part.members().is_none() => {
            checker.problem(&part, format!("expected an object, this is {}", part.node.describe()));
            None
        }
        Some(part) if steps.is_some() => checker.template(&part, &names),
        Some(_) => None,
        None => Some(ValueTemplate::default()),
    };
    let start = Names {
        roots: &[Root::Inputs, Root::Event, Root::Run, Root::Workflow, Root::Trigger],
        place: "a concurrency key",
        ..names
    };
    let concurrency = match fields.get("concurrency") {
        Some(part) => concurrency(checker, &part, &start).map(Some),
        None => Some(None),
    };
    let triggers = match fields.get("triggers") {
        Some(part) => triggers(checker, &part, inputs.as_ref()),
        None => Some(Vec::new()),
    };
    let (name, inputs) = (name?, inputs?);
    let compiled = CompiledWorkflow {
        semantics: semantics?,
        name: name.clone(),
        inputs: Arc::new(inputs),
        steps: steps?.steps?,
        outputs: outputs?,
        concurrency: concurrency?,
    };
    Some(Definition {
        name,
        description: description.flatten(),
        compiled: Arc::new(compiled),
        triggers: triggers?,
        document: root.to_json(),
    })
}

fn semantics(checker: &mut Checker<'_>, part: &Part<'_>) -> Option<u32> {
    let number = match &part.node.content {
        Content::Scalar(Value::Number(number)) => number.as_u64(),
        _ => None,
    };
    if number == Some(u64::from(CURRENT_SEMANTICS)) {
        return Some(CURRENT_SEMANTICS);
    }
    checker.suggest(part, "this server knows version 1 of the language", Some(CURRENT_SEMANTICS.to_string()));
    None
}

/// The name in Normalization Form C. The document keeps the original spelling.
fn name(checker: &mut Checker<'_>, part: &Part<'_>) -> Option<String> {
    let text = checker.text(part)?;
    let is_long = |text: &str| text.chars().nth(MAX_NAME).is_some();
    let problem = match tidegate_kernel::name::name(text) {
        _ if is_long(text) => format!("a name must have at most {MAX_NAME} characters"),
        Ok(name) if is_long(&name) => format!("a name must have at most {MAX_NAME} characters"),
        Ok(name) => return Some(name.into_owned()),
        Err(mistake) => format!("a name {mistake}"),
    };
    checker.problem(part, problem);
    None
}

fn description(checker: &mut Checker<'_>, part: &Part<'_>) -> Option<String> {
    let text = checker.text(part)?;
    if text.chars().count() > MAX_DESCRIPTION {
        checker.problem(part, format!("a description has at most {MAX_DESCRIPTION} characters"));
        return None;
    }
    Some(text.to_owned())
}

fn inputs(checker: &mut Checker<'_>, part: Option<&Part<'_>>) -> Option<InputSchema> {
    let Some(part) = part else { return InputSchema::compile(&InputSchema::open()).ok() };
    let schema = part.node.to_json();
    if let Some(kind) = schema.get("type").filter(|kind| **kind != "object") {
        let detail = format!("the input of a run is an object, not {}", shown(&kind.to_string()));
        checker.suggest(part, detail, Some("type: object".to_owned()));
    }
    match InputSchema::compile(&schema) {
        Ok(schema) => Some(schema),
        Err(problems) => {
            for problem in problems {
                let at = part.node.nearest(&problem.pointer).start;
                let pointer = format!("{}{}", part.pointer, problem.pointer);
                checker.push(at, &pointer, format!("not a JSON Schema: {}", problem.detail), None);
            }
            None
        }
    }
}

fn concurrency(checker: &mut Checker<'_>, part: &Part<'_>, names: &Names<'_>) -> Option<Concurrency> {
    let fields = checker.object(part, &["key", "limit"])?;
    let key = match fields.get("key") {
        Some(key) => checker.text(&key).and_then(|_| checker.template(&key, names)),
        None => Some(ValueTemplate::Literal(Value::from(""))),
    };
    let limit = fields.require(checker, "limit").and_then(|limit| checker.whole(&limit, 1..=MAX_CONCURRENCY));
    Some(Concurrency { key: key?, limit: limit? })
}

fn triggers(checker: &mut Checker<'_>, part: &Part<'_>, inputs: Option<&InputSchema>) -> Option<Vec<Trigger>> {
    let Some(items) = part.items() else {
        checker.problem(part, format!("expected a list of triggers, this is {}", part.node.describe()));
        return None;
    };
    if items.len() > MAX_TRIGGERS {
        checker.problem(part, format!("a workflow has at most {MAX_TRIGGERS} triggers, this one has {}", items.len()));
    }
    let triggers: Vec<_> = items.iter().map(|item| trigger(checker, item, inputs)).collect();
    triggers.into_iter().collect()
}

fn trigger(checker: &mut Checker<'_>, part: &Part<'_>, inputs: Option<&InputSchema>) -> Option<Trigger> {
    let fields = checker.object(part, &["cron", "timezone", "event", "input"])?;
    let (cron, event) = (fields.get("cron"), fields.get("event"));
    let no_steps = BTreeMap::new();
    let names =
        |roots: &'static [Root], place| Names { roots, place, inputs: None, steps: &no_steps, ended: None, own: None };
    let with_event = event.is_some();
    let roots: &[Root] =
        if with_event { &[Root::Event, Root::Trigger, Root::Workflow] } else { &[Root::Trigger, Root::Workflow] };
    let input = input_of(checker, part, fields.get("input").as_ref(), inputs, &names(roots, "the input of a trigger"));
    match (cron, event) {
        (Some(cron), None) => {
            let schedule = schedule(checker, &cron, fields.get("timezone").as_ref());
            Some(Trigger::Cron(CronTrigger { schedule: schedule?, input: input? }))
        }
        (None, Some(event)) => {
            if let Some(zone) = fields.get("timezone") {
                checker.problem(&zone, "a time zone belongs to `cron`");
            }
            let fields = checker.object(&event, &["type", "filter"])?;
            let kind = fields.require(checker, "type").and_then(|kind| event_type(checker, &kind));
            let filter = match fields.get("filter") {
                Some(filter) => checker.condition(&filter, &names(&[Root::Event], "a filter")).map(Some),
                None => Some(None),
            };
            Some(Trigger::Event(EventTrigger { kind: kind?, filter: filter?, input: input? }))
        }
        _ => {
            checker.problem(part, "a trigger has either `cron` or `event`");
            None
        }
    }
}

/// The event type: visible text of at most 255 characters.
fn event_type(checker: &mut Checker<'_>, part: &Part<'_>) -> Option<String> {
    let text = checker.text(part)?;
    if text.is_empty() || text.chars().count() > 255 || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        checker.problem(part, "the type of an event has 1 to 255 visible characters");
        return None;
    }
    Some(text.to_owned())
}

fn schedule(checker: &mut Checker<'_>, cron: &Part<'_>, zone: Option<&Part<'_>>) -> Option<Schedule> {
    let pattern = checker.text(cron);
    let name = match zone {
        Some(zone) => checker.text(zone),
        None => Some("UTC"),
    };
    // Both are checked, so that the problems of both are reported.
    if let (Some(name), Some(zone)) = (name, zone)
        && let Err(error @ ScheduleError::Zone(_)) = Schedule::new("* * * * *", name)
    {
        let suggestion = checker.nearest(name, Schedule::zones());
        checker.suggest(zone, error.to_string(), suggestion);
        let _ = pattern.and_then(|pattern| pattern_problem(checker, cron, pattern, "UTC"));
        return None;
    }
    pattern_problem(checker, cron, pattern?, name?)
}

fn pattern_problem(checker: &mut Checker<'_>, part: &Part<'_>, pattern: &str, zone: &str) -> Option<Schedule> {
    match Schedule::new(pattern, zone) {
        Ok(schedule) => Some(schedule),
        Err(ScheduleError::Pattern(error)) => {
            checker.problem_within(part, pattern, error.offset, error.to_string(), error.suggestion);
            None
        }
        Err(error) => {
            checker.problem(part, error.to_string());
            None
        }
    }
}

/// The input of a trigger. If its names are known, they are checked against the input schema.
fn input_of(
    checker: &mut Checker<'_>,
    trigger: &Part<'_>,
    part: Option<&Part<'_>>,
    inputs: Option<&InputSchema>,
    names: &Names<'_>,
) -> Option<ValueTemplate> {
    let given: BTreeSet<&str> = match part {
        None => BTreeSet::new(),
        Some(part) => match part.members() {
            Some(members) => {
                let declared = inputs.and_then(|inputs| InputSchema::declared(inputs.schema()));
                for (key, at, member) in &members {
                    if let Some(declared) = declared.as_ref().filter(|declared| !declared.contains(*key)) {
                        let suggestion = checker.nearest(key, declared.iter().map(String::as_str));
                        let detail = format!("`inputs` declares no `{}`", shown(key));
                        checker.push(*at, &member.pointer, detail, suggestion);
                    }
                }
                members.iter().map(|(key, ..)| *key).collect()
            }
            None => {
                checker.problem(part, format!("expected an object, this is {}", part.node.describe()));
                return None;
            }
        },
    };
    let required = inputs.and_then(|inputs| inputs.schema().get("required")).and_then(Value::as_array);
    for name in required.into_iter().flatten().filter_map(Value::as_str) {
        if !given.contains(name) {
            checker.problem(part.unwrap_or(trigger), format!("the trigger gives no `{name}`, which `inputs` requires"));
        }
    }
    match part {
        Some(part) => checker.template(part, names),
        None => Some(ValueTemplate::Literal(Value::Object(serde_json::Map::new()))),
    }
}

/// The result of checking the steps of a document.
pub(super) struct Steps {
    /// Every step by its id, including steps with problems.
    pub(super) known: BTreeMap<String, KnownStep>,
    /// The compiled steps, if all of them compile.
    pub(super) steps: Option<Vec<crate::compiled::CompiledStep>>,
}
