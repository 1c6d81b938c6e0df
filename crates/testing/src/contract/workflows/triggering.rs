//! Times and events that start runs.

use chrono::SecondsFormat;
use serde_json::json;
use tidegate_events::cloud_event::NewEvent;
use tidegate_kernel::WorkspaceId;
use tidegate_workflows::model::Expected;
use tidegate_workflows::trigger::ports::TimeTrigger;

use super::{Subject, document, event};
use crate::scope::{system_scope, workspace_scope};

const EVERY_HOUR: &str = "triggers: [{cron: '0 * * * *'}]";

impl Subject {
    /// A time as a trigger tells it.
    fn scheduled(&self, time: &str) -> String {
        self.moment(time).to_rfc3339_opts(SecondsFormat::Secs, true)
    }

    /// What is due in the two workspaces.
    async fn due(&self) -> Vec<(WorkspaceId, TimeTrigger)> {
        let mut due =
            self.trigger_service().due(&system_scope(), self.env.now(), 1_000).await.expect("due triggers are found");
        due.retain(|(workspace, _)| self.knows(*workspace));
        due
    }

    /// Fires everything that is due, once each, and says how much of it was there.
    async fn fire_due(&self) -> usize {
        let due = self.due().await;
        for (workspace, trigger) in &due {
            let fired = self.trigger_service().fire(&workspace_scope(*workspace), trigger).await;
            fired.expect("a trigger fires");
        }
        due.len()
    }
}

/// A tick that is due fires, once, and the next one is an hour away. What was before is behind.
pub async fn a_tick_fires_when_it_is_due_and_once(subject: &Subject) {
    let scope = subject.scope();
    subject.at("00:30:00");
    subject.published(&scope, "hourly", EVERY_HOUR).await;
    assert_eq!(subject.fire_due().await, 0);
    subject.at("01:00:00");
    assert_eq!((subject.fire_due().await, subject.fire_due().await), (1, 0));
    let runs = subject.runs(&scope).await;
    assert_eq!(runs.len(), 1);
    assert_eq!(
        (&runs[0].trigger["kind"], &runs[0].trigger["scheduled_at"]),
        (&json!("cron"), &json!(subject.scheduled("01:00:00")))
    );
    subject.at("02:00:01");
    assert_eq!(subject.fire_due().await, 1);
    assert_eq!(subject.runs(&scope).await.len(), 2);
}

/// Whatever was missed is made up for by one run, for the last tick.
pub async fn missed_ticks_are_made_up_for_by_one_run(subject: &Subject) {
    let scope = subject.scope();
    subject.at("00:30:00");
    subject.published(&scope, "hourly", EVERY_HOUR).await;
    subject.at("60:34:00");
    assert_eq!((subject.fire_due().await, subject.fire_due().await), (1, 0));
    let runs = subject.runs(&scope).await;
    assert_eq!((runs.len(), &runs[0].trigger["scheduled_at"]), (1, &json!(subject.scheduled("60:00:00"))));
}

/// Of servers that see the same tick, one starts the run.
pub async fn of_two_servers_one_fires_a_tick(subject: &Subject) {
    let scope = subject.scope();
    subject.at("00:30:00");
    subject.published(&scope, "hourly", EVERY_HOUR).await;
    subject.at("01:00:00");
    let (one, two) = (subject.trigger_service(), subject.trigger_service());
    let due = subject.due().await;
    let (_, trigger) = due.first().expect("the trigger is due");
    let (first, second) = tokio::join!(one.fire(&scope, trigger), two.fire(&scope, trigger));
    let fired = [first, second].map(|fired| usize::from(fired.expect("it is tried"))).iter().sum::<usize>();
    assert_eq!((fired, subject.runs(&scope).await.len()), (1, 1));
}

/// Publishing puts the triggers of a version in place of those before; a draft has none.
pub async fn publishing_replaces_triggers(subject: &Subject) {
    let (scope, service) = (subject.scope(), subject.service());
    subject.at("00:30:00");
    let id = subject.create(&scope, "hourly", EVERY_HOUR).await.workflow.id;
    subject.at("01:00:00");
    assert_eq!(subject.fire_due().await, 0, "a draft fires nothing");
    subject.publish(&scope, id).await;
    let quiet = "triggers: [{event: {type: wanted}}]";
    service.draft(&scope, id, &Expected::Any, document("hourly", quiet)).await.expect("a draft is added");
    subject.publish(&scope, id).await;
    subject.at("02:00:00");
    assert_eq!(subject.fire_due().await, 0, "the schedule is gone");
    subject.add_events(&scope, &[event("1", "wanted", "a")]).await;
    subject.follow(&scope).await;
    assert_eq!(subject.runs(&scope).await.len(), 1);
    service.rollback(&scope, id, &Expected::Any, 1).await.expect("it goes back");
    subject.add_events(&scope, &[event("2", "wanted", "a")]).await;
    subject.follow(&scope).await;
    subject.at("03:00:00");
    assert_eq!(subject.fire_due().await, 1, "the schedule is back");
    assert_eq!(subject.runs(&scope).await.len(), 2);
}

