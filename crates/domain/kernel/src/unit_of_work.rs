//! Units of work: a use case commits all of its changes or none.

use async_trait::async_trait;

use crate::error::StoreError;
use crate::job::Jobs;
use crate::quota::Reservation;
use crate::scope::WorkspaceScope;

/// Opens transactions for one domain's slice of a store.
///
/// `Tx` is the trait object of the slice (`dyn WorkflowsTx`). `Scope` is the proof that opens it. There is no other way
/// to reach a repository.
#[async_trait]
pub trait UnitOfWork<Tx: ?Sized, Scope: ?Sized = WorkspaceScope>: Send + Sync {
    /// Opens a transaction that sees exactly what `scope` allows.
    ///
    /// MUST be safe to cancel at every await point: a connection in an unfinished state MUST NOT be given to another
    /// caller.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if no connection is free in time.
    async fn begin(&self, scope: &Scope) -> Result<Box<Tx>, StoreError>;
}

/// What every slice provides. A transaction that is dropped is rolled back.
#[async_trait]
pub trait Transaction: Send {
    /// The queue of background jobs. A job that is enqueued here runs if and only if this transaction commits.
    fn jobs(&mut self) -> Box<dyn Jobs + '_>;

    /// Ties a reservation to this transaction. It is committed when the commit is attempted, and released if the
    /// transaction is rolled back.
    fn hold(&mut self, reservation: Reservation);

    /// Commits: makes all changes durable and visible at once.
    ///
    /// # Errors
    /// [`StoreError`] if nothing was changed. After a lost connection it is unknown whether the commit took effect.
    async fn commit(self: Box<Self>) -> Result<(), StoreError>;
}
