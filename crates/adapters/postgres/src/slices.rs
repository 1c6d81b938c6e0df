//! Which slice of the store each domain opens, with what proof, and which repositories it finds there.
//!
//! A new slice is an entry here. Its repositories are implemented for the transaction that the entry names.

use async_trait::async_trait;
use tidegate_billing::{BillingTx, PlanRepository, UsageRepository};
use tidegate_engine::jobs::{InstallationJobsTx, InstallationLog, JobRepository, JobsTx};
use tidegate_events::pattern::{DetectionTx, PatternCounters, PatternRepository, PatternsTx};
use tidegate_events::suggestion::{SuggestionLedger, SuggestionRepository, SuggestionsTx};
use tidegate_events::{EventConsumers, EventFeed, EventRepository, EventsTx, FeedTx};
use tidegate_kernel::{
    AuditLog, IdempotencyRepository, IdempotencyTx, PersonScope, StoreError, SystemScope, UnitOfWork, WorkspaceScope,
};
use tidegate_tenancy::{
    AccountLog, ApiKeyRepository, AuditTrailRepository, DirectoryTx, Locator, MemberRepository, PersonRepository,
    PersonTx, PersonalRepository, SessionRepository, SigningKeyRepository, TenancyTx, WorkspaceRepository,
};
use tidegate_use_cases::{ApplySuggestionTx, DeleteWorkspaceTx, EventTriggersTx};
use tidegate_workflows::ports::{TriggerPlacements, WorkflowRepository, WorkflowsTx};
use tidegate_workflows::run::ports::{PublishedVersions, RunRepository, RunsTx};
use tidegate_workflows::trigger::ports::{TriggerRepository, TriggersTx};

use crate::store::PgStore;
use crate::transaction::{Directory, Person, PgTx, Tenant};

macro_rules! slices {
    ($($transaction:ident opened by $scope:ident with $begin:ident {
        $($slice:ident { $($name:ident: $repository:ident),* })*
    })*) => {$($(
        #[async_trait]
        impl UnitOfWork<dyn $slice, $scope> for PgStore {
            async fn begin(&self, scope: &$scope) -> Result<Box<dyn $slice>, StoreError> {
                Ok(self.$begin(scope).await?)
            }
        }

        impl $slice for PgTx<$transaction> {
            $(fn $name(&mut self) -> &mut dyn $repository {
                self
            })*
        }
    )*)*};
}

slices! {
    Tenant opened by WorkspaceScope with begin_tenant {
        TenancyTx {
            workspace: WorkspaceRepository,
            members: MemberRepository,
            api_keys: ApiKeyRepository,
            audit_trail: AuditTrailRepository,
            audit: AuditLog
        }
        IdempotencyTx { idempotency: IdempotencyRepository }
        EventsTx { events: EventRepository }
        FeedTx { feed: EventFeed, consumers: EventConsumers }
        DetectionTx {
            feed: EventFeed,
            consumers: EventConsumers,
            counters: PatternCounters,
            suggestions: SuggestionLedger
        }
        PatternsTx { patterns: PatternRepository }
        SuggestionsTx { suggestions: SuggestionRepository, audit: AuditLog }
        WorkflowsTx { workflows: WorkflowRepository, placements: TriggerPlacements, audit: AuditLog }
        RunsTx { runs: RunRepository, versions: PublishedVersions, audit: AuditLog }
        TriggersTx { triggers: TriggerRepository, documents: WorkflowRepository }
        BillingTx { plan: PlanRepository, usage: UsageRepository }
        ApplySuggestionTx {}
        DeleteWorkspaceTx { placements: TriggerPlacements, runs: RunRepository }
        EventTriggersTx {}
        JobsTx { queue: JobRepository, audit: AuditLog }
    }
    Person opened by PersonScope with begin_person {
        PersonTx { personal: PersonalRepository }
        IdempotencyTx { idempotency: IdempotencyRepository }
    }
    Directory opened by SystemScope with begin_directory {
        DirectoryTx {
            people: PersonRepository,
            sessions: SessionRepository,
            locator: Locator,
            signing_keys: SigningKeyRepository,
            account_log: AccountLog
        }
        InstallationJobsTx { queue: JobRepository, operations: InstallationLog }
    }
}
