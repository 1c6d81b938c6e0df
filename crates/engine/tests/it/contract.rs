//! Runs the contract suite against the store in memory, so that the simulation tests the engine with a realistic store.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Datelike, DurationRound, TimeDelta, Utc};
use tidegate_engine::model::{Gate, RunKey, RunRequestKind};
use tidegate_kernel::{Page, PageSize, RunId, StoreError, SystemScope, WorkspaceId, WorkspaceScope};
use tidegate_testing::contract::engine_store::{EngineWorld, Subject};
use tidegate_testing::contract::{Scene, engine_store};
use tidegate_testing::test_clock;
use tidegate_workflows::run::ports::QuarantineDirectory;
use tidegate_workflows::run::{
    NewRun, QuarantineAction, QuarantineKey, QuarantinedRun, RunStatus, Transition, TransitionRecord,
};

use crate::store::{MemoryStore, Weather};

#[async_trait]
impl EngineWorld for MemoryStore {
    async fn add(&self, scope: &WorkspaceScope, run: &NewRun) {
        let key = RunKey { workspace: scope.workspace(), run: run.id };
        let concurrency = run.concurrency.as_ref().map(|(key, limit)| (Gate::workflow(run.workflow, key), *limit));
        self.add_with(key, run.workflow, concurrency, run.input.clone(), scope.trace().cloned());
    }

    async fn cancel(&self, key: RunKey, _: DateTime<Utc>) {
        if self.knows(key) {
            self.request(key, RunRequestKind::Cancel);
        }
    }

    async fn cancel_all(&self, workspace: WorkspaceId, _: DateTime<Utc>) {
        let live: Vec<RunKey> = {
            let world = self.world.lock().unwrap();
            let live = world.runs.iter().filter(|(_, run)| !run.status.is_terminal()).map(|(key, _)| *key);
            live.filter(|key| key.workspace == workspace).collect()
        };
        live.into_iter().for_each(|key| self.request(key, RunRequestKind::Cancel));
    }

    async fn ask(&self, key: RunKey, action: QuarantineAction, _: DateTime<Utc>) -> bool {
        let is_there = self.world.lock().unwrap().quarantine.contains_key(&key);
        if is_there {
            let kind = match action {
                QuarantineAction::Release => RunRequestKind::Release,
                QuarantineAction::End => RunRequestKind::End,
            };
            self.request(key, kind);
        }
        is_there
    }

    async fn status(&self, key: RunKey) -> RunStatus {
        self.world.lock().unwrap().runs[&key].status
    }

    async fn history(&self, key: RunKey) -> Vec<TransitionRecord> {
        self.world.lock().unwrap().runs.get(&key).map(|run| run.history.clone()).unwrap_or_default()
    }

    async fn used(&self, workspace: WorkspaceId, at: DateTime<Utc>) -> [i64; 2] {
        let world = self.world.lock().unwrap();
        let runs = world.runs.iter().filter(|(key, _)| key.workspace == workspace);
        let records = runs.flat_map(|(_, run)| &run.history);
        let in_month = records.filter(|record| (record.at.year(), record.at.month()) == (at.year(), at.month()));
        in_month.fold([0, 0], |[runs, steps], record| match &record.transition {
            Transition::RunStarted => [runs + 1, steps],
            transition => [runs, steps + i64::from(transition.begins_attempt())],
        })
    }
}

#[async_trait]
impl QuarantineDirectory for MemoryStore {
    async fn list(
        &self,
        _: &SystemScope,
        after: Option<QuarantineKey>,
        size: PageSize,
    ) -> Result<Page<QuarantinedRun, QuarantineKey>, StoreError> {
        let mut runs: Vec<_> = self.world.lock().unwrap().quarantine.values().cloned().collect();
        runs.retain(|run| after.is_none_or(|after| (run.at, run.run) > after));
        runs.sort_unstable_by_key(|run| (run.at, run.run));
        Ok(Page::from_overfetch(runs, size, |run| (run.at, run.run)))
    }

    async fn find(&self, _: &SystemScope, run: RunId) -> Result<Option<QuarantinedRun>, StoreError> {
        Ok(self.world.lock().unwrap().quarantine.values().find(|aside| aside.run == run).cloned())
    }

    async fn count(&self, _: &SystemScope, most: u32) -> Result<u32, StoreError> {
        Ok(u32::try_from(self.world.lock().unwrap().quarantine.len()).unwrap().min(most))
    }
}

/// Checks one obligation with varying latencies and without failures.
async fn fulfil(obligation: impl AsyncFn(&Subject)) {
    for seed in 0..8 {
        let (clock, env) = test_clock();
        let midnight = env.now().duration_trunc(TimeDelta::days(1)).unwrap();
        let [ours, theirs] = [(); 2].map(|()| WorkspaceId::generate(&env));
        let weather = Weather { failures: 0, panics: 0, slowest: Duration::from_millis(2) };
        let store = Arc::new(MemoryStore::new(seed, weather));
        let scene = Scene { clock, midnight, env, ours, theirs };
        obligation(&Subject { engine: store.clone(), quarantine: store.clone(), world: store, scene }).await;
    }
}

macro_rules! tests {
    (
        everywhere { engine_store { $($obligation:ident)* } }
        served_only { $(engine_store::$other:ident $reason:literal)* }
    ) => {
        $(test! { $obligation })*
        $(test! { $other })*
    };
}

macro_rules! test {
    ($obligation:ident) => {
        #[tokio::test(start_paused = true)]
        async fn $obligation() {
            fulfil(engine_store::$obligation).await;
        }
    };
}

tidegate_testing::obligations!(engine_store => tests);
