//! Subscriptions, invoices and the ledger, with another tenant.

use std::collections::BTreeMap;

use chrono::{SubsecRound, TimeDelta};
use tidegate_billing::catalogue::{Interval, PlanVersion, Price};
use tidegate_billing::invoice::{
    CustomerDetails, Invoice, InvoiceNumber, InvoiceStatus, IssuedInvoice, Line, Parties, Party, Sold, TaxRate,
};
use tidegate_billing::ledger::{Account, Cause, Posting, Transaction};
use tidegate_billing::subscription::{Pending, Status, Subscription};
use tidegate_billing::{BillingTx, Currency};
use tidegate_kernel::{InvoiceId, Period, WorkspaceId};
use uuid::Uuid;

use super::Subject;
use crate::scope::{system_scope, workspace_scope};

const RATE: TaxRate = TaxRate { ppm: 77_000, inclusive: true };

fn sold(amount: i64) -> Sold {
    let price = Price { interval: Interval::Quarter, currency: Currency::EUR, amount };
    Sold { plan: PlanVersion { name: "starter".into(), version: 3 }, title: "Starter".into(), price }
}

fn party(name: &str) -> Party {
    Party { name: name.into(), address: vec!["A street 1".into(), "A town".into()], tax_id: Some("XX 1".into()) }
}

impl Subject {
    pub(super) async fn tx(&self, workspace: WorkspaceId) -> Box<dyn BillingTx> {
        self.billing.begin(&workspace_scope(workspace)).await.expect("a transaction begins")
    }

    /// A subscription with everything that one can have.
    fn subscription(&self) -> Subscription {
        let now = self.env.now().trunc_subsecs(6);
        let zone = "Europe/Berlin".parse().expect("a time zone");
        let (mut subscription, _) = Subscription::start(sold(5700), zone, 0, now).expect("it starts");
        let invoice = self.invoice(1);
        subscription.paid = invoice.invoice.paid_for_plan().expect("amounts fit");
        subscription.open = BTreeMap::from([(invoice.id, now + TimeDelta::days(14))]);
        subscription.pending = Some(Pending::Change(sold(100)));
        subscription.status = Status::PastDue { since: now, retries: 2 };
        subscription
    }

    fn invoice(&self, number: i64) -> IssuedInvoice {
        let now = self.env.now().trunc_subsecs(6);
        let period = Period { start: now, end: now + TimeDelta::days(90) };
        let lines = vec![Line::plan(sold(5700), period, RATE), Line::plan(sold(300), period, RATE)];
        let invoice = Invoice::new(Currency::EUR, lines, RATE, &[], 1000).expect("amounts fit");
        IssuedInvoice {
            id: InvoiceId::generate(&self.env),
            number: InvoiceNumber(number),
            status: InvoiceStatus::Open,
            descriptions: vec!["the first line".into(), "the second".into()],
            parties: Some(Parties {
                seller: party("The seller"),
                customer: party("The customer"),
                zone: "Asia/Tokyo".parse().expect("a time zone"),
            }),
            invoice,
            period,
            issued_at: now,
            due_at: Some(now + TimeDelta::days(14)),
            credited: 0,
            paid_at: None,
        }
    }

    pub(super) async fn insert(&self, workspace: WorkspaceId, number: i64) -> IssuedInvoice {
        self.insert_invoice(workspace, self.invoice(number)).await
    }

    async fn insert_invoice(&self, workspace: WorkspaceId, invoice: IssuedInvoice) -> IssuedInvoice {
        let mut tx = self.tx(workspace).await;
        tx.invoices().insert(&invoice).await.expect("an invoice is stored");
        tx.commit().await.expect("it commits");
        invoice
    }
}

/// A plan that is set replaces the one that was there, or the one that was not.
pub async fn a_plan_that_is_set_counts(subject: &Subject) {
    for name in ["starter", "professional", "professional"] {
        let mut tx = subject.tx(subject.ours).await;
        let plan = PlanVersion { name: name.into(), version: 2 };
        tx.plan().set(&plan, subject.env.now()).await.expect("a plan is stored");
        tx.commit().await.expect("it commits");
        assert_eq!(subject.plan(subject.ours, "free").await, name);
    }
    assert_eq!(subject.plan(subject.theirs, "free").await, "free");
}

/// What is stored is what is found, in its own workspace.
pub async fn a_subscription_is_found_as_it_was_stored(subject: &Subject) {
    let mut tx = subject.tx(subject.ours).await;
    assert_eq!(tx.subscription().find().await.expect("it is read"), None);
    let first = subject.subscription();
    tx.subscription().save(&first, subject.env.now()).await.expect("it is stored");
    let second = Subscription { status: Status::Active, pending: None, ..first };
    tx.subscription().save(&second, subject.env.now()).await.expect("it is stored");
    tx.commit().await.expect("it commits");
    assert_eq!(subject.tx(subject.ours).await.subscription().find().await.expect("it is read"), Some(second));
    assert_eq!(subject.tx(subject.theirs).await.subscription().find().await.expect("it is read"), None);
}

