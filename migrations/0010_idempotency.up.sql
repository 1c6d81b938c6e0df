-- Requests that callers name by a key: who is at it, and the answer once it is done. Answers hold no secret.

create table idempotency_key (
    workspace_id uuid not null references workspace,
    -- A person or an API key; the ids of the two never meet.
    actor_id uuid not null,
    digest bytea not null check (length(digest) = 32),
    fingerprint bytea not null check (length(fingerprint) = 32),
    claimed_until timestamptz not null,
    kept_until timestamptz not null,
    status int,
    headers text,
    body bytea,
    primary key (workspace_id, actor_id, digest)
);
create index idempotency_key_by_end on idempotency_key (workspace_id, kept_until);
call tidegate_protect('idempotency_key');
grant select, insert, update, delete on idempotency_key to tidegate_api;

-- The same for what a person does in no workspace, such as founding one.
create table person_idempotency_key (
    user_id uuid not null references person on delete cascade,
    digest bytea not null check (length(digest) = 32),
    fingerprint bytea not null check (length(fingerprint) = 32),
    claimed_until timestamptz not null,
    kept_until timestamptz not null,
    status int,
    headers text,
    body bytea,
    primary key (user_id, digest)
);
create index person_idempotency_key_by_end on person_idempotency_key (user_id, kept_until);
grant select, insert, update, delete on person_idempotency_key to tidegate_directory;
