//! Password hashes with argon2id, on blocking threads and only a few at once: each takes 19 MiB and tens of
//! milliseconds.

mod foreign;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use async_trait::async_trait;
use foreign::ForeignHash;
use tidegate_kernel::Environment;
use tidegate_tenancy::{HashError, Password, PasswordHash, PasswordHasher, Verification};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

/// The most passwords that may wait. Further callers get [`HashError::Busy`].
const QUEUE: usize = 64;
/// How long the memory is kept after its last use.
const KEEP: Duration = Duration::from_secs(60);

/// 19 MiB, 2 passes, 1 lane (OWASP Password Storage Cheat Sheet, argon2id).
const PARAMS: Params = Params::DEFAULT;

/// A password hasher with argon2id.
pub struct Argon2Hasher {
    turns: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    memory: Arc<Memory>,
    decoy: Arc<OnceLock<Option<phc::PasswordHash>>>,
    env: Environment,
}

impl Argon2Hasher {
    /// A hasher that hashes as many passwords at once as there are processors.
    #[must_use]
    pub fn new(env: Environment) -> Self {
        let turns = available_parallelism().map_or(1, usize::from);
        Self {
            turns: Arc::new(Semaphore::new(turns)),
            queue: Arc::new(Semaphore::new(turns + QUEUE)),
            memory: Arc::default(),
            decoy: Arc::default(),
            env,
        }
    }

    /// Runs `work` when a processor is free. It counts as running until it ends, even if the caller gives up.
    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Vec<Block>) -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let queued = self.queue.clone().try_acquire_owned().map_err(|_| HashError::Busy)?;
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| HashError::Busy)?;
        let held: [OwnedSemaphorePermit; 2] = [queued, turn];
        let memory = self.memory.clone();
        memory.release_when_idle();
        let done = tokio::task::spawn_blocking(move || {
            let mut blocks = memory.take();
            let result = work(&mut blocks);
            memory.give_back(blocks);
            drop(held);
            result
        });
        done.await.map_err(|error| HashError::Internal(error.to_string()))?
    }
}

/// The memory that passwords are hashed in. It is reused: fresh memory costs up to ten milliseconds, and the response
/// time of a login would show whether a thread had some.
#[derive(Default)]
struct Memory(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    free: Vec<Vec<Block>>,
    used: Option<Instant>,
    is_watched: bool,
}

impl Memory {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Vec<Block> {
        self.kept().free.pop().unwrap_or_default()
    }

    fn give_back(&self, blocks: Vec<Block>) {
        // A hash with older parameters may have needed more; that memory is not kept.
        if blocks.len() <= PARAMS.block_count() {
            self.kept().free.push(blocks);
        }
    }

    /// Records a use, and makes sure that the memory is returned to the system when [`KEEP`] has passed without
    /// another.
    fn release_when_idle(self: &Arc<Self>) {
        let mut kept = self.kept();
        kept.used = Some(Instant::now());
        if std::mem::replace(&mut kept.is_watched, true) {
            return;
        }
        let memory = Arc::downgrade(self);
        tokio::spawn(async move {
            while let Some(memory) = memory.upgrade() {
                let Some(due) = memory.release_at(Instant::now()) else { return };
                drop(memory);
                sleep_until(due).await;
            }
        });
    }

    /// Frees the memory if it has been unused for [`KEEP`] at `now`; otherwise returns when that will be.
    fn release_at(&self, now: Instant) -> Option<Instant> {
        let mut kept = self.kept();
        let due = kept.used.map(|used| used + KEEP).filter(|due| now < *due);
        if due.is_none() {
            *kept = Kept::default();
        }
        due
    }
}

fn internal(error: impl std::fmt::Display) -> HashError {
    HashError::Internal(error.to_string())
}

/// The hash of `password` made in the same way as `like`: with its algorithm, version, parameters, salt and length.
fn output(blocks: &mut Vec<Block>, password: &[u8], like: &phc::PasswordHash) -> Result<phc::Output, HashError> {
    let params = Params::try_from(like).map_err(internal)?;
    let algorithm = Algorithm::try_from(like.algorithm.as_str()).map_err(internal)?;
    let version = like.version.map_or(Ok(Version::V0x13), Version::try_from).map_err(internal)?;
    let salt = like.salt.ok_or_else(|| internal("the hash has no salt"))?;
    let length = like.hash.as_ref().map_or(Params::DEFAULT_OUTPUT_LEN, phc::Output::len);
    if blocks.len() < params.block_count() {
        blocks.resize(params.block_count(), Block::new());
    }
    let mut buffer = [0; phc::Output::MAX_LENGTH];
    let out = buffer.get_mut(..length).ok_or_else(|| internal("the hash is too long"))?;
    Argon2::new(algorithm, version, params)
        .hash_password_into_with_memory(password, &salt, out, blocks.as_mut_slice())
        .map_err(internal)?;
    phc::Output::new(out).map_err(internal)
}

/// A hash with the current parameters.
fn hashed(blocks: &mut Vec<Block>, password: &[u8], salt: &[u8]) -> Result<phc::PasswordHash, HashError> {
    let mut hash = phc::PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: phc::ParamsString::try_from(&PARAMS).map_err(internal)?,
        salt: Some(phc::Salt::new(salt).map_err(internal)?),
        hash: None,
    };
    hash.hash = Some(output(blocks, password, &hash)?);
    Ok(hash)
}

