//! The steps of a document: ids, `needs`, order, and the fields of each step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Number, Value};

use super::checker::{Checker, Fields, Part, shown};
use super::document::Content;
use super::duration::shown_duration;
use super::graph;
use super::names::{KnownStep, Names};
use super::parameters;
use super::parts::Steps;
use crate::compiled::{CompiledStep, MAX_STEPS, RetryPolicy, StepId, StepIndex};
use crate::expression::Root;
use crate::step::{RegisteredStep, StepRegistry, StepType, Timeouts};

/// The maximum number of attempts of one step.
pub(super) const MAX_ATTEMPTS: u32 = 100;
/// The maximum backoff factor.
pub(super) const MAX_FACTOR: f64 = 10.0;
/// The maximum backoff delay.
const MAX_PAUSE: Duration = Duration::from_secs(86_400);

const FIELDS: [&str; 7] = ["id", "uses", "with", "needs", "if", "retry", "timeout"];

/// A step with its fields read and its expressions not compiled yet.
struct Draft<'n, 'r> {
    part: Part<'n>,
    fields: Fields<'n>,
    id: Option<String>,
    uses: Option<&'r RegisteredStep>,
    needs: Vec<usize>,
}

pub(super) fn steps(
    checker: &mut Checker<'_>,
    part: &Part<'_>,
    inputs: Option<&BTreeSet<String>>,
    registry: &StepRegistry,
) -> Option<Steps> {
    let Some(items) = part.items() else {
        checker.problem(part, format!("expected a list of steps, this is {}", part.node.describe()));
        return None;
    };
    if items.is_empty() {
        checker.problem(part, "a workflow has at least one step");
        return None;
    }
    if let Some(first_over) = items.get(MAX_STEPS) {
        let detail = format!("a workflow has at most {MAX_STEPS} steps, this one has {}", items.len());
        checker.problem(first_over, detail);
        return None;
    }
    let total = items.len();
    let mut drafts: Vec<Draft<'_, '_>> = items.into_iter().filter_map(|item| draft(checker, item, registry)).collect();
    let mut complete = drafts.len() == total;
    let known = known_steps(checker, &drafts);
    complete &= known.len() == total;
    let indexes: BTreeMap<&str, usize> =
        drafts.iter().enumerate().rev().filter_map(|(n, d)| Some((d.id.as_deref()?, n))).collect();
    let needs: Vec<Option<Vec<usize>>> = drafts.iter().map(|draft| needs(checker, draft, &indexes)).collect();
    for (draft, needs) in drafts.iter_mut().zip(needs) {
        complete &= needs.is_some();
        draft.needs = needs.unwrap_or_default();
    }
    let edges: Vec<Vec<usize>> = drafts.iter().map(|draft| draft.needs.clone()).collect();
    let order = match graph::order(&edges) {
        Ok(order) => order,
        Err(cycle) => {
            report_cycle(checker, &drafts, &cycle);
            complete = false;
            Vec::new()
        }
    };
    // In a cycle no step is known to have ended, so names of steps are not checked then.
    let ancestors = (!order.is_empty()).then(|| graph::ancestors(&edges, &order));
    let compiled: Vec<Option<Compiled>> = drafts
        .iter()
        .enumerate()
        .map(|(index, draft)| {
            let ended: Option<BTreeSet<String>> = ancestors.as_ref().and_then(|all| all.get(index)).map(|needed| {
                needed.iter().filter_map(|need| drafts.get(*need).and_then(|draft| draft.id.clone())).collect()
            });
            let names = Names {
                roots: &Root::ALL,
                place: "a step",
                inputs,
                steps: &known,
                ended: ended.as_ref(),
                own: draft.id.as_deref(),
            };
            compile(checker, draft, &names)
        })
        .collect();
    let compiled: Option<Vec<Compiled>> = compiled.into_iter().collect();
    let steps = compiled.filter(|_| complete).map(|steps| arrange(steps, &edges, &order));
    Some(Steps { known, steps })
}

