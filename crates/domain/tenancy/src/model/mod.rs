//! The types of tenancy: plain data with validation, without IO.

mod account;
mod api_key;
mod audit;
mod email;
mod mail;
mod member;
mod role;
mod secret;
mod text;
mod workspace;

pub use account::{ACCESS_TOKEN_LIFE, FAMILY_LIFE, REFRESH_GRACE, REFRESH_TOKEN_LIFE};
pub use account::{
    AccessClaims, Client, LiveSession, LoginTokens, Password, PasswordHash, Person, Session, SigningKey,
};
pub use api_key::{ApiKey, KeyGrant, NewApiKey};
pub use audit::{AuditFilter, AuditRecord};
pub use email::Email;
pub use mail::{Mail, MailMessage, SendMail};
pub use member::{Member, Membership};
pub use role::{Role, UnknownRole};
pub use secret::{ApiKeySecret, Digest, RefreshToken, SuccessorSalt};
pub use text::{InvalidText, Name, Slug};
pub use workspace::{Workspace, WorkspaceChange, WorkspaceDeletion, WorkspaceRef};

#[cfg(test)]
pub(crate) mod testing {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use chrono::{DateTime, Utc};
    use sha2::{Digest as _, Sha256};
    use tidegate_kernel::{Clock, Entropy, Environment};

    struct Stopped;
    impl Clock for Stopped {
        fn now(&self) -> DateTime<Utc> {
            DateTime::UNIX_EPOCH
        }
    }

    /// A counter as entropy: the bytes never repeat and are the same in every run.
    struct Counted(AtomicU64);
    impl Entropy for Counted {
        fn fill(&self, bytes: &mut [u8]) {
            for chunk in bytes.chunks_mut(32) {
                let block = Sha256::digest(self.0.fetch_add(1, Ordering::Relaxed).to_le_bytes());
                chunk.copy_from_slice(&block[..chunk.len()]);
            }
        }
    }

    /// A sample person.
    pub(crate) fn person() -> super::Person {
        super::Person {
            id: tidegate_kernel::UserId::generate(&environment()),
            email: super::Email::new("ada@example.org").unwrap(),
            name: super::Name::new("Ada").unwrap(),
            created_at: DateTime::UNIX_EPOCH,
        }
    }

    pub(crate) fn environment() -> Environment {
        Environment::new(Arc::new(Stopped), Arc::new(Counted(AtomicU64::new(0))))
    }
}
