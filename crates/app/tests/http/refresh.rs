//! Refresh tokens: valid once, with a short grace period for a lost response.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tidegate::tenancy::Argon2Hasher;
use tidegate_in_process::InProcessSignalBus;
use tidegate_kernel::StoreError;
use tidegate_tenancy::{
    AccessClaims, Accounts, Email, InvalidToken, LogIn, Name, Password, PreparedSigner, REFRESH_GRACE, RefreshError,
    Registration, TokenSigner,
};
use tidegate_testing::scope::{request_id, system_scope};
use tidegate_testing::{TestClock, TestDatabase, environment};

use crate::support::{Answer, Person, TestApp, text};

const ME: &str = "/api/v1/auth/me";

async fn refresh(app: &TestApp, token: &str) -> Answer {
    app.post("/api/v1/auth/refresh").json(&json!({ "refresh_token": token })).send().await
}

/// A person on a server whose clock stands still.
async fn stage() -> (TestApp, Arc<TestClock>, Person) {
    let clock = TestClock::at(DateTime::from_timestamp(1_900_000_000, 0).expect("a time"));
    let app = TestApp::spawn_at(clock.clone()).await;
    let ada = app.person("Ada").await;
    (app, clock, ada)
}

fn pair(tokens: &Value) -> (String, String) {
    (text(&tokens["access_token"]), text(&tokens["refresh_token"]))
}

#[tokio::test]
async fn whoever_lost_the_answer_gets_the_same_successor_for_a_while() {
    let (app, clock, ada) = stage().await;
    let (_, lost) = pair(&refresh(&app, &ada.refresh_token).await.expect(200));
    clock.advance(REFRESH_GRACE - TimeDelta::milliseconds(1));
    let again = refresh(&app, &ada.refresh_token).await.expect(200);
    assert_eq!(again["refresh_expires_in"], 604_790, "the session is not extended again");
    let (access, same) = pair(&again);
    assert_eq!(same, lost);
    app.get(ME).bearer(&access).send().await.expect(200);
    let (access, _) = pair(&refresh(&app, &same).await.expect(200));
    app.get(ME).bearer(&access).send().await.expect(200);
}

#[tokio::test]
async fn a_predecessor_ends_the_session_once_its_successor_was_used() {
    let (app, _, ada) = stage().await;
    let (access, next) = pair(&refresh(&app, &ada.refresh_token).await.expect(200));
    let (_, last) = pair(&refresh(&app, &next).await.expect(200));
    refresh(&app, &ada.refresh_token).await.expect_problem(401, "refresh-reused");
    app.until_refused(ME, &access).await;
    app.until_refused(ME, &ada.token).await;
    refresh(&app, &last).await.expect_problem(401, "invalid-refresh-token");
    refresh(&app, &next).await.expect_problem(401, "refresh-reused");
    refresh(&app, "tgr_never").await.expect_problem(401, "invalid-refresh-token");
}

#[tokio::test]
async fn an_older_ancestor_ends_the_session_within_the_grace_too() {
    let (app, _, ada) = stage().await;
    let (_, second) = pair(&refresh(&app, &ada.refresh_token).await.expect(200));
    let (_, third) = pair(&refresh(&app, &second).await.expect(200));
    assert_eq!(
        pair(&refresh(&app, &second).await.expect(200)).1,
        third,
        "the predecessor of the last one is in its grace"
    );
    refresh(&app, &ada.refresh_token).await.expect_problem(401, "refresh-reused");
    refresh(&app, &third).await.expect_problem(401, "invalid-refresh-token");
}

#[tokio::test]
async fn after_the_grace_a_token_that_is_used_again_ends_the_session() {
    let (app, clock, ada) = stage().await;
    let (access, next) = pair(&refresh(&app, &ada.refresh_token).await.expect(200));
    clock.advance(REFRESH_GRACE);
    refresh(&app, &ada.refresh_token).await.expect_problem(401, "refresh-reused");
    app.until_refused(ME, &access).await;
    refresh(&app, &next).await.expect_problem(401, "invalid-refresh-token");
    let sessions = app.database.count("select count(*) from session where revoked_at is null".to_owned()).await;
    assert_eq!(sessions, 0);
}

