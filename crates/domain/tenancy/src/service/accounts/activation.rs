//! Deactivated accounts.

use serde_json::json;
use tidegate_kernel::{OperatorScope, UserId};

use super::{Accounts, record};
use crate::error::DeactivateError;
use crate::model::LinkPurpose;
use crate::service::now;

impl Accounts {
    /// Deactivates an account, so that nobody can log in to it, its sessions and links end, and its API keys stop working;
    /// or reactivates it. Nothing happens if it is so already. The logs of both accounts have it.
    ///
    /// # Errors
    /// [`DeactivateError`] if there is no such account or it is the operator's own.
    pub async fn set_active(
        &self,
        operator: &OperatorScope,
        user: UserId,
        active: bool,
    ) -> Result<(), DeactivateError> {
        if user == operator.user() {
            return Err(DeactivateError::Own);
        }
        let at = now(&self.env);
        let mut tx = self.begin().await?;
        let (person, _) = tx.people().lock(user).await?.ok_or(DeactivateError::NotFound)?;
        if person.is_active() == active {
            return Ok(());
        }
        tx.people().set_active(user, active, at).await?;
        if !active {
            tx.sessions().revoke_all(user, None, at).await?;
            tx.links().void(user, &LinkPurpose::ALL, at).await?;
            tx.factors().remove_challenges(user).await?;
        }
        let [of_person, of_operator] = match active {
            true => ["account.reactivated", "person.reactivated"],
            false => ["account.deactivated", "person.deactivated"],
        };
        record(&mut *tx, user, of_person, json!({}), operator.origin()).await?;
        record(&mut *tx, operator.user(), of_operator, json!({ "person": user }), operator.origin()).await?;
        tx.commit().await?;
        self.announce(user);
        Ok(())
    }
}