/// A second transaction that locks the subscription sees what the first has stored, also the first subscription ever.
pub async fn changes_of_a_subscription_wait_for_each_other(subject: &Subject) {
    subject.plan(subject.ours, "free").await;
    let raise = async |subject: Subject| {
        let mut tx = subject.tx(subject.ours).await;
        let found = tx.subscription().lock().await.expect("it is locked");
        let mut next = found.unwrap_or_else(|| Subscription { number: 0, ..subject.subscription() });
        next.number += 1;
        tx.subscription().save(&next, subject.env.now()).await.expect("it is stored");
        tx.commit().await.expect("it commits");
    };
    let all: Vec<_> = (0..8).map(|_| tokio::spawn(raise(subject.clone()))).collect();
    for one in all {
        one.await.expect("no one fails");
    }
    let stored = subject.tx(subject.ours).await.subscription().find().await.expect("it is read");
    assert_eq!(stored.map(|stored| stored.number), Some(8));
}

/// A number that was not committed is given again. Numbers of all workspaces are one series.
pub async fn numbers_of_invoices_have_no_gaps(subject: &Subject) {
    let mut lost = subject.tx(subject.ours).await;
    let first = lost.invoices().next_number().await.expect("a number");
    drop(lost);
    for (workspace, after) in [(subject.ours, 0), (subject.theirs, 1), (subject.ours, 2)] {
        let mut tx = subject.tx(workspace).await;
        let number = tx.invoices().next_number().await.expect("a number");
        assert_eq!(number.0, first.0 + after);
        tx.commit().await.expect("it commits");
    }
}

/// An invoice is found with its lines, and marked as paid once, in its own workspace.
pub async fn an_invoice_belongs_to_its_workspace(subject: &Subject) {
    let first = subject.insert(subject.ours, 1).await;
    assert!(first.parties.is_some());
    // An invoice from before the parties were kept.
    let second = IssuedInvoice { parties: None, ..subject.invoice(2) };
    let second = subject.insert_invoice(subject.ours, second).await;
    let mut tx = subject.tx(subject.theirs).await;
    assert_eq!(tx.invoices().find(first.id).await.expect("it is read"), None);
    assert_eq!(tx.invoices().list(None, 10).await.expect("they are listed"), []);
    assert!(!tx.invoices().mark_paid(first.id, subject.env.now()).await.expect("an answer"));
    tx.commit().await.expect("it commits");

    let at = subject.env.now().trunc_subsecs(6);
    let mut tx = subject.tx(subject.ours).await;
    for (at, marked) in [(at, true), (at + TimeDelta::days(1), false)] {
        assert_eq!(tx.invoices().mark_paid(first.id, at).await.expect("an answer"), marked);
    }
    tx.commit().await.expect("it commits");

    let mut tx = subject.tx(subject.ours).await;
    let first = IssuedInvoice { status: InvoiceStatus::Paid, paid_at: Some(at), ..first };
    assert_eq!(tx.invoices().find(first.id).await.expect("it is read"), Some(first.clone()));
    assert_eq!(tx.invoices().list(None, 1).await.expect("they are listed"), std::slice::from_ref(&second));
    assert_eq!(tx.invoices().list(Some(second.id), 10).await.expect("they are listed"), [first]);
}

/// A workspace that gave no details is its name, at revision 0. Details replace those at the revision that is named, and
/// no others.
pub async fn a_customer_is_who_they_say(subject: &Subject) {
    let named = subject.tx(subject.ours).await.customer().details().await.expect("they are read");
    assert_eq!(named.party, Party { name: named.party.name.clone(), ..Party::default() });
    assert!(!named.party.name.is_empty() && named.revision == 0, "{named:?}");
    let theirs = subject.tx(subject.theirs).await.customer().details().await.expect("they are read");
    for (at, name, replaced) in [(1, "early", false), (0, "first", true), (0, "late", false), (1, "second", true)] {
        let mut tx = subject.tx(subject.ours).await;
        let answer = tx.customer().replace_details(&party(name), at, subject.env.now()).await.expect("an answer");
        assert_eq!(answer, replaced, "{name}");
        tx.commit().await.expect("it commits");
    }
    let details = subject.tx(subject.ours).await.customer().details().await.expect("they are read");
    assert_eq!(details, CustomerDetails { party: party("second"), revision: 2 });
    assert_eq!(subject.tx(subject.theirs).await.customer().details().await.expect("they are read"), theirs);
}

/// Of transactions that replace the same revision at once, one does.
pub async fn details_are_replaced_once_at_each_revision(subject: &Subject) {
    let replace = async |subject: Subject, at: i32| {
        let mut tx = subject.tx(subject.ours).await;
        let answer = tx.customer().replace_details(&party("n"), at, subject.env.now()).await.expect("an answer");
        tx.commit().await.expect("it commits");
        answer
    };
    for at in 0..3 {
        let all: Vec<_> = (0..8).map(|_| tokio::spawn(replace(subject.clone(), at))).collect();
        let mut replaced = 0;
        for one in all {
            replaced += usize::from(one.await.expect("no one fails"));
        }
        assert_eq!(replaced, 1, "at revision {at}");
    }
}

