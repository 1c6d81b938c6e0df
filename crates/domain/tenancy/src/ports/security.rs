//! Slow hashes and signatures.

use async_trait::async_trait;
use tidegate_kernel::StoreError;

use crate::model::{AccessClaims, Password, PasswordHash};

/// Why a password could not be hashed.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// Too many wait already; the same call may pass later.
    #[error("too many passwords are being checked at once")]
    Busy,
    /// A defect.
    #[error("the password could not be hashed: {0}")]
    Internal(String),
}

/// What came of comparing a password with a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verification {
    /// Another password.
    Wrong,
    /// The right one.
    Right,
    /// The right one, but the hash was made with parameters that are no longer used.
    Outdated,
}

/// Hashes passwords slowly, and away from the threads that answer requests.
#[async_trait]
pub trait PasswordHasher: Send + Sync {
    /// A hash with a salt of its own.
    async fn hash(&self, password: &Password) -> Result<PasswordHash, HashError>;

    /// Compares. Without a hash, MUST answer `Wrong` after as much work as with one: what takes how long tells nobody
    /// which accounts exist. MUST answer `Wrong`, after as much work, to a password longer than [`Password::MAX_LEN`].
    async fn verify(&self, password: &Password, hash: Option<&PasswordHash>) -> Result<Verification, HashError>;
}

/// Why a token is not taken.
#[derive(Debug, thiserror::Error)]
pub enum InvalidToken {
    /// It is not one of ours: cut, changed, signed by somebody else, or in an algorithm that we do not use.
    #[error("the token is not valid")]
    Forged,
    /// The keys could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Signs access tokens with a key that it has in hand.
///
/// MUST ask nobody else, so that a token can be signed inside the transaction that it depends on.
pub trait PreparedSigner: Send + Sync {
    /// A token that says `claims`.
    ///
    /// # Errors
    /// [`StoreError::Internal`] for a defect.
    fn sign(&self, claims: &AccessClaims) -> Result<String, StoreError>;
}

/// Signs and checks access tokens.
#[async_trait]
pub trait TokenSigner: Send + Sync {
    /// What signs with the newest key. It may have to read the keys: call it outside of any transaction.
    async fn signer(&self) -> Result<Box<dyn PreparedSigner>, StoreError>;

    /// What a token says.
    ///
    /// MUST accept only the one algorithm and the keys of this installation, whatever the token's header asks for.
    /// MUST NOT judge the times: the caller does, by its own clock.
    async fn verify(&self, token: &str) -> Result<AccessClaims, InvalidToken>;
}
