//! Regular expressions, with bounded size and bounded matching time.

use regex::{Regex, RegexBuilder};
use regex_syntax::hir::{Hir, HirKind};

use super::{CallError, Called, failed};
use crate::expression::budget::{Budget, MAX_MATCHED};
use crate::expression::value::Value;

/// The maximum length of a pattern, in bytes.
const MAX_PATTERN: usize = 512;
/// The cost of compiling a pattern, which takes up to a millisecond.
const COMPILING: u64 = 20_000;
/// The maximum memory of a compiled pattern and of its matcher, in bytes.
const MAX_COMPILED: usize = 1 << 17;
const MAX_CACHE: usize = 1 << 18;
const MAX_NESTING: u32 = 32;

/// A compiled pattern.
#[derive(Debug)]
pub(in crate::expression) struct Pattern {
    regex: Regex,
    /// The cost per byte of text. The matcher follows all positions of the pattern at once, so in the worst case each
    /// byte takes a step per position. A unit is worth about eight steps.
    units_per_byte: u64,
}

impl Pattern {
    /// Compiles a pattern. The error says what is wrong with it.
    pub(in crate::expression) fn compile(pattern: &str) -> Result<Self, String> {
        if pattern.len() > MAX_PATTERN {
            return Err(format!("a pattern has at most {MAX_PATTERN} bytes"));
        }
        let mut builder = RegexBuilder::new(pattern);
        let limited = builder.size_limit(MAX_COMPILED).dfa_size_limit(MAX_CACHE).nest_limit(MAX_NESTING);
        let regex = limited.build().map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "this pattern is too large once its repetitions are counted".to_owned(),
            _ => "this is not a regular expression (RE2 syntax)".to_owned(),
        })?;
        let read = regex_syntax::ParserBuilder::new().nest_limit(MAX_NESTING).build().parse(pattern);
        // Both parsers should accept the same patterns. If this one fails, the pattern is charged as the largest
        // allowed one.
        let positions = read.map_or(MAX_COMPILED as u64, |hir| positions(&hir));
        Ok(Self { regex, units_per_byte: 1 + positions / 8 })
    }

    pub(in crate::expression) fn matches<'a>(&self, text: &Value<'a>, budget: &mut Budget) -> Called<'a> {
        let Value::Text(text) = text else { return Err(CallError::Types) };
        let text = text.as_str();
        if text.len() > MAX_MATCHED {
            return failed(format!("a text of more than {MAX_MATCHED} bytes cannot be matched"));
        }
        budget.spend(16 + self.units_per_byte.saturating_mul(text.len() as u64))?;
        Ok(Value::Bool(self.regex.is_match(text)))
    }
}

/// The number of characters in the pattern with its repetitions expanded: its positions in Glushkov's sense ("The
/// abstract theory of automata", 1961). A text can keep all of them active.
fn positions(hir: &Hir) -> u64 {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 0,
        HirKind::Literal(literal) => literal.0.len() as u64,
        HirKind::Class(_) => 1,
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min).max(1);
            positions(&repetition.sub).saturating_mul(u64::from(times))
        }
        HirKind::Capture(capture) => positions(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().map(positions).sum(),
    }
}

/// `matches` with a pattern that is known only at run time. A literal pattern is compiled with its expression.
pub(super) fn matches<'a>(arguments: &[Value<'a>], budget: &mut Budget) -> Called<'a> {
    let [text, Value::Text(pattern)] = arguments else { return Err(CallError::Types) };
    budget.spend(COMPILING)?;
    Pattern::compile(pattern.as_str()).map_err(CallError::Failed)?.matches(text, budget)
}
