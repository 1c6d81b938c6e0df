//! Suggestions: offered once, kept up to date, and answered once.

use tidegate_events::suggestion::{
    DismissSuggestionError, SuggestionFilter, SuggestionPlace, SuggestionStatus, confidence::wilson_lower_bound,
};
use tidegate_kernel::{PageSize, WorkflowId};
use tidegate_use_cases::ApplySuggestionError;
use tidegate_workflows::definition::{Definition, Format};
use tidegate_workflows::trigger::Trigger;
use uuid::Uuid;

use super::{Subject, together, touch};
use crate::steps::step_types;

fn rules(suggestions: &[tidegate_events::suggestion::Suggestion]) -> Vec<(&str, i64)> {
    suggestions.iter().map(|suggestion| (suggestion.rule.as_str(), suggestion.confidence)).collect()
}

/// Three of three occurrences are enough, two of two are not. The confidence is the lower bound, and there is evidence.
pub async fn what_happened_often_enough_is_offered(subject: &Subject) {
    let scope = subject.scope();
    let events = together("s", 3, "a", "b");
    subject.add_and_detect(&scope, &events[..4]).await;
    assert_eq!(rules(&subject.offered(&scope).await), []);
    subject.add_and_detect(&scope, &events[4..]).await;
    let offered = subject.offered(&scope).await;
    assert_eq!(rules(&offered), [("co_change_reminder", wilson_lower_bound(3, 3))]);
    assert_eq!(offered.first().map(|suggestion| suggestion.evidence.len()), Some(6));
}

/// A suggestion follows its pattern: up when it is confirmed, down when its basis grows without it, hidden below the
/// minimum, and back.
pub async fn an_open_suggestion_is_kept_up_to_date(subject: &Subject) {
    let scope = subject.scope();
    subject.add_and_detect(&scope, &together("s", 3, "a", "b")).await;
    let id = subject.offered(&scope).await.first().map(|suggestion| suggestion.id);
    subject.add_and_detect(&scope, &together("t", 2, "a", "b")).await;
    assert_eq!(rules(&subject.offered(&scope).await), [("co_change_reminder", wilson_lower_bound(5, 5))]);
    let alone = |n: i64, name: &str| touch(format!("{name}{n}"), 0, "", &format!("alone-{name}{n}"), name);
    let both: Vec<_> = (0..2).flat_map(|n| [alone(n, "a"), alone(n, "b")]).collect();
    subject.add_and_detect(&scope, &both).await;
    assert_eq!(rules(&subject.offered(&scope).await), [("co_change_reminder", wilson_lower_bound(5, 7))]);
    let both: Vec<_> = (2..20).flat_map(|n| [alone(n, "a"), alone(n, "b")]).collect();
    subject.add_and_detect(&scope, &both).await;
    assert_eq!(rules(&subject.offered(&scope).await), []);
    subject.add_and_detect(&scope, &together("u", 40, "a", "b")).await;
    let offered = subject.offered(&scope).await;
    let again = offered.iter().find(|suggestion| suggestion.rule == "co_change_reminder");
    assert_eq!(again.map(|suggestion| suggestion.confidence), Some(wilson_lower_bound(45, 65)));
    assert_eq!(again.map(|suggestion| suggestion.id), id, "it is the same suggestion");
}

/// A dismissed suggestion stays dismissed, however strong its pattern becomes.
pub async fn a_dismissed_suggestion_is_never_offered_again(subject: &Subject) {
    let scope = subject.scope();
    subject.add_and_detect(&scope, &together("s", 3, "a", "b")).await;
    let id = subject.offered(&scope).await.first().map(|suggestion| suggestion.id).expect("one suggestion");
    let dismissed = subject.suggestions().dismiss(&scope, id).await.expect("it is dismissed");
    assert_eq!(dismissed.status, SuggestionStatus::Dismissed);
    subject.suggestions().dismiss(&scope, id).await.expect("twice is as good as once");
    subject.add_and_detect(&scope, &together("t", 5, "a", "b")).await;
    assert_eq!(rules(&subject.offered(&scope).await), []);
    let filter = SuggestionFilter { statuses: vec![SuggestionStatus::Dismissed], min_confidence: 0 };
    let listed = subject.suggestions().list(&scope, &filter, None, PageSize::default()).await.expect("it is listed");
    let confidences: Vec<i64> = listed.page.items.iter().map(|suggestion| suggestion.confidence).collect();
    assert_eq!(confidences, [wilson_lower_bound(3, 3)], "it shows what it was answered on");
}

