//! The types of tenancy: plain data with validation, without IO.

mod api_key;
mod audit;
mod email;
mod factor;
mod link;
mod mail;
mod member;
mod password;
mod person;
mod policy;
mod role;
mod secret;
mod session;
mod text;
mod workspace;

pub use api_key::{ApiKey, KeyGrant, NewApiKey};
pub use audit::{AccountRecord, AuditFilter, AuditRecord};
pub use email::Email;
pub use factor::{AuthMethod, Challenge, Factor, FactorKind, RecoveryCode, TotpSecret, UnknownMethod, one_time_code};
pub use link::{Link, LinkPurpose, UnknownPurpose};
pub use mail::{LinkRequest, Mail, MailMessage, SendLink, SendMail};
pub use member::{Member, Membership};
pub use password::{Password, PasswordHash};
pub use person::{Language, Notifications, Person, ProfileChange, TimeZone};
pub use policy::{Admission, SecondFactorRule, WorkspacePolicy};
pub use role::{Role, UnknownRole};
pub use secret::{ApiKeySecret, ChallengeToken, Digest, LinkToken, RefreshToken, SuccessorSalt};
pub use session::{
    ACCESS_TOKEN_LIFE, AccessClaims, CLOCK_LEEWAY, FAMILY_LIFE, LiveSession, LoginTokens, REFRESH_GRACE,
    REFRESH_TOKEN_LIFE, REMEMBERED_FAMILY_LIFE, REMEMBERED_TOKEN_LIFE, STEP_UP_LIFE, Session, SigningKey,
};
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
        let (email, name) = (super::Email::new("ada@example.org").unwrap(), super::Name::new("Ada").unwrap());
        super::Person::register(&environment(), email, name, DateTime::UNIX_EPOCH)
    }

    pub(crate) fn environment() -> Environment {
        Environment::new(Arc::new(Stopped), Arc::new(Counted(AtomicU64::new(0))))
    }
}
