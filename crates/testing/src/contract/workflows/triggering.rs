//! Schedules and events that start runs.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;
use tidegate_events::Payload;
use tidegate_events::cloud_event::NewEvent;
use tidegate_kernel::{WorkflowId, WorkspaceId, WorkspaceScope};
use tidegate_tenancy::AuditFilter;
use tidegate_use_cases::FollowLimits;
use tidegate_workflows::model::Expected;
use tidegate_workflows::trigger::ports::TimeTrigger;

use super::{Subject, document, event};
use crate::scope::{system_scope, workspace_scope};

const EVERY_HOUR: &str = "triggers: [{cron: '0 * * * *'}]";

impl Subject {
    /// A time in the format of triggers.
    fn scheduled(&self, time: &str) -> String {
        self.moment(time).to_rfc3339_opts(SecondsFormat::Secs, true)
    }

    /// The due triggers of the two workspaces.
    pub(super) async fn due(&self) -> Vec<(WorkspaceId, TimeTrigger)> {
        let mut due = self.due.due(&system_scope(), self.env.now(), 1_000).await.expect("due triggers are found");
        due.retain(|(workspace, _)| self.knows(*workspace));
        due
    }

    /// The workflows that a trigger could not start, from the audit log.
    async fn unstarted(&self, scope: &WorkspaceScope) -> Vec<String> {
        let failed = AuditFilter { actions: vec!["workflow.trigger_failed".to_owned()], ..AuditFilter::default() };
        let mut tx = self.tenancy.begin(scope).await.expect("a transaction begins");
        let told = tx.audit_trail().list(&failed, None, 10).await.expect("the audit log is read");
        told.into_iter().map(|entry| entry.resource).collect()
    }

    /// Fires every due trigger once, and returns how many there were.
    pub(super) async fn fire_due(&self) -> usize {
        let due = self.due().await;
        for (workspace, trigger) in &due {
            let fired = self.trigger_service().fire(&workspace_scope(*workspace), trigger).await;
            fired.expect("a trigger fires");
        }
        due.len()
    }
}

/// A due tick fires once, and the next one is an hour later. Earlier ticks are skipped.
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

/// One run, for the last tick, makes up for all missed ticks.
pub async fn missed_ticks_are_made_up_for_by_one_run(subject: &Subject) {
    let scope = subject.scope();
    subject.at("00:30:00");
    subject.published(&scope, "hourly", EVERY_HOUR).await;
    subject.at("60:34:00");
    assert_eq!((subject.fire_due().await, subject.fire_due().await), (1, 0));
    let runs = subject.runs(&scope).await;
    assert_eq!((runs.len(), &runs[0].trigger["scheduled_at"]), (1, &json!(subject.scheduled("60:00:00"))));
}

/// Of several servers that see the same tick, one starts the run.
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

/// MUST change nothing if a trigger is gone, belongs to another version, or waits for another time.
pub async fn a_trigger_moves_only_from_where_it_is(subject: &Subject) {
    let scope = subject.scope();
    subject.at("00:30:00");
    subject.published(&scope, "hourly", EVERY_HOUR).await;
    subject.at("01:00:00");
    let (_, trigger) = subject.due().await.remove(0);
    let (one, two) = (subject.moment("01:00:00"), subject.moment("02:00:00"));
    assert_eq!(trigger.due, one);
    let advance = async |trigger: TimeTrigger, next: Option<DateTime<Utc>>| {
        let mut tx = subject.triggers.begin(&scope).await.expect("a transaction begins");
        let moved = tx.triggers().advance(&trigger, next).await.expect("it is tried");
        tx.commit().await.expect("it commits");
        moved
    };
    for other in [
        TimeTrigger { workflow: WorkflowId::generate(&subject.env), ..trigger },
        TimeTrigger { ordinal: trigger.ordinal + 1, ..trigger },
        TimeTrigger { version: trigger.version + 1, ..trigger },
        TimeTrigger { due: two, ..trigger },
    ] {
        assert!(!advance(other, None).await && !advance(other, Some(two)).await, "{other:?}");
    }
    assert!(advance(trigger, Some(two)).await);
    assert!(!advance(trigger, Some(two)).await && !advance(trigger, None).await, "it waits for another time");
    assert_eq!(subject.due().await, []);
    subject.at("02:00:00");
    let later = TimeTrigger { due: two, ..trigger };
    assert_eq!(subject.due().await, [(subject.ours, later)]);
    assert!(advance(later, None).await);
    assert!(!advance(later, None).await, "it is gone");
    assert_eq!(subject.due().await, []);
}

