//! The catalogue of plans, which belongs to no workspace. Each case has plans with names of its own.

use std::collections::BTreeMap;

use chrono::SubsecRound;
use tidegate_billing::{
    CatalogueTx, Currency, Entitlements, Feature, Interval, Metered, Overage, Plan, PlanRecord, PlanVersion, Price,
};
use tidegate_kernel::{Limit, UserId};

use super::Subject;
use crate::scope::{request_id, system_scope};

fn plan(name: &str, version: i32) -> Plan {
    let metered = |included, overage| Metered { included, overage };
    let overage = Overage { per: 1000, amounts: BTreeMap::from([(Currency::EUR, 50)]) };
    Plan {
        name: name.to_owned(),
        version,
        title: format!("Number {version}"),
        prices: vec![Price { interval: Interval::Quarter, currency: Currency::EUR, amount: 5700 }],
        entitlements: Entitlements {
            features: Feature::ALL.iter().map(|feature| (*feature, true)).collect(),
            storage_bytes: Limit::AtMost(7),
            file_bytes: Limit::Unlimited,
            workflows: Limit::AtMost(0),
            api_calls_per_day: Limit::Unlimited,
            requests_per_minute: Limit::AtMost(i64::MAX),
            members: Limit::Unlimited,
            concurrent_runs: Limit::AtMost(1),
            events_per_month: metered(Limit::AtMost(5), Some(overage)),
            runs_per_month: metered(Limit::Unlimited, None),
            steps_per_month: metered(Limit::AtMost(1), None),
        },
    }
}

impl Subject {
    pub(super) async fn catalogue_tx(&self) -> Box<dyn CatalogueTx> {
        self.catalogue.begin(&system_scope()).await.expect("a transaction begins")
    }

    /// A name that no other case has.
    fn plan_name(&self) -> String {
        let letter = |byte: &u8| char::from(b'a' + byte % 26);
        self.env.uuid_v7().as_bytes().iter().chain(self.env.random::<8>().iter()).map(letter).collect()
    }

    async fn store(&self, record: &PlanRecord) -> bool {
        let mut tx = self.catalogue_tx().await;
        let stored = tx.catalogue().insert(record).await.expect("it is stored");
        tx.commit().await.expect("it commits");
        stored
    }

    async fn save(&self, record: &PlanRecord) {
        let mut tx = self.catalogue_tx().await;
        tx.catalogue().save(record).await.expect("it is stored");
        tx.commit().await.expect("it commits");
    }

    /// The version of this plan that is sold.
    async fn sold(&self, name: &str) -> Option<i32> {
        let sold = self.catalogue_tx().await.catalogue().on_sale().await.expect("it is read");
        let of_plan: Vec<_> = sold.iter().filter(|plan| plan.name == name).map(|plan| plan.version).collect();
        assert!(of_plan.len() < 2, "{of_plan:?}");
        of_plan.first().copied()
    }

    /// What a workspace reads of a version.
    async fn seen(&self, id: &PlanVersion) -> Option<Plan> {
        let mut tx = self.billing.begin(&self.scope()).await.expect("a transaction begins");
        tx.plan().version(id).await.expect("it is read")
    }
}

/// A version is stored with all that it has. The newest published version is sold; workspaces see each version that was
/// published, and no draft.
pub async fn the_newest_published_version_is_sold(subject: &Subject) {
    let (name, now) = (subject.plan_name(), subject.env.now().trunc_subsecs(6));
    let records = [1, 2, 3].map(|version| PlanRecord::draft(plan(&name, version), version == 1, now));
    for record in &records {
        assert!(subject.store(record).await);
        let found = subject.catalogue_tx().await.catalogue().find(&record.plan.id()).await.expect("it is read");
        assert_eq!(found.as_ref(), Some(record));
        assert_eq!(subject.seen(&record.plan.id()).await, None, "a draft");
    }
    assert_eq!(subject.sold(&name).await, None);
    let [first, second, _] = records.map(|record| record.published(now));
    subject.save(&second).await;
    subject.save(&first).await;
    assert_eq!(subject.sold(&name).await, Some(2));
    assert_eq!(subject.seen(&second.plan.id()).await, Some(second.plan.clone()));
    let retired = second.retired(now);
    subject.save(&retired).await;
    assert_eq!(subject.sold(&name).await, Some(1));
    assert_eq!(subject.seen(&retired.plan.id()).await, Some(retired.plan.clone()), "who has it keeps it");
    let found = subject.catalogue_tx().await.catalogue().find(&retired.plan.id()).await.expect("it is read");
    assert_eq!(found, Some(retired));
    let missing = PlanVersion { name, version: 4 };
    assert_eq!(subject.seen(&missing).await, None);
    assert_eq!(subject.catalogue_tx().await.catalogue().find(&missing).await.expect("it is read"), None);
}

