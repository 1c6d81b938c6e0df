//! Access tokens as JWT (RFC 7519), signed with Ed25519 (RFC 8037), and their signing keys.
//!
//! The private half of a key is derived from the installation's secret and a salt in the database. So every server that
//! has both can sign, a restart keeps the key, and a copy of the database cannot sign. A key signs for
//! [`ROTATE_AFTER`]; older keys verify for as long as one of their tokens can live. A changed secret makes a new key.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use moka::future::Cache;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidegate_kernel::{Environment, OperatorScope, Signal, SignalBus, StoreError, SystemScope, Topic};
use tidegate_tenancy::{
    ACCESS_TOKEN_LIFE, AccessClaims, AccountEvent, Digest, Directory, InvalidToken, PreparedSigner, SigningKey,
    TokenSigner,
};
use tokio::sync::Mutex;

use super::ed25519;
use crate::secrets::{MasterSecret, keyed_digest};

/// How long a key signs.
const ROTATE_AFTER: TimeDelta = TimeDelta::days(30);
/// How long a key is kept: until the last token that it can have signed has expired, plus a day.
const KEEP_FOR: TimeDelta = TimeDelta::days(31);
/// A token with an unknown key id makes the server read the keys again, but not more often than this.
const RELOAD_AT_MOST_EVERY: TimeDelta = TimeDelta::seconds(2);
/// The age at which a new key begins to sign, if there is an older one. It is longer than [`RELOAD_AT_MOST_EVERY`], so
/// that every server knows the key or may read it when the first token arrives.
const SIGN_AFTER: TimeDelta = TimeDelta::seconds(5);
/// How long a verified signature is cached. Verifying one takes longer than the rest of a small request.
const REMEMBER: Duration = Duration::from_secs(60);

/// The age at which the keys are read again, in case a signal about a retired key was lost.
const STALE_AFTER: TimeDelta = TimeDelta::seconds(10);

const TYPE: &str = "at+jwt";
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    sid: String,
    iat: i64,
    exp: i64,
}

#[derive(Default)]
struct Keys {
    /// The key that this server signs with.
    signing: Option<(SigningKey, EncodingKey)>,
    /// When the newest key was made that this server can sign with.
    newest: Option<DateTime<Utc>>,
    /// Every key by its id.
    verifying: HashMap<String, (SigningKey, DecodingKey)>,
    read_at: Option<DateTime<Utc>>,
}

impl Keys {
    /// Whether the newest key is too young to be rotated.
    fn have_a_recent(&self, now: DateTime<Utc>) -> bool {
        self.newest.is_some_and(|made| now < made + ROTATE_AFTER)
    }

    /// Whether no key has to be made, and the signing key is the right one.
    fn are_settled(&self, now: DateTime<Utc>) -> bool {
        let signing = self.signing.as_ref().map(|(key, _)| key.created_at);
        let waits = self.newest.is_some_and(|made| now < made + SIGN_AFTER);
        self.have_a_recent(now) && (signing == self.newest || waits)
    }
}

/// Signs and checks access tokens.
pub struct Keyring {
    directory: Arc<Directory>,
    system: SystemScope,
    secret: [u8; 32],
    keys: RwLock<Arc<Keys>>,
    reading: Mutex<()>,
    /// The claims of tokens whose signature is good, and the keys that made them.
    checked: Cache<Digest, (AccessClaims, Arc<str>)>,
    /// The issuer and the audience of tokens.
    issuer: Arc<str>,
    signals: Arc<dyn SignalBus>,
    env: Environment,
}

impl Keyring {
    /// A keyring that reads its keys when it first needs one. `issuer` is the issuer and the audience of tokens.
    #[must_use]
    pub fn new(
        directory: Arc<Directory>,
        system: SystemScope,
        secret: &MasterSecret,
        issuer: String,
        signals: Arc<dyn SignalBus>,
        env: Environment,
    ) -> Self {
        ed25519::install();
        let checked = Cache::builder().max_capacity(100_000).time_to_live(REMEMBER).build();
        let secret = secret.derive("access token signing");
        let (keys, reading) = (RwLock::default(), Mutex::default());
        Self { directory, system, secret, keys, reading, checked, issuer: issuer.into(), signals, env }
    }

    /// The public keys as a JWK set (RFC 7517).
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub async fn jwks(&self) -> Result<Value, StoreError> {
        let (all, _) = self.list().await?;
        let key = |key: SigningKey| {
            let x = URL_SAFE_NO_PAD.encode(key.public_key);
            json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": key.kid, "x": x })
        };
        Ok(json!({ "keys": all.into_iter().map(key).collect::<Vec<_>>() }))
    }