/// Events of the type that pass the filter start a run each, with the input made of them; an event is followed once.
pub async fn events_start_runs_once(subject: &Subject) {
    let scope = subject.scope();
    subject.add_events(&scope, &[event("before", "file.modified", "src/before.rs")]).await;
    let lines = "inputs: {type: object, properties: {path: {type: string}}, required: [path]}\n\
        triggers: [{event: {type: file.modified, filter: \"${{ event.subject.startsWith('src/') }}\"}, input: {path: \"${{ event.subject }}\"}}]";
    subject.published(&scope, "on change", lines).await;
    let events: Vec<NewEvent> = (0..250)
        .map(|n| {
            let event_type = if n % 50 == 0 { "file.modified" } else { "file.read" };
            event(&n.to_string(), event_type, &format!("src/{n}.rs"))
        })
        .chain([event("other", "file.modified", "docs/a.md")])
        .collect();
    subject.add_events(&scope, &events).await;
    let (one, two) = (subject.follower(), subject.follower());
    let together = async |follower: &tidegate_use_cases::FollowEvents| {
        while follower.step(&scope).await.expect("events are followed") {}
    };
    tokio::join!(together(&one), together(&two));
    subject.follow(&scope).await;
    let runs = subject.runs(&scope).await;
    let mut paths: Vec<_> = runs.iter().filter_map(|run| run.input["path"].as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["src/0.rs", "src/100.rs", "src/150.rs", "src/200.rs", "src/50.rs"]);
    assert!(runs.iter().all(|run| run.trigger["kind"] == "event"), "{runs:?}");
}

/// A chain of runs that start each other ends.
pub async fn a_chain_of_runs_ends(subject: &Subject) {
    let scope = subject.scope();
    subject.published(&scope, "loops", "triggers: [{event: {type: again}}]").await;
    for depth in 0..=12 {
        let event = NewEvent::emitted("/runs".to_owned(), format!("e{depth}"), "again".to_owned(), depth);
        subject.add_events(&scope, &[event]).await;
    }
    subject.follow(&scope).await;
    assert_eq!(subject.runs(&scope).await.len(), 11, "the first event and ten that runs sent");
}

/// Another tenant's events and ticks are its own.
pub async fn another_tenants_triggers_are_its_own(subject: &Subject) {
    let (scope, foreign) = (subject.scope(), subject.foreign());
    subject.at("00:30:00");
    let lines = "triggers: [{event: {type: wanted}}, {cron: '0 * * * *'}]";
    subject.published(&scope, "ours", lines).await;
    subject.add_events(&foreign, &[event("1", "wanted", "a")]).await;
    subject.follow(&foreign).await;
    subject.follow(&scope).await;
    assert!(subject.runs(&scope).await.is_empty() && subject.runs(&foreign).await.is_empty());
    subject.at("01:00:00");
    let due = subject.due().await;
    let (workspace, trigger) = due.first().expect("ours is due");
    assert_eq!((due.len(), *workspace), (1, subject.ours));
    assert!(!subject.trigger_service().fire(&foreign, trigger).await.expect("it is tried"));
    {
        let mut tx = subject.triggers.begin(&foreign).await.expect("a transaction begins");
        assert!(!tx.triggers().advance(trigger, None).await.expect("it is tried"));
        assert!(tx.triggers().listening(&["wanted".to_owned()]).await.expect("it is tried").is_empty());
        assert!(tx.triggers().awaited().await.expect("it is tried").is_empty());
    }
    assert!(subject.trigger_service().fire(&scope, trigger).await.expect("it fires"));
    assert_eq!((subject.runs(&scope).await.len(), subject.runs(&foreign).await.len()), (1, 0));
}

/// An input that does not meet the schema starts nothing, and the owner finds why in the audit log.
pub async fn what_a_trigger_cannot_start_is_told(subject: &Subject) {
    let scope = subject.scope();
    let lines = "inputs: {type: object, properties: {path: {type: string, maxLength: 3}}}\n\
        triggers: [{event: {type: wanted}, input: {path: \"${{ event.subject }}\"}}]";
    subject.published(&scope, "strict", lines).await;
    subject.add_events(&scope, &[event("1", "wanted", "too long"), event("2", "wanted", "fit")]).await;
    subject.follow(&scope).await;
    let runs = subject.runs(&scope).await;
    assert_eq!((runs.len(), &runs[0].input["path"]), (1, &json!("fit")));
}