fn draft<'n, 'r>(checker: &mut Checker<'_>, part: Part<'n>, registry: &'r StepRegistry) -> Option<Draft<'n, 'r>> {
    let fields = checker.object(&part, &FIELDS)?;
    let id = fields.require(checker, "id").and_then(|part| {
        let text = checker.text(&part)?;
        if StepId::new(text).is_none() {
            checker.problem(&part, "an id has 1 to 64 letters, digits and _, and does not begin with a digit");
            return None;
        }
        Some(text.to_owned())
    });
    let uses = fields.require(checker, "uses").and_then(|part| {
        let text = checker.text(&part)?;
        let found = registry.registered(text);
        if found.is_none() {
            let list = registry.names().collect::<Vec<_>>().join(", ");
            let detail = format!("there is no step `{}`; there are {list}", shown(text));
            let suggestion = checker.nearest(text, registry.names());
            checker.suggest(&part, detail, suggestion);
        }
        found
    });
    Some(Draft { part, fields, id, uses, needs: Vec::new() })
}

/// Every id with the names in its output. Reports duplicate ids.
fn known_steps(checker: &mut Checker<'_>, drafts: &[Draft<'_, '_>]) -> BTreeMap<String, KnownStep> {
    let mut known = BTreeMap::new();
    for draft in drafts {
        let Some(id) = &draft.id else { continue };
        let with = draft.fields.get("with").and_then(|with| with.members());
        let names = with.map(|members| members.iter().map(|(key, ..)| (*key).to_owned()).collect());
        let step = KnownStep::of(draft.uses, names.unwrap_or_default());
        if known.insert(id.clone(), step).is_some()
            && let Some(part) = draft.fields.get("id")
        {
            checker.problem(&part, format!("there is another step `{id}`"));
        }
    }
    known
}

fn needs(checker: &mut Checker<'_>, draft: &Draft<'_, '_>, indexes: &BTreeMap<&str, usize>) -> Option<Vec<usize>> {
    let Some(part) = draft.fields.get("needs") else { return Some(Vec::new()) };
    let Some(items) = part.items() else {
        checker.problem(&part, format!("expected a list of step ids, this is {}", part.node.describe()));
        return None;
    };
    let mut found: Vec<usize> = Vec::new();
    let mut complete = true;
    for item in &items {
        let Some(id) = checker.text(item) else {
            complete = false;
            continue;
        };
        let own = draft.id.as_deref();
        match indexes.get(id) {
            _ if own == Some(id) => {
                checker.problem(item, format!("the step `{id}` needs itself"));
                complete = false;
            }
            Some(index) if found.contains(index) => {
                checker.problem(item, format!("`{id}` is there twice"));
                complete = false;
            }
            Some(index) => found.push(*index),
            None => {
                let suggestion = checker.nearest(id, indexes.keys().copied().filter(|known| Some(*known) != own));
                checker.suggest(item, format!("there is no step `{}`", shown(id)), suggestion);
                complete = false;
            }
        }
    }
    complete.then_some(found)
}

fn report_cycle(checker: &mut Checker<'_>, drafts: &[Draft<'_, '_>], cycle: &[usize]) {
    let id = |index: &usize| drafts.get(*index).and_then(|draft| draft.id.as_deref()).unwrap_or("?");
    let mut names: Vec<&str> = cycle.iter().map(id).collect();
    if names.len() > 12 {
        names.splice(10..names.len() - 1, ["…"]);
    }
    if let Some(draft) = cycle.first().and_then(|first| drafts.get(*first)) {
        let part = draft.fields.get("needs").unwrap_or_else(|| draft.part.clone());
        checker.problem(&part, format!("these steps need each other in a cycle: {}", names.join(" needs ")));
    }
}

/// A compiled step without its index in the order.
struct Compiled {
    id: StepId,
    uses: Arc<StepType>,
    with: crate::expression::ValueTemplate,
    condition: Option<crate::expression::Expression>,
    retry: RetryPolicy,
    timeout: Duration,
}

