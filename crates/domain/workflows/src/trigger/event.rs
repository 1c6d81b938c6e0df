//! Event triggers.

use serde_json::Value;

use crate::expression::{Bindings, EvaluationError, Expression, ValueTemplate};

/// Fires for events of one type that pass a filter.
#[derive(Debug, Clone)]
pub struct EventTrigger {
    /// The exact CloudEvents `type`.
    pub kind: String,
    /// A further condition on the event.
    pub filter: Option<Expression>,
    /// The input of the run. It may read `event`, `trigger` (`{kind: "event"}`) and `workflow`.
    pub input: ValueTemplate,
}

impl EventTrigger {
    /// Whether `event`, a CloudEvent in its JSON form, fires the trigger.
    ///
    /// # Errors
    /// [`EvaluationError`] if the filter cannot be evaluated for this event, for example because it reads a member that
    /// the event lacks. Callers treat this as false, because events of one type can differ.
    pub fn admits(&self, event: &Value) -> Result<bool, EvaluationError> {
        if event.get("type").and_then(Value::as_str) != Some(self.kind.as_str()) {
            return Ok(false);
        }
        match &self.filter {
            None => Ok(true),
            Some(filter) => filter.evaluate_bool(&Bindings { event: Some(event), ..Bindings::default() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_has_to_have_the_type_and_pass_the_filter() {
        let filter = Expression::compile("event.subject.startsWith('src/') && event.data.size > 10").unwrap();
        let trigger =
            EventTrigger { kind: "file.modified".into(), filter: Some(filter), input: ValueTemplate::default() };
        let event =
            |kind: &str, subject: &str, size: i64| json!({"type": kind, "subject": subject, "data": {"size": size}});
        assert_eq!(trigger.admits(&event("file.modified", "src/a.rs", 11)), Ok(true));
        assert_eq!(trigger.admits(&event("file.modified", "src/a.rs", 10)), Ok(false));
        assert_eq!(trigger.admits(&event("file.modified", "doc/a.md", 11)), Ok(false));
        assert_eq!(trigger.admits(&event("file.modified.twice", "src/a.rs", 11)), Ok(false));
        assert!(trigger.admits(&json!({"type": "file.modified", "subject": "src/a"})).is_err());
    }
}
