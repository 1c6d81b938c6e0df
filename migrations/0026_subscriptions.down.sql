drop table ledger_entry, ledger_transaction, invoice_line, invoice, invoice_counter, subscription;
drop function tidegate_ledger_balances();
