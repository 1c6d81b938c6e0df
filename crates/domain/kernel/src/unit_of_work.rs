//! Units of work: all of a use case's changes, or none.

use async_trait::async_trait;

use crate::error::StoreError;
use crate::job::Jobs;
use crate::scope::WorkspaceScope;

/// Opens transactions for one domain's slice of a store.
///
/// `Tx` is the trait object of the slice (`dyn WorkflowsTx`), `Scope` the proof that opens it. There is no other way
/// to a repository.
#[async_trait]
pub trait UnitOfWork<Tx: ?Sized, Scope: ?Sized = WorkspaceScope>: Send + Sync {
    /// Opens a transaction that sees just what `scope` allows.
    ///
    /// MUST be safe to cancel at every await point: no connection that is half open is handed to anybody else.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when no connection could be had in time.
    async fn begin(&self, scope: &Scope) -> Result<Box<Tx>, StoreError>;
}

/// What every slice can do. A transaction that is dropped changes nothing.
#[async_trait]
pub trait Transaction: Send {
    /// The queue of background work: what is enqueued here is done if and only if this transaction commits.
    fn jobs(&mut self) -> Box<dyn Jobs + '_>;

    /// Makes all changes durable and visible at once.
    ///
    /// # Errors
    /// [`StoreError`] when nothing was changed, except that a lost connection leaves it open whether it was.
    async fn commit(self: Box<Self>) -> Result<(), StoreError>;
}