/// What was posted is listed and summed by account and currency, in its own workspace.
pub async fn the_ledger_has_what_was_posted(subject: &Subject) {
    let invoice = subject.insert(subject.ours, 1).await;
    let at = subject.env.now().trunc_subsecs(6);
    let dollars: Currency = "USD".parse().expect("a currency");
    let mut posted = Vec::new();
    let mut tx = subject.tx(subject.ours).await;
    for (currency, cause, amount) in
        [(Currency::EUR, Cause::Invoice, 500), (dollars, Cause::Credit, 70), (Currency::EUR, Cause::Payment, -200)]
    {
        let transaction = Transaction::transfer(currency, Account::Receivable, Account::Revenue, amount);
        let transaction = transaction.expect("it balances").expect("it has entries");
        let posting = Posting { id: subject.env.uuid_v7(), at, cause, invoice: invoice.id, transaction };
        tx.ledger().post(&posting).await.expect("it is posted");
        posted.insert(0, posting);
    }
    tx.commit().await.expect("it commits");

    let mut tx = subject.tx(subject.ours).await;
    for (currency, account, balance) in [
        (Currency::EUR, Account::Receivable, 300),
        (Currency::EUR, Account::Revenue, -300),
        (dollars, Account::Revenue, -70),
    ] {
        assert_eq!(tx.ledger().balance(currency, account).await.expect("a balance"), balance);
    }
    assert_eq!(tx.ledger().balance(dollars, Account::Cash).await.expect("a balance"), 0);
    assert_eq!(tx.ledger().list(None, 10).await.expect("they are listed"), posted);
    assert_eq!(tx.ledger().list(Some(posted[0].id), 1).await.expect("they are listed"), posted[1..2]);
    drop(tx);
    let mut tx = subject.tx(subject.theirs).await;
    assert_eq!(tx.ledger().balance(Currency::EUR, Account::Receivable).await.expect("a balance"), 0);
    assert_eq!(tx.ledger().list(None, 10).await.expect("they are listed"), []);
}

async fn mark(subject: Subject, workspace: WorkspaceId, id: Uuid, commit: bool) -> bool {
    let mut tx = subject.tx(workspace).await;
    let marked = tx.notices().mark_sent(id, subject.env.now()).await.expect("an answer");
    if commit {
        tx.commit().await.expect("it commits");
    }
    marked
}

/// MUST return true to one transaction that commits. A notice of another workspace is another notice.
pub async fn a_notice_is_sent_once(subject: &Subject) {
    let id = subject.env.uuid_v7();
    assert!(mark(subject.clone(), subject.ours, id, false).await, "what was rolled back was not sent");
    let all: Vec<_> = (0..8).map(|_| tokio::spawn(mark(subject.clone(), subject.ours, id, true))).collect();
    let mut sent = 0;
    for one in all {
        sent += u32::from(one.await.expect("no one fails"));
    }
    assert_eq!(sent, 1);
    assert!(mark(subject.clone(), subject.theirs, id, true).await);
}

/// MUST find the subscriptions that have had something to do since before the time, longest first, and no deleted
/// workspaces.
pub async fn subscriptions_that_were_not_woken_are_found(subject: &Subject) {
    let now = subject.env.now().trunc_subsecs(6);
    let store = async |workspace: WorkspaceId, days: i64| {
        let zone = "UTC".parse().expect("a time zone");
        let start = now - TimeDelta::days(days);
        let (subscription, _) = Subscription::start(sold(5700), zone, 0, start).expect("it starts");
        let wakes = subscription.next_wakeup().expect("it fits").expect("a time");
        let mut tx = subject.tx(workspace).await;
        tx.subscription().save(&subscription, now).await.expect("it is stored");
        tx.commit().await.expect("it commits");
        wakes
    };
    // Quarters of 90 to 92 days.
    let (first, second) = (store(subject.ours, 200).await, store(subject.theirs, 150).await);
    let found = async |before, after| {
        let mut known = Vec::new();
        let mut after = after;
        loop {
            let page = subject.overdue.overdue(&system_scope(), before, after, 2).await.expect("they are found");
            assert!(page.len() <= 2 && page.is_sorted());
            let Some(last) = page.last() else { return known };
            after = Some(*last);
            known.extend(page.iter().copied().filter(|(_, workspace)| subject.knows(*workspace)));
        }
    };
    let (ours, theirs) = ((first, subject.ours), (second, subject.theirs));
    assert_eq!(found(now, None).await, [ours, theirs]);
    assert_eq!(found(second, None).await, [ours]);
    assert_eq!(found(now, Some(ours)).await, [theirs]);
    store(subject.ours, 0).await;
    assert_eq!(found(now, None).await, [theirs]);
}
