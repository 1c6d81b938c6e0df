//! Credit notes and write-offs, with another tenant.

use chrono::SubsecRound;
use tidegate_billing::Currency;
use tidegate_billing::invoice::{CreditNote, CreditNoteNumber, InvoiceStatus, IssuedCreditNote};
use tidegate_kernel::{CreditNoteId, InvoiceId};

use super::Subject;

impl Subject {
    fn note(&self, invoice: InvoiceId, number: i64, total: i64) -> IssuedCreditNote {
        IssuedCreditNote {
            id: CreditNoteId::generate(&self.env),
            number: CreditNoteNumber(number),
            invoice,
            note: CreditNote { currency: Currency::EUR, total, tax: 1 },
            reason: "an outage".into(),
            issued_at: self.env.now().trunc_subsecs(6),
        }
    }
}

/// A number that was not committed is given again. Numbers of all workspaces are one series, which invoices do not
/// change.
pub async fn numbers_of_credit_notes_have_no_gaps(subject: &Subject) {
    let mut lost = subject.tx(subject.ours).await;
    let first = lost.credit_notes().next_number().await.expect("a number");
    drop(lost);
    for (workspace, after) in [(subject.ours, 0), (subject.theirs, 1), (subject.ours, 2)] {
        let mut tx = subject.tx(workspace).await;
        tx.invoices().next_number().await.expect("a number");
        let number = tx.credit_notes().next_number().await.expect("a number");
        assert_eq!(number.0, first.0 + after);
        tx.commit().await.expect("it commits");
    }
}

/// Credit notes are listed, and their sum is shown in their invoice, in its own workspace.
pub async fn credit_notes_belong_to_their_invoice(subject: &Subject) {
    let (first, other) = (subject.insert(subject.ours, 1).await, subject.insert(subject.ours, 2).await);
    let notes = [subject.note(first.id, 1, 30), subject.note(first.id, 2, 12)];
    let mut tx = subject.tx(subject.ours).await;
    for note in &notes {
        tx.credit_notes().insert(note).await.expect("it is stored");
    }
    tx.commit().await.expect("it commits");
    let mut tx = subject.tx(subject.ours).await;
    let credited = tx.invoices().find(first.id).await.expect("it is read").map(|invoice| invoice.credited);
    assert_eq!(credited, Some(42));
    let listed = tx.invoices().list(None, 10).await.expect("they are listed");
    let credited: Vec<_> = listed.iter().map(|invoice| (invoice.id, invoice.credited)).collect();
    assert_eq!(credited, [(other.id, 0), (first.id, 42)]);
    let [older, newer] = notes;
    assert_eq!(tx.credit_notes().list(None, 1).await.expect("they are listed"), std::slice::from_ref(&newer));
    assert_eq!(tx.credit_notes().find(older.id).await.expect("it is read"), Some(older.clone()));
    assert_eq!(tx.credit_notes().list(Some(newer.id), 10).await.expect("they are listed"), [older]);
    drop(tx);
    let mut tx = subject.tx(subject.theirs).await;
    assert_eq!(tx.credit_notes().find(newer.id).await.expect("it is read"), None);
    assert_eq!(tx.credit_notes().list(None, 10).await.expect("they are listed"), []);
    assert!(tx.credit_notes().insert(&subject.note(first.id, 3, 1)).await.is_err(), "an invoice of another tenant");
}

/// An open invoice is marked as uncollectible once, in its own workspace; a paid one is not.
pub async fn an_open_invoice_is_written_off_once(subject: &Subject) {
    let (open, paid) = (subject.insert(subject.ours, 1).await, subject.insert(subject.ours, 2).await);
    let mut tx = subject.tx(subject.theirs).await;
    assert!(!tx.invoices().mark_uncollectible(open.id).await.expect("an answer"));
    tx.commit().await.expect("it commits");
    let mut tx = subject.tx(subject.ours).await;
    assert!(tx.invoices().mark_paid(paid.id, subject.env.now()).await.expect("an answer"));
    for (id, marked) in [(open.id, true), (open.id, false), (paid.id, false)] {
        assert_eq!(tx.invoices().mark_uncollectible(id).await.expect("an answer"), marked);
    }
    assert!(!tx.invoices().mark_paid(open.id, subject.env.now()).await.expect("an answer"));
    tx.commit().await.expect("it commits");
    let found = subject.tx(subject.ours).await.invoices().find(open.id).await.expect("it is read");
    assert_eq!(found.map(|invoice| invoice.status), Some(InvoiceStatus::Uncollectible));
}
