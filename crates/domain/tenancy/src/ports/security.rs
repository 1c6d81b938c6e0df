//! Ports for slow hashes and signatures.

use async_trait::async_trait;
use tidegate_kernel::StoreError;

use crate::model::{AccessClaims, Digest, Password, PasswordHash};

/// Why a password could not be hashed.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// Too many passwords wait for hashing. The same call may succeed later.
    #[error("too many passwords are being checked at once")]
    Busy,
    /// A defect of the program.
    #[error("the password could not be hashed: {0}")]
    Internal(String),
}

/// The result of verifying a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verification {
    /// The password is wrong.
    Wrong,
    /// The password is right.
    Right,
    /// The password is right, but its hash has outdated parameters.
    Outdated,
}

/// Hashes passwords slowly, on threads that do not serve requests.
#[async_trait]
pub trait PasswordHasher: Send + Sync {
    /// Hashes a password with a new salt.
    async fn hash(&self, password: &Password) -> Result<PasswordHash, HashError>;

    /// Verifies a password. Without a hash, MUST return `Wrong` after the same amount of work, so that the duration
    /// does not reveal which accounts exist. For a password longer than [`Password::MAX_LEN`], MUST return `Wrong`
    /// after the same amount of work.
    async fn verify(&self, password: &Password, hash: Option<&PasswordHash>) -> Result<Verification, HashError>;
}

/// Why a token is not valid.
#[derive(Debug, thiserror::Error)]
pub enum InvalidToken {
    /// This installation did not issue the token: it is truncated, altered, signed by another key, or has another
    /// algorithm.
    #[error("the token is not valid")]
    Forged,
    /// The keys could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Signs access tokens with a key in memory.
///
/// MUST NOT do IO, so that a token can be signed inside the transaction on which it depends.
pub trait PreparedSigner: Send + Sync {
    /// Signs a token with these claims.
    ///
    /// # Errors
    /// [`StoreError::Internal`] if signing fails, which is a defect of the program.
    fn sign(&self, claims: &AccessClaims) -> Result<String, StoreError>;
}

/// Signs and checks access tokens.
#[async_trait]
pub trait TokenSigner: Send + Sync {
    /// A signer with the newest key. It may have to read the keys, so it MUST be called outside of transactions.
    async fn signer(&self) -> Result<Box<dyn PreparedSigner>, StoreError>;

    /// Verifies a token and returns its claims.
    ///
    /// MUST accept only the one algorithm and the keys of this installation, whatever the token's header says. MUST NOT
    /// check the times: the caller does that with its own clock.
    async fn verify(&self, token: &str) -> Result<AccessClaims, InvalidToken>;
}

/// Protects the secrets of second factors with a key that is not in the store.
pub trait FactorVault: Send + Sync {
    /// Seals a secret for the store. `owner` binds it: it opens only with the same bytes.
    ///
    /// # Errors
    /// [`StoreError::Internal`] if the library fails.
    fn seal(&self, secret: &[u8], owner: &[u8]) -> Result<Vec<u8>, StoreError>;

    /// Opens what was sealed.
    ///
    /// # Errors
    /// [`StoreError::Internal`] if it was changed, is of another owner, or was sealed with an unknown key.
    fn open(&self, sealed: &[u8], owner: &[u8]) -> Result<Vec<u8>, StoreError>;

    /// Digests of a text that is too short for a plain hash: one that can be computed only with the key. The first is the
    /// one to store; the others are those of older keys.
    fn digests(&self, text: &str, owner: &[u8]) -> Vec<Digest>;
}
