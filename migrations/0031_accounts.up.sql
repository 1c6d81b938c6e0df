-- Addresses are stored as they were typed and compared by a key. Until now they were stored in lower case.
alter table person add column email_key text;
-- One with a variant of a letter, such as a full-width one, is found only as it was typed.
update person set email_key = case
    when normalize(email, nfkc) = normalize(email, nfc) then translate(normalize(email, nfc), 'ς', 'σ')
    else email
end;
alter table person alter column email_key set not null;
alter table person drop constraint person_email_key;
alter table person add constraint person_email_key_key unique (email_key);

alter table person
    add column email_verified_at timestamptz,
    add column language text,
    add column time_zone text,
    add column notify_usage boolean not null default true,
    add column notify_billing boolean not null default true,
    -- A deactivated account cannot log in.
    add column deactivated_at timestamptz,
    -- Requests for links up to this time are void.
    add column links_void_until timestamptz;

-- Until now there was no way to verify an address, and everybody could buy.
update person set email_verified_at = created_at;

alter table session
    add column remember boolean not null default false,
    add column last_address text;

-- Links in mails: the secret is only in the mail.
create table account_link (
    digest bytea primary key check (length(digest) = 32),
    user_id uuid not null references person on delete cascade,
    purpose text not null check (purpose in ('verify_email', 'reset_password', 'change_email')),
    -- The address that it was sent to.
    address text not null,
    created_at timestamptz not null,
    expires_at timestamptz not null
);
create index account_link_by_person on account_link (user_id, purpose, created_at);
create index account_link_by_end on account_link (expires_at);
grant select, insert, delete on account_link to tidegate_directory;

-- Where a change came from.
alter table account_event
    add column address text,
    add column user_agent text;
