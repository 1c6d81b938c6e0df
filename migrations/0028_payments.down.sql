drop policy engine_permit on subscription;
drop policy engine_restrict on subscription;
call tidegate_protect_erasure('subscription');
drop index subscription_wake;
alter table subscription drop wake_at;
drop table billing_notice;
drop table payment;
drop table payment_customer;
