//! The ports of tenancy, one small trait per role. The contract suite has a function for each obligation.

mod access;
mod directory;
mod mail;
mod security;
mod workspace;

pub use access::{AccessLookup, PersonTx, Personal, PersonalRepository};
pub use directory::{
    AccountEvent, AccountLog, Directory, DirectoryTx, FactorRepository, FailedLogIn, LinkRepository, Located, Locator,
    PersonRepository, Registered, SessionRepository, SigningKeyRepository, Succession, TokenState,
};
pub use mail::{KeptMail, MailError, MailOutbox, MailTexts, Mailer};
pub use security::{FactorVault, HashError, InvalidToken, PasswordHasher, PreparedSigner, TokenSigner, Verification};
pub use workspace::{
    ApiKeyRepository, AuditTrailRepository, MemberRepository, Tenancy, TenancyTx, WorkspaceRepository,
};
