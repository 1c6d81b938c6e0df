//! Exceptions from the rules of the schema, each with its reason. A list may only shrink, or grow with a reason that a
//! reviewer accepts. A name that the schema does not have is refused, so that no exception is left behind.

/// Tables without `workspace_id`: the name, the runtime roles that may use it, and why it belongs to no workspace.
pub const WITHOUT_WORKSPACE: &[(&str, &[&str], &str)] = &[
    ("_sqlx_migrations", &[], "the migrator's own record"),
    ("account_event", &["tidegate_directory"], "what a person did outside a workspace"),
    ("account_link", &["tidegate_directory"], "a link in a mail to a person"),
    ("factor", &["tidegate_directory"], "a second factor of a person"),
    ("invoice_counter", &["tidegate_api"], "the numbers of invoices are one series of the seller"),
    ("job_schedule", &["tidegate_engine"], "when the installation's own recurring jobs are due"),
    ("kept_mail", &["tidegate_directory"], "mails to people, who may be members of many workspaces"),
    ("login_challenge", &["tidegate_directory"], "a log-in of a person that waits for a second factor"),
    ("partition_plan", &[], "which tables are partitioned; read by one function of the owner"),
    ("payment_event", &["tidegate_directory"], "notifications of payment providers, before their workspace is known"),
    ("person", &["tidegate_directory"], "a person may be a member of many workspaces"),
    ("person_idempotency_key", &["tidegate_directory"], "a request of a person outside a workspace"),
    (
        "plan_version",
        &["tidegate_api", "tidegate_directory"],
        "the plans of the seller; every workspace buys from them",
    ),
    (
        "promo_code",
        &["tidegate_api", "tidegate_directory"],
        "the promo codes of the seller; how often all workspaces together have redeemed one is exact",
    ),
    ("recovery_code", &["tidegate_directory"], "a code of a person who has lost a second factor"),
    ("refresh_token", &["tidegate_directory"], "belongs to a log-in of a person"),
    ("session", &["tidegate_directory"], "a log-in of a person"),
    ("shard", &["tidegate_engine"], "which worker owns which share of all workspaces' runs"),
    ("signing_key", &["tidegate_directory"], "the installation's keys"),
    (
        "slot",
        &["tidegate_api", "tidegate_directory", "tidegate_engine"],
        "which shard a share of all workspaces belongs to",
    ),
    (
        "usage_recorder",
        &["tidegate_engine"],
        "which batch each server has recorded; it counts for many workspaces at once",
    ),
    ("worker", &["tidegate_engine"], "the servers that are alive"),
];

/// Why a worker may read all rows of a table.
const CLAIMING: &str = "a worker claims from its shard, whosever run is next";

/// Tenant tables of which a role may read all rows: the name, the role, and why.
pub const SEEN_WHOLE: &[(&str, &str, &str)] = &[
    ("blocked", "tidegate_engine", CLAIMING),
    ("cron_trigger", "tidegate_engine", "to find the workflows of all workspaces whose time has come"),
    ("event_consumer", "tidegate_engine", "to find the workspaces whose events somebody has not read"),
    ("file_task", "tidegate_engine", "to find what is to be done about the files of all workspaces"),
    ("gate_hold", "tidegate_engine", CLAIMING),
    ("idempotency_key", "tidegate_directory", "to remove the answers that are not kept any more; it cannot read them"),
    ("job_dead", "tidegate_engine", "to show operators what failed for good, whosever it is"),
    ("job_later", "tidegate_engine", CLAIMING),
    ("job_lease", "tidegate_engine", CLAIMING),
    ("job_ready", "tidegate_engine", CLAIMING),
    ("lease", "tidegate_engine", CLAIMING),
    ("locator", "tidegate_directory", "to find the workspace of a key or a slug, before there is a scope"),
    ("ready", "tidegate_engine", CLAIMING),
    ("run_key", "tidegate_engine", "to forget the keys of all workspaces after 32 days"),
    ("run_quarantine", "tidegate_engine", "to show operators what was set aside, whosever it is"),
    ("run_request", "tidegate_engine", CLAIMING),
    ("subscription", "tidegate_engine", "to find the subscriptions of all workspaces that were not woken"),
    ("timer", "tidegate_engine", CLAIMING),
    ("usage_counter", "tidegate_directory", "to remove the counts of periods long ago; it cannot read them"),
    ("workspace_erasure", "tidegate_engine", "to find the deleted workspaces whose data is to be erased"),
    ("workspace_head", "tidegate_engine", "to find the workspaces whose events somebody has not read"),
    ("workspace_slot", "tidegate_engine", "to give each workspace its share of the workers"),
];

/// Tenant tables from which the engine may not erase the rows of deleted workspaces, and why.
pub const NOT_ERASED: &[(&str, &str)] = &[
    ("credit_note", BOOKS),
    ("invoice", BOOKS),
    ("invoice_line", BOOKS),
    ("ledger_entry", BOOKS),
    ("ledger_transaction", BOOKS),
    ("payment", BOOKS),
    ("usage_correction", "what was used may have to be paid; it names no person"),
    ("usage_counter", "what was used may have to be paid; it holds counts alone"),
];

/// Why invoices and the ledger outlive their workspace.
const BOOKS: &str =
    "the seller has to keep the books; they name nobody but the customer, as the law requires of invoices";

/// Why an index begins with the shard.
const SHARD: &str = "a worker reads its shard, in the order of what is due";

/// Indexes and keys of tenant tables that do not begin with the workspace, and what they are for. A unique one could
/// reveal to one tenant what another has, so such indexes hold only digests.
pub const OTHER_LEADS: &[(&str, &str)] = &[
    ("blocked_by_shard", SHARD),
    ("cron_trigger_due", "finds the workflows whose time has come"),
    ("file_task_due", "finds what is to be done about files whose time has come"),
    ("gate_hold_by_shard", SHARD),
    ("idempotency_key_by_age", "finds the answers that are not kept any more"),
    ("job_dead_by_age", "shows operators what failed first"),
    ("job_dead_by_id", "finds what an operator names"),
    ("job_dead_by_shard", SHARD),
    ("job_later_due", SHARD),
    ("job_lease_by_shard", SHARD),
    ("job_ready_claim", SHARD),
    ("lease_by_shard", SHARD),
    ("locator_pkey", "finds a workspace by a digest"),
    ("membership_by_person", "finds a person's workspaces"),
    ("ready_claim", SHARD),
    ("run_key_by_age", "finds the keys that are to be forgotten"),
    ("run_quarantine_by_age", "shows operators what was set aside first"),
    ("run_quarantine_by_shard", SHARD),
    ("run_request_by_shard", SHARD),
    ("subscription_wake", "finds the subscriptions that were not woken"),
    ("timer_due", SHARD),
    ("usage_counter_by_period", "finds the counts of periods long ago"),
];

/// Functions that run with the rights of their owner, and why that is safe.
pub const SECURITY_DEFINER: &[(&str, &str)] =
    &[("tidegate_ensure_partitions", "makes the partitions that are due; takes nothing from its callers")];