/// Due triggers of all workspaces are found, the longest due first, up to the limit.
pub async fn the_longest_due_comes_first(subject: &Subject) {
    subject.at("00:30:00");
    subject.published(&subject.scope(), "later", EVERY_HOUR).await;
    subject.published(&subject.foreign(), "sooner", "triggers: [{cron: '50 * * * *'}]").await;
    subject.at("01:00:00");
    let due: Vec<_> = subject.due().await.into_iter().map(|(workspace, _)| workspace).collect();
    assert_eq!(due, [subject.theirs, subject.ours]);
    let one = subject.due.due(&system_scope(), subject.env.now(), 1).await;
    assert_eq!(one.expect("due triggers are found").len(), 1);
}

/// A workspace with more due triggers than one look returns, none of which is ever fired, does not starve its
/// neighbour.
pub async fn a_flood_of_due_triggers_leaves_room(subject: &Subject) {
    subject.at("00:30:00");
    for n in 0..4 {
        subject.published(&subject.foreign(), &format!("flood {n}"), "triggers: [{cron: '40 * * * *'}]").await;
    }
    subject.published(&subject.scope(), "ours", EVERY_HOUR).await;
    subject.at("01:00:00");
    let mut seen = Vec::new();
    for _ in 0..2 {
        let due = subject.due.due(&system_scope(), subject.env.now(), 2).await;
        let due = due.expect("due triggers are found");
        assert_eq!(due.len(), 2);
        seen.extend(due.into_iter().map(|(workspace, _)| workspace));
    }
    assert!(seen.contains(&subject.ours), "{seen:?}");
    assert!(seen.contains(&subject.theirs), "{seen:?}");
}

/// Each event type that triggers wait for is listed once, and its triggers are always in the same order. Nothing waits
/// after all triggers were removed.
pub async fn what_is_waited_for_is_told(subject: &Subject) {
    let scope = subject.scope();
    let mut waiting = vec![
        subject.published(&scope, "one", "triggers: [{event: {type: wanted}}, {event: {type: other}}]").await,
        subject.published(&scope, "two", "triggers: [{event: {type: wanted}}]").await,
    ];
    waiting.sort_unstable();
    let types = ["wanted".to_owned()];
    let mut tx = subject.triggers.begin(&scope).await.expect("a transaction begins");
    let mut awaited = tx.triggers().awaited().await.expect("types are read");
    awaited.sort_unstable();
    assert_eq!(awaited, ["other", "wanted"]);
    let listening = tx.triggers().listening(&types).await.expect("triggers are read");
    let together = listening.chunk_by(|one, other| one.workflow == other.workflow);
    assert!(listening.is_sorted_by_key(|trigger| (trigger.workflow, trigger.ordinal)) && together.count() == 2);
    let mut workflows: Vec<_> = listening.iter().map(|trigger| trigger.workflow).collect();
    workflows.sort_unstable();
    assert_eq!(workflows, waiting);
    assert_eq!(tx.triggers().listening(&types).await.expect("triggers are read"), listening);
    assert_eq!(tx.triggers().listening(&[]).await.expect("nothing is read"), []);
    drop(tx);
    let mut tx = subject.workflows.begin(&scope).await.expect("a transaction begins");
    tx.placements().clear().await.expect("triggers are taken away");
    tx.commit().await.expect("it commits");
    let mut tx = subject.triggers.begin(&scope).await.expect("a transaction begins");
    assert!(tx.triggers().awaited().await.expect("types are read").is_empty());
    assert_eq!(tx.triggers().listening(&types).await.expect("nothing is read"), []);
}

/// Publishing replaces the triggers of the previous version; a draft has none.
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

/// Each event of the type that passes the filter starts a run with an input made from it; an event is followed once.
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

/// An event starts one run of a workflow, by the first trigger that it passes, whoever follows it. If that trigger
/// cannot make its input, no other takes its place.
pub async fn an_event_starts_a_workflow_once(subject: &Subject) {
    let scope = subject.scope();
    let lines = "inputs: {type: object, properties: {by: {type: string}}}\n\
        triggers:\n\
        - {event: {type: wanted, filter: \"${{ event.subject != 'second' }}\"}, input: {by: \"${{ event.subject }} ${{ event.source.split('/')[1] }}\"}}\n\
        - {event: {type: other}, input: {by: other}}\n\
        - {event: {type: wanted}, input: {by: third}}\n\
        - {event: {type: wanted, filter: \"${{ true }}\"}, input: {by: fourth}}";
    let ours = subject.published(&scope, "several", lines).await;
    let single = subject.published(&scope, "single", "triggers: [{event: {type: wanted}}]").await;
    let mut events = vec![event("1", "wanted", "first"), event("2", "wanted", "second"), event("3", "other", "other")];
    let without_input = event("4", "wanted", "fails");
    events.push(NewEvent { source: "nothing".to_owned(), ..without_input });
    subject.add_events(&scope, &events).await;
    let (one, two) = (subject.follower(), subject.follower());
    let together = async |follower: &tidegate_use_cases::FollowEvents| {
        while follower.step(&scope).await.expect("events are followed") {}
    };
    tokio::join!(together(&one), together(&two));
    subject.follow(&scope).await;
    let runs = subject.runs(&scope).await;
    let mut by: Vec<_> =
        runs.iter().filter(|run| run.workflow == ours).filter_map(|run| run.input["by"].as_str()).collect();
    by.sort_unstable();
    assert_eq!(by, ["first test", "other", "third"]);
    assert_eq!(runs.iter().filter(|run| run.workflow == single).count(), 3);
    assert_eq!(subject.unstarted(&scope).await, [ours.to_string()]);
}