/// A suggestion is answered once; a second answer changes nothing.
pub async fn a_suggestion_is_answered_once(subject: &Subject) {
    let scope = subject.scope();
    subject.add_and_detect(&scope, &together("s", 3, "a", "b")).await;
    let id = subject.offered(&scope).await.first().map(|suggestion| suggestion.id).expect("one suggestion");
    let workflow = Some(WorkflowId::from_uuid(Uuid::from_u128(7)));
    let mut tx = subject.suggestions.begin(&scope).await.expect("a transaction begins");
    assert!(tx.suggestions().answer(id, SuggestionStatus::Applied, workflow).await.expect("it is answered"));
    assert!(!tx.suggestions().answer(id, SuggestionStatus::Dismissed, None).await.expect("it is not answered again"));
    tx.commit().await.expect("the answer is committed");
    let refused = subject.suggestions().dismiss(&scope, id).await;
    assert!(matches!(refused, Err(DismissSuggestionError::Applied)), "{refused:?}");
    let mut tx = subject.suggestions.begin(&scope).await.expect("a transaction begins");
    let found = tx.suggestions().find(id).await.expect("it is read").expect("it is there");
    assert_eq!((found.status, found.workflow), (SuggestionStatus::Applied, workflow));
}

/// MUST lock a suggestion that was found until the transaction ends, so that of many concurrent answers to an open
/// suggestion one succeeds.
pub async fn of_many_answers_at_once_one_counts(subject: &Subject) {
    let scope = subject.scope();
    subject.add_and_detect(&scope, &together("s", 3, "a", "b")).await;
    let id = subject.offered(&scope).await.first().map(|suggestion| suggestion.id).expect("one suggestion");
    let workflow = WorkflowId::generate(&subject.env);
    let (dismissed, applied) = ((SuggestionStatus::Dismissed, None), (SuggestionStatus::Applied, Some(workflow)));
    let answering: Vec<_> = [dismissed, applied, dismissed, applied]
        .into_iter()
        .map(|(status, workflow)| {
            let subject = subject.clone();
            tokio::spawn(async move {
                let mut tx = subject.suggestions.begin(&subject.scope()).await.expect("a transaction begins");
                let found = tx.suggestions().find(id).await.expect("it is read").expect("it is there");
                for _ in 0..20 {
                    // Takes long enough for the others to interfere, if they could.
                    tx.suggestions().event_types(&found.evidence, "a").await.expect("types are read");
                }
                let open = found.status == SuggestionStatus::Open;
                let answered = open && tx.suggestions().answer(id, status, workflow).await.expect("it is tried");
                tx.commit().await.expect("it commits");
                assert_eq!(answered, open, "what was found open stays so until it is answered");
                usize::from(answered)
            })
        })
        .collect();
    let mut answered = 0;
    for answer in answering {
        answered += answer.await.expect("no one fails");
    }
    assert_eq!(answered, 1);
}

/// Pages go from the most to the least confident suggestion and leave nothing out.
pub async fn suggestions_are_listed_by_confidence(subject: &Subject) {
    let scope = subject.scope();
    for (n, name) in (3..9).zip(["a", "b", "c", "d", "e", "f"]) {
        subject.add_and_detect(&scope, &together(name, n, name, &format!("{name}{name}"))).await;
    }
    let filter = SuggestionFilter { statuses: vec![SuggestionStatus::Open], min_confidence: wilson_lower_bound(4, 4) };
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let two = PageSize::new(2).expect("a size that is allowed");
        let mut tx = subject.suggestions.begin(&scope).await.expect("a transaction begins");
        let listed = tx.suggestions().list(&filter, after, two).await.expect("a page is listed");
        all.extend(listed.page.items.iter().map(|item| SuggestionPlace { confidence: item.confidence, id: item.id }));
        after = listed.page.next;
        if after.is_none() {
            break;
        }
    }
    let mut sorted = all.clone();
    sorted.sort_unstable_by(|one, other| other.cmp(one));
    sorted.dedup();
    assert_eq!(all, sorted);
    let pairs = all.iter().filter(|place| (4..9).any(|n| wilson_lower_bound(n, n) == place.confidence)).count();
    assert!(pairs >= 5, "{all:?}");
}

