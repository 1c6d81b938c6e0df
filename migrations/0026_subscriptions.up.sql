-- Subscriptions, invoices, and the ledger.

-- The subscription of a workspace: the state of its state machine. What other statements look for has a column.
create table subscription (
    workspace_id uuid primary key references workspace on delete cascade,
    status text collate "C" not null
        check (status in ('trialing', 'active', 'past_due', 'suspended', 'paused', 'cancelled')),
    -- JSON as bytes: it is only ever read whole.
    state bytea not null,
    changed_at timestamptz not null
);
call tidegate_protect('subscription');
call tidegate_protect_erasure('subscription');
grant select, insert, update on subscription to tidegate_api;

-- The last number of an invoice. It is raised in the transaction that stores the invoice, so that no number is missing.
create table invoice_counter (
    singleton boolean primary key check (singleton),
    last bigint not null check (last >= 0)
);
insert into invoice_counter values (true, 0);
grant select, update (last) on invoice_counter to tidegate_api;

-- Invoices are kept when their workspace is erased, because the seller has to keep them: no foreign key. They name no
-- person. Nothing but the status of an invoice changes.
create table invoice (
    workspace_id uuid not null,
    id uuid not null,
    number bigint not null check (number > 0),
    status text collate "C" not null check (status in ('open', 'paid', 'uncollectible')),
    currency text collate "C" not null check (length(currency) = 3),
    period_start timestamptz not null,
    period_end timestamptz not null check (period_end >= period_start),
    subtotal bigint not null,
    tax bigint not null,
    total bigint not null check (total >= 0 and total = subtotal + tax),
    carried_forward bigint not null check (carried_forward >= 0),
    credit_applied bigint not null check (credit_applied between 0 and total),
    issued_at timestamptz not null,
    due_at timestamptz,
    paid_at timestamptz,
    primary key (workspace_id, id),
    unique (workspace_id, number),
    check ((status = 'paid') = (paid_at is not null))
);
call tidegate_protect('invoice');
grant select, insert, update (status, paid_at) on invoice to tidegate_api;

create table invoice_line (
    workspace_id uuid not null,
    invoice_id uuid not null,
    line smallint not null check (line > 0),
    description text not null,
    quantity bigint not null,
    unit_amount bigint not null,
    amount bigint not null,
    tax bigint not null,
    tax_ppm int not null check (tax_ppm >= 0),
    tax_inclusive boolean not null,
    -- What the line is for, and the facts that its amount follows from: JSON as bytes.
    facts bytea not null,
    primary key (workspace_id, invoice_id, line),
    foreign key (workspace_id, invoice_id) references invoice
);
call tidegate_protect('invoice_line');
grant select, insert on invoice_line to tidegate_api;

-- The ledger: double entry, append-only. It is kept with the invoices.
create table ledger_transaction (
    workspace_id uuid not null,
    id uuid not null,
    at timestamptz not null,
    cause text collate "C" not null check (cause in ('invoice', 'credit', 'payment')),
    currency text collate "C" not null check (length(currency) = 3),
    invoice_id uuid not null,
    primary key (workspace_id, id),
    foreign key (workspace_id, invoice_id) references invoice
);
call tidegate_protect('ledger_transaction');
grant select, insert on ledger_transaction to tidegate_api;

create table ledger_entry (
    workspace_id uuid not null,
    transaction_id uuid not null,
    line smallint not null check (line > 0),
    account text collate "C" not null
        check (account in ('receivable', 'cash', 'revenue', 'tax', 'customer_credit', 'bad_debt')),
    currency text collate "C" not null check (length(currency) = 3),
    -- Positive is a debit, negative a credit.
    amount bigint not null check (amount <> 0),
    primary key (workspace_id, transaction_id, line),
    foreign key (workspace_id, transaction_id) references ledger_transaction
);
create index ledger_entry_by_account on ledger_entry (workspace_id, account, currency) include (amount);
call tidegate_protect('ledger_entry');
grant select, insert on ledger_entry to tidegate_api;

-- Entries of a transaction sum to zero when the database transaction commits. The sum of bigints is a numeric: it does
-- not wrap around. It is planned for each call: a plan that is made while the table is empty would read all of it.
create function tidegate_ledger_balances() returns trigger
    language plpgsql set plan_cache_mode = force_custom_plan set enable_seqscan = off as $$
begin
    if (select sum(e.amount) from public.ledger_entry e
        where e.workspace_id = new.workspace_id and e.transaction_id = new.transaction_id) <> 0 then
        raise exception 'the entries of a transaction of the ledger do not sum to zero'
            using errcode = 'check_violation', constraint = 'ledger_balances', table = 'ledger_entry', schema = 'public';
    end if;
    return null;
end $$;
revoke execute on function tidegate_ledger_balances() from public;
create constraint trigger ledger_balances after insert on ledger_entry
    deferrable initially deferred for each row execute function tidegate_ledger_balances();
