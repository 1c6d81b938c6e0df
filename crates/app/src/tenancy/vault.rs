//! Seals the secrets of second factors with ChaCha20-Poly1305 (RFC 8439) of ring. The key is derived from the server's
//! secret, so a copy of the database alone opens nothing. After a change of the secret, the previous one still opens.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use tidegate_kernel::{Environment, StoreError};
use tidegate_tenancy::{Digest, FactorVault};

use crate::secrets::{MasterSecret, keyed_digest};

const PURPOSE: &str = "secrets of second factors";

/// A vault with the current key and those before it.
pub struct RingVault {
    keys: Vec<[u8; 32]>,
    env: Environment,
}

impl RingVault {
    /// A vault with keys of `secret`.
    #[must_use]
    pub fn new(secret: &MasterSecret, env: Environment) -> Self {
        Self { keys: secret.derive_all(PURPOSE), env }
    }
}

fn defect(text: &str) -> StoreError {
    StoreError::Internal(text.into())
}

fn key(bytes: &[u8; 32]) -> Result<LessSafeKey, StoreError> {
    let key = UnboundKey::new(&CHACHA20_POLY1305, bytes).map_err(|_| defect("the key of the vault is not valid"))?;
    Ok(LessSafeKey::new(key))
}

impl FactorVault for RingVault {
    /// The nonce, which is random, and the sealed secret.
    fn seal(&self, secret: &[u8], owner: &[u8]) -> Result<Vec<u8>, StoreError> {
        let current = self.keys.first().ok_or_else(|| defect("the vault has no key"))?;
        let nonce = self.env.random::<NONCE_LEN>();
        let mut sealed = secret.to_vec();
        key(current)?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(owner), &mut sealed)
            .map_err(|_| defect("a secret could not be sealed"))?;
        Ok([&nonce[..], &sealed].concat())
    }

    fn open(&self, sealed: &[u8], owner: &[u8]) -> Result<Vec<u8>, StoreError> {
        let refused = || {
            defect(
                "a secret of a second factor cannot be opened; was TIDEGATE_SECRET changed without TIDEGATE_PREVIOUS_SECRETS?",
            )
        };
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>().ok_or_else(refused)?;
        for bytes in &self.keys {
            let mut opened = sealed.to_vec();
            let nonce = Nonce::assume_unique_for_key(*nonce);
            if let Ok(secret) = key(bytes)?.open_in_place(nonce, Aad::from(owner), &mut opened) {
                return Ok(secret.to_vec());
            }
        }
        Err(refused())
    }

    fn digests(&self, text: &str, owner: &[u8]) -> Vec<Digest> {
        let digest = |key: &[u8; 32]| Digest::new(keyed_digest(key, &[owner, text.as_bytes()]));
        self.keys.iter().map(digest).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::environment;

    fn vault(secret: &str, previous: &[&str]) -> RingVault {
        let previous: Vec<String> = previous.iter().map(|text| (*text).to_owned()).collect();
        let secret = MasterSecret::new(secret).unwrap().with_previous(&previous).unwrap();
        RingVault::new(&secret, environment())
    }

    const OLD: &str = "the secret of the first half of the year";
    const NEW: &str = "the secret of the second half of the year";

    #[test]
    fn what_is_sealed_opens_for_its_owner_alone() {
        let vault = vault(OLD, &[]);
        let sealed = vault.seal(b"12345678901234567890", b"ada").unwrap();
        assert_ne!(sealed, vault.seal(b"12345678901234567890", b"ada").unwrap(), "no two look alike");
        assert_eq!(vault.open(&sealed, b"ada").unwrap(), b"12345678901234567890");
        assert!(vault.open(&sealed, b"eve").is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(vault.open(&changed, b"ada").is_err(), "at {at}");
        }
        assert!(vault.open(&sealed[..5], b"ada").is_err());
    }

    #[test]
    fn after_a_change_of_the_secret_the_previous_one_still_opens() {
        let (old, new, without) = (vault(OLD, &[]), vault(NEW, &[OLD]), vault(NEW, &[]));
        let sealed = old.seal(b"secret", b"ada").unwrap();
        assert_eq!(new.open(&sealed, b"ada").unwrap(), b"secret");
        assert!(without.open(&sealed, b"ada").is_err());
        assert_eq!(new.digests("code", b"ada")[1], old.digests("code", b"ada")[0]);
        assert_ne!(new.digests("code", b"ada")[0], new.digests("code", b"eve")[0]);
    }
}
