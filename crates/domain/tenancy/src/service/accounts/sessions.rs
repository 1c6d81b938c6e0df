//! The sessions of a person.

use serde_json::json;
use tidegate_kernel::{Origin, PersonScope, SessionId, StoreError, UserId};

use super::{Accounts, record};
use crate::error::SessionError;
use crate::model::{LiveSession, Session};
use crate::service::now;

impl Accounts {
    /// Ends the session of the request.
    ///
    /// # Errors
    /// [`SessionError::Store`] if the store failed. A session that has already ended is not an error.
    pub async fn logout(&self, live: &LiveSession, origin: &Origin) -> Result<(), SessionError> {
        match self.end(live.person.id, live.session.id, "session.ended", origin).await {
            Ok(()) | Err(SessionError::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The person's live sessions, newest first.
    ///
    /// # Errors
    /// [`SessionError::Store`] if the store failed.
    pub async fn sessions(&self, scope: &PersonScope) -> Result<Vec<Session>, SessionError> {
        let mut tx = self.begin().await?;
        let sessions = tx.sessions().list_live(scope.user(), self.env.now()).await?;
        tx.commit().await?;
        Ok(sessions)
    }

    /// Revokes one of the person's sessions.
    ///
    /// # Errors
    /// [`SessionError::NotFound`] if the person has no such live session.
    pub async fn revoke_session(&self, scope: &PersonScope, id: SessionId) -> Result<(), SessionError> {
        self.end(scope.user(), id, "session.revoked", scope.origin()).await
    }

    /// Revokes the person's sessions except `except`.
    ///
    /// # Errors
    /// [`StoreError`] if the store failed.
    pub async fn revoke_sessions(&self, scope: &PersonScope, except: Option<SessionId>) -> Result<(), StoreError> {
        let user = scope.user();
        let mut tx = self.begin().await?;
        tx.people().lock(user).await?;
        let revoked = tx.sessions().revoke_all(user, except, now(&self.env)).await?;
        record(&mut *tx, user, "sessions.revoked", json!({ "sessions": revoked }), scope.origin()).await?;
        tx.commit().await?;
        self.announce(user);
        Ok(())
    }

    async fn end(
        &self,
        user: UserId,
        id: SessionId,
        action: &'static str,
        origin: &Origin,
    ) -> Result<(), SessionError> {
        let mut tx = self.begin().await?;
        if !tx.sessions().revoke(user, id, now(&self.env)).await? {
            return Err(SessionError::NotFound);
        }
        record(&mut *tx, user, action, json!({ "session": id }), origin).await?;
        tx.commit().await?;
        self.announce_end(id);
        Ok(())
    }
}