#[tokio::test]
async fn of_many_refreshes_at_once_all_get_the_same_successor() {
    let app = TestApp::spawn().await;
    let ada = app.person("Ada").await;
    let beside = app.beside(&["--secret", "another secret that is as long as the other"]).await;
    let servers = [&app, &beside, &app, &beside];
    let answers = futures::future::join_all(servers.map(|server| refresh(server, &ada.refresh_token))).await;
    let successors: Vec<String> = answers.iter().map(|answer| pair(&answer.expect(200)).1).collect();
    assert!(successors.iter().all(|token| *token == successors[0]), "{successors:?}");
    assert_ne!(successors[0], ada.refresh_token);
    // If two tabs use it at once, neither is logged out.
    let answers = futures::future::join_all((0..2).map(|_| refresh(&app, &successors[0]))).await;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK));
    app.get(ME).bearer(&pair(&answers[0].json()).0).send().await.expect(200);
}

#[tokio::test]
async fn nothing_that_is_stored_is_a_refresh_token() {
    let (app, _, ada) = stage().await;
    let (_, next) = pair(&refresh(&app, &ada.refresh_token).await.expect(200));
    for token in [&ada.refresh_token, &next] {
        let secret = token.strip_prefix("tgr_").unwrap();
        let sql = format!("select count(*) from refresh_token t where t::text like '%{secret}%'");
        assert_eq!(app.database.count(sql).await, 0);
    }
    assert_eq!(app.database.count("select count(successor_salt) from refresh_token".to_owned()).await, 1);
    refresh(&app, &next).await.expect(200);
    assert_eq!(app.database.count("select count(successor_salt) from refresh_token".to_owned()).await, 1);
}

/// A signer that fails before the transaction (1), inside it (2), or not at all (0).
#[derive(Clone, Default)]
struct Unsteady(Arc<AtomicU8>);

impl Unsteady {
    fn fail_at(&self, step: u8) {
        self.0.store(step, Ordering::SeqCst);
    }

    fn step(&self, step: u8) -> Result<(), StoreError> {
        if self.0.load(Ordering::SeqCst) == step { Err(StoreError::Internal("no key".into())) } else { Ok(()) }
    }
}

impl PreparedSigner for Unsteady {
    fn sign(&self, claims: &AccessClaims) -> Result<String, StoreError> {
        self.step(2).map(|()| claims.session.to_string())
    }
}

#[async_trait]
impl TokenSigner for Unsteady {
    async fn signer(&self) -> Result<Box<dyn PreparedSigner>, StoreError> {
        self.step(1).map(|()| Box::new(self.clone()) as Box<dyn PreparedSigner>)
    }

    async fn verify(&self, _: &str) -> Result<AccessClaims, InvalidToken> {
        Err(InvalidToken::Forged)
    }
}

#[tokio::test]
async fn a_token_that_could_not_be_signed_uses_nothing_up() {
    let database = TestDatabase::new().await;
    let env = environment(TestClock::at(DateTime::from_timestamp(1_900_000_000, 0).unwrap()), 12);
    let (store, signer) = (Arc::new(database.store(env.clone()).await), Unsteady::default());
    let hasher = Arc::new(Argon2Hasher::new(env.clone()));
    let signals = Arc::new(InProcessSignalBus::new());
    let secret = tidegate::secrets::MasterSecret::new("a secret for tests that is long enough").unwrap();
    let vault = Arc::new(tidegate::tenancy::RingVault::new(&secret, env.clone()));
    let accounts = Accounts::new(store, system_scope(), hasher, Arc::new(signer.clone()), vault, signals, env);
    let (email, password) = (Email::new("ada@example.org").unwrap(), Password::new("an umbrella in march".to_owned()));
    let new = Registration { email: email.clone(), password: password.clone(), name: Name::new("Ada").unwrap() };
    accounts.register(new, &request_id().into()).await.unwrap();
    let LogIn::Done(first) = accounts.login(&email, &password, false, &request_id().into()).await.unwrap() else {
        panic!("there is no second factor");
    };
    let before = database.contents(&[]).await;
    for step in [1, 2] {
        signer.fail_at(step);
        let failed = accounts.refresh(first.refresh.expose(), &request_id().into()).await;
        assert!(matches!(failed, Err(RefreshError::Store(_))), "{failed:?}");
        assert!(accounts.login(&email, &password, false, &request_id().into()).await.is_err());
        assert_eq!(database.contents(&[]).await, before, "step {step}");
    }
    signer.fail_at(0);
    let second = accounts.refresh(first.refresh.expose(), &request_id().into()).await.unwrap();
    signer.fail_at(2);
    assert!(accounts.refresh(second.refresh.expose(), &request_id().into()).await.is_err());
    signer.fail_at(0);
    accounts.refresh(second.refresh.expose(), &request_id().into()).await.unwrap();
}
