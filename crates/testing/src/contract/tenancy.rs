//! Obligations of stores of tenancy: the directory, what a person owns, and what belongs to a workspace.

mod accounts;
mod directory;
mod idempotency;
mod keys;
mod mail;
mod members;
mod workspaces;

use chrono::{DateTime, SubsecRound, Utc};
use tidegate_kernel::{ApiKeyId, Client, PermissionSet, PersonScope, UnitOfWork, UserId, WorkspaceId};
use tidegate_tenancy::{
    ApiKey, ApiKeySecret, Digest, Directory, DirectoryTx, Email, MailOutbox, Membership, Name, PasswordHash, Person,
    PersonTx, Personal, Registered, Role, Session, Slug, Tenancy, TenancyTx, Workspace,
};
use tidegate_use_cases::IdempotencyTx;

use super::stage::subject;
use crate::scope::{person_scope, system_scope, workspace_scope};

pub use accounts::*;
pub use directory::*;
pub use idempotency::*;
pub use keys::*;
pub use mail::*;
pub use members::*;
pub use workspaces::*;

subject! {
    about {
        /// People and login sessions.
        directory: Directory = store,
        /// What a person owns.
        personal: Personal = store,
        /// What belongs to a workspace.
        tenancy: Tenancy = store,
        /// Stored mails.
        outbox: dyn MailOutbox = store,
        /// Idempotency keys in a workspace.
        idempotency: dyn UnitOfWork<dyn IdempotencyTx> = store,
        /// Idempotency keys of a person outside of workspaces.
        own_idempotency: dyn UnitOfWork<dyn IdempotencyTx, PersonScope> = store,
    }
}

impl Subject {
    /// `text` made unique among the cases on the same database.
    fn own(&self, text: &str) -> String {
        format!("{}-{text}", self.ours.as_uuid().simple())
    }

    fn slug(&self, text: &str) -> Slug {
        Slug::new(&self.own(text)).expect("a slug")
    }

    fn digest(&self, text: &str) -> Digest {
        Digest::of(&self.own(text))
    }

    /// The present time, rounded as stores round it.
    fn now(&self) -> DateTime<Utc> {
        self.env.now().trunc_subsecs(6)
    }

    async fn directory(&self) -> Box<dyn DirectoryTx> {
        self.directory.begin(&system_scope()).await.expect("a transaction begins")
    }

    async fn personal(&self, user: UserId) -> Box<dyn PersonTx> {
        self.personal.begin(&person_scope(user)).await.expect("a transaction begins")
    }

    async fn tenancy(&self, workspace: WorkspaceId) -> Box<dyn TenancyTx> {
        self.tenancy.begin(&workspace_scope(workspace)).await.expect("a transaction begins")
    }

    /// Adds a person to the directory.
    async fn person(&self, address: &str) -> Person {
        let person = self.unknown(address);
        let mut tx = self.directory().await;
        assert_eq!(tx.people().insert(&person, &hash("first")).await.expect("a person is added"), Registered::New);
        tx.commit().await.expect("it commits");
        person
    }

    /// A person who is not in the directory yet.
    fn unknown(&self, address: &str) -> Person {
        let email = Email::new(&self.own(address)).expect("an address");
        Person::register(&self.env, email, name("Ada"), self.now())
    }

    fn session(&self, user: UserId) -> Session {
        let client = Client { address: "192.0.2.1".parse().ok(), user_agent: Some("a browser".to_owned()) };
        Session::begin(&self.env, user, self.now(), false, client)
    }

    fn new_workspace(&self, slug: &str) -> Workspace {
        Workspace {
            id: WorkspaceId::generate(&self.env),
            name: name("Acme"),
            slug: self.slug(slug),
            created_at: self.now(),
        }
    }

    /// Creates a workspace with an owner.
    async fn workspace(&self, slug: &str, owner: UserId) -> Workspace {
        let workspace = self.new_workspace(slug);
        let mut tx = self.tenancy(workspace.id).await;
        assert!(tx.workspace().insert(&workspace).await.expect("a workspace is added"));
        let membership = Membership { workspace: workspace.id, user: owner, role: Role::OWNER, joined_at: self.now() };
        assert!(tx.members().insert(&membership).await.expect("a member is added"));
        tx.commit().await.expect("it commits");
        workspace
    }

    fn api_key(&self, created_by: UserId) -> (ApiKey, ApiKeySecret) {
        let secret = ApiKeySecret::generate(&self.env);
        let key = ApiKey {
            id: ApiKeyId::generate(&self.env),
            name: name("importer"),
            visible: secret.visible().to_owned(),
            scopes: PermissionSet::ALL,
            created_by,
            parent: None,
            created_at: self.now(),
            expires_at: None,
            last_used_at: None,
            revoked_at: None,
        };
        (key, secret)
    }
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn hash(text: &str) -> PasswordHash {
    PasswordHash::new(text.to_owned())
}