fn compile(checker: &mut Checker<'_>, draft: &Draft<'_, '_>, names: &Names<'_>) -> Option<Compiled> {
    let with = parameters::parameters(checker, &draft.part, draft.uses, draft.fields.get("with"), names);
    let condition = match draft.fields.get("if") {
        Some(part) => checker.condition(&part, names).map(Some),
        None => Some(None),
    };
    let retry = match draft.fields.get("retry") {
        Some(part) => retry(checker, &part),
        None => Some(RetryPolicy::default()),
    };
    let timeouts = draft.uses.map_or_else(Timeouts::default, |uses| uses.step.timeouts);
    let timeout = match draft.fields.get("timeout") {
        Some(part) => {
            let timeout = checker.duration(&part, timeouts.max);
            if timeout == Some(Duration::ZERO) {
                checker.problem(&part, "a time-out is longer than nothing");
            }
            timeout
        }
        None => Some(timeouts.default),
    };
    let id = StepId::new(draft.id.as_deref()?)?;
    let uses = Arc::clone(&draft.uses?.step);
    Some(Compiled { id, uses, with: with?, condition: condition?, retry: retry?, timeout: timeout? })
}

fn retry(checker: &mut Checker<'_>, part: &Part<'_>) -> Option<RetryPolicy> {
    let fields = checker.object(part, &["max_attempts", "initial", "factor", "max"])?;
    let mut policy = RetryPolicy::default();
    let mut complete = true;
    if let Some(part) = fields.get("max_attempts") {
        complete &= checker.whole(&part, 1..=MAX_ATTEMPTS).map(|attempts| policy.max_attempts = attempts).is_some();
    }
    if let Some(part) = fields.get("factor") {
        let factor = match &part.node.content {
            Content::Scalar(Value::Number(number)) => Number::as_f64(number),
            _ => None,
        };
        match factor.filter(|factor| (1.0..=MAX_FACTOR).contains(factor)) {
            Some(factor) => policy.factor = factor,
            None => {
                checker.problem(&part, format!("expected a number from 1 to {MAX_FACTOR}"));
                complete = false;
            }
        }
    }
    for (name, place) in [("initial", &mut policy.initial), ("max", &mut policy.max)] {
        if let Some(part) = fields.get(name) {
            complete &= checker.duration(&part, MAX_PAUSE).map(|duration| *place = duration).is_some();
        }
    }
    if policy.max < policy.initial {
        let detail = format!("`max` ({}) is shorter than `initial`", shown_duration(policy.max));
        match fields.get("max") {
            Some(part) => {
                checker.problem(&part, detail);
                complete = false;
            }
            None => policy.max = policy.initial,
        }
    }
    complete.then_some(policy)
}

fn arrange(compiled: Vec<Compiled>, needs: &[Vec<usize>], order: &[usize]) -> Vec<CompiledStep> {
    let mut places = vec![StepIndex(0); order.len()];
    for (place, step) in (0u16..).zip(order) {
        if let Some(slot) = places.get_mut(*step) {
            *slot = StepIndex(place);
        }
    }
    let mut dependents = vec![Vec::new(); order.len()];
    for (step, needs) in needs.iter().enumerate() {
        for need in needs {
            if let (Some(list), Some(place)) = (dependents.get_mut(*need), places.get(step)) {
                list.push(*place);
            }
        }
    }
    let mut arranged: Vec<(StepIndex, CompiledStep)> = compiled
        .into_iter()
        .enumerate()
        .map(|(step, compiled)| {
            let needs = needs.get(step).into_iter().flatten();
            let mut needs: Vec<StepIndex> = needs.filter_map(|need| places.get(*need).copied()).collect();
            needs.sort_unstable();
            let mut dependents = dependents.get(step).cloned().unwrap_or_default();
            dependents.sort_unstable();
            let Compiled { id, uses, with, condition, retry, timeout } = compiled;
            let place = places.get(step).copied().unwrap_or(StepIndex(0));
            (place, CompiledStep { id, uses, with, needs, dependents, condition, retry, timeout })
        })
        .collect();
    arranged.sort_by_key(|(place, _)| *place);
    arranged.into_iter().map(|(_, step)| step).collect()
}
