//! The ledger: double-entry bookkeeping in whole minor units.
//!
//! A transaction is in one currency, and its entries sum to zero. It is never changed: a mistake is corrected by
//! another transaction. A positive amount debits an account, a negative one credits it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use tidegate_kernel::InvoiceId;
use uuid::Uuid;

use crate::money::{Currency, Overflow, sum};
use crate::names::names;

names! {
    /// An account of the seller for one customer.
    Account {
        /// What the customer owes by invoices. A debit balance.
        Receivable = "receivable";
        /// What the customer has paid. A debit balance.
        Cash = "cash";
        /// What was sold, without tax. A credit balance.
        Revenue = "revenue";
        /// Tax that the seller owes to the state. A credit balance.
        Tax = "tax";
        /// What the seller owes to the customer; invoices use it up. A credit balance.
        CustomerCredit = "customer_credit";
        /// Invoices that will not be paid. A debit balance.
        BadDebt = "bad_debt";
    }
}

/// The change of one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The account.
    pub account: Account,
    /// Minor units: positive is a debit, negative a credit, never 0.
    pub amount: i64,
}

/// Why entries are no transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// There are no entries.
    #[error("a transaction has entries")]
    Empty,
    /// An entry changes nothing.
    #[error("an entry of a transaction is not 0")]
    Zero,
    /// The entries do not sum to zero.
    #[error("the entries of a transaction sum to {0} instead of 0")]
    Unbalanced(i128),
    /// An amount or a balance does not fit.
    #[error(transparent)]
    Overflow(#[from] Overflow),
}

/// Entries that sum to zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    currency: Currency,
    entries: Vec<Entry>,
}

impl Transaction {
    /// A transaction of these entries.
    ///
    /// # Errors
    /// [`LedgerError`] if there are none, one is 0, or they do not sum to zero.
    pub fn new(currency: Currency, entries: Vec<Entry>) -> Result<Self, LedgerError> {
        if entries.is_empty() {
            return Err(LedgerError::Empty);
        } else if entries.iter().any(|entry| entry.amount == 0) {
            return Err(LedgerError::Zero);
        }
        let sum: i128 = entries.iter().map(|entry| i128::from(entry.amount)).sum();
        if sum == 0 { Ok(Self { currency, entries }) } else { Err(LedgerError::Unbalanced(sum)) }
    }

    /// Moves `amount` from the credit of one account to the debit of another; `None` if the amount is 0.
    ///
    /// # Errors
    /// [`LedgerError::Overflow`] if the amount has no negative.
    pub fn transfer(
        currency: Currency,
        debit: Account,
        credit: Account,
        amount: i64,
    ) -> Result<Option<Self>, LedgerError> {
        Self::of(currency, &[(debit, amount), (credit, amount.checked_neg().ok_or(Overflow)?)])
    }

    /// A transaction of those of `changes` that are not 0; `None` if all are.
    ///
    /// # Errors
    /// [`LedgerError`] if they do not sum to zero.
    pub fn of(currency: Currency, changes: &[(Account, i64)]) -> Result<Option<Self>, LedgerError> {
        let changed = changes.iter().filter(|(_, amount)| *amount != 0);
        let entries: Vec<_> = changed.map(|(account, amount)| Entry { account: *account, amount: *amount }).collect();
        if entries.is_empty() { Ok(None) } else { Self::new(currency, entries).map(Some) }
    }

    /// Its currency.
    #[must_use]
    pub const fn currency(&self) -> Currency {
        self.currency
    }

    /// Its entries.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

names! {
    /// Why a transaction was posted.
    Cause {
        /// An invoice was issued.
        Invoice = "invoice";
        /// The customer's credit paid a part of an invoice.
        Credit = "credit";
        /// The customer paid an invoice.
        Payment = "payment";
        /// A part of an invoice was taken back.
        CreditNote = "credit_note";
        /// An invoice will not be paid.
        WriteOff = "write_off";
    }
}

/// A transaction in the ledger of a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    /// The id, which orders postings by time.
    pub id: Uuid,
    /// When it was posted.
    pub at: DateTime<Utc>,
    /// Why.
    pub cause: Cause,
    /// The invoice that it is about.
    pub invoice: InvoiceId,
    /// The entries.
    pub transaction: Transaction,
}

