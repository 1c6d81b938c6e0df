//! Subscriptions over time, with a clock that is set: the use cases on PostgreSQL.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tidegate_billing::catalogue::Catalogue;
use tidegate_billing::correction::{CorrectionError, NewCorrection, UsageCorrections};
use tidegate_billing::invoice::{IssuedInvoice, LineKind, Party, TaxRate};
use tidegate_billing::ledger::Account;
use tidegate_billing::subscription::{InvoiceTerms, NewSubscription, OverdueSweep, Status, Subscriptions};
use tidegate_billing::{Billing, BillingTx, Currency, Interval};
use tidegate_kernel::{Meter, OperatorScope, PageSize, UnitOfWork, UserId, WorkspaceScope};
use tidegate_testing::TestDatabase;
use tidegate_testing::contract::Stage;
use tidegate_testing::scope::{issuer, request_id, system_scope, workspace_scope};

struct Customer {
    database: TestDatabase,
    stage: Stage,
    subscriptions: Subscriptions,
    scope: WorkspaceScope,
}

impl Customer {
    async fn new(now: &str) -> Self {
        let database = TestDatabase::new().await;
        let stage = Stage::on(&database).await;
        stage.scene.clock.set(now.parse().expect("a time"));
        let env = stage.scene.env.clone();
        let catalogue = Catalogue::built_in().expect("a catalogue");
        let billing = Billing::new(stage.store.clone(), system_scope(), catalogue.clone(), "free", env.clone());
        billing.open(&catalogue).await.expect("the catalogue is stored");
        let rate = TaxRate { ppm: 190_000, inclusive: false };
        let terms = InvoiceTerms { seller: Party::default(), rate, payment: TimeDelta::days(5) };
        let subscriptions = Subscriptions::new(stage.store.clone(), billing, terms, env);
        let scope = workspace_scope(stage.scene.ours);
        Self { database, stage, subscriptions, scope }
    }

    async fn buy(&self, plan: &str) {
        let (interval, currency, zone) =
            (Interval::Month, Currency::EUR, "Europe/Berlin".parse().expect("a time zone"));
        let new = NewSubscription { plan: plan.into(), interval, currency, zone, trial: false };
        assert!(self.subscriptions.buy(&self.scope, new).await.expect("it is bought").1);
    }

    /// Sets the clock, and does what the job does at that time.
    async fn wake(&self, now: &str) {
        self.stage.scene.clock.set(now.parse().expect("a time"));
        self.subscriptions.wake(&self.scope).await.expect("it wakes");
    }

    async fn invoices(&self) -> Vec<IssuedInvoice> {
        let page = self.subscriptions.invoices(&self.scope, None, PageSize::default()).await.expect("they are listed");
        page.items.into_iter().rev().collect()
    }

    fn operator(&self) -> OperatorScope {
        issuer().operator(UserId::generate(&self.stage.scene.env), request_id())
    }

    /// So many events on a day that were counted.
    async fn counted(&self, day: &str, events: i64) {
        let mut admin = self.database.admin().await;
        let insert = sqlx::query("insert into event_day (workspace_id, day, used) values ($1, $2, $3)");
        let insert = insert.bind(self.stage.scene.ours.as_uuid()).bind(day.parse::<DateTime<Utc>>().expect("a time"));
        insert.bind(events).execute(&mut admin).await.expect("it is stored");
    }

    /// Corrects the events of a day, and returns by how many.
    async fn correct(&self, reference: &str, day: &str, amount: i64) -> Result<i64, CorrectionError> {
        let corrections = UsageCorrections::new(self.stage.store.clone(), self.stage.scene.env.clone());
        let (reference, reason, day) = (reference.to_owned(), "because".to_owned(), day.parse().expect("a time"));
        let new = NewCorrection { reference, meter: Meter::Events, day, amount, reason };
        let made = corrections.correct(&self.operator(), self.stage.scene.ours, new).await?;
        assert_eq!(made.asked, amount);
        Ok(made.amount)
    }

    async fn pay_newest(&self) {
        let newest = self.invoices().await.pop().expect("an invoice");
        let operator = self.operator();
        let (due, currency) = (newest.invoice.amount_due(), newest.invoice.currency);
        let workspace = self.stage.scene.ours;
        self.subscriptions.record_payment(&operator, workspace, newest.id, currency, due).await.expect("it is paid");
    }

    async fn status(&self) -> Status {
        self.subscriptions.get(&self.scope).await.expect("it is read").expect("a subscription").status
    }

    async fn plan(&self) -> String {
        let workspace = self.stage.scene.ours.as_uuid();
        self.text(format!("select plan from workspace_plan where workspace_id = '{workspace}'")).await
    }

