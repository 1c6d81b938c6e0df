-- The catalogue of plans. A plan that ships with the program is added when a server starts.
create table plan_version (
    name text collate "C" not null check (name ~ '^[a-z-]{1,40}$'),
    version int not null check (version > 0),
    status text collate "C" not null check (status in ('draft', 'published', 'retired')),
    revision int not null check (revision > 0),
    built_in boolean not null,
    -- JSON as bytes: it is only ever read whole.
    document bytea not null,
    created_at timestamptz not null,
    published_at timestamptz,
    retired_at timestamptz,
    primary key (name, version),
    check ((status = 'draft') = (published_at is null)),
    check ((status = 'retired') = (retired_at is not null))
);
grant select on plan_version to tidegate_api;
grant select, insert, delete, update (status, revision, document, published_at, retired_at) on plan_version
    to tidegate_directory;

-- Whoever writes it, a version that was published keeps its document for good.
create function tidegate_plan_is_final() returns trigger language plpgsql as $$
begin
    if old.status <> 'draft' and (tg_op = 'DELETE' or new.document <> old.document or new.status = 'draft') then
        raise exception 'a version of a plan that was published never changes'
            using errcode = 'check_violation', constraint = 'plan_is_final', table = 'plan_version', schema = 'public';
    end if;
    return case when tg_op = 'DELETE' then old else new end;
end $$;
revoke execute on function tidegate_plan_is_final() from public;
create trigger plan_is_final before update or delete on plan_version
    for each row execute function tidegate_plan_is_final();

-- The promo codes of the seller. A code takes off a share or an amount.
create table promo_code (
    code text collate "C" primary key check (code ~ '^[A-Z0-9-]{6,40}$'),
    percent_ppm int check (percent_ppm between 1 and 1000000),
    amount bigint check (amount > 0),
    currency text collate "C" check (length(currency) = 3),
    -- For how many invoices it counts; null is for all.
    invoices int check (invoices > 0),
    max_redemptions bigint check (max_redemptions > 0),
    expires_at timestamptz,
    redemptions bigint not null check (redemptions >= 0),
    created_at timestamptz not null,
    deactivated_at timestamptz,
    check ((percent_ppm is null) <> (amount is null) and (amount is null) = (currency is null)),
    check (redemptions <= max_redemptions)
);
grant select, update (redemptions) on promo_code to tidegate_api;
grant select, insert, update (deactivated_at) on promo_code to tidegate_directory;

-- What a workspace has redeemed: a copy of the discount. A code is not referenced, since it belongs to no workspace.
create table promo_redemption (
    workspace_id uuid not null references workspace on delete cascade,
    code text collate "C" not null,
    percent_ppm int check (percent_ppm between 1 and 1000000),
    amount bigint check (amount > 0),
    currency text collate "C" check (length(currency) = 3),
    -- null is for all invoices.
    invoices_left int check (invoices_left >= 0),
    redeemed_at timestamptz not null,
    primary key (workspace_id, code),
    check ((percent_ppm is null) <> (amount is null) and (amount is null) = (currency is null))
);
create index promo_redemption_in_use on promo_redemption (workspace_id, redeemed_at, code)
    where invoices_left is distinct from 0;
call tidegate_protect('promo_redemption');
call tidegate_protect_erasure('promo_redemption');
grant select, insert, update (invoices_left) on promo_redemption to tidegate_api;

-- Credit notes have a series of numbers of their own, given as that of invoices. They are kept with the invoices.
alter table invoice_counter add column last_credit_note bigint not null default 0 check (last_credit_note >= 0);
grant update (last_credit_note) on invoice_counter to tidegate_api;

create table credit_note (
    workspace_id uuid not null,
    id uuid not null,
    number bigint not null check (number > 0),
    invoice_id uuid not null,
    currency text collate "C" not null check (length(currency) = 3),
    total bigint not null check (total > 0),
    tax bigint not null check (tax between 0 and total),
    reason text not null,
    issued_at timestamptz not null,
    primary key (workspace_id, id),
    unique (workspace_id, number),
    foreign key (workspace_id, invoice_id) references invoice
);
create index credit_note_by_invoice on credit_note (workspace_id, invoice_id) include (total);
call tidegate_protect('credit_note');
grant select, insert on credit_note to tidegate_api;

alter table ledger_transaction drop constraint ledger_transaction_cause_check,
    add constraint ledger_transaction_cause_check
        check (cause in ('invoice', 'credit', 'payment', 'credit_note', 'write_off'));
