//! Obligations of stores of patterns and suggestions.

mod counting;
mod isolation;
mod real;
mod recount;
mod suggesting;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tidegate_events::cloud_event::NewEvent;
use tidegate_events::pattern::{Detection, DetectionTx, Pattern, PatternFilter, PatternKind, PatternsTx};
use tidegate_events::suggestion::{
    Catalogue, Suggestion, SuggestionFilter, SuggestionStatus, Suggestions, SuggestionsTx,
};
use tidegate_events::{Event, EventTime, EventsTx};
use tidegate_kernel::{PageSize, Position, UnitOfWork, WorkspaceScope};
use tidegate_use_cases::{ApplySuggestion, ApplySuggestionTx};
use tidegate_workflows::Workflows;
use tidegate_workflows::ports::WorkflowsTx;

use super::stage::subject;
use crate::steps::step_types;

pub use counting::*;
pub use isolation::*;
pub use real::*;
pub use suggesting::*;

subject! {
    about {
        /// Counts events.
        detection: dyn UnitOfWork<dyn DetectionTx> = store,
        /// Lists patterns.
        patterns: dyn UnitOfWork<dyn PatternsTx> = store,
        /// Lists and answers suggestions.
        suggestions: dyn UnitOfWork<dyn SuggestionsTx> = store,
    }
    beside {
        /// Adds events.
        events: dyn UnitOfWork<dyn EventsTx> = store,
        /// Applies suggestions.
        apply: dyn UnitOfWork<dyn ApplySuggestionTx> = store,
        /// Keeps workflows.
        workflows: dyn UnitOfWork<dyn WorkflowsTx> = store,
    }
}

impl Subject {
    fn detection(&self, chunk: u32) -> Detection {
        let catalogue = Catalogue::built_in().expect("the catalogue is sound");
        Detection::new(Arc::clone(&self.detection), Arc::new(catalogue), chunk)
    }

    fn apply(&self) -> ApplySuggestion {
        let catalogue = Catalogue::built_in().expect("the catalogue is sound");
        ApplySuggestion::new(Arc::clone(&self.apply), self.workflows(), Arc::new(catalogue))
    }

    fn workflows(&self) -> Workflows {
        Workflows::new(Arc::clone(&self.workflows), step_types(), self.env.clone())
    }

    fn suggestions(&self) -> Suggestions {
        Suggestions::new(Arc::clone(&self.suggestions))
    }

    async fn add_events(&self, scope: &WorkspaceScope, events: &[NewEvent]) {
        self.add_to(&*self.events, scope, events).await;
    }

    /// Runs detection over all events, `chunk` events at a time.
    async fn detect(&self, scope: &WorkspaceScope, chunk: u32) {
        let detection = self.detection(chunk);
        while detection.step(scope).await.expect("a chunk is counted").more {}
    }

    async fn add_and_detect(&self, scope: &WorkspaceScope, events: &[NewEvent]) {
        self.add_events(scope, events).await;
        self.detect(scope, 100).await;
    }

    async fn stored(&self, scope: &WorkspaceScope) -> Vec<Event> {
        let mut tx = self.detection.begin(scope).await.expect("a transaction begins");
        tx.feed().read(Position::START, Position(i64::MAX), 100_000).await.expect("events are read")
    }

    /// Every pattern in the order of the list, read in pages of `size`, and the watermark of the last page.
    async fn patterns(&self, scope: &WorkspaceScope, filter: &PatternFilter, size: u32) -> (Vec<Pattern>, Position) {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let size = PageSize::new(size).expect("a size that is allowed");
            let mut tx = self.patterns.begin(scope).await.expect("a transaction begins");
            let listed = tx.patterns().list(filter, after, size).await.expect("patterns are listed");
            all.extend(listed.page.items);
            after = listed.page.next;
            if after.is_none() {
                return (all, listed.watermark);
            }
        }
    }

    async fn patterns_of(&self, scope: &WorkspaceScope, kind: PatternKind) -> Vec<Pattern> {
        let filter = PatternFilter { kinds: vec![kind], min_confidence: 0.0 };
        self.patterns(scope, &filter, 200).await.0
    }

    async fn offered(&self, scope: &WorkspaceScope) -> Vec<Suggestion> {
        let filter = SuggestionFilter { statuses: vec![SuggestionStatus::Open], min_confidence: 0 };
        let mut tx = self.suggestions.begin(scope).await.expect("a transaction begins");
        let listed = tx.suggestions().list(&filter, None, PageSize::default()).await.expect("suggestions are listed");
        listed.page.items
    }
}

/// The time from which the events of a case count their seconds.
fn start() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(18_000)
}

/// `actor` touches `subject` in `session`, `second` seconds after [`start`].
fn touch(id: impl Into<String>, second: i64, actor: &str, session: &str, subject: &str) -> NewEvent {
    let at = start() + TimeDelta::seconds(second);
    let mut event = NewEvent::emitted("/contract".into(), id.into(), "file.modified".into(), 0);
    event.extensions.clear();
    event.subject = Some(subject.to_owned());
    event.time = Some(EventTime { at, text: at.to_rfc3339() });
    event.actor = (!actor.is_empty()).then(|| actor.to_owned());
    event.session = (!session.is_empty()).then(|| session.to_owned());
    event.tool = Some("git".to_owned());
    event.extension = subject.rsplit_once('.').map(|(_, extension)| extension.to_owned());
    event
}

/// `a` and `b` change together in `times` sessions whose names start with `name`, an hour apart.
fn together(name: &str, times: i64, a: &str, b: &str) -> Vec<NewEvent> {
    let session = |n: i64| {
        let session = format!("{name}{n}");
        [a, b].map(|subject| touch(format!("{session}-{subject}"), n * 3600, "ann", &session, subject))
    };
    (0..times).flat_map(session).collect()
}

/// Random activity of many people over many weeks, reproducible by `seed`.
fn history(seed: u64, length: usize) -> Vec<NewEvent> {
    let mut state = seed;
    let mut below = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from((state >> 33) % n).expect("a small number")
    };
    let mut events: Vec<NewEvent> = Vec::new();
    while events.len() < length {
        let session = format!("s{}", events.len());
        let actor = format!("person-{}", below(4));
        // Coarse times, so that there are sessions that touch, and ties.
        let second = below(4_000) * 150;
        let size = if below(60) == 0 { 101 } else { 1 + below(6) };
        for n in 0..size {
            let subject = if size > 100 { format!("bulk/{n}") } else { format!("src/{}.rs", below(3) * below(9)) };
            let late = below(5) * below(2) * 40;
            let id = format!("{session}-{n}");
            events.push(touch(id, second + late, &actor, &session, &subject));
        }
    }
    events
}
