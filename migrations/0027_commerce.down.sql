alter table ledger_transaction drop constraint ledger_transaction_cause_check,
    add constraint ledger_transaction_cause_check check (cause in ('invoice', 'credit', 'payment'));
drop table credit_note;
alter table invoice_counter drop column last_credit_note;
drop table promo_redemption, promo_code, plan_version;
drop function tidegate_plan_is_final();
