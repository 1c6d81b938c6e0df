//! OpenAPI schemas of texts that have a rule: ids, slugs, durations, and enumerations.
//!
//! These types are only schemas; no value is read or written with them. Fields name them in `value_type`. Each takes
//! its rule from the code that owns it, so that the document follows a change of the rule.

use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{KnownFormat, RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

/// The 128 bits of an id in lower-case Crockford base 32.
const ID_BITS: &str = "[0-7][0-9a-hjkmnp-tv-z]{25}";
/// The characters of a slug. Its length has a bound of its own.
const SLUG: &str = "[a-z0-9]+(?:-[a-z0-9]+)*";

/// A text that matches `pattern` as a whole.
fn text(description: &str, pattern: &str, example: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .pattern(Some(format!("^{pattern}$")))
        .examples([example])
}

fn id_pattern(prefix: &str) -> String {
    format!("{prefix}_{ID_BITS}")
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident = $schema:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                Schema::Object($schema.build()).into()
            }
        }

        impl ToSchema for $name {}
    )*};
}

macro_rules! ids {
    ($($name:ident $title:literal;)*) => {
        texts! {$(
            #[doc = concat!("The id of ", $title, ".")]
            $name = {
                let prefix = tidegate_kernel::$name::PREFIX;
                text(concat!("The id of ", $title, "."), &id_pattern(prefix), &format!("{prefix}_01jz3q9m0e7c2v5y8t4r6n1k0d"))
            };
        )*}
    };
}

ids! {
    UserId "a person";
    WorkspaceId "a workspace";
    SessionId "a session";
    FactorId "a second factor";
    ApiKeyId "an API key";
    AuditId "an entry of the audit log";
    EventId "an event";
    PatternId "a pattern";
    SuggestionId "a suggestion";
    WorkflowId "a workflow";
    RunId "a run";
    JobId "a job";
    FileId "a file";
    UploadId "a presigned upload";
    InvoiceId "an invoice";
    PaymentId "a payment";
    CreditNoteId "a credit note";
}

texts! {
    /// A workspace's name in URLs.
    Slug = text("A workspace's name in addresses.", SLUG, "acme")
        .min_length(Some(1))
        .max_length(Some(tidegate_tenancy::Slug::MAX_LEN));
    /// A workspace by its id or its slug.
    WorkspaceRef = text(
        "Id or slug of a workspace.",
        &format!("(?:{}|{SLUG})", id_pattern(tidegate_kernel::WorkspaceId::PREFIX)),
        "acme",
    )
    .min_length(Some(1))
    .max_length(Some(tidegate_tenancy::Slug::MAX_LEN));
    /// The name of a person, a workspace or a key.
    Name = ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("One line of text."))
        .min_length(Some(1))
        .max_length(Some(tidegate_tenancy::Name::MAX_CHARS));
    /// An email address.
    Email = ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("An e-mail address."))
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Email)))
        .max_length(Some(tidegate_tenancy::Email::MAX_LEN));
    /// A body that is not JSON: a YAML document, NDJSON events, or a payload.
    Bytes = ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
        .description(Some("The bytes as they are."));
    /// The name of a plan.
    PlanName = text("The name of a plan.", "[a-z-]{1,40}", "starter");
    /// The text of a promo code.
    PromoCodeText = text("A promo code. Capital and small letters are the same.", "[A-Za-z0-9-]{6,40}", "SPRING-2027");
    /// A calendar month.
    Month = text("A calendar month in UTC.", "[0-9]{4}-(?:0[1-9]|1[0-2])", "2026-11");
    /// A kind of background work.
    JobKind = text("A kind of background work; more may come.", "[a-z0-9._-]{1,64}", "mail.send");
    /// The name of a file.
    FileName = ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("One line of text in any script. It is kept as it is, and is never a part of a path."))
        .min_length(Some(1))
        .max_length(Some(tidegate_files::FileName::MAX_CHARS));
    /// A media type without parameters.
    MediaType = text("A media type.", "[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}", "image/png");
    /// A SHA-256 in lower-case hexadecimal digits.
    Sha256 = text("A SHA-256.", "[0-9a-f]{64}", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    /// The version of a program.
    ProgramVersion = text("A version of Tidegate (semantic versioning 2.0).", r"[0-9]+\.[0-9]+\.[0-9]+(?:[-+].+)?", "0.1.0");
    /// A reason as a code.
    Code = text("A reason as a word; more may come.", "[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*", "not-found");
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident = $words:expr;)*) => {
        texts! {$(
            $(#[$doc])*
            $name = ObjectBuilder::new().schema_type(Type::String).enum_values(Some($words));
        )*}
    };
}

