//! The names that the expressions of a document may read.

use std::collections::{BTreeMap, BTreeSet};

use crate::expression::{Expression, ExpressionError, Reference, Root, nearest};
use crate::step::{RegisteredStep, StepOutput};

/// A step as expressions can read it.
#[derive(Debug, Clone)]
pub(super) struct KnownStep {
    /// The names in its output, if known.
    pub(super) output: Option<Vec<String>>,
}

impl KnownStep {
    /// The output of a step with this type. `parameters` are the names in its `with`.
    pub(super) fn of(uses: Option<&RegisteredStep>, parameters: Vec<String>) -> Self {
        let output = uses.and_then(|uses| match uses.step.output {
            StepOutput::With => Some(parameters),
            StepOutput::Schema(_) => uses.output.clone(),
        });
        Self { output }
    }
}

/// The names that are available at one place of a document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names<'a> {
    /// The available roots.
    pub(super) roots: &'a [Root],
    /// The place, for messages: "a filter".
    pub(super) place: &'a str,
    /// The declared inputs; `None` if the schema allows others.
    pub(super) inputs: Option<&'a BTreeSet<String>>,
    /// Every step of the document.
    pub(super) steps: &'a BTreeMap<String, KnownStep>,
    /// The steps that have ended at this place; `None` if all have.
    pub(super) ended: Option<&'a BTreeSet<String>>,
    /// The step to which the place belongs.
    pub(super) own: Option<&'a str>,
}

impl Names<'_> {
    /// Every name in `expression` that is not available.
    pub(super) fn check(&self, expression: &Expression) -> Vec<ExpressionError> {
        expression.references().iter().filter_map(|reference| self.reference(reference)).collect()
    }

    fn reference(&self, reference: &Reference) -> Option<ExpressionError> {
        let error = |offset, detail, suggestion| Some(ExpressionError { offset, detail, suggestion });
        if !self.roots.contains(&reference.root) {
            let roots: Vec<_> = self.roots.iter().map(|root| root.as_str()).collect();
            let detail =
                format!("`{}` has no value in {}; there are {}", reference.root.as_str(), self.place, roots.join(", "));
            return error(reference.offset, detail, None);
        }
        let (name, offset) = reference.path.first()?;
        match reference.root {
            Root::Inputs => {
                let known = self.inputs?;
                if known.contains(name) {
                    return None;
                }
                let suggestion = nearest(name, known.iter().map(String::as_str));
                error(*offset, format!("`inputs` declares no `{name}`"), suggestion)
            }
            Root::Steps => self.step(name, *offset, &reference.path),
            Root::Event | Root::Run | Root::Workflow | Root::Trigger => None,
        }
    }

    fn step(&self, name: &str, offset: usize, path: &[(String, usize)]) -> Option<ExpressionError> {
        let error = |offset, detail, suggestion| Some(ExpressionError { offset, detail, suggestion });
        let Some(step) = self.steps.get(name) else {
            let known = self.steps.keys().map(String::as_str).filter(|known| Some(*known) != self.own);
            return error(offset, format!("there is no step `{name}`"), nearest(name, known));
        };
        if self.own == Some(name) {
            return error(offset, format!("the step `{name}` cannot read its own output"), None);
        }
        if self.ended.is_some_and(|ended| !ended.contains(name)) {
            let detail = format!("the step `{name}` may not have ended here; add it to `needs`");
            return error(offset, detail, None);
        }
        let (part, offset) = path.get(1)?;
        let parts = ["output", "status", "error"];
        if !parts.contains(&part.as_str()) {
            let detail = format!("a step has output, status and error, not `{part}`");
            return error(*offset, detail, nearest(part, parts));
        }
        let ((field, offset), known) = (path.get(2)?, step.output.as_ref()?);
        if part != "output" || known.iter().any(|known| known == field) {
            return None;
        }
        let suggestion = nearest(field, known.iter().map(String::as_str));
        error(*offset, format!("the output of `{name}` has no `{field}`; it has {}", known.join(", ")), suggestion)
    }
}
