-- Payments, notices to owners, and when subscriptions have something to do.

-- The customer of a workspace at a payment provider.
create table payment_customer (
    workspace_id uuid not null references workspace on delete cascade,
    provider text collate "C" not null,
    customer text collate "C" not null,
    created_at timestamptz not null,
    primary key (workspace_id, provider)
);
call tidegate_protect('payment_customer');
call tidegate_protect_erasure('payment_customer');
grant select, insert on payment_customer to tidegate_api;

-- Attempts to collect invoices. They are kept with the invoices.
create table payment (
    workspace_id uuid not null,
    id uuid not null,
    invoice_id uuid not null,
    attempt int not null check (attempt >= 0),
    provider text collate "C" not null,
    provider_id text collate "C",
    state text collate "C" not null
        check (state in ('created', 'processing', 'requires_action', 'cancelled', 'failed', 'succeeded')),
    amount bigint not null check (amount > 0),
    currency text collate "C" not null check (length(currency) = 3),
    failure text,
    action_url text,
    credited bigint not null check (credited between 0 and amount),
    created_at timestamptz not null,
    changed_at timestamptz not null,
    primary key (workspace_id, id),
    unique (workspace_id, invoice_id, attempt),
    foreign key (workspace_id, invoice_id) references invoice
);
call tidegate_protect('payment');
grant select, insert, update (provider_id, state, failure, action_url, credited, changed_at) on payment to tidegate_api;

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

-- An object of a payment provider is found by its digest when the provider sends a notification.
alter table locator drop constraint locator_kind_check;
alter table locator add constraint locator_kind_check
    check (kind in ('api_key', 'slug', 'payment', 'payment_customer'));

-- The notifications of payment providers that were received, by the provider's id.
create table payment_event (
    provider text collate "C" not null,
    id text collate "C" not null,
    received_at timestamptz not null,
    primary key (provider, id)
);
create index payment_event_by_age on payment_event (received_at);
grant select, insert, delete on payment_event to tidegate_directory;
