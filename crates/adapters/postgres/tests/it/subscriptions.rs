//! Subscriptions over time, with a clock that is set: the use cases on PostgreSQL.

use chrono::{DateTime, TimeDelta, Utc};
use tidegate_billing::catalogue::Catalogue;
use tidegate_billing::invoice::{IssuedInvoice, LineKind, TaxRate};
use tidegate_billing::ledger::Account;
use tidegate_billing::subscription::{InvoiceTerms, NewSubscription, Status, Subscriptions};
use tidegate_billing::{Billing, BillingTx, Currency, Interval};
use tidegate_kernel::{PageSize, UnitOfWork, WorkspaceScope};
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
        let terms = InvoiceTerms { rate, payment: TimeDelta::days(5) };
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

    async fn pay_newest(&self) {
        let newest = self.invoices().await.pop().expect("an invoice");
        let operator = issuer().operator(tidegate_kernel::UserId::generate(&self.stage.scene.env), request_id());
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
    let mut admin = customer.database.admin().await;
    let month: DateTime<Utc> = "2026-02-01T00:00:00Z".parse().unwrap();
    sqlx::query("insert into event_day (workspace_id, day, used) values ($1, $2, 52001)")
        .bind(customer.stage.scene.ours.as_uuid())
        .bind(month)
        .execute(&mut admin)
        .await
        .unwrap();
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
