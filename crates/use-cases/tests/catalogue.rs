//! Every template of the catalogue gives a workflow that can be published and run.
#![expect(clippy::panic, reason = "a helper that fails is a test that fails")]

use serde_json::Value;
use tidegate_engine::handlers::step_types;
use tidegate_events::pattern::{Dimension, PatternFacts};
use tidegate_events::suggestion::{Catalogue, Suggestion, SuggestionStatus};
use tidegate_kernel::{PatternId, SuggestionId};
use tidegate_workflows::definition::{Definition, Format};
use tidegate_workflows::trigger::Trigger;
use uuid::Uuid;

fn suggestion(rule: &str, one: &str, other: &str) -> Suggestion {
    let facts = match rule {
        "co_change_reminder" => PatternFacts::CoOccurrence {
            antecedent: one.to_owned(),
            consequent: other.to_owned(),
            antecedent_sessions: 5,
            consequent_sessions: 9,
            all_sessions: 20,
        },
        "follow_up" => {
            PatternFacts::Sequence { from: one.to_owned(), to: other.to_owned(), from_touches: 5, mean_gap_ms: 61_500 }
        }
        "hot_file_review" => PatternFacts::Frequency {
            dimension: Dimension::Subject,
            value: one.to_owned(),
            days: 4,
            active_days: 5,
            all_events: 30,
        },
        other => panic!("the rule {other} has no case here"),
    };
    Suggestion {
        id: SuggestionId::from_uuid(Uuid::nil()),
        rule: rule.to_owned(),
        pattern: PatternId::from_uuid(Uuid::nil()),
        support: 4,
        facts,
        confidence: 400_000,
        status: SuggestionStatus::Open,
        workflow: None,
        evidence: Vec::new(),
    }
}

/// Names as a sender may choose them, including hostile ones.
fn names() -> Vec<String> {
    vec![
        "src/lib.rs".to_owned(),
        "Mühle/größe 🦀.md".to_owned(),
        "a\"b'c\\d`e".to_owned(),
        "${{ inputs }} }} {antecedent} $hits$".to_owned(),
        "line\nbreak\ttab\u{202e}".to_owned(),
        "deep/".repeat(102),
        "\u{1F980}".repeat(128),
        " ".to_owned(),
    ]
}

fn two_long() -> Vec<(String, String)> {
    vec![("deep/".repeat(102), "deeper/".repeat(73))]
}

#[test]
fn every_template_is_a_valid_workflow_whatever_the_names_are() {
    let catalogue = Catalogue::built_in().unwrap();
    for rule in catalogue.rules() {
        for (name, other) in names().into_iter().zip(names().into_iter().cycle().skip(2)).chain(two_long()) {
            let suggestion = suggestion(rule.name(), &name, &other);
            let document = rule.document(&suggestion, &["file.created".to_owned(), "file.modified".to_owned()]);
            let compiled =
                Definition::compile(&serde_json::to_vec(&document).unwrap(), Format::Json, &step_types().unwrap());
            let definition = match compiled {
                Ok(definition) => definition,
                Err(error) => panic!("{} with {name:?}: {error:?}\n{document:#}", rule.name()),
            };
            assert!(!definition.triggers.is_empty(), "{}", rule.name());
        }
    }
}

#[test]
fn a_trigger_fires_for_its_subject_alone_and_never_for_what_the_catalogue_sends() {
    let catalogue = Catalogue::built_in().unwrap();
    let mut cases = 0;
    for rule in catalogue.rules() {
        for name in names() {
            let document = rule.document(&suggestion(rule.name(), &name, "b"), &["file.modified".to_owned()]);
            let definition =
                Definition::compile(&serde_json::to_vec(&document).unwrap(), Format::Json, &step_types().unwrap())
                    .unwrap();
            for trigger in &definition.triggers {
                let Trigger::Event(trigger) = trigger else { continue };
                let event = |subject: &str| serde_json::json!({"type": "file.modified", "subject": subject});
                assert_eq!(trigger.admits(&event(&name)), Ok(true), "{name:?}");
                assert_eq!(trigger.admits(&event("something else")), Ok(false), "{name:?}");
                assert!(!catalogue.emits(&trigger.kind));
                cases += 1;
            }
            let emitted = document.pointer("/steps").and_then(Value::as_array).into_iter().flatten();
            for emitted in emitted.filter_map(|step| step.pointer("/with/type").and_then(Value::as_str)) {
                assert!(catalogue.emits(emitted));
            }
        }
    }
    assert!(cases >= names().len() * 2);
}
