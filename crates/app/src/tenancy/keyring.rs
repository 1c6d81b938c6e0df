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
use tidegate_kernel::{Environment, StoreError, SystemScope};
use tidegate_tenancy::{
    ACCESS_TOKEN_LIFE, AccessClaims, Digest, Directory, InvalidToken, PreparedSigner, SigningKey, TokenSigner,
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

const ISSUER: &str = "tidegate";
const TYPE: &str = "at+jwt";
#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
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
    checked: Cache<Digest, AccessClaims>,
    env: Environment,
}

impl Keyring {
    /// A keyring that reads its keys when it first needs one.
    #[must_use]
    pub fn new(directory: Arc<Directory>, system: SystemScope, secret: &MasterSecret, env: Environment) -> Self {
        ed25519::install();
        let checked = Cache::builder().max_capacity(100_000).time_to_live(REMEMBER).build();
        let secret = secret.derive("access token signing");
        Self { directory, system, secret, keys: RwLock::default(), reading: Mutex::default(), checked, env }
    }

    /// The public keys as a JWK set (RFC 7517).
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub async fn jwks(&self) -> Result<Value, StoreError> {
        let keys = self.signing_keys().await?;
        let mut all: Vec<&SigningKey> = keys.verifying.values().map(|(key, _)| key).collect();
        all.sort_by(|a, b| b.created_at.cmp(&a.created_at).then_with(|| a.kid.cmp(&b.kid)));
        let key = |key: &SigningKey| {
            let x = URL_SAFE_NO_PAD.encode(key.public_key);
            json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": key.kid, "x": x })
        };
        Ok(json!({ "keys": all.into_iter().map(key).collect::<Vec<_>>() }))
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
        let keys = self.current();
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
        if keys.read_at.is_some_and(|at| (TimeDelta::zero()..RELOAD_AT_MOST_EVERY).contains(&(now - at))) {
            return Ok(keys);
        }
        let mut tx = self.directory.begin(&self.system).await?;
        let stored = tx.signing_keys().list().await?;
        tx.commit().await?;
        Ok(self.install(self.arrange(&stored, now)))
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

/// The keys as they were read from the database.
struct KeysInHand(Arc<Keys>);

impl PreparedSigner for KeysInHand {
    fn sign(&self, claims: &AccessClaims) -> Result<String, StoreError> {
        let signing = self.0.signing.as_ref();
        let (key, private) = signing.ok_or_else(|| StoreError::Internal("there is no key to sign with".into()))?;
        let header = Header { typ: Some(TYPE.to_owned()), kid: Some(key.kid.clone()), ..Header::new(Algorithm::EdDSA) };
        let claims = Claims {
            iss: ISSUER.to_owned(),
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
        Ok(Box::new(KeysInHand(self.signing_keys().await?)))
    }

    async fn verify(&self, token: &str) -> Result<AccessClaims, InvalidToken> {
        let digest = Digest::of(token);
        if let Some(claims) = self.checked.get(&digest).await {
            return Ok(claims);
        }
        let header = decode_header(token).map_err(|_| InvalidToken::Forged)?;
        if header.alg != Algorithm::EdDSA || header.typ.as_deref() != Some(TYPE) {
            return Err(InvalidToken::Forged);
        }
        let kid = header.kid.ok_or(InvalidToken::Forged)?;
        let mut keys = self.current();
        if !keys.verifying.contains_key(&kid) {
            keys = self.reload().await?;
        }
        let (_, public) = keys.verifying.get(&kid).ok_or(InvalidToken::Forged)?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
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
        self.checked.insert(digest, claims).await;
        Ok(claims)
    }
}
