//! Slow statements: each shape is logged once a minute, so that a slow database does not fill the log.
//!
//! The driver logs every slow statement. Each is counted. It is logged only if the filter shows the driver's warnings.

use std::collections::HashMap;
use std::fmt::{Debug, Write};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tidegate_postgres::STATEMENT_TARGET;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::{EnvFilter, Layer};

/// How often one shape is logged at most.
const SHOWN: Duration = Duration::from_secs(60);
/// The most shapes that are remembered. The program has some hundreds.
const SHAPES: usize = 2_000;

/// Drops slow statements from the log, except the first of each shape in a minute.
pub(super) struct SlowStatements {
    shown: bool,
    hasher: RandomState,
    last: Mutex<HashMap<u64, Instant>>,
}

impl SlowStatements {
    /// Logs slow statements if `filter` shows them.
    pub(super) fn shown_where(filter: EnvFilter) -> Self {
        let subscriber = tracing_subscriber::registry().with(filter);
        let shown =
            tracing::subscriber::with_default(subscriber, || tracing::enabled!(target: STATEMENT_TARGET, Level::WARN));
        Self { shown, hasher: RandomState::new(), last: Mutex::default() }
    }

    /// Whether a statement is the first of its shape in a minute.
    fn is_due(&self, statement: &str) -> bool {
        let shape = self.hasher.hash_one(shape(statement));
        let now = Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.get(&shape).is_some_and(|last| now.duration_since(*last) < SHOWN) {
            return false;
        }
        if last.len() >= SHAPES {
            last.retain(|_, last| now.duration_since(*last) < SHOWN);
        }
        if last.len() >= SHAPES {
            return false;
        }
        last.insert(shape, now);
        true
    }
}

/// A statement without its literals, so that all transactions begin alike.
fn shape(statement: &str) -> String {
    let mut shape = String::with_capacity(statement.len());
    let (mut literal, mut word, mut number) = (false, false, false);
    for letter in statement.chars() {
        if letter == '\'' {
            literal = !literal;
            (word, number) = (false, false);
            if literal {
                shape.push('?');
            }
        } else if !literal {
            let part = letter.is_alphanumeric() || matches!(letter, '_' | '$');
            if !part {
                number = false;
                let gap = letter.is_whitespace();
                if !gap {
                    shape.push(letter);
                } else if !shape.ends_with(' ') {
                    shape.push(' ');
                }
            } else if !word && letter.is_ascii_digit() {
                number = true;
                shape.push('?');
            } else if !number {
                shape.push(letter);
            }
            word = part;
        }
    }
    shape
}

/// The fields of the driver's log event.
#[derive(Default)]
struct Statement {
    slow: bool,
    text: String,
}

impl Visit for Statement {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // The driver gives a short statement only as its summary.
        match field.name() {
            "slow_threshold" => self.slow = true,
            "summary" | "db.statement" => drop(write!(self.text, "{value:?} ")),
            _ => {}
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if matches!(field.name(), "summary" | "db.statement") {
            self.text.push_str(value);
            self.text.push(' ');
        }
    }
}

impl<S: Subscriber> Layer<S> for SlowStatements {
    /// Without a hint, all of the program would make what this layer never looks at.
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::WARN)
    }

    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        if event.metadata().target() != STATEMENT_TARGET {
            return true;
        }
        let mut statement = Statement::default();
        event.record(&mut statement);
        if !statement.slow {
            return self.shown || *event.metadata().level() == Level::ERROR;
        }
        metrics::counter!("database_slow_statements_total").increment(1);
        self.shown && self.is_due(&statement.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tidegate_postgres::QUIET_DRIVER;

    /// Counts the log lines that pass.
    #[derive(Clone, Default)]
    struct Lines(Arc<AtomicU32>);

    impl<S: Subscriber> Layer<S> for Lines {
        fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn slow(statement: &str) {
        tracing::warn!(
            target: STATEMENT_TARGET, summary = "select", db.statement = statement, slow_threshold = ?SHOWN, "slow statement"
        );
    }

    fn shown(filter: &str) -> u32 {
        let lines = Lines::default();
        let layer = SlowStatements::shown_where(EnvFilter::new(filter));
        let subscriber = tracing_subscriber::registry().with(lines.clone()).with(layer);
        tracing::subscriber::with_default(subscriber, || {
            slow("select a from b where c = 'one'");
            slow("select a from b where c = 'two'");
            slow("select a\n    from b where c = 'three'");
            slow("select a from b where c = $1");
            slow("select a from b where c = $1");
            slow("select a from b where d = $2 limit 50");
            slow("select a from b where d = $2 limit 7");
            tracing::warn!(target: STATEMENT_TARGET, "of another kind");
            tracing::warn!("of another target");
        });
        lines.0.load(Ordering::Relaxed)
    }

    #[test]
    fn a_shape_is_shown_once_in_a_while_where_warnings_of_the_driver_are() {
        assert_eq!(shown("warn"), 5);
        assert_eq!(shown(&format!("error,{QUIET_DRIVER}")), 5);
        assert_eq!(shown("error"), 1, "what is of another target is for the filter to decide");
    }

    #[test]
    fn a_shape_has_nothing_that_is_written_out() {
        for (statement, expected) in [
            ("select 'a', 17.25 from t1 where x2 = $3", "select ?, ?.? from t1 where x2 = $3"),
            ("BEGIN; SET LOCAL app.workspace_id = '018f'", "BEGIN; SET LOCAL app.workspace_id = ?"),
        ] {
            assert_eq!(shape(statement), expected);
        }
        assert_eq!(shape("select  1 from\n\tt limit 250"), shape("select 2 from t limit 3"));
        assert_ne!(shape("select $1"), shape("select $2"));
        assert_ne!(shape("select a1"), shape("select a2"));
    }
}