    async fn text(&self, sql: String) -> String {
        let mut admin = self.database.admin().await;
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&mut admin).await.expect("the query runs")
    }

    /// The balance of every account, in the order of [`Account::ALL`].
    async fn balances(&self) -> Vec<i64> {
        let mut tx: Box<dyn BillingTx> = self.stage.store.begin(&self.scope).await.expect("a transaction begins");
        let mut balances = Vec::new();
        for account in Account::ALL {
            balances.push(tx.ledger().balance(Currency::EUR, *account).await.expect("a balance"));
        }
        balances
    }
}

#[tokio::test]
async fn periods_are_invoiced_with_the_usage_beyond_what_is_included() {
    let customer = Customer::new("2026-01-31T15:00:00Z").await;
    customer.buy("starter").await;
    customer.pay_newest().await;
    let month: DateTime<Utc> = "2026-02-01T00:00:00Z".parse().unwrap();
    customer.counted("2026-02-01T00:00:00Z", 52_001).await;
    // February ends within the second period, which begins on 28 February in Berlin.
    customer.wake("2026-02-27T22:59:59Z").await;
    assert_eq!(customer.invoices().await.len(), 1);
    customer.wake("2026-02-27T23:00:00Z").await;
    customer.pay_newest().await;
    customer.wake("2026-03-30T22:00:00Z").await;
    let invoices = customer.invoices().await;
    let totals: Vec<_> = invoices.iter().map(|issued| (issued.number.0, issued.invoice.subtotal)).collect();
    assert_eq!(totals, [(1, 1900), (2, 1900), (3, 1900 + 100)]);
    let LineKind::Usage { rows, .. } = &invoices[2].invoice.lines[0].kind else { panic!("a line for the usage") };
    assert_eq!((rows.len(), rows[0].used, rows[0].period.start), (1, 52_001, month));
    assert_eq!(invoices[2].descriptions[1], "Starter, 2026-03-31 to 2026-04-29");
    let net = 1900 * 3 + 100;
    let (gross, open) = (net + 361 * 2 + 380, 2000 + 380);
    assert_eq!(customer.balances().await, [open, gross - open, -net, net - gross, 0, 0]);
}

#[tokio::test]
async fn usage_that_is_counted_after_its_invoice_is_charged_with_the_next() {
    let customer = Customer::new("2026-01-31T15:00:00Z").await;
    customer.buy("starter").await;
    customer.pay_newest().await;
    let (first, second) = ("2026-02-01T00:00:00Z", "2026-02-02T00:00:00Z");
    customer.counted(first, 49_000).await;
    customer.wake("2026-02-27T23:00:00Z").await;
    customer.pay_newest().await;
    // Within what is included: no line for February.
    customer.wake("2026-03-30T22:00:00Z").await;
    customer.pay_newest().await;
    assert_eq!(customer.invoices().await[2].invoice.subtotal, 1900);
    customer.counted(second, 2_019).await;
    assert_eq!(customer.correct("one", "2026-02-03T17:00:00Z", 1_000).await.expect("it is made"), 1_000);
    assert!(matches!(customer.correct("one", first, 1_000).await, Err(CorrectionError::Exists)));
    assert!(matches!(customer.correct("two", "2026-12-01T00:00:00Z", 1).await, Err(CorrectionError::Day)));
    assert!(matches!(customer.correct("two", first, 0).await, Err(CorrectionError::Nothing)));
    customer.wake("2026-04-29T22:00:00Z").await;
    customer.pay_newest().await;
    let late = &customer.invoices().await[3].invoice.lines[0];
    assert_eq!((late.quantity, late.amount), (2_019, 100));
    let LineKind::Usage { rows, .. } = &late.kind else { panic!("a line for the usage") };
    assert_eq!((rows[0].used, rows[0].charged), (52_019, 49_000));

    // What is taken off is cut to what was counted, and not paid back.
    assert_eq!(customer.correct("three", second, -5_000).await.expect("it is made"), -2_019);
    assert_eq!(customer.correct("four", second, -1).await.expect("it is made"), 0);
    assert_eq!(customer.correct("five", second, 10).await.expect("it is made"), 10);
    customer.wake("2026-05-30T22:00:00Z").await;
    assert_eq!(customer.invoices().await[4].invoice.subtotal, 1900);
}

#[tokio::test]
async fn a_customer_who_does_not_pay_loses_the_plan_and_gets_it_back() {
    let customer = Customer::new("2026-01-01T12:00:00Z").await;
    customer.buy("starter").await;
    customer.wake("2026-01-06T12:00:00.1Z").await;
    assert!(matches!(customer.status().await, Status::PastDue { retries: 0, .. }));
    // A server that was away makes up for everything at once.
    customer.wake("2026-01-14T12:00:00Z").await;
    assert!(matches!(customer.status().await, Status::PastDue { retries: 3, .. }));
    assert_eq!(customer.plan().await, "starter");
    customer.wake("2026-01-21T12:00:00Z").await;
    assert!(matches!(customer.status().await, Status::Suspended { .. }));
    assert_eq!(customer.plan().await, "free");
    customer.wake("2026-05-01T12:00:00Z").await;
    assert_eq!(customer.invoices().await.len(), 1, "nothing is charged while it is suspended");
    customer.pay_newest().await;
    assert_eq!((customer.status().await, customer.plan().await), (Status::Active, "starter".to_owned()));
    assert_eq!(customer.invoices().await[1].period.start, "2026-04-30T22:00:00Z".parse::<DateTime<Utc>>().unwrap());
}

