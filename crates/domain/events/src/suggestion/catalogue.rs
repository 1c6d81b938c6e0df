//! The catalogue: which patterns suggest which workflow. Rules and templates are data, compiled in.

use serde::Deserialize;
use serde_json::Value;
use tidegate_kernel::WorkspaceId;

use super::confidence::wilson_lower_bound;
use super::model::{Candidate, MIN_CONFIDENCE, Offer, Suggestion};
use super::template::Parameters;
use crate::pattern::{Dimension, MIN_SUPPORT, PatternKey, PatternKind};

/// The files of the catalogue.
const FILES: [&str; 3] = [
    include_str!("catalogue/co_change_reminder.json"),
    include_str!("catalogue/follow_up.json"),
    include_str!("catalogue/hot_file_review.json"),
];

/// Why a catalogue is invalid, which is a defect of the program that contains it.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// A file is not a valid rule.
    #[error("a rule of the catalogue cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// A rule names a kind or a dimension that does not exist.
    #[error("the rule {rule} names {name:?}, which does not exist")]
    UnknownName {
        /// The rule.
        rule: String,
        /// The unknown name.
        name: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    rule: String,
    version: u32,
    pattern: PatternSelector,
    min_support: i64,
    min_confidence: f64,
    title: String,
    reasoning: String,
    document: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PatternSelector {
    kind: String,
    #[serde(default)]
    dimension: Option<String>,
}

/// One rule: the conditions on a pattern, and the workflow to suggest for it.
#[derive(Debug, Clone)]
pub struct Rule {
    name: String,
    version: u32,
    kind: PatternKind,
    dimension: Option<Dimension>,
    min_support: i64,
    min_confidence: i64,
    title: String,
    reasoning: String,
    document: Value,
}

impl Rule {
    fn read(text: &str) -> Result<Self, CatalogueError> {
        let file: RuleFile = serde_json::from_str(text)?;
        let unknown = |name: &String| CatalogueError::UnknownName { rule: file.rule.clone(), name: name.clone() };
        let kind = file.pattern.kind.parse().map_err(|_| unknown(&file.pattern.kind))?;
        let dimension = file.pattern.dimension.as_ref().map(|name| name.parse().map_err(|_| unknown(name)));
        #[expect(clippy::cast_possible_truncation, reason = "a share of 1 at most, in millionths")]
        let min_confidence = (file.min_confidence.clamp(0.0, 1.0) * 1e6) as i64;
        Ok(Self {
            kind,
            dimension: dimension.transpose()?,
            min_support: file.min_support.max(MIN_SUPPORT),
            min_confidence: min_confidence.max(MIN_CONFIDENCE),
            name: file.rule,
            version: file.version,
            title: file.title,
            reasoning: file.reasoning,
            document: file.document,
        })
    }

    /// The rule's name, unique in the catalogue.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of the template with its version.
    #[must_use]
    pub fn template(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }

    fn concerns(&self, key: &PatternKey) -> bool {
        self.kind == key.kind() && (self.dimension.is_none() || self.dimension == key.parts().0)
    }

    /// The title of the suggestion, in one line.
    #[must_use]
    pub fn title(&self, suggestion: &Suggestion) -> String {
        Parameters::of(suggestion).write(&self.title)
    }

    /// The reason for the suggestion, with names and counts.
    #[must_use]
    pub fn reasoning(&self, suggestion: &Suggestion) -> String {
        Parameters::of(suggestion).write(&self.reasoning)
    }

    /// The workflow document, with its parameters filled in. It is triggered by events of `event_types`.
    #[must_use]
    pub fn document(&self, suggestion: &Suggestion, event_types: &[String]) -> Value {
        Parameters::of(suggestion).fill(&self.document, event_types)
    }
}

/// All rules.
#[derive(Debug, Clone)]
pub struct Catalogue(Vec<Rule>);

impl Catalogue {
    /// The compiled-in catalogue.
    ///
    /// # Errors
    /// [`CatalogueError`] if one of its files is invalid, which a test rules out.
    pub fn built_in() -> Result<Self, CatalogueError> {
        FILES.into_iter().map(Rule::read).collect::<Result<_, _>>().map(Self)
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.0
    }

    /// The rule with this name.
    #[must_use]
    pub fn rule(&self, name: &str) -> Option<&Rule> {
        self.0.iter().find(|rule| rule.name == name)
    }

    /// Whether any rule applies to patterns of this kind and dimension.
    #[must_use]
    pub fn concerns(&self, key: &PatternKey) -> bool {
        self.0.iter().any(|rule| rule.concerns(key))
    }

    /// Whether a workflow of the catalogue emits events of this type.
    #[must_use]
    pub fn emits(&self, event_type: &str) -> bool {
        let steps = self.0.iter().filter_map(|rule| rule.document.pointer("/steps")?.as_array()).flatten();
        let mut emitted = steps.filter_map(|step| step.pointer("/with/type")?.as_str());
        emitted.any(|emitted| emitted == event_type)
    }

    /// The offers of all rules for `candidate`.
    pub fn offers<'a>(&'a self, workspace: WorkspaceId, candidate: &'a Candidate) -> impl Iterator<Item = Offer> + 'a {
        let (hits, of) = candidate.facts.trials(candidate.support);
        let confidence = wilson_lower_bound(hits, of);
        let fits = super::template::fits(&candidate.facts);
        self.0.iter().filter(|rule| rule.concerns(&candidate.key)).map(move |rule| Offer {
            id: Offer::id(workspace, &rule.name, candidate.pattern),
            rule: rule.name.clone(),
            candidate: candidate.clone(),
            confidence,
            good: fits
                && candidate.support >= rule.min_support
                && hits >= MIN_SUPPORT
                && confidence >= rule.min_confidence,
        })
    }
}