macro_rules! all {
    ($of:path) => {{
        use $of as Words;
        Words::ALL.iter().map(|word| word.as_str())
    }};
}

/// The names of the step types.
fn step_types() -> Vec<String> {
    let types = tidegate_engine::handlers::step_types();
    types.iter().flat_map(tidegate_workflows::step::StepRegistry::names).map(str::to_owned).collect()
}

words! {
    /// The role of a member in a workspace.
    Role = tidegate_tenancy::Role::BUILT_IN.iter().map(|role| role.name().to_owned());
    /// What a caller may do.
    Permission = all!(tidegate_kernel::Permission);
    /// The kind of a pattern.
    FactorKind = tidegate_tenancy::FactorKind::ALL.into_iter().map(tidegate_tenancy::FactorKind::as_str);
    PatternKind = all!(tidegate_events::pattern::PatternKind);
    /// A kind of pattern to filter by; `regularity` is not detected yet.
    AskedPatternKind = all!(tidegate_events::pattern::PatternKind).chain(["regularity"]);
    /// The status of a suggestion.
    SuggestionStatus = all!(tidegate_events::suggestion::SuggestionStatus);
    /// The status of a run.
    RunStatus = all!(tidegate_workflows::run::RunStatus);
    /// The status of a step or an attempt.
    StepStatus = all!(tidegate_workflows::run::StepStatus);
    /// What a step waits for.
    WaitsFor = all!(tidegate_workflows::run::WaitsFor);
    /// The status of a job.
    JobStatus = all!(tidegate_kernel::JobStatus);
    /// The priority of a job.
    JobPriority = all!(tidegate_kernel::JobPriority);
    /// The state of a file.
    FileState = all!(tidegate_files::FileState);
    /// Why a run is in quarantine.
    QuarantineReason = all!(tidegate_workflows::run::QuarantineReason);
    /// The type of a step.
    StepKind = step_types();
    /// What started a run.
    TriggerKind = ["api", "cron", "event"];
    /// `draft` if no version is published.
    WorkflowStatus = ["draft", "published"];
    /// The format of a document.
    DocumentFormat = ["yaml", "json"];
    /// The kind of an actor.
    ActorKind = ["person", "api_key", "system"];
    /// A meter of usage.
    Meter = all!(tidegate_kernel::Meter);
    /// A meter whose counts can be corrected.
    CorrectedMeter = tidegate_billing::correction::CORRECTED.map(tidegate_kernel::Meter::as_str);
    /// The steps in which usage is shown.
    UsageStep = ["day"];
    /// What a plan limits: a meter, or requests per minute.
    Limited = all!(tidegate_kernel::Meter).chain([crate::tenancy::limits::REQUESTS]);
    /// The status of a subscription; `none` if there never was one.
    SubscriptionStatus = std::iter::once("none").chain(tidegate_billing::subscription::Status::NAMES.iter().copied());
    /// The status of an invoice.
    InvoiceStatus = all!(tidegate_billing::invoice::InvoiceStatus);
    /// The state of a payment.
    PaymentState = all!(tidegate_billing::PaymentState);
    /// An account of the ledger.
    LedgerAccount = all!(tidegate_billing::ledger::Account);
    /// Why a transaction of the ledger was posted.
    LedgerCause = all!(tidegate_billing::ledger::Cause);
    /// Why an invoice is written off.
    VoidReason = ["uncollectible"];
    /// What happens at the end of the period of a subscription.
    PendingKind = ["change", "cancel", "pause"];
    /// When a cancellation takes effect.
    CancelAt = ["period_end", "now"];
    /// The status of a version of a plan.
    PlanStatus = all!(tidegate_billing::PlanStatus);
    /// The billing interval of a plan.
    PlanInterval = all!(tidegate_billing::Interval);
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_workflows::run::{RunStatus as Status, StepStatus as Step};

    #[test]
    fn words_are_those_of_the_domain() {
        let words = |schema: RefOr<Schema>| serde_json::to_value(schema).unwrap()["enum"].clone();
        assert_eq!(words(RunStatus::schema()).as_array().unwrap().len(), Status::ALL.len());
        assert_eq!(words(StepStatus::schema()).as_array().unwrap().len(), Step::ALL.len());
        assert_eq!(words(Role::schema()), serde_json::json!(["viewer", "member", "admin", "owner"]));
    }
}
