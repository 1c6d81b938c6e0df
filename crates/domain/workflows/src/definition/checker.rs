//! Collects problems with their places while a document is checked.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Problem;
use super::document::{Content, Mark, Node, mark_of};
use super::duration::shown_duration;
use super::names::Names;
use crate::expression::{Expression, ExpressionError, Piece, TextPart, ValueTemplate, nearest, pieces};

/// The maximum number of problems in one answer.
pub(super) const MAX_PROBLEMS: usize = 100;
/// The maximum number of `matches` patterns in one document. Each takes about a millisecond to compile and up to 128
/// KiB of memory.
pub(super) const MAX_PATTERNS: usize = 200;

/// A part of the document and the JSON pointer to it.
#[derive(Debug, Clone)]
pub(super) struct Part<'n> {
    pub(super) node: &'n Node,
    pub(super) pointer: String,
}

impl<'n> Part<'n> {
    pub(super) fn items(&self) -> Option<Vec<Part<'n>>> {
        match &self.node.content {
            Content::List(items) => Some(
                items
                    .iter()
                    .enumerate()
                    .map(|(index, node)| Part { node, pointer: format!("{}/{index}", self.pointer) })
                    .collect(),
            ),
            _ => None,
        }
    }

    fn below(&self, key: &str, node: &'n Node) -> Part<'n> {
        Part { node, pointer: format!("{}/{}", self.pointer, key.replace('~', "~0").replace('/', "~1")) }
    }

    /// The members, if the part is an object.
    pub(super) fn members(&self) -> Option<Vec<(&'n str, Mark, Part<'n>)>> {
        match &self.node.content {
            Content::Object(members) => {
                Some(members.iter().map(|m| (m.key.as_str(), m.at, self.below(&m.key, &m.value))).collect())
            }
            _ => None,
        }
    }

    /// The member with this name and the place of its key; the last one if there are several. Without such a member,
    /// the object itself.
    pub(super) fn member(&self, name: &str) -> (Mark, Part<'n>) {
        let found = match &self.node.content {
            Content::Object(members) => members.iter().rfind(|member| member.key == name),
            _ => None,
        };
        found.map_or_else(|| (self.node.start, self.clone()), |found| (found.at, self.below(&found.key, &found.value)))
    }
}

/// The members of an object whose names were checked.
#[derive(Debug)]
pub(super) struct Fields<'n> {
    part: Part<'n>,
    members: Vec<(&'n str, Part<'n>)>,
}

impl<'n> Fields<'n> {
    /// The member, if it exists. A null member exists, but no field accepts null.
    pub(super) fn get(&self, name: &str) -> Option<Part<'n>> {
        self.members.iter().find(|(key, _)| *key == name).map(|(_, part)| part.clone())
    }

    /// The member. If it is missing, reports a problem.
    pub(super) fn require(&self, checker: &mut Checker<'_>, name: &str) -> Option<Part<'n>> {
        let found = self.get(name);
        if found.is_none() {
            checker.problem(&self.part, format!("`{name}` is missing"));
        }
        found
    }
}

pub(super) struct Checker<'s> {
    source: &'s str,
    problems: Vec<Problem>,
    unlisted: usize,
    patterns: usize,
}

impl<'s> Checker<'s> {
    pub(super) fn new(source: &'s str) -> Self {
        Self { source, problems: Vec::new(), unlisted: 0, patterns: 0 }
    }