/// Another tenant's suggestion is answered like one that does not exist.
pub async fn another_tenants_suggestion_does_not_exist(subject: &Subject) {
    let (ours, theirs) = (subject.scope(), subject.foreign());
    subject.add_and_detect(&theirs, &together("s", 3, "a", "b")).await;
    assert_eq!(rules(&subject.offered(&ours).await), []);
    let id = subject.offered(&theirs).await.first().map(|suggestion| suggestion.id).expect("one suggestion");
    let refused = subject.suggestions().dismiss(&ours, id).await;
    assert!(matches!(refused, Err(DismissSuggestionError::NotFound)), "{refused:?}");
    let event = subject.stored(&theirs).await.first().map(|event| event.id).expect("an event");
    let mut tx = subject.suggestions.begin(&ours).await.expect("a transaction begins");
    assert!(!tx.suggestions().answer(id, SuggestionStatus::Dismissed, None).await.expect("nothing is answered"));
    assert!(tx.suggestions().event_types(&[event], "a").await.expect("types are read").is_empty());
    drop(tx);
    let mut tx = subject.suggestions.begin(&theirs).await.expect("a transaction begins");
    assert_eq!(tx.suggestions().event_types(&[event], "a").await.expect("types are read"), ["file.modified"]);
    // The embedded PostgreSQL has one connection: a second transaction beside this one would wait for ever.
    drop(tx);
    assert_eq!(subject.offered(&theirs).await.len(), 1);
}

/// Applying creates one draft that listens to the right events, and marks the suggestion with it.
pub async fn applying_makes_one_draft_or_nothing(subject: &Subject) {
    let (ours, theirs) = (subject.scope(), subject.foreign());
    subject.add_and_detect(&ours, &together("s", 3, "a", "b")).await;
    let id = subject.offered(&ours).await.first().map(|suggestion| suggestion.id).expect("one suggestion");
    let refused = subject.apply().apply(&theirs, id).await;
    assert!(matches!(refused, Err(ApplySuggestionError::NotFound)), "{refused:?}");

    let applied = subject.apply().apply(&ours, id).await.expect("it is applied").workflow;
    assert_eq!((applied.workflow.name.as_str(), applied.workflow.published), ("Remind about b when a changes", None));
    let kept = subject.workflows().get(&ours, applied.workflow.id).await.expect("the workflow is there");
    assert_eq!(kept.document, applied.document);
    let definition = Definition::compile(&kept.document.source, Format::Json, &step_types()).expect("it is a workflow");
    let listens = |trigger: &Trigger| matches!(trigger, Trigger::Event(event) if event.kind == "file.modified");
    assert!(definition.triggers.len() == 1 && definition.triggers.iter().all(listens), "{definition:?}");

    let again = subject.apply().apply(&ours, id).await;
    let answered = Some(applied.workflow.id);
    assert!(
        matches!(&again, Err(ApplySuggestionError::Answered(SuggestionStatus::Applied, of)) if *of == answered),
        "{again:?}"
    );
    assert_eq!(rules(&subject.offered(&ours).await), []);
}

/// If the workflow cannot be created, the suggestion stays unchanged.
pub async fn a_name_that_is_taken_leaves_the_suggestion_open(subject: &Subject) {
    let scope = subject.scope();
    subject.add_and_detect(&scope, &together("s", 3, "a", "b")).await;
    let id = subject.offered(&scope).await.first().map(|suggestion| suggestion.id).expect("one suggestion");
    let source =
        br#"{"name": "Remind about b when a changes", "steps": [{"id": "x", "uses": "transform", "with": {}}]}"#;
    let document = tidegate_workflows::model::Document { format: Format::Json, source: source.to_vec() };
    subject.workflows().create(&scope, document).await.expect("the name is free");
    let refused = subject.apply().apply(&scope, id).await;
    assert!(matches!(refused, Err(ApplySuggestionError::NameTaken)), "{refused:?}");
    assert_eq!(subject.offered(&scope).await.len(), 1);
}
