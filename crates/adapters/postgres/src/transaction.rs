//! An open transaction and the context it was opened for.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::{PgConnection, Postgres};
use tidegate_kernel::trace::SPANS;
use tidegate_kernel::{
    Actor, Environment, Jobs, ListCache, ListTag, RequestId, Reservation, Signal, SignalBus, StoreError, TraceContext,
    Transaction, UserId, WorkspaceId,
};
use tokio::sync::Mutex;
use tracing::level_filters::LevelFilter;
use tracing::{Instrument, Span};

use crate::error::store_error;
use crate::gate::Turn;
use crate::jobs::{OwnsJobs, PgJobs};

/// An open transaction. `G` is its context, which decides which ports it implements.
///
/// If it is dropped without a commit, it is rolled back before the connection is used again.
#[derive(Debug)]
pub struct PgTx<G = Tenant> {
    /// The mutex is never contended. sea-orm takes a shared reference to its connection and needs it for that.
    pub(crate) connection: Mutex<sqlx::Transaction<'static, Postgres>>,
    pub(crate) context: G,
    pub(crate) env: Environment,
    /// The signals to send after the commit, without duplicates.
    announcements: Vec<Signal>,
    announcer: Announcer,
    /// The quotas that this transaction uses.
    reservations: Vec<Reservation>,
    /// The workspace whose lists the transaction changes, and their tags. They are invalidated after the commit.
    changed: Option<(WorkspaceId, BTreeSet<ListTag>)>,
    /// Passed on after the connection has been returned.
    turn: Option<Turn>,
    /// Closed together with the transaction.
    _span: Span,
}

/// A span for a transaction that is part of a trace. The engine's own transactions get none: each would be a trace by
/// itself.
pub(crate) fn span(role: &'static str) -> Span {
    if LevelFilter::current() < LevelFilter::TRACE || Span::current().id().is_none() {
        return Span::none();
    }
    tracing::trace_span!(
        target: SPANS, "transaction", otel.kind = "client", db.system.name = "postgresql", db.role = role
    )
}

/// Who hears what a transaction has done, after its commit.
#[derive(Clone, Default)]
pub(crate) struct Announcer {
    /// Hears what was made ready.
    pub(crate) bus: Option<Arc<dyn SignalBus>>,
    /// Has lists that are not valid any more.
    pub(crate) lists: Option<Arc<dyn ListCache>>,
}

impl std::fmt::Debug for Announcer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Announcer").finish_non_exhaustive()
    }
}

/// The context of one workspace, as the role `tidegate_api`.
#[derive(Debug)]
pub struct Tenant {
    pub(crate) workspace: WorkspaceId,
    pub(crate) actor: Actor,
    pub(crate) request_id: RequestId,
    pub(crate) trace: Option<TraceContext>,
}

/// The context of what one person owns across workspaces, as the role `tidegate_directory`.
#[derive(Debug)]
pub struct Person {
    pub(crate) user: UserId,
    pub(crate) request_id: RequestId,
}

/// The context of work before a scope is known, as the role `tidegate_directory`.
#[derive(Debug)]
pub struct Directory;

/// The context of the engine and its jobs, which work across tenants, as the role `tidegate_engine`.
#[derive(Debug)]
pub struct Machinery;

impl<G> PgTx<G> {
    pub(crate) fn new(
        transaction: sqlx::Transaction<'static, Postgres>,
        turn: Option<Turn>,
        span: Span,
        context: G,
        env: Environment,
        announcer: Announcer,
    ) -> Self {
        let connection = Mutex::new(transaction);
        Self {
            connection,
            context,
            env,
            announcements: Vec::new(),
            announcer,
            reservations: Vec::new(),
            changed: None,
            turn,
            _span: span,
        }
    }

    /// Sends `signal` after the transaction has committed.
    pub(crate) fn announce(&mut self, signal: Signal) {
        if !self.announcements.contains(&signal) {
            self.announcements.push(signal);
        }
    }

    /// The connection, for SQL over arrays and for hot paths. Tenant SQL binds [`PgTx::workspace`] as its first
    /// parameter.
    pub(crate) fn sqlx(&mut self) -> &mut PgConnection {
        self.connection.get_mut()
    }
}

impl PgTx<Tenant> {
    /// Invalidates the cached lists of the workspace with these tags after the commit.
    pub(crate) fn changes_lists(&mut self, tags: &[ListTag]) {
        let (_, changed) = self.changed.get_or_insert_with(|| (self.context.workspace, BTreeSet::new()));
        changed.extend(tags);
    }

    /// The workspace that every statement binds.
    pub(crate) fn workspace(&self) -> WorkspaceId {
        self.context.workspace
    }
}

impl PgTx<Person> {
    /// The person that every statement binds.
    pub(crate) fn user(&self) -> UserId {
        self.context.user
    }
}

impl PgTx<Machinery> {
    /// Makes the tenant rows of `workspaces` visible to the rest of the transaction.
    pub(crate) async fn declare(&mut self, workspaces: &[WorkspaceId]) -> Result<(), StoreError> {
        let ids: Vec<String> = workspaces.iter().map(|workspace| workspace.as_uuid().to_string()).collect();
        sqlx::query("select set_config('app.workspace_ids', $1, true)")
            .bind(format!("{{{}}}", ids.join(",")))
            .execute(self.sqlx())
            .await
            .map(drop)
            .map_err(store_error)
    }
}

#[async_trait]
impl<G: OwnsJobs> Transaction for PgTx<G> {
    fn jobs(&mut self) -> Box<dyn Jobs + '_> {
        Box::new(PgJobs(self))
    }

    fn hold(&mut self, reservation: Reservation) {
        self.reservations.push(reservation);
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        let Self { connection, announcements, announcer, reservations, changed, turn, _span: span, .. } = *self;
        // After a lost connection the commit may have taken effect. So what was reserved counts from here on.
        reservations.into_iter().for_each(Reservation::commit);
        let commit = async move {
            let committed = connection.into_inner().commit().await.map_err(store_error);
            // The connection has been returned: nothing holds it while the cache is asked.
            drop((turn, span));
            committed
        };
        let committed = match (changed, announcer.lists) {
            (Some((workspace, tags)), Some(lists)) => {
                // A task of its own: if the caller gives up after the commit was sent, the lists still become invalid. So
                // they do if it is unknown whether the commit took effect.
                let task = async move {
                    let committed = commit.await;
                    lists.invalidate(workspace, &Vec::from_iter(tags)).await;
                    committed
                };
                tokio::spawn(task.in_current_span()).await.map_err(|_| store_error(sqlx::Error::WorkerCrashed))?
            }
            _ => commit.await,
        };
        committed?;
        if let Some(bus) = announcer.bus {
            announcements.into_iter().for_each(|signal| bus.publish(signal));
        }
        Ok(())
    }
}