    /// All problems in document order; empty if there are none.
    pub(super) fn finish(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| (problem.line, problem.column));
        if let (Some(last), true) = (self.problems.last().cloned(), self.unlisted > 0) {
            self.problems.push(Problem {
                detail: format!("and {} more problems, which are not listed", self.unlisted),
                suggestion: None,
                ..last
            });
        }
        self.problems
    }

    /// Whether the list of problems is full, so that expensive descriptions of further problems can be skipped.
    pub(super) fn is_full(&self) -> bool {
        self.problems.len() >= MAX_PROBLEMS
    }

    /// Counts a problem without listing it.
    pub(super) fn unlisted(&mut self) {
        self.unlisted += 1;
    }

    /// The known name that `name` is probably a misspelling of.
    pub(super) fn nearest<'k>(&self, name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<String> {
        if self.is_full() { None } else { nearest(name, known) }
    }

    pub(super) fn problem(&mut self, part: &Part<'_>, detail: impl Into<String>) {
        if matches!(part.node.content, Content::Unfit(_)) {
            return; // It has its problem already.
        }
        self.push(part.node.start, &part.pointer, detail.into(), None);
    }

    pub(super) fn suggest(&mut self, part: &Part<'_>, detail: impl Into<String>, suggestion: Option<String>) {
        self.push(part.node.start, &part.pointer, detail.into(), suggestion);
    }

    pub(super) fn push(&mut self, at: Mark, pointer: &str, detail: String, suggestion: Option<String>) {
        if self.is_full() {
            self.unlisted += 1;
            return;
        }
        let pointer = pointer.to_owned();
        self.problems.push(Problem { line: at.line, column: at.column, pointer, detail, suggestion });
    }

    /// The members of an object that may have only these fields.
    pub(super) fn object<'n>(&mut self, part: &Part<'n>, known: &[&str]) -> Option<Fields<'n>> {
        let Some(members) = part.members() else {
            self.problem(part, format!("expected an object, this is {}", part.node.describe()));
            return None;
        };
        for (key, at, member) in &members {
            if !known.contains(key) {
                let detail = format!("there is no field `{}` here; there are {}", shown(key), known.join(", "));
                let suggestion = self.nearest(key, known.iter().copied());
                self.push(*at, &member.pointer, detail, suggestion);
            }
        }
        let members = members.into_iter().map(|(key, _, part)| (key, part)).collect();
        Some(Fields { part: part.clone(), members })
    }

    /// Reports duplicate keys and unfit scalars anywhere in the document.
    pub(super) fn unfit(&mut self, part: &Part<'_>) {
        if let Content::Unfit(reason) = &part.node.content {
            self.push(part.node.start, &part.pointer, reason.clone(), None);
        }
        part.items().iter().flatten().for_each(|item| self.unfit(item));
        let mut seen = BTreeSet::new();
        for (key, at, member) in part.members().iter().flatten() {
            if !seen.insert(*key) {
                self.push(*at, &member.pointer, format!("`{}` is there twice", shown(key)), None);
            }
            self.unfit(member);
        }
    }

    pub(super) fn text<'n>(&mut self, part: &Part<'n>) -> Option<&'n str> {
        let text = part.node.as_text();
        if text.is_none() {
            self.problem(part, format!("expected a text, this is {}", part.node.describe()));
        }
        text
    }

    /// A whole number within `bounds`.
    pub(super) fn whole(&mut self, part: &Part<'_>, bounds: std::ops::RangeInclusive<u32>) -> Option<u32> {
        let number = match &part.node.content {
            Content::Scalar(Value::Number(number)) => number.as_u64().and_then(|n| u32::try_from(n).ok()),
            _ => None,
        };
        let number = number.filter(|number| bounds.contains(number));
        if number.is_none() {
            self.problem(part, format!("expected a whole number from {} to {}", bounds.start(), bounds.end()));
        }
        number
    }

    /// A duration of at most `max`.
    pub(super) fn duration(&mut self, part: &Part<'_>, max: std::time::Duration) -> Option<std::time::Duration> {
        let text = self.text(part)?;
        let Some(duration) = super::parse_duration(text) else {
            self.problem(part, "expected a duration such as 500ms, 1s, 5m, 2h or 3d");
            return None;
        };
        if duration > max {
            self.problem(part, format!("at most {}", shown_duration(max)));
            return None;
        }
        Some(duration)
    }

    /// A value that may contain `${{ }}` anywhere. `names` are the names that its expressions may read.
    pub(super) fn template(&mut self, part: &Part<'_>, names: &Names<'_>) -> Option<ValueTemplate> {
        match &part.node.content {
            Content::Scalar(Value::String(text)) => self.text_template(part, text, names),
            Content::Scalar(value) => Some(ValueTemplate::Literal(value.clone())),
            Content::Unfit(_) => None,
            Content::List(_) => {
                let parts = part.items()?;
                let items: Vec<_> = parts.iter().map(|item| self.template(item, names)).collect();
                let items = items.into_iter().collect::<Option<Vec<_>>>()?;
                let literal = items.iter().all(|item| item.as_literal().is_some());
                Some(if literal { ValueTemplate::Literal(part.node.to_json()) } else { ValueTemplate::List(items) })
            }
            Content::Object(_) => {
                let parts = part.members()?;
                let members: Vec<_> = parts
                    .iter()
                    .map(|(key, _, member)| Some(((*key).to_owned(), self.template(member, names)?)))
                    .collect();
                let members = members.into_iter().collect::<Option<Vec<_>>>()?;
                let literal = members.iter().all(|(_, member)| member.as_literal().is_some());
                Some(if literal { ValueTemplate::Literal(part.node.to_json()) } else { ValueTemplate::Object(members) })
            }
        }
    }

    fn text_template(&mut self, part: &Part<'_>, text: &str, names: &Names<'_>) -> Option<ValueTemplate> {
        // Patterns are counted before compilation. The count may be too high, never too low.
        let before = self.patterns;
        self.patterns += if text.contains("${{") { text.matches("matches").count() } else { 0 };
        if self.patterns > MAX_PATTERNS {
            if before <= MAX_PATTERNS {
                self.problem(part, format!("the expressions of a document use `matches` at most {MAX_PATTERNS} times"));
            }
            return None;
        }
        for piece in pieces(text) {
            if self.is_full() {
                break;
            }
            // An expression that does not compile does not hide the names in the others.
            let errors = match piece {
                Piece::Literal(_) => continue,
                Piece::Hole(_, Err(errors)) => errors,
                Piece::Hole(at, Ok(expression)) => {
                    let moved = |error: ExpressionError| ExpressionError { offset: at + error.offset, ..error };
                    names.check(&expression).into_iter().map(moved).collect()
                }
            };
            for ExpressionError { offset, detail, suggestion } in errors {
                self.problem_within(part, text, offset, detail, suggestion);
            }
        }
        ValueTemplate::check_text(text).ok()
    }

    /// A condition: a boolean, or a text that is exactly one `${{ }}`.
    pub(super) fn condition(&mut self, part: &Part<'_>, names: &Names<'_>) -> Option<Expression> {
        if let Content::Scalar(Value::Bool(value)) = &part.node.content {
            return Expression::compile(if *value { "true" } else { "false" }).ok();
        }
        let text = self.text(part)?;
        match self.text_template(part, text, names)? {
            ValueTemplate::Whole(expression) => Some(expression),
            ValueTemplate::Text(parts) if parts.iter().any(|part| matches!(part, TextPart::Hole(_))) => {
                self.problem(part, "a condition is one `${{ … }}` with nothing beside it");
                None
            }
            _ => {
                let detail = "a condition is true, false or one `${{ … }}`";
                self.suggest(part, detail, (text.len() < 200).then(|| format!("${{{{ {} }}}}", text.trim())));
                None
            }
        }
    }

    /// Reports a problem at the byte `offset` of `text`, which is in `part`.
    pub(super) fn problem_within(
        &mut self,
        part: &Part<'_>,
        text: &str,
        offset: usize,
        detail: String,
        suggestion: Option<String>,
    ) {
        let at = self.place(part.node, text, offset);
        self.push(at, &part.pointer, detail, suggestion);
    }

    /// The place of the byte `offset` of a text in the source. It is exact if the text is written literally. If quoting
    /// or folding changed the text, it is the place of the `${{` before it.
    fn place(&self, node: &Node, text: &str, offset: usize) -> Mark {
        let byte = |index: usize| self.source.char_indices().nth(index).map_or(self.source.len(), |(at, _)| at);
        let start = byte(node.start.index);
        let Some(raw) = self.source.get(start..byte(node.end)) else { return node.start };
        let Some(before) = text.get(..offset) else { return node.start };
        let hole = before.rfind("${{").or_else(|| text[offset..].starts_with("${{").then_some(offset));
        let Some(hole) = hole else {
            return raw.find(text).map_or(node.start, |at| mark_of(self.source, start + at + offset));
        };
        let nth = before[..hole.min(before.len())].matches("${{").count();
        let Some((raw_hole, _)) = raw.match_indices("${{").nth(nth) else { return node.start };
        let length = offset.saturating_sub(hole);
        let verbatim = raw[raw_hole..].starts_with(&text[hole..hole + length]);
        mark_of(self.source, start + raw_hole + if verbatim { length } else { 0 })
    }
}

/// A name as shown in a message: shortened and without control characters.
pub(super) fn shown(name: &str) -> String {
    let mut text: String = name.chars().take(60).flat_map(char::escape_debug).collect();
    if name.chars().count() > 60 {
        text.push('…');
    }
    text
}
