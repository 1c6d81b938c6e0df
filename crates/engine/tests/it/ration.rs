//! A quota for simulations.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tidegate_kernel::{
    Limit, Meter, Quota, QuotaError, QuotaExceeded, Reservation, StoreError, WorkspaceId, WorkspaceScope,
};
use tokio::time::sleep;

/// A quota that has moods until its sky clears: it refuses, has less left than is asked for, or cannot be asked.
pub(crate) struct Ration {
    moods: Mutex<SmallRng>,
    clear: AtomicBool,
    used: Arc<Mutex<HashMap<WorkspaceId, i64>>>,
}

impl Ration {
    pub(crate) fn new(seed: u64) -> Self {
        let moods = Mutex::new(SmallRng::seed_from_u64(seed));
        Self { moods, clear: AtomicBool::new(false), used: Arc::default() }
    }

    /// What was reserved in a workspace and not released.
    pub(crate) fn used(&self, workspace: WorkspaceId) -> i64 {
        self.used.lock().unwrap().get(&workspace).copied().unwrap_or(0)
    }

    pub(crate) fn clear_up(&self) {
        self.clear.store(true, Ordering::Relaxed);
    }
}

#[async_trait]
impl Quota for Ration {
    async fn limit(&self, _: &WorkspaceScope, _: Meter) -> Result<Limit, StoreError> {
        Ok(Limit::AtMost(1_000))
    }

    async fn reserve(&self, scope: &WorkspaceScope, meter: Meter, amount: i64) -> Result<Reservation, QuotaError> {
        assert_eq!(meter, Meter::Steps);
        let (mood, millis, left) = {
            let mut moods = self.moods.lock().unwrap();
            (moods.random_range(0..10), moods.random_range(0..20), moods.random_range(0..3))
        };
        sleep(Duration::from_millis(millis)).await;
        let is_clear = self.clear.load(Ordering::Relaxed);
        match mood {
            0 if !is_clear => return Err(StoreError::Unavailable("the quota is away".into()).into()),
            1..4 if !is_clear && amount > left => {
                let exceeded = QuotaExceeded { meter, limit: 1_000, used: 1_000 - left, resets_at: None };
                return Err(exceeded.into());
            }
            _ => {}
        }
        let (workspace, used) = (scope.workspace(), Arc::clone(&self.used));
        *used.lock().unwrap().entry(workspace).or_default() += amount;
        Ok(Reservation::new(amount, move |units| {
            *used.lock().unwrap().get_mut(&workspace).unwrap() -= units;
        }))
    }
}
