//! Translates errors of PostgreSQL and its drivers to [`StoreError`].

use sea_orm::{DbErr, RuntimeErr};
use tidegate_kernel::StoreError;

/// Translates an error of sqlx.
pub fn store_error(error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Database(database) => {
            if let Some(constraint) = database.constraint() {
                return StoreError::Conflict(constraint.to_owned());
            }
            match database.code().as_deref() {
                Some(code) if is_transient(code) => StoreError::Unavailable(Box::new(error)),
                _ => StoreError::Internal(Box::new(error)),
            }
        }
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => StoreError::Unavailable(Box::new(error)),
        _ => StoreError::Internal(Box::new(error)),
    }
}

/// Whether an error says that the database cannot be reached or is shutting down. Nothing of the request was executed.
pub(crate) fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::WorkerCrashed => true,
        // Connection exceptions, and: shut down by an operator, after a crash, or starting up.
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| code.starts_with("08") || ["57P01", "57P02", "57P03"].contains(&&*code))
        }
        _ => false,
    }
}

/// Translates an error of sea-orm, which wraps those of sqlx.
pub(crate) fn orm_error(error: DbErr) -> StoreError {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(inner))
        | DbErr::Exec(RuntimeErr::SqlxError(inner))
        | DbErr::Query(RuntimeErr::SqlxError(inner)) => match std::sync::Arc::try_unwrap(inner) {
            Ok(inner) => store_error(inner),
            Err(shared) => StoreError::Internal(Box::new(shared)),
        },
        other => StoreError::Internal(Box::new(other)),
    }
}

/// Whether the same transaction may succeed later. The classes of SQLSTATE are connection (08), serialization and
/// deadlock (40), resources (53) and operator intervention (57), with lock not available (55P03). PostgreSQL manual,
/// appendix A.
fn is_transient(code: &str) -> bool {
    code == "55P03" || ["08", "40", "53", "57"].iter().any(|class| code.starts_with(class))
}
