//! The people of tests: they register, log in, and become members.

use std::sync::Arc;

use serde_json::json;
use tidegate::secrets::MasterSecret;
use tidegate::tenancy::{Keyring, RingVault};
use tidegate_in_process::InProcessSignalBus;
use tidegate_kernel::Environment;
use tidegate_postgres::PgStore;
use tidegate_tenancy::error::MemberError;
use tidegate_tenancy::{Accounts, PasswordHasher, Role};
use tidegate_testing::scope::{system_scope, workspace_scope};

use crate::support::{TestApp, text};

/// The password of all people in tests.
const PASSWORD: &str = "an umbrella in march";

/// A person who is logged in.
pub struct Person {
    /// `usr_…`.
    pub id: String,
    /// The email address.
    pub email: String,
    /// The access token.
    pub token: String,
    /// The refresh token.
    pub refresh_token: String,
}

impl TestApp {
    /// Registers a person, whose address counts as verified, and logs them in.
    pub async fn person(&self, name: &str) -> Person {
        let email = format!("{}@example.org", name.to_lowercase());
        self.register(name, &email).await;
        let verified = format!("update person set email_verified_at = created_at where email_key = '{email}'");
        self.database.run(verified).await;
        self.log_in_as(&email).await
    }

    /// Registers a person.
    pub async fn register(&self, name: &str, email: &str) {
        let new = json!({ "email": email, "password": PASSWORD, "name": name });
        self.post("/api/v1/auth/register").json(&new).send().await.expect(202);
    }

    /// Logs a person in.
    pub async fn log_in_as(&self, email: &str) -> Person {
        let person = self.log_in(email, "").await;
        let me = self.get("/api/v1/auth/me").bearer(&person.token).send().await.expect(200);
        Person { id: text(&me["id"]), ..person }
    }

    /// Logs a person in again.
    pub async fn log_in(&self, email: &str, id: &str) -> Person {
        let login = json!({ "email": email, "password": PASSWORD });
        let tokens = self.post("/api/v1/auth/login").json(&login).send().await.expect(200);
        Person {
            id: id.to_owned(),
            email: email.to_owned(),
            token: text(&tokens["access_token"]),
            refresh_token: text(&tokens["refresh_token"]),
        }
    }

    /// Adds a member, as an accepted invitation would.
    pub async fn join(&self, workspace: &str, person: &Person, role: Role) {
        let scope = workspace_scope(workspace.parse().expect("a workspace's id"));
        let members = &self.services.tenancy.members;
        members.add(&scope, person.id.parse().expect("a person's id"), role).await.expect("a new member is added");
    }

    /// Adds a member unless the plan does not allow it, and returns whether the person is one now.
    pub async fn try_join(&self, workspace: &str, person: &Person) -> bool {
        let scope = workspace_scope(workspace.parse().expect("a workspace's id"));
        let user = person.id.parse().expect("a person's id");
        match self.services.tenancy.members.add(&scope, user, Role::MEMBER).await {
            Ok(()) => true,
            Err(MemberError::QuotaExceeded(_)) => false,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Accounts in a store without a server, with this hasher.
pub fn accounts(store: Arc<PgStore>, hasher: Arc<dyn PasswordHasher>, env: Environment) -> Accounts {
    let secret = MasterSecret::new("a secret for tests that is long enough").expect("a secret");
    let (signals, issuer) = (Arc::new(InProcessSignalBus::new()), "tidegate".to_owned());
    let keyring = Keyring::new(store.clone(), system_scope(), &secret, issuer, signals.clone(), env.clone());
    let vault = Arc::new(RingVault::new(&secret, env.clone()));
    Accounts::new(store, system_scope(), hasher, Arc::new(keyring), vault, signals, env)
}
