-- Notices to owners, and when subscriptions have something to do.

-- The notices that the owners were told of.
create table billing_notice (
    workspace_id uuid not null references workspace on delete cascade,
    id uuid not null,
    sent_at timestamptz not null,
    primary key (workspace_id, id)
);
call tidegate_protect('billing_notice');
call tidegate_protect_erasure('billing_notice');
grant select, insert on billing_notice to tidegate_api;

-- When the subscription has something to do. The engine finds those that nobody has woken, whosever they are.
alter table subscription add wake_at timestamptz;
alter table subscription no force row level security;
update subscription set wake_at = changed_at where status in ('trialing', 'active', 'past_due');
alter table subscription force row level security;
create index subscription_wake on subscription (wake_at, workspace_id) where wake_at is not null;
drop policy engine_permit on subscription;
drop policy engine_restrict on subscription;
call tidegate_protect_machinery('subscription');