/// A transaction starts no more runs than the limits allow, even if one event starts more by itself. Every event starts
/// every workflow once, even if another server continues in the middle of an event.
pub async fn a_step_keeps_its_limits(subject: &Subject) {
    const WORKFLOWS: usize = 3;
    const EVENTS: usize = 2;
    let scope = subject.scope();
    for n in 0..WORKFLOWS {
        subject.published(&scope, &format!("w{n}"), "triggers: [{event: {type: wanted}}]").await;
    }
    let whole = FollowLimits { matching: Duration::from_secs(3_600), ..FollowLimits::default() };
    for (index, (limits, most)) in [
        (FollowLimits { runs: 2, ..whole }, 2),
        (FollowLimits { run_bytes: 1, ..whole }, 1),
        (FollowLimits { event_bytes: 1, ..whole }, WORKFLOWS),
        (FollowLimits { positions: 1, ..whole }, WORKFLOWS),
        (FollowLimits { matching: Duration::ZERO, ..whole }, 1),
        (whole, WORKFLOWS * EVENTS),
    ]
    .into_iter()
    .enumerate()
    {
        let before = subject.runs(&scope).await.len();
        let events: Vec<NewEvent> = (0..EVENTS)
            .map(|n| NewEvent { payload: Payload::Text("x".into()), ..event(&format!("{index}-{n}"), "wanted", "a") })
            .collect();
        subject.add_events(&scope, &events).await;
        let mut follower = subject.follower().within(limits);
        let mut counts = vec![before];
        loop {
            let more = follower.step(&scope).await.expect("events are followed");
            counts.push(subject.runs(&scope).await.len());
            if !more {
                break;
            }
            if counts.len() == 3 {
                // A server that has not begun the event.
                follower = subject.follower().within(limits);
            }
        }
        let largest = counts.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert_eq!(largest, Some(most), "{limits:?}: {counts:?}");
        assert_eq!(counts.last(), Some(&(before + WORKFLOWS * EVENTS)), "{limits:?}: {counts:?}");
    }
}

/// A chain of runs that start each other ends at the depth limit.
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

/// A tenant's events and ticks start only its own workflows.
pub async fn another_tenants_triggers_are_its_own(subject: &Subject) {
    let (scope, foreign) = (subject.scope(), subject.foreign());
    subject.at("00:30:00");
    let lines = "triggers: [{event: {type: wanted}}, {cron: '0 * * * *'}]";
    let ours = subject.published(&scope, "ours", lines).await;
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
    {
        let mut tx = subject.workflows.begin(&foreign).await.expect("a transaction begins");
        tx.placements().place(ours, 1, &[]).await.expect("nothing is replaced");
        tx.placements().clear().await.expect("nothing is taken away");
        tx.commit().await.expect("it commits");
    }
    assert_eq!(subject.due().await, due);
    assert!(subject.trigger_service().fire(&scope, trigger).await.expect("it fires"));
    assert_eq!((subject.runs(&scope).await.len(), subject.runs(&foreign).await.len()), (1, 0));
}

/// An input that does not satisfy the schema starts nothing, and the audit log says why.
pub async fn what_a_trigger_cannot_start_is_told(subject: &Subject) {
    let scope = subject.scope();
    let lines = "inputs: {type: object, properties: {path: {type: string, maxLength: 3}}}\n\
        triggers: [{event: {type: wanted}, input: {path: \"${{ event.subject }}\"}}]";
    let id = subject.published(&scope, "strict", lines).await;
    subject.add_events(&scope, &[event("1", "wanted", "too long"), event("2", "wanted", "fit")]).await;
    subject.follow(&scope).await;
    let runs = subject.runs(&scope).await;
    assert_eq!((runs.len(), &runs[0].input["path"]), (1, &json!("fit")));
    assert_eq!(subject.unstarted(&scope).await, [id.to_string()]);
}
