//! What happens to an account while an operation on it is under way. The operation looks again before it changes anything.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tidegate::tenancy::Argon2Hasher;
use tidegate_kernel::{PersonScope, UnitOfWork};
use tidegate_tenancy::error::{FactorError, LoginError, PasswordError, StepUpError};
use tidegate_tenancy::{
    Accounts, Directory, Email, HashError, LiveSession, LogIn, Name, Password, PasswordHash, PasswordHasher, Proof,
    Registration, Verification,
};
use tidegate_testing::scope::{person_scope, request_id, system_scope};
use tidegate_testing::{TestDatabase, test_environment};

use crate::people;

const OTHER_PASSWORD: &str = "update person set password_hash = '$argon2id$v=19$m=64,t=1,p=1$c2FsdCBhbmQgcGVwcGVyIQ$pzYKXGO1UxfMo8Ktcqv9NFGuzoPNIVIZEiLXYqWT4gw'";
const DEACTIVATED: &str = "update person set deactivated_at = now()";
const SESSION_ENDED: &str = "update session set revoked_at = now()";

/// A hasher during whose work something else happens to the database.
struct Interrupted {
    inner: Argon2Hasher,
    database: Arc<TestDatabase>,
    event: Mutex<Option<&'static str>>,
}

#[async_trait]
impl PasswordHasher for Interrupted {
    async fn hash(&self, password: &Password) -> Result<PasswordHash, HashError> {
        self.inner.hash(password).await
    }

    async fn verify(&self, password: &Password, hash: Option<&PasswordHash>) -> Result<Verification, HashError> {
        let verified = self.inner.verify(password, hash).await;
        let event = self.event.lock().expect("no panic").take();
        if let Some(event) = event {
            self.database.run(event.to_owned()).await;
        }
        verified
    }
}

/// A person with a session, and what happens during the next check of a password.
struct Scene {
    database: Arc<TestDatabase>,
    hasher: Arc<Interrupted>,
    accounts: Accounts,
    live: LiveSession,
    scope: PersonScope,
}

impl Scene {
    async fn new() -> Self {
        let (database, env) = (Arc::new(TestDatabase::new().await), test_environment());
        let store = Arc::new(database.store(env.clone()).await);
        let inner = Argon2Hasher::new(env.clone());
        let hasher = Arc::new(Interrupted { inner, database: database.clone(), event: Mutex::default() });
        let accounts = people::accounts(store.clone(), hasher.clone(), env);
        let new = Registration { email: email(), password: password(), name: Name::new("Ada").expect("a name") };
        accounts.register(new, &request_id().into()).await.expect("an account");
        database.run("update person set email_verified_at = created_at".to_owned()).await;
        let entered = accounts.login(&email(), &password(), false, &request_id().into()).await.expect("a log-in");
        assert!(matches!(entered, LogIn::Done(_)), "{entered:?}");
        let directory: Arc<Directory> = store;
        let mut tx = UnitOfWork::begin(&*directory, &system_scope()).await.expect("a transaction begins");
        let (person, _) = tx.people().credentials(&email()).await.expect("it is read").expect("there is one");
        tx.commit().await.expect("it commits");
        let scope = person_scope(person.id);
        let session = accounts.sessions(&scope).await.expect("they are listed").remove(0);
        Self { database, hasher, accounts, live: LiveSession { session, person }, scope }
    }

    /// Lets this happen during the next check of a password.
    fn interrupted_by(&self, event: &'static str) {
        *self.hasher.event.lock().expect("no panic") = Some(event);
    }

    async fn hashes(&self) -> Vec<String> {
        self.database.texts("select password_hash from person".to_owned()).await
    }
}

fn email() -> Email {
    Email::new("ada@example.org").expect("an address")
}

fn password() -> Password {
    Password::new("an umbrella in march".to_owned())
}

#[tokio::test]
async fn a_log_in_begins_no_session_after_the_password_has_changed_or_the_account_is_closed() {
    for event in [OTHER_PASSWORD, DEACTIVATED] {
        let scene = Scene::new().await;
        scene.interrupted_by(event);
        let refused = scene.accounts.login(&email(), &password(), false, &request_id().into()).await;
        assert!(matches!(refused, Err(LoginError::Refused)), "{event}: {refused:?}");
        assert_eq!(scene.database.count("select count(*) from session".to_owned()).await, 1, "{event}");
    }
}

#[tokio::test]
async fn who_has_lost_the_session_or_the_password_changes_neither_password_nor_address() {
    for event in [OTHER_PASSWORD, SESSION_ENDED] {
        let scene = Scene::new().await;
        scene.interrupted_by(event);
        let new = Password::new("an umbrella in april".to_owned());
        let refused = scene.accounts.change_password(&scene.live, &password(), &new, scene.scope.origin()).await;
        assert!(matches!(refused, Err(PasswordError::Wrong)), "{event}: {refused:?}");
        let kept = scene.hashes().await;
        assert_eq!(OTHER_PASSWORD.contains(&kept[0]), event == OTHER_PASSWORD, "{kept:?}");

        let scene = Scene::new().await;
        scene.interrupted_by(event);
        let other = Email::new("thief@example.org").expect("an address");
        let refused = scene.accounts.change_email(&scene.scope, &scene.live, &password(), &other).await;
        assert!(matches!(refused, Err(PasswordError::Wrong)), "{event}: {refused:?}");
        let asked = "select count(*) from account_event where action = 'account.email_change_requested'";
        assert_eq!(scene.database.count(asked.to_owned()).await, 0);
    }
}

#[tokio::test]
async fn a_session_that_has_ended_proves_nothing_and_changes_no_factor() {
    let scene = Scene::new().await;
    let name = Name::new("phone").expect("a name");
    let new = scene.accounts.add_totp(&scene.scope, &scene.live, name).await.expect("an app");
    let secret = totp_rs::Secret::try_from_base32(&new.secret).expect("base 32");
    let totp = totp_rs::Builder::new().with_secret(secret).build().expect("a secret of 20 bytes");
    let now = u64::try_from(test_environment().now().timestamp()).expect("a time since 1970");
    scene.interrupted_by(SESSION_ENDED);
    let refused = scene.accounts.step_up(&scene.scope, &scene.live, Proof::Password(&password())).await;
    assert!(matches!(refused, Err(StepUpError::Wrong)), "{refused:?}");
    // Another server may still have the session in its cache.
    let (scope, live, factor) = (&scene.scope, &scene.live, new.factor.id);
    let code = totp.generate(now).to_string();
    let refused = scene.accounts.confirm_totp(scope, live, factor, &code).await;
    assert!(matches!(refused, Err(FactorError::SessionEnded)), "{refused:?}");
    let refused = scene.accounts.remove_factor(scope, live, factor).await;
    assert!(matches!(refused, Err(FactorError::SessionEnded)), "{refused:?}");
    let refused = scene.accounts.renew_recovery_codes(scope, live).await;
    assert!(matches!(refused, Err(FactorError::SessionEnded)), "{refused:?}");
    let confirmed = "select count(*) from factor where confirmed_at is not null".to_owned();
    assert_eq!(scene.database.count(confirmed).await, 0);
}
