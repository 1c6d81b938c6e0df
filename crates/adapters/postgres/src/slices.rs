//! The transaction slices of each domain: the proof that opens a slice, and the repositories in it.
//!
//! To add a slice, add an entry here. Its repositories are implemented for the transaction type that the entry names.

use async_trait::async_trait;
use tidegate_billing::{
    AlertRepository, BillingTx, CatalogueTx, CreditNoteRepository, CustomerRepository, InvoiceRepository,
    LedgerRepository, NoticeRepository, OperatorLog, PaymentRepository, PlanCatalogue, PlanRepository, PromoCatalogue,
    PromoRepository, SubscriptionRepository, UsageRepository,
};
use tidegate_engine::jobs::{InstallationJobsTx, InstallationLog, JobRepository, JobsTx};
use tidegate_events::pattern::{DetectionTx, PatternCounters, PatternRepository, PatternsTx};
use tidegate_events::suggestion::{SuggestionLedger, SuggestionRepository, SuggestionsTx};
use tidegate_events::{EventConsumers, EventFeed, EventRepository, EventsTx, FeedTx};
use tidegate_files::{FileRepository, FilesTx};
use tidegate_kernel::{AuditLog, PersonScope, QuotaLevels, StoreError, SystemScope, UnitOfWork, WorkspaceScope};
use tidegate_tenancy::{
    AccountLog, ApiKeyRepository, AuditTrailRepository, DirectoryTx, FactorRepository, LinkRepository, Locator,
    MemberRepository, PersonRepository, PersonTx, PersonalRepository, SessionRepository, SigningKeyRepository,
    TenancyTx, WorkspaceRepository,
};
use tidegate_use_cases::{
    ApplySuggestionTx, DeleteWorkspaceTx, EventTriggersTx, IdempotencyRepository, IdempotencyTx, NotifyQuotaTx,
};
use tidegate_workflows::ports::{TriggerPlacements, WorkflowRepository, WorkflowsTx};
use tidegate_workflows::run::ports::{RunRepository, RunsTx};
use tidegate_workflows::trigger::ports::{TriggerRepository, TriggersTx};

use crate::audit::PgAuditLog;
use crate::billing::{PgPlanRepository, PgUsageRepository};
use crate::catalogue::{PgOperatorLog, PgPlanCatalogue};
use crate::engine::PgRunRepository;
use crate::events::{PgEventConsumers, PgEventFeed, PgEventRepository};
use crate::files::PgFileRepository;
use crate::idempotency::PgIdempotencyRepository;
use crate::invoices::{
    PgCreditNoteRepository, PgCustomerRepository, PgInvoiceRepository, PgLedgerRepository, PgPaymentRepository,
    PgPromoCatalogue, PgPromoRepository,
};
use crate::jobs::{PgInstallationLog, PgJobRepository};
use crate::patterns::{PgPatternCounters, PgPatternRepository, PgSuggestionLedger, PgSuggestionRepository};
use crate::quota::{PgAlertRepository, PgQuotaLevels};
use crate::store::PgStore;
use crate::subscription::{PgNoticeRepository, PgSubscriptionRepository};
use crate::tenancy::{
    PgAccountLog, PgApiKeyRepository, PgAuditTrailRepository, PgFactorRepository, PgLinkRepository, PgLocator,
    PgMemberRepository, PgPersonRepository, PgPersonalRepository, PgSessionRepository, PgSigningKeyRepository,
    PgWorkspaceRepository,
};
use crate::transaction::{Directory, Person, PgTx, Tenant};
use crate::workflows::{PgTriggerPlacements, PgTriggerRepository, PgWorkflowRepository};

macro_rules! slices {
    ($($transaction:ident opened by $scope:ident with $begin:ident {
        $($slice:ident { $($name:ident: $port:ident as $repository:ident),* })*
    })*) => {$($(
        #[async_trait]
        impl UnitOfWork<dyn $slice, $scope> for PgStore {
            async fn begin(&self, scope: &$scope) -> Result<Box<dyn $slice>, StoreError> {
                Ok(self.$begin(scope).await?)
            }
        }

        impl $slice for PgTx<$transaction> {
            $(fn $name(&mut self) -> Box<dyn $port + '_> {
                Box::new($repository(self))
            })*
        }
    )*)*};
}

