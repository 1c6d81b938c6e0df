//! Waits for what a server does by itself.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::support::TestApp;

/// The condition that no job can start and none is running.
pub const QUIET: &str = "not exists (select from job_ready) and not exists (select from job_lease)";

impl TestApp {
    /// Waits until no job can start, and checks that none is dead.
    pub async fn until_quiet(&self) {
        self.until("no job can start", format!("select count(*) from (select) _ where {QUIET}")).await;
        assert_eq!(self.database.count("select count(*) from job_dead".to_owned()).await, 0, "a job is dead");
    }

    /// Waits until the number that a query of the superuser returns is not zero.
    pub async fn until(&self, what: &str, sql: String) {
        let so = async {
            while self.database.count(sql.clone()).await == 0 {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(60), so).await.unwrap_or_else(|_| panic!("not within 60 s: {what}"));
    }
}