#[tokio::test]
async fn nothing_is_charged_once_the_workspace_is_deleted() {
    let customer = Customer::new("2026-01-01T12:00:00Z").await;
    customer.buy("starter").await;
    customer.database.run("update workspace set deleted_at = now()".to_owned()).await;
    customer.wake("2026-03-01T12:00:00Z").await;
    assert_eq!((customer.invoices().await.len(), customer.status().await), (1, Status::Active));
    customer.database.run("delete from subscription; delete from workspace_plan".to_owned()).await;
    customer.wake("2026-04-01T12:00:00Z").await;
    assert_eq!(customer.database.count("select count(*) from workspace_plan".to_owned()).await, 0);
}

#[tokio::test]
async fn the_job_is_due_when_the_subscription_has_something_to_do() {
    let customer = Customer::new("2026-01-01T12:00:00Z").await;
    customer.buy("starter").await;
    let due =
        "select string_agg(run_at at time zone 'UTC' || '', ', ') from job_later where kind = 'subscription.wake'";
    assert_eq!(customer.text(due.to_owned()).await.split('.').next(), Some("2026-01-06 12:00:00"));
}

#[tokio::test]
async fn a_subscription_whose_job_is_gone_is_woken_and_one_that_fails_keeps_none_from_it() {
    let customer = Customer::new("2026-01-01T12:00:00Z").await;
    customer.buy("starter").await;
    customer.pay_newest().await;
    let broken = format!(
        "delete from job_later; delete from job;
         insert into workspace_plan (workspace_id, plan, version, since) select '{0}', plan, version, since from workspace_plan;
         insert into subscription (workspace_id, status, state, changed_at, wake_at) values ('{0}', 'active', '{{'::bytea, now(), '2026-01-15')",
        customer.stage.scene.theirs.as_uuid()
    );
    customer.database.run(broken).await;
    let scope = Arc::new(issuer().system("a test"));
    let (store, env) = (customer.stage.store.clone(), customer.stage.scene.env.clone());
    let sweep = OverdueSweep::new(store, customer.subscriptions.clone(), scope, env);
    let sweep_at = async |now: &str| {
        customer.stage.scene.clock.set(now.parse().expect("a time"));
        let failed = sweep.run(&request_id()).await.expect("it runs");
        assert_eq!(failed.iter().map(|(workspace, _)| *workspace).collect::<Vec<_>>(), [customer.stage.scene.theirs]);
        (customer.invoices().await.len(), sweep.count().await.expect("they are counted"))
    };
    // The period ends at midnight in Berlin. It is overdue an hour later.
    assert_eq!(sweep_at("2026-01-31T23:59:00Z").await, (1, 1));
    customer.stage.scene.clock.set("2026-02-01T00:00:01Z".parse().expect("a time"));
    assert_eq!(sweep.count().await.expect("they are counted"), 2);
    assert_eq!(sweep_at("2026-02-01T00:00:01Z").await, (2, 1));
    assert_eq!(sweep_at("2026-02-01T00:00:02Z").await, (2, 1));
    let jobs = "select count(*) from job_later where kind = 'subscription.wake'".to_owned();
    assert_eq!(customer.database.count(jobs).await, 1, "its job is there again");
}

#[tokio::test]
async fn the_database_refuses_a_transaction_that_does_not_sum_to_zero_and_a_change_of_the_books() {
    let customer = Customer::new("2026-01-01T12:00:00Z").await;
    customer.buy("starter").await;
    let mut admin = customer.database.admin().await;
    let wrong = "insert into ledger_entry (workspace_id, transaction_id, line, account, currency, amount)
                 select workspace_id, id, 9, 'cash', currency, 1 from ledger_transaction";
    let error = sqlx::query(wrong).execute(&mut admin).await.unwrap_err().to_string();
    assert!(error.contains("do not sum to zero"), "{error}");
    for table in ["invoice_line", "ledger_transaction", "ledger_entry"] {
        let grants = format!(
            "select count(*) from information_schema.role_table_grants
             where table_name = '{table}' and privilege_type in ('UPDATE', 'DELETE', 'TRUNCATE') and grantee like 'tidegate%'"
        );
        assert_eq!(customer.database.count(grants).await, 0, "{table}");
    }
}