/// Versions are listed by name and version, by pages.
pub async fn versions_are_listed_by_pages(subject: &Subject) {
    let (name, now) = (subject.plan_name(), subject.env.now().trunc_subsecs(6));
    for version in [2, 1, 10] {
        assert!(subject.store(&PlanRecord::draft(plan(&name, version), false, now)).await);
    }
    let mut after = PlanVersion { name: name.clone(), version: 0 };
    let mut listed = Vec::new();
    for _ in 0..3 {
        let page = subject.catalogue_tx().await.catalogue().list(Some(&after), 1).await.expect("they are listed");
        after = page[0].plan.id();
        listed.push(after.clone());
    }
    assert_eq!(listed, [1, 2, 10].map(|version| PlanVersion { name: name.clone(), version }));
    let first = subject.catalogue_tx().await.catalogue().list(None, 1).await.expect("they are listed");
    assert!(first[0].plan.name <= name);
}

/// MUST store a number once, also if two transactions do it at the same time.
pub async fn a_version_is_stored_once(subject: &Subject) {
    let (name, now) = (subject.plan_name(), subject.env.now().trunc_subsecs(6));
    let stored = (0..4).map(|_| {
        let (subject, record) = (subject.clone(), PlanRecord::draft(plan(&name, 1), false, now));
        tokio::spawn(async move { subject.store(&record).await })
    });
    let mut won = 0;
    for stored in stored.collect::<Vec<_>>() {
        won += i32::from(stored.await.expect("no one fails"));
    }
    assert_eq!(won, 1);
    let other = PlanRecord::draft(Plan { title: "Another".into(), ..plan(&name, 1) }, false, now);
    assert!(!subject.store(&other).await);
    let found = subject.catalogue_tx().await.catalogue().find(&other.plan.id()).await.expect("it is read");
    assert_eq!(found.expect("it is there").plan.title, "Number 1");
    let versions = subject.catalogue_tx().await.catalogue().lock(&name).await.expect("it is locked");
    assert_eq!(versions.iter().map(|version| version.plan.version).collect::<Vec<_>>(), [1]);
}

/// MUST let one transaction at a time have the versions of a plan locked.
///
/// Served only: it has two transactions at once.
pub async fn versions_are_locked_for_one_at_a_time(subject: &Subject) {
    let (name, now) = (subject.plan_name(), subject.env.now().trunc_subsecs(6));
    let draft = PlanRecord::draft(plan(&name, 1), false, now);
    subject.store(&draft).await;
    let mut first = subject.catalogue_tx().await;
    assert_eq!(first.catalogue().lock(&name).await.expect("it is locked"), std::slice::from_ref(&draft));
    let other = subject.clone();
    let waiting = tokio::spawn(async move {
        let mut tx = other.catalogue_tx().await;
        tx.catalogue().lock(&name).await.expect("it is locked")
    });
    let published = draft.published(now);
    first.catalogue().save(&published).await.expect("it is stored");
    first.commit().await.expect("it commits");
    assert_eq!(waiting.await.expect("no one fails"), [published]);
}

/// A draft can be replaced and deleted. The database keeps a published version as it is, whoever changes it.
pub async fn what_was_published_stays(subject: &Subject) {
    let (name, now) = (subject.plan_name(), subject.env.now().trunc_subsecs(6));
    let draft = PlanRecord::draft(plan(&name, 1), false, now);
    subject.store(&draft).await;
    let changed = PlanRecord { plan: Plan { title: "Another".into(), ..draft.plan.clone() }, revision: 2, ..draft };
    subject.save(&changed).await;
    let published = changed.clone().published(now);
    subject.save(&published).await;
    let other = PlanRecord { plan: Plan { title: "A third".into(), ..changed.plan.clone() }, ..published.clone() };
    assert!(subject.catalogue_tx().await.catalogue().save(&other).await.is_err());
    assert!(subject.catalogue_tx().await.catalogue().save(&changed).await.is_err(), "a draft again");
    assert!(subject.catalogue_tx().await.catalogue().delete(&published.plan.id()).await.is_err());
    assert_eq!(subject.seen(&published.plan.id()).await, Some(published.plan.clone()));
    let second = PlanRecord::draft(plan(&name, 2), false, now);
    subject.store(&second).await;
    let mut tx = subject.catalogue_tx().await;
    tx.catalogue().delete(&second.plan.id()).await.expect("a draft is deleted");
    tx.commit().await.expect("it commits");
    let found = subject.catalogue_tx().await.catalogue().find(&second.plan.id()).await.expect("it is read");
    assert_eq!(found, None);
}

/// What an operator did is recorded with the commit.
pub async fn operations_are_recorded(subject: &Subject) {
    let (operator, details) = (UserId::generate(&subject.env), serde_json::json!({ "plan": "team", "version": 2 }));
    let mut tx = subject.catalogue_tx().await;
    tx.operations().record(operator, "plan.published", &details, &request_id()).await.expect("it is recorded");
    tx.commit().await.expect("it commits");
}
