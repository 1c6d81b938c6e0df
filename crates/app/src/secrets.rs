//! The one secret of an installation, and the keys that are derived from it.

use std::fmt;
use std::io::Write;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tidegate_kernel::Environment;

/// The least length of a secret, in bytes.
const MINIMUM: usize = 32;

/// The secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It is too short to be safe; the value is its length in bytes.
    #[error("TIDEGATE_SECRET has {0} bytes and needs at least {MINIMUM}; make one with `openssl rand -hex 32`")]
    TooShort(usize),
    /// The file in the data directory cannot be read or created.
    #[error("the secret in {path}: {source}")]
    File {
        /// The path of the file.
        path: String,
        /// The cause.
        source: std::io::Error,
    },
}

/// The secret that all keys are derived from. Servers that share a database share it.
#[derive(Clone)]
pub struct MasterSecret {
    current: Vec<u8>,
    /// Those before a change, newest first.
    previous: Vec<Vec<u8>>,
}

impl MasterSecret {
    /// A secret from the settings.
    ///
    /// # Errors
    /// [`SecretError::TooShort`] if it has fewer than 32 bytes.
    pub fn new(secret: &str) -> Result<Self, SecretError> {
        let secret = secret.trim().as_bytes().to_vec();
        if secret.len() < MINIMUM {
            return Err(SecretError::TooShort(secret.len()));
        }
        Ok(Self { current: secret, previous: Vec::new() })
    }

    /// The secret in `directory`. The first start creates it, readable by its owner alone.
    ///
    /// # Errors
    /// [`SecretError`] if the file can be neither read nor created, or if its secret is too short.
    pub fn in_directory(directory: &Path, env: &Environment) -> Result<Self, SecretError> {
        let path = directory.join("secret");
        let failed = |source| SecretError::File { path: path.display().to_string(), source };
        if !path.exists() {
            std::fs::create_dir_all(directory).map_err(failed)?;
            let fresh: String = env.random::<32>().iter().map(|byte| format!("{byte:02x}")).collect();
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            options.open(&path).and_then(|mut file| file.write_all(fresh.as_bytes())).map_err(failed)?;
        }
        Self::new(&std::fs::read_to_string(&path).map_err(failed)?)
    }

    /// The same secret, with those that it has replaced: what was sealed with them can still be opened.
    ///
    /// # Errors
    /// [`SecretError::TooShort`] if one of them has fewer than 32 bytes.
    pub fn with_previous(self, previous: &[String]) -> Result<Self, SecretError> {
        let previous = previous.iter().map(|text| Self::new(text).map(|secret| secret.current));
        Ok(Self { previous: previous.collect::<Result<_, _>>()?, ..self })
    }

    /// The keys for one purpose of this secret and of those that it has replaced.
    pub(crate) fn derive_all(&self, purpose: &str) -> Vec<[u8; 32]> {
        let secrets = std::iter::once(&self.current).chain(&self.previous);
        secrets.map(|secret| keyed_digest(secret, &[purpose.as_bytes()])).collect()
    }

    /// Derives a 32-byte key for one purpose: HMAC-SHA-256 (RFC 2104) of the purpose under the secret. A key reveals
    /// nothing about the keys for other purposes or about the secret.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        keyed_digest(&self.current, &[purpose.as_bytes()])
    }
}

impl fmt::Debug for MasterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterSecret(..)")
    }
}

/// HMAC-SHA-256 over the concatenation of `parts`.
#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
pub(crate) fn keyed_digest(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_secret_is_refused_and_a_kept_one_reads_back() {
        assert!(matches!(MasterSecret::new("short"), Err(SecretError::TooShort(5))));
        let directory = tempfile::tempdir().unwrap();
        let env = crate::system::environment();
        let first = MasterSecret::in_directory(directory.path(), &env).unwrap();
        let second = MasterSecret::in_directory(directory.path(), &env).unwrap();
        assert_eq!(first.derive("cursor"), second.derive("cursor"));
        assert_ne!(first.derive("cursor"), first.derive("token"));
    }
}