/// Transactions in the order in which they were posted, and the balances that they give.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    transactions: Vec<Transaction>,
    balances: BTreeMap<(Currency, Account), i64>,
}

impl Ledger {
    /// Posts a transaction. If it is refused, nothing has changed.
    ///
    /// # Errors
    /// [`LedgerError::Overflow`] if a balance would not fit.
    pub fn post(&mut self, transaction: Transaction) -> Result<(), LedgerError> {
        let mut changed = BTreeMap::new();
        for entry in &transaction.entries {
            let account = (transaction.currency, entry.account);
            let before = changed.get(&account).copied().unwrap_or_else(|| self.balance(account.0, account.1));
            changed.insert(account, sum([before, entry.amount])?);
        }
        self.balances.extend(changed);
        self.transactions.push(transaction);
        Ok(())
    }

    /// The balance of an account: positive is a debit balance.
    #[must_use]
    pub fn balance(&self, currency: Currency, account: Account) -> i64 {
        self.balances.get(&(currency, account)).copied().unwrap_or(0)
    }

    /// The transactions, oldest first.
    #[must_use]
    pub fn transactions(&self) -> &[Transaction] {
        &self.transactions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(account: Account, amount: i64) -> Entry {
        Entry { account, amount }
    }

    #[test]
    fn what_does_not_balance_is_no_transaction() {
        let of = |entries: &[Entry]| Transaction::new(Currency::EUR, entries.to_vec()).unwrap_err();
        assert_eq!(of(&[]), LedgerError::Empty);
        assert_eq!(of(&[entry(Account::Cash, 0)]), LedgerError::Zero);
        assert_eq!(of(&[entry(Account::Cash, 5), entry(Account::Revenue, -4)]), LedgerError::Unbalanced(1));
        // In 64 bits the sum would wrap around to 0.
        let wraps = [i64::MIN, i64::MIN].map(|amount| entry(Account::Cash, amount));
        assert_eq!(of(&wraps), LedgerError::Unbalanced(i128::from(i64::MIN) * 2));
        let min = Transaction::transfer(Currency::EUR, Account::Cash, Account::Revenue, i64::MIN);
        assert_eq!(min, Err(LedgerError::Overflow(Overflow)));
        assert_eq!(Transaction::transfer(Currency::EUR, Account::Cash, Account::Revenue, 0), Ok(None));
    }

    #[test]
    fn a_balance_that_does_not_fit_is_refused_and_changes_nothing() {
        let paid = Transaction::transfer(Currency::EUR, Account::Cash, Account::Receivable, i64::MAX).unwrap().unwrap();
        let mut ledger = Ledger::default();
        ledger.post(paid.clone()).unwrap();
        let before = ledger.clone();
        assert_eq!(ledger.post(paid), Err(LedgerError::Overflow(Overflow)));
        assert_eq!(ledger, before);
    }

    fn transaction() -> impl Strategy<Value = Transaction> {
        let currency = prop::sample::select(vec!["EUR", "USD", "JPY"]);
        let changes = prop::collection::vec((prop::sample::select(Account::ALL), -1_000_000_i64..1_000_000), 1..8);
        (currency, changes).prop_filter_map("all changes are 0", |(currency, mut changes)| {
            let sum: i64 = changes.iter().map(|(_, amount)| amount).sum();
            changes.push((Account::Receivable, -sum));
            Transaction::of(currency.parse().unwrap(), &changes).unwrap()
        })
    }

    proptest! {
        #[test]
        fn balances_sum_to_zero_in_every_currency(posted in prop::collection::vec(transaction(), 0..30)) {
            let mut ledger = Ledger::default();
            for transaction in posted {
                ledger.post(transaction).unwrap();
            }
            for currency in ["EUR", "USD", "JPY"].map(|code| code.parse::<Currency>().unwrap()) {
                let sum: i64 = Account::ALL.iter().map(|account| ledger.balance(currency, *account)).sum();
                prop_assert_eq!(sum, 0);
            }
        }
    }
}
