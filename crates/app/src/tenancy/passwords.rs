//! Passwords by argon2id, on blocking threads and only a few at once: each takes 19 MiB and tens of milliseconds.

use std::sync::{Arc, OnceLock};
use std::thread::available_parallelism;

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version};
use async_trait::async_trait;
use tidegate_kernel::Environment;
use tidegate_tenancy::{HashError, Password, PasswordHash, PasswordHasher, Verification};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many may wait; whoever comes then is told to come back.
const QUEUE: usize = 64;

/// 19 MiB, 2 passes, 1 lane (OWASP Password Storage Cheat Sheet, argon2id).
fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

/// Hashes by argon2id.
pub struct Argon2Hasher {
    turns: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    decoy: Arc<OnceLock<Option<phc::PasswordHash>>>,
    env: Environment,
}

impl Argon2Hasher {
    /// A hasher that works on as many passwords at once as there are processors.
    #[must_use]
    pub fn new(env: Environment) -> Self {
        let turns = available_parallelism().map_or(1, usize::from);
        Self {
            turns: Arc::new(Semaphore::new(turns)),
            queue: Arc::new(Semaphore::new(turns + QUEUE)),
            decoy: Arc::default(),
            env,
        }
    }

    /// Runs `work` when it is its turn. The turn ends with the work, also where nobody waits for it any more.
    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let queued = self.queue.clone().try_acquire_owned().map_err(|_| HashError::Busy)?;
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| HashError::Busy)?;
        let held: [OwnedSemaphorePermit; 2] = [queued, turn];
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(held);
            result
        });
        done.await.map_err(|error| HashError::Internal(error.to_string()))?
    }
}

fn internal(error: &argon2::password_hash::Error) -> HashError {
    HashError::Internal(error.to_string())
}

#[async_trait]
impl PasswordHasher for Argon2Hasher {
    async fn hash(&self, password: &Password) -> Result<PasswordHash, HashError> {
        let (password, salt) = (password.clone(), self.env.random::<16>());
        self.in_turn(move || {
            let hash = argon2()
                .hash_password_with_salt(password.expose().as_bytes(), &salt)
                .map_err(|error| internal(&error))?;
            Ok(PasswordHash::from_phc(hash.to_string()))
        })
        .await
    }

    async fn verify(&self, password: &Password, hash: Option<&PasswordHash>) -> Result<Verification, HashError> {
        let stored = hash.map(|hash| phc::PasswordHash::new(hash.as_phc())).transpose();
        let stored = stored.map_err(|error| HashError::Internal(error.to_string()))?;
        let (password, salt, decoy) = (password.clone(), self.env.random::<16>(), self.decoy.clone());
        self.in_turn(move || {
            // Without an account the same work is done on a hash that no password has.
            let decoy = decoy.get_or_init(|| argon2().hash_password_with_salt(&salt, &salt).ok());
            let known = stored.is_some();
            let hash = stored.as_ref().or(decoy.as_ref());
            let hash = hash.ok_or_else(|| HashError::Internal("no decoy could be made".to_owned()))?;
            let text = password.expose().as_bytes();
            let fits = text.len() <= Password::MAX_LEN;
            let text = text.get(..Password::MAX_LEN).unwrap_or(text);
            let right = argon2().verify_password(text, hash).is_ok();
            let current = Params::try_from(hash).is_ok_and(|params| {
                (params.m_cost(), params.t_cost(), params.p_cost())
                    == (Params::DEFAULT_M_COST, Params::DEFAULT_T_COST, Params::DEFAULT_P_COST)
            }) && hash.algorithm == Algorithm::Argon2id.ident();
            Ok(match (right && known && fits, current) {
                (false, _) => Verification::Wrong,
                (true, true) => Verification::Right,
                (true, false) => Verification::Outdated,
            })
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::environment;

    fn password(text: &str) -> Password {
        Password::new(text.to_owned())
    }

    #[tokio::test]
    async fn a_password_is_known_again_and_another_is_not() {
        let hasher = Argon2Hasher::new(environment());
        let hash = hasher.hash(&password("an umbrella in march")).await.unwrap();
        assert!(hash.as_phc().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.as_phc());
        let verify = async |text: &str, hash| hasher.verify(&password(text), hash).await.unwrap();
        assert_eq!(verify("an umbrella in march", Some(&hash)).await, Verification::Right);
        assert_eq!(verify("an umbrella in april", Some(&hash)).await, Verification::Wrong);
        assert_eq!(verify("an umbrella in march", None).await, Verification::Wrong);
        assert_eq!(verify(&"x".repeat(Password::MAX_LEN * 2), None).await, Verification::Wrong);
    }

    #[tokio::test]
    async fn a_hash_with_old_parameters_is_outdated() {
        let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, 1, 1, None).unwrap());
        let hash = weak.hash_password_with_salt(b"an umbrella in march", b"salt and pepper!").unwrap();
        let hash = PasswordHash::from_phc(hash.to_string());
        let hasher = Argon2Hasher::new(environment());
        let verified = hasher.verify(&password("an umbrella in march"), Some(&hash)).await.unwrap();
        assert_eq!(verified, Verification::Outdated);
    }

    #[tokio::test]
    async fn whoever_finds_the_queue_full_is_told_so() {
        let hasher = Argon2Hasher::new(environment());
        let all = hasher.queue.available_permits();
        let _held = hasher.queue.clone().acquire_many_owned(u32::try_from(all).unwrap()).await.unwrap();
        assert!(matches!(hasher.hash(&password("x")).await, Err(HashError::Busy)));
    }
}
