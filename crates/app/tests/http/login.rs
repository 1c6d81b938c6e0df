//! The work of a failed login, in the database and in the hasher, is the same for known and unknown addresses.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use serde_json::json;
use tidegate::tenancy::Argon2Hasher;
use tidegate_tenancy::{
    Email, HashError, LoginError, Name, Password, PasswordHash, PasswordHasher, Registration, Verification,
};
use tidegate_testing::scope::request_id;
use tidegate_testing::{TestDatabase, test_environment};

use crate::people;
use crate::relay::Relay;
use crate::support::TestApp;

#[tokio::test]
async fn a_failed_log_in_asks_the_same_of_the_database_whether_the_address_is_known_or_not() {
    let app = TestApp::spawn().await;
    app.person("Ada").await;
    let relay = Relay::to(app.database.url()).await;
    let behind = app.behind(&relay).await;
    let mut asked = Vec::new();
    for email in ["ada@example.org", "nobody@example.org", "no address", ""] {
        let login = json!({ "email": email, "password": "an umbrella in april" });
        relay.statements();
        behind.post("/api/v1/auth/login").json(&login).send().await.expect_problem(401, "invalid-credentials");
        asked.push(relay.statements());
    }
    assert!(asked[0].iter().any(|statement| statement.contains("password_hash")), "{asked:?}");
    assert!(asked.iter().all(|statements| *statements == asked[0]), "{asked:#?}");
}

/// A hasher that counts its calls.
struct Counting {
    inner: Argon2Hasher,
    hashed: AtomicUsize,
    verified: AtomicUsize,
}

#[async_trait]
impl PasswordHasher for Counting {
    async fn hash(&self, password: &Password) -> Result<PasswordHash, HashError> {
        self.hashed.fetch_add(1, Ordering::SeqCst);
        self.inner.hash(password).await
    }

    async fn verify(&self, password: &Password, hash: Option<&PasswordHash>) -> Result<Verification, HashError> {
        self.verified.fetch_add(1, Ordering::SeqCst);
        self.inner.verify(password, hash).await
    }
}

#[tokio::test]
async fn a_failed_log_in_hashes_once_whether_the_address_is_known_or_not() {
    let (database, env) = (TestDatabase::new().await, test_environment());
    let store = Arc::new(database.store(env.clone()).await);
    let inner = Argon2Hasher::new(env.clone());
    let hasher = Arc::new(Counting { inner, hashed: AtomicUsize::new(0), verified: AtomicUsize::new(0) });
    let accounts = people::accounts(store, hasher.clone(), env);
    let [ada, bob] = ["ada@example.org", "bob@example.org"].map(|text| Email::new(text).expect("an address"));
    let password = Password::new("an umbrella in march".to_owned());
    let new = Registration { email: ada.clone(), password, name: Name::new("Ada").expect("a name") };
    accounts.register(new, &request_id().into()).await.expect("an account");
    // An old hash is renewed, but not if the password is wrong.
    let old = "$argon2id$v=19$m=64,t=1,p=1$c2FsdCBhbmQgcGVwcGVyIQ$pzYKXGO1UxfMo8Ktcqv9NFGuzoPNIVIZEiLXYqWT4gw";
    for outdated in [false, true] {
        if outdated {
            database.run(format!("update person set password_hash = '{old}'")).await;
        }
        let before = database.contents(&[]).await;
        for email in [&ada, &bob] {
            hasher.hashed.store(0, Ordering::SeqCst);
            hasher.verified.store(0, Ordering::SeqCst);
            let wrong = Password::new("an umbrella in april".to_owned());
            let refused = accounts.login(email, &wrong, false, &request_id().into()).await;
            assert!(matches!(refused, Err(LoginError::Refused)), "{refused:?}");
            let counts = (hasher.hashed.load(Ordering::SeqCst), hasher.verified.load(Ordering::SeqCst));
            assert_eq!(counts, (0, 1), "{email}, outdated: {outdated}");
        }
        assert_eq!(database.contents(&[]).await, before, "a failed log-in writes nothing");
    }
}
