//! What the database of a server holds, for tests of requests that change nothing.

use std::collections::BTreeMap;

use crate::support::TestApp;
use crate::waiting::QUIET;

impl TestApp {
    /// The contents of the database, without what a server writes by itself. If two results are equal, the requests in
    /// between changed nothing.
    ///
    /// The jobs of earlier requests write to many tables, so this waits until they are done, if a server does jobs.
    pub async fn contents(&self) -> BTreeMap<String, String> {
        let nobody_works = "not exists (select from worker where seen_until >= now())";
        let done = format!("select count(*) from (select) _ where {nobody_works} or {QUIET}");
        self.until("the jobs of earlier requests end", done).await;
        let machinery = ["shard", "worker", "usage_counter", "usage_recorder", "quota_grant", "job_schedule"];
        // The first request in a workspace finds out its plan.
        let assigned = ["workspace_plan", "workspace_slot"];
        // Recurring jobs come and go.
        let background = ["job", "job_ready", "job_later", "job_lease"];
        self.database.contents(&[&machinery[..], &assigned, &background].concat()).await
    }
}
