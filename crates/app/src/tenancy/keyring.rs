//! Access tokens as JWT (RFC 7519), signed by Ed25519 (RFC 8037), and the keys for it.
//!
//! A key's private half is derived from the installation's secret and a salt in the database, so every server that has
//! both can sign, a restart keeps the key, and a copy of the database cannot sign. A key signs for [`ROTATE_AFTER`];
//! those before it verify for as long as a token of theirs can live. Another secret makes another key.

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
/// How long a key is kept: until the last token that it can have signed is over, with a day to spare.
const KEEP_FOR: TimeDelta = TimeDelta::days(31);
/// An unknown key's name makes the keys be read again, but not more often than this.
const RELOAD_AT_MOST_EVERY: TimeDelta = TimeDelta::seconds(2);
/// A new key signs only when it is this old, where there is an older one: longer than [`RELOAD_AT_MOST_EVERY`], so that
/// every server either knows it or may read it when its first token comes.
const SIGN_AFTER: TimeDelta = TimeDelta::seconds(5);
/// How long a good signature is remembered; checking one takes longer than the rest of a small request.
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
    /// What this server signs with.
    signing: Option<(SigningKey, EncodingKey)>,
    /// When the newest key that this server can sign with was made.
    newest: Option<DateTime<Utc>>,
    /// Every key by name.
    verifying: HashMap<String, (SigningKey, DecodingKey)>,
    read_at: Option<DateTime<Utc>>,
}

impl Keys {
    /// Whether the newest key is not yet to be followed by another.
    fn have_a_recent(&self, now: DateTime<Utc>) -> bool {
        self.newest.is_some_and(|made| now < made + ROTATE_AFTER)
    }

    /// Whether nothing has to be made or changed over to.
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
    /// A keyring that reads its keys when the first is needed.
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
    /// [`StoreError`] when they cannot be read.
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

    /// The keys, with one to sign with that is not too old; one is made where there is none.
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
        // One server makes the key, those that start with it find it.
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

    /// Reads the keys again, unless that was done just now.
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
            // A key from before the secret was changed still verifies, but cannot be signed with.
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

/// The keys as they were read.
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
        // The caller compares the times with its own clock.
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
