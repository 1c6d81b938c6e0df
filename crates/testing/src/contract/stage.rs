//! The environment in which an obligation is run.

use std::sync::Arc;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use tidegate_events::cloud_event::NewEvent;
use tidegate_events::{Addition, Allowance, EventsTx};
use tidegate_kernel::{Environment, UnitOfWork, WorkspaceId, WorkspaceScope};
use tidegate_postgres::{PgEngineStore, PgStore};
use tidegate_tenancy::{Name, Slug, TenancyTx, Workspace};

use crate::TestDatabase;
use crate::clock::{TestClock, test_clock};
use crate::scope::workspace_scope;

/// What a case has besides the ports under test: a clock, and two empty workspaces.
#[derive(Debug, Clone)]
pub struct Scene {
    /// A clock that ticks at every reading.
    pub clock: Arc<TestClock>,
    /// The midnight before the scene began.
    pub midnight: DateTime<Utc>,
    /// An environment with that clock and random numbers.
    pub env: Environment,
    /// The workspace that an obligation is about.
    pub ours: WorkspaceId,
    /// The workspace of another tenant.
    pub theirs: WorkspaceId,
}

impl Scene {
    pub(super) fn scope(&self) -> WorkspaceScope {
        workspace_scope(self.ours)
    }

    pub(super) fn foreign(&self) -> WorkspaceScope {
        workspace_scope(self.theirs)
    }

    /// Whether this is one of the two workspaces, to filter results for all workspaces.
    pub(super) fn knows(&self, workspace: WorkspaceId) -> bool {
        [self.ours, self.theirs].contains(&workspace)
    }

    /// `events` as one addition under a limit.
    pub(super) fn addition<'a>(&self, events: &'a [NewEvent], limit: Option<i64>) -> Addition<'a> {
        let allowance = Allowance { period_start: DateTime::UNIX_EPOCH, limit };
        let salt = u64::from_be_bytes(self.env.random());
        Addition { received_at: self.env.now(), salt, allowance, events: events.iter().collect() }
    }

    /// Adds events for consumers to read.
    pub(super) async fn add_to(
        &self,
        store: &dyn UnitOfWork<dyn EventsTx>,
        scope: &WorkspaceScope,
        events: &[NewEvent],
    ) {
        let mut tx = store.begin(scope).await.expect("a transaction begins");
        tx.events().add(&self.addition(events, None)).await.expect("events are added");
        tx.commit().await.expect("events are committed");
    }
}

/// Declares the ports of a suite, each with a field name and with its implementation on PostgreSQL: those under test,
/// whose methods the suite must call, and those beside them, through which it sets up what it needs.
macro_rules! subject {
    (
        about { $($(#[$about:meta])* $port:ident: $kind:ty = $source:ident,)* }
        $(beside { $($(#[$beside:meta])* $other:ident: $sort:ty = $origin:ident,)* })?
    ) => {
        /// The ports under test, and the scene in which they are tried.
        #[derive(Clone)]
        pub struct Subject {
            $($(#[$about])* pub $port: std::sync::Arc<$kind>,)*
            $($($(#[$beside])* pub $other: std::sync::Arc<$sort>,)*)?
            /// The clock and the two workspaces.
            pub scene: $crate::contract::Scene,
        }

        impl From<$crate::contract::Stage> for Subject {
            fn from(stage: $crate::contract::Stage) -> Self {
                Self {
                    $($port: stage.$source.clone(),)*
                    $($($other: stage.$origin.clone(),)*)?
                    scene: stage.scene,
                }
            }
        }

        impl std::ops::Deref for Subject {
            type Target = $crate::contract::Scene;

            fn deref(&self) -> &Self::Target {
                &self.scene
            }
        }
    };
}

pub(super) use subject;

/// A PostgreSQL store with a scene.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Every repository.
    pub store: Arc<PgStore>,
    /// The engine's store, on the same connections.
    pub engine: Arc<PgEngineStore>,
    /// The clock, which the store uses too, and two workspaces.
    pub scene: Scene,
}

impl Stage {
    /// A stage in `database`.
    pub async fn on(database: &TestDatabase) -> Self {
        let (clock, env) = test_clock();
        let midnight = env.now().duration_trunc(TimeDelta::days(1)).expect("a day is a span of time");
        let store = Arc::new(database.store(env.clone()).await);
        let engine = Arc::new(database.engine_store(&store));
        let (ours, theirs) = (new_workspace(&store, &env).await, new_workspace(&store, &env).await);
        Self { store, engine, scene: Scene { clock, midnight, env, ours, theirs } }
    }

    /// Runs one obligation, with two new workspaces and the clock at the present time.
    pub async fn fulfil<S: From<Self>, F: AsyncFnOnce(&S)>(&self, obligation: F) {
        self.scene.clock.set(test_clock().1.now());
        let mut stage = self.clone();
        for workspace in [&mut stage.scene.ours, &mut stage.scene.theirs] {
            *workspace = new_workspace(&self.store, &self.scene.env).await;
        }
        obligation(&S::from(stage)).await;
    }
}

async fn new_workspace(store: &PgStore, env: &Environment) -> WorkspaceId {
    let id = WorkspaceId::generate(env);
    let slug = Slug::new(&id.as_uuid().simple().to_string()).expect("a slug");
    let name = Name::new("Contract").expect("a name");
    let mut tx: Box<dyn TenancyTx> = store.begin(&workspace_scope(id)).await.expect("a transaction begins");
    let workspace = Workspace { id, name, slug, created_at: env.now() };
    assert!(tx.workspace().insert(&workspace).await.expect("a workspace is added"));
    tx.commit().await.expect("it commits");
    id
}