slices! {
    Tenant opened by WorkspaceScope with begin_tenant {
        TenancyTx {
            workspace: WorkspaceRepository as PgWorkspaceRepository,
            members: MemberRepository as PgMemberRepository,
            api_keys: ApiKeyRepository as PgApiKeyRepository,
            audit_trail: AuditTrailRepository as PgAuditTrailRepository,
            levels: QuotaLevels as PgQuotaLevels,
            audit: AuditLog as PgAuditLog
        }
        IdempotencyTx { idempotency: IdempotencyRepository as PgIdempotencyRepository }
        EventsTx { events: EventRepository as PgEventRepository }
        FeedTx { feed: EventFeed as PgEventFeed, consumers: EventConsumers as PgEventConsumers }
        DetectionTx {
            feed: EventFeed as PgEventFeed,
            consumers: EventConsumers as PgEventConsumers,
            counters: PatternCounters as PgPatternCounters,
            suggestions: SuggestionLedger as PgSuggestionLedger
        }
        PatternsTx { patterns: PatternRepository as PgPatternRepository }
        SuggestionsTx { suggestions: SuggestionRepository as PgSuggestionRepository, audit: AuditLog as PgAuditLog }
        WorkflowsTx { workflows: WorkflowRepository as PgWorkflowRepository, placements: TriggerPlacements as PgTriggerPlacements, levels: QuotaLevels as PgQuotaLevels, audit: AuditLog as PgAuditLog }
        RunsTx { runs: RunRepository as PgRunRepository, workflows: WorkflowRepository as PgWorkflowRepository, audit: AuditLog as PgAuditLog }
        TriggersTx { triggers: TriggerRepository as PgTriggerRepository, documents: WorkflowRepository as PgWorkflowRepository }
        BillingTx {
            plan: PlanRepository as PgPlanRepository,
            subscription: SubscriptionRepository as PgSubscriptionRepository,
            customer: CustomerRepository as PgCustomerRepository,
            invoices: InvoiceRepository as PgInvoiceRepository,
            credit_notes: CreditNoteRepository as PgCreditNoteRepository,
            ledger: LedgerRepository as PgLedgerRepository,
            notices: NoticeRepository as PgNoticeRepository,
            payments: PaymentRepository as PgPaymentRepository,
            promos: PromoRepository as PgPromoRepository,
            audit: AuditLog as PgAuditLog,
            usage: UsageRepository as PgUsageRepository,
            alerts: AlertRepository as PgAlertRepository
        }
        FilesTx { files: FileRepository as PgFileRepository, levels: QuotaLevels as PgQuotaLevels, audit: AuditLog as PgAuditLog }
        ApplySuggestionTx {}
        DeleteWorkspaceTx { placements: TriggerPlacements as PgTriggerPlacements, runs: RunRepository as PgRunRepository }
        EventTriggersTx {}
        NotifyQuotaTx {}
        JobsTx { queue: JobRepository as PgJobRepository, audit: AuditLog as PgAuditLog }
    }
    Person opened by PersonScope with begin_person {
        PersonTx { personal: PersonalRepository as PgPersonalRepository }
        IdempotencyTx { idempotency: IdempotencyRepository as PgIdempotencyRepository }
    }
    Directory opened by SystemScope with begin_directory {
        DirectoryTx {
            people: PersonRepository as PgPersonRepository,
            sessions: SessionRepository as PgSessionRepository,
            factors: FactorRepository as PgFactorRepository,
            links: LinkRepository as PgLinkRepository,
            locator: Locator as PgLocator,
            signing_keys: SigningKeyRepository as PgSigningKeyRepository,
            account_log: AccountLog as PgAccountLog
        }
        CatalogueTx {
            catalogue: PlanCatalogue as PgPlanCatalogue,
            promo_codes: PromoCatalogue as PgPromoCatalogue,
            operations: OperatorLog as PgOperatorLog
        }
        InstallationJobsTx { queue: JobRepository as PgJobRepository, operations: InstallationLog as PgInstallationLog }
    }
}