    /// The keys with which this installation signs and verifies, newest first, and the id of the one that signs now.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub async fn list(&self) -> Result<(Vec<SigningKey>, Option<String>), StoreError> {
        let keys = self.signing_keys().await?;
        let mut all: Vec<SigningKey> = keys.verifying.values().map(|(key, _)| key.clone()).collect();
        all.sort_by(|a, b| b.created_at.cmp(&a.created_at).then_with(|| a.kid.cmp(&b.kid)));
        Ok((all, keys.signing.as_ref().map(|(key, _)| key.kid.clone())))
    }

    /// Makes a new key, which begins to sign after some seconds, when every server knows it. Older keys still verify, unless `retire` is set: then
    /// they are deleted, so that all access tokens end at once, and everybody has to refresh. Returns the new key. The log
    /// of the operator's account has it.
    ///
    /// # Errors
    /// [`StoreError`] if the keys could not be read or written.
    pub async fn rotate(&self, operator: &OperatorScope, retire: bool) -> Result<SigningKey, StoreError> {
        let _turn = self.reading.lock().await;
        let now = self.env.now();
        let mut tx = self.directory.begin(&self.system).await?;
        tx.signing_keys().lock().await?;
        let retired = if retire { tx.signing_keys().retire_all().await? } else { Vec::new() };
        let key = self.make(now)?;
        tx.signing_keys().insert(&key).await?;
        let stored = tx.signing_keys().list().await?;
        let details = json!({ "key": key.kid, "retired": retired });
        let event = AccountEvent { user: operator.user(), action: "signing_key.created", details };
        tx.account_log().record(event, operator.origin()).await?;
        tx.commit().await?;
        self.install(self.arrange(&stored, now));
        tracing::info!(kid = key.kid, ?retired, "a new signing key was made");
        self.signals.publish(Signal::new(Topic::SigningKeysChanged, &key.kid));
        Ok(key)
    }

    /// Reads the keys again at the signals of `bus`, until the bus ends.
    pub async fn follow(&self, bus: &dyn SignalBus) {
        let mut signals = bus.subscribe(&[Topic::SigningKeysChanged]);
        while signals.next().await.is_some() {
            let _turn = self.reading.lock().await;
            if self.current().read_at.is_none() {
                // Nothing is cached that could be old.
                continue;
            }
            if let Err(error) = self.read(self.env.now()).await {
                tracing::warn!(%error, "the signing keys were not read again; they will be with a later request");
            }
        }
    }

    fn current(&self) -> Arc<Keys> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn seed_of(&self, salt: &[u8; 32]) -> [u8; 32] {
        keyed_digest(&self.secret, &[salt])
    }

    /// The keys, with one that may sign. Makes a new key if there is none or if the newest is too old.
    async fn signing_keys(&self) -> Result<Arc<Keys>, StoreError> {
        let now = self.env.now();
        let keys = self.fresh().await;
        if keys.are_settled(now) {
            return Ok(keys);
        }
        let _turn = self.reading.lock().await;
        let keys = self.current();
        if keys.are_settled(now) {
            return Ok(keys);
        }
        let mut tx = self.directory.begin(&self.system).await?;
        // With this lock one server makes the key, and servers that start at the same time find it.
        tx.signing_keys().lock().await?;
        let mut stored = tx.signing_keys().list().await?;
        if !self.arrange(&stored, now).have_a_recent(now) {
            let key = self.make(now)?;
            tx.signing_keys().insert(&key).await?;
            let useless = now - KEEP_FOR - ACCESS_TOKEN_LIFE;
            tx.signing_keys().prune(useless).await?;
            stored.retain(|key| key.created_at >= useless);
            stored.insert(0, key);
        }
        tx.commit().await?;
        Ok(self.install(self.arrange(&stored, now)))
    }

    /// Reads the keys again, unless that was done within [`RELOAD_AT_MOST_EVERY`].
    async fn reload(&self) -> Result<Arc<Keys>, StoreError> {
        let _turn = self.reading.lock().await;
        let now = self.env.now();
        let keys = self.current();
        // Where no key was found, another server may be making the first one.
        let is_recent = |at| (TimeDelta::zero()..RELOAD_AT_MOST_EVERY).contains(&(now - at));
        if keys.read_at.is_some_and(is_recent) && !keys.verifying.is_empty() {
            return Ok(keys);
        }
        self.read(now).await
    }

    async fn read(&self, now: DateTime<Utc>) -> Result<Arc<Keys>, StoreError> {
        let mut tx = self.directory.begin(&self.system).await?;
        let stored = tx.signing_keys().list().await?;
        tx.commit().await?;
        Ok(self.install(self.arrange(&stored, now)))
    }

    /// The keys, read again if they are older than [`STALE_AFTER`]. If they cannot be read, the old ones have to do.
    async fn fresh(&self) -> Arc<Keys> {
        let keys = self.current();
        let age = keys.read_at.map(|at| self.env.now() - at);
        if age.is_some_and(|age| (TimeDelta::zero()..STALE_AFTER).contains(&age)) {
            return keys;
        }
        // One request reads them while the others go on, for a short time.
        let _turn = match self.reading.try_lock() {
            Ok(turn) => turn,
            Err(_) if age.is_some_and(|age| (TimeDelta::zero()..STALE_AFTER * 2).contains(&age)) => return keys,
            Err(_) => self.reading.lock().await,
        };
        let now = self.env.now();
        let keys = self.current();
        if keys.read_at.is_some_and(|at| (TimeDelta::zero()..STALE_AFTER).contains(&(now - at))) {
            return keys;
        }
        self.read(now).await.unwrap_or(keys)
    }

    fn install(&self, keys: Keys) -> Arc<Keys> {
        let keys = Arc::new(keys);
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys.clone();
        keys
    }

    fn make(&self, now: DateTime<Utc>) -> Result<SigningKey, StoreError> {
        let salt = self.env.random();
        let public_key = ed25519::public_key(&self.seed_of(&salt))
            .ok_or_else(|| StoreError::Internal("the cryptographic library made no public key".into()))?;
        let kid = URL_SAFE_NO_PAD.encode(self.env.random::<12>());
        Ok(SigningKey { kid, salt, public_key, created_at: now })
    }

    fn arrange(&self, stored: &[SigningKey], now: DateTime<Utc>) -> Keys {
        let mut keys = Keys { read_at: Some(now), ..Keys::default() };
        for key in stored {
            let is_chosen = keys.signing.as_ref().is_some_and(|(key, _)| key.created_at + SIGN_AFTER <= now);
            let seed = self.seed_of(&key.salt);
            // A key from before a change of the secret still verifies, but this server cannot sign with it.
            if !is_chosen && ed25519::public_key(&seed) == Some(key.public_key) {
                keys.newest = keys.newest.or(Some(key.created_at));
                keys.signing = Some((key.clone(), ed25519::private_key(&seed)));
            }
            if let Ok(public) = DecodingKey::from_ed_components(&URL_SAFE_NO_PAD.encode(key.public_key)) {
                keys.verifying.insert(key.kid.clone(), (key.clone(), public));
            }
        }
        keys
    }
}

