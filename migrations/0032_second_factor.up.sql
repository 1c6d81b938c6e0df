-- How the person of a session has proven who they are, and when they last did it in full.
alter table session
    add column methods text[] not null default '{password}',
    add column authenticated_at timestamptz;
update session set authenticated_at = created_at;
alter table session alter column authenticated_at set not null;

-- Second factors. Secrets are sealed with a key that is derived from the server's secret.
create table factor (
    id uuid primary key,
    user_id uuid not null references person on delete cascade,
    kind text not null check (kind in ('totp')),
    name text not null,
    secret bytea not null,
    created_at timestamptz not null,
    -- A factor counts from its confirmation on.
    confirmed_at timestamptz,
    last_used_at timestamptz,
    -- The last time step whose code was used: a code counts once.
    last_step bigint
);
create index factor_by_person on factor (user_id, id);
grant select, insert, update, delete on factor to tidegate_directory;

create table recovery_code (
    user_id uuid not null references person on delete cascade,
    digest bytea not null check (length(digest) = 32),
    primary key (user_id, digest)
);
grant select, insert, delete on recovery_code to tidegate_directory;

-- Log-ins that wait for their second factor.
create table login_challenge (
    digest bytea primary key check (length(digest) = 32),
    user_id uuid not null references person on delete cascade,
    remember boolean not null,
    attempts integer not null default 0,
    expires_at timestamptz not null
);
create index login_challenge_by_person on login_challenge (user_id);
create index login_challenge_by_end on login_challenge (expires_at);
grant select, insert, update, delete on login_challenge to tidegate_directory;