/// Whether a hash was made with the current parameters.
fn is_current(hash: &phc::PasswordHash) -> bool {
    let same = |params: Params| {
        (params.m_cost(), params.t_cost(), params.p_cost()) == (PARAMS.m_cost(), PARAMS.t_cost(), PARAMS.p_cost())
    };
    hash.algorithm == Algorithm::Argon2id.ident() && Params::try_from(hash).is_ok_and(same)
}

#[async_trait]
impl PasswordHasher for Argon2Hasher {
    async fn hash(&self, password: &Password) -> Result<PasswordHash, HashError> {
        let (password, salt) = (password.clone(), self.env.random::<16>());
        self.in_turn(move |blocks| {
            let hash = hashed(blocks, password.expose().as_bytes(), &salt)?;
            Ok(PasswordHash::new(hash.to_string()))
        })
        .await
    }

    async fn verify(&self, password: &Password, hash: Option<&PasswordHash>) -> Result<Verification, HashError> {
        let foreign = hash.map(|hash| ForeignHash::read(hash.as_str())).transpose()?.flatten();
        let stored = hash.filter(|_| foreign.is_none()).map(|hash| phc::PasswordHash::new(hash.as_str()));
        let stored = stored.transpose().map_err(internal)?;
        let (password, salt, decoy) = (password.clone(), self.env.random::<16>(), self.decoy.clone());
        self.in_turn(move |blocks| {
            // Without an account, the same work is done on a hash that fits no password.
            let decoy = decoy.get_or_init(|| hashed(blocks, &salt, &salt).ok());
            let decoy = decoy.as_ref().ok_or_else(|| internal("no decoy could be made"))?;
            let hash = stored.as_ref().unwrap_or(decoy);
            let text = password.expose().as_bytes();
            let fits = text.len() <= Password::MAX_LEN;
            let text = text.get(..Password::MAX_LEN).unwrap_or(text);
            if let Some(foreign) = foreign
                && fits
                && foreign.fits(text)?
            {
                return Ok(Verification::Outdated);
            }
            // The outputs are compared in constant time.
            let right = Some(output(blocks, text, hash)?) == hash.hash && stored.is_some() && fits;
            let current = is_current(hash);
            if !right && !current {
                // An old hash may be cheaper. This adds work, so that the response time does not reveal that the
                // account exists.
                output(blocks, text, decoy)?;
            }
            Ok(match (right, current) {
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
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.as_str());
        let verify = async |text: &str, hash| hasher.verify(&password(text), hash).await.unwrap();
        assert_eq!(verify("an umbrella in march", Some(&hash)).await, Verification::Right);
        assert_eq!(verify("an umbrella in april", Some(&hash)).await, Verification::Wrong);
        assert_eq!(verify("an umbrella in march", None).await, Verification::Wrong);
        assert_eq!(verify(&"x".repeat(Password::MAX_LEN * 2), None).await, Verification::Wrong);
    }

    #[tokio::test]
    async fn a_hash_with_old_parameters_is_outdated() {
        let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, 1, 1, None).unwrap());
        let hash = argon2::PasswordHasher::hash_password_with_salt(&weak, b"an umbrella in march", b"salt and pepper!");
        let hash: phc::PasswordHash = hash.unwrap();
        let hash = PasswordHash::new(hash.to_string());
        let hasher = Argon2Hasher::new(environment());
        let verified = hasher.verify(&password("an umbrella in march"), Some(&hash)).await.unwrap();
        assert_eq!(verified, Verification::Outdated);
        let verified = hasher.verify(&password("an umbrella in april"), Some(&hash)).await.unwrap();
        assert_eq!(verified, Verification::Wrong);
    }

    #[tokio::test]
    async fn a_hash_is_what_others_make_of_it() {
        let hasher = Argon2Hasher::new(environment());
        let hash = hasher.hash(&password("an umbrella in march")).await.unwrap();
        let hash = phc::PasswordHash::new(hash.as_str()).unwrap();
        let check = |text: &[u8]| argon2::PasswordVerifier::verify_password(&Argon2::default(), text, &hash);
        assert!(check(b"an umbrella in march").is_ok() && check(b"an umbrella in april").is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_used_again_and_given_back_when_nobody_needs_it() {
        let hasher = Argon2Hasher::new(environment());
        let kept = || hasher.memory.kept().free.len();
        for hash in [None, Some(hasher.hash(&password("x")).await.unwrap())] {
            hasher.verify(&password("x"), hash.as_ref()).await.unwrap();
            assert_eq!(kept(), 1, "one after the other they take the same");
        }
        tokio::time::advance(KEEP / 2).await;
        hasher.verify(&password("x"), None).await.unwrap();
        tokio::time::sleep(KEEP - Duration::from_secs(1)).await;
        assert_eq!(kept(), 1);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(kept(), 0);
        hasher.verify(&password("x"), None).await.unwrap();
        tokio::time::sleep(KEEP * 2).await;
        assert_eq!(kept(), 0, "it is watched again");
    }

    #[tokio::test]
    async fn whoever_finds_the_queue_full_is_told_so() {
        let hasher = Argon2Hasher::new(environment());
        let all = hasher.queue.available_permits();
        let _held = hasher.queue.clone().acquire_many_owned(u32::try_from(all).unwrap()).await.unwrap();
        assert!(matches!(hasher.hash(&password("x")).await, Err(HashError::Busy)));
    }
}
