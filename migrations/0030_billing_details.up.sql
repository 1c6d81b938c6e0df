-- Who invoices are from and for.

-- What a workspace says about itself as a customer: JSON as bytes, because it is only ever read whole.
create table billing_details (
    workspace_id uuid primary key references workspace on delete cascade,
    details bytea not null,
    revision int not null check (revision > 0),
    changed_at timestamptz not null
);
call tidegate_protect('billing_details');
call tidegate_protect_erasure('billing_details');
grant select, insert, update (details, revision, changed_at) on billing_details to tidegate_api;

-- The seller and the customer as they were when the invoice was issued: JSON as bytes. It is kept with the invoice, which
-- the law requires to name both. Invoices from before this migration have none.
alter table invoice add parties bytea;
