//! The log of a real project, which the demo uses too.

use std::io::Read;

use chrono::{DateTime, Utc};
use flate2::read::GzDecoder;
use tidegate_events::cloud_event::{self, Headers, NewEvent};
use tidegate_events::pattern::{PatternFilter, PatternKind};
use tidegate_kernel::{Entropy, Position};

use super::Subject;
use super::recount::recount;
use crate::SeededEntropy;

const LOG: &[u8] = include_bytes!("../../../../app/assets/file-events.jsonl.gz");

/// The headers of a request with the log.
struct Lines;

impl Headers for Lines {
    fn content_type(&self) -> Option<&str> {
        Some("application/x-ndjson")
    }

    fn attributes(&self) -> Vec<(&str, &[u8])> {
        Vec::new()
    }
}

fn log(now: DateTime<Utc>) -> Vec<NewEvent> {
    let mut text = Vec::new();
    GzDecoder::new(LOG).read_to_end(&mut text).expect("the log can be unpacked");
    let body = cloud_event::read(&Lines, &text, now).expect("the log can be read");
    body.items.into_iter().collect::<Result<_, _>>().expect("every line is an event")
}

/// Reproducible numbers from a seed, each below its bound.
struct Dice(std::sync::Arc<SeededEntropy>);

impl Dice {
    fn below(&self, bound: usize) -> usize {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        usize::try_from(u32::from_be_bytes(bytes)).expect("a small number") % bound
    }

    fn shuffle<T>(&self, items: &mut [T]) {
        for n in (1..items.len()).rev() {
            items.swap(n, self.below(n + 1));
        }
    }
}

/// A log in batches of any size and order, counted in steps of any size, gives the same as a recount of all of it.
pub async fn a_real_log_in_any_order_equals_a_recount(subject: &Subject) {
    let scope = subject.scope();
    let seed = u64::from_be_bytes(subject.env.random());
    let dice = Dice(SeededEntropy::new(seed));
    let events = log(subject.env.now());
    let (mut batches, mut rest) = (Vec::new(), events.as_slice());
    while !rest.is_empty() {
        let (batch, after) = rest.split_at(rest.len().min(1 + dice.below(700)));
        let mut batch = batch.to_vec();
        dice.shuffle(&mut batch);
        batches.push(batch);
        rest = after;
    }
    dice.shuffle(&mut batches);
    for batch in &batches {
        subject.add_events(&scope, batch).await;
        let chunk = 50 + dice.below(700);
        subject.detect(&scope, u32::try_from(chunk).expect("a small number")).await;
    }
    let expected = recount(subject.ours, &subject.stored(&scope).await);
    let (found, watermark) = subject.patterns(&scope, &PatternFilter::default(), 200).await;
    assert_eq!(watermark, Position(i64::try_from(events.len()).expect("a small number")), "seed {seed}");
    for kind in PatternKind::ALL {
        assert!(expected.iter().any(|pattern| pattern.facts.kind() == kind), "the log shows a {kind}");
    }
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected, "seed {seed}");
    }
    assert_eq!(found.len(), expected.len(), "seed {seed}");
}