/// The keys as they were read from the database, and the issuer.
struct KeysInHand(Arc<Keys>, Arc<str>);

impl PreparedSigner for KeysInHand {
    fn sign(&self, claims: &AccessClaims) -> Result<String, StoreError> {
        let signing = self.0.signing.as_ref();
        let (key, private) = signing.ok_or_else(|| StoreError::Internal("there is no key to sign with".into()))?;
        let header = Header { typ: Some(TYPE.to_owned()), kid: Some(key.kid.clone()), ..Header::new(Algorithm::EdDSA) };
        let claims = Claims {
            iss: self.1.to_string(),
            aud: self.1.to_string(),
            sub: claims.user.to_string(),
            sid: claims.session.to_string(),
            iat: claims.issued_at.timestamp(),
            exp: claims.expires_at.timestamp(),
        };
        encode(&header, &claims, private).map_err(|error| StoreError::Internal(Box::new(error)))
    }
}

#[async_trait]
impl TokenSigner for Keyring {
    async fn signer(&self) -> Result<Box<dyn PreparedSigner>, StoreError> {
        Ok(Box::new(KeysInHand(self.signing_keys().await?, self.issuer.clone())))
    }

    async fn verify(&self, token: &str) -> Result<AccessClaims, InvalidToken> {
        let digest = Digest::of(token);
        let mut keys = self.fresh().await;
        if let Some((claims, kid)) = self.checked.get(&digest).await
            && keys.verifying.contains_key(&*kid)
        {
            return Ok(claims);
        }
        let header = decode_header(token).map_err(|_| InvalidToken::Forged)?;
        if header.alg != Algorithm::EdDSA || header.typ.as_deref() != Some(TYPE) {
            return Err(InvalidToken::Forged);
        }
        let kid = header.kid.ok_or(InvalidToken::Forged)?;
        if !keys.verifying.contains_key(&kid) {
            keys = self.reload().await?;
        }
        let (_, public) = keys.verifying.get(&kid).ok_or(InvalidToken::Forged)?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.issuer]);
        validation.set_required_spec_claims(&["aud", "exp", "iss", "sub"]);
        // The caller checks the times with its own clock.
        validation.validate_exp = false;
        let claims = decode::<Claims>(token, public, &validation).map_err(|_| InvalidToken::Forged)?.claims;
        let time = |seconds| DateTime::from_timestamp(seconds, 0).ok_or(InvalidToken::Forged);
        let claims = AccessClaims {
            user: claims.sub.parse().map_err(|_| InvalidToken::Forged)?,
            session: claims.sid.parse().map_err(|_| InvalidToken::Forged)?,
            issued_at: time(claims.iat)?,
            expires_at: time(claims.exp)?,
        };
        self.checked.insert(digest, (claims, kid.into())).await;
        Ok(claims)
    }
}
