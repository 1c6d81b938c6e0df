-- The directory: what has to be known before there is a scope. No table of it holds a tenant's data.

create table person (
    id uuid primary key,
    email text not null constraint person_email_key unique,
    name text not null,
    password_hash text not null,
    created_at timestamptz not null
);
grant select, insert, update on person to tidegate_directory;

-- A log-in: one family of refresh tokens.
create table session (
    id uuid primary key,
    user_id uuid not null references person on delete cascade,
    created_at timestamptz not null,
    refreshed_at timestamptz not null,
    expires_at timestamptz not null,
    revoked_at timestamptz,
    address text,
    user_agent text
);
create index session_by_person on session (user_id, id);
grant select, insert, update on session to tidegate_directory;

-- Used tokens stay as long as their session, so that a copy is recognised.
create table refresh_token (
    digest bytea primary key check (length(digest) = 32),
    session_id uuid not null references session on delete cascade,
    used_at timestamptz
);
create index refresh_token_by_session on refresh_token (session_id);
grant select, insert, update on refresh_token to tidegate_directory;

-- The private half of a key is derived from the server's secret and the salt; it is in no database.
create table signing_key (
    kid text primary key,
    salt bytea not null check (length(salt) = 32),
    public_key bytea not null check (length(public_key) = 32),
    created_at timestamptz not null
);
grant select, insert, delete on signing_key to tidegate_directory;

-- What people did to their own accounts: the audit log of what belongs to no workspace.
create table account_event (
    id uuid primary key,
    user_id uuid not null,
    at timestamptz not null,
    action text not null,
    details json not null,
    request_id text not null
);
create index account_event_by_person on account_event (user_id, id);
grant select, insert on account_event to tidegate_directory;

-- Workspaces, who belongs to them, and what happened in them.

create table workspace (
    workspace_id uuid primary key,
    name text not null,
    slug text not null,
    created_at timestamptz not null,
    -- Deleted workspaces are found by nobody; their data waits to be erased.
    deleted_at timestamptz
);
call tidegate_protect('workspace');
grant select, insert, update on workspace to tidegate_api;

-- A member is named without a foreign key: one that leads with the person would let a tenant ask which people exist.
create table membership (
    workspace_id uuid not null references workspace,
    user_id uuid not null,
    role text not null check (role in ('owner', 'admin', 'member', 'viewer')),
    joined_at timestamptz not null,
    primary key (workspace_id, user_id)
);
create index membership_by_person on membership (user_id, joined_at, workspace_id);
call tidegate_protect('membership');
grant select, insert, update, delete on membership to tidegate_api;

-- A person sees their own memberships, and the workspaces of those.
create policy directory_permit on membership as permissive for select to tidegate_directory
    using (user_id = (select tidegate_person()));
create policy directory_restrict on membership as restrictive for all to tidegate_directory
    using (user_id = (select tidegate_person()));
create policy directory_permit on workspace as permissive for select to tidegate_directory
    using (workspace_id in (select m.workspace_id from membership m where m.user_id = (select tidegate_person())));
create policy directory_restrict on workspace as restrictive for all to tidegate_directory
    using (workspace_id in (select m.workspace_id from membership m where m.user_id = (select tidegate_person())));
grant select on membership, workspace to tidegate_directory;

-- Where a key or a slug leads. Unlike any other table of tenants it is searched without a workspace, by a digest; it only
-- locates, and the row itself is then read in scope. That a slug is taken is the one thing that it tells a tenant of others.
create table locator (
    kind text not null check (kind in ('api_key', 'slug')),
    digest bytea not null check (length(digest) = 32),
    workspace_id uuid not null references workspace,
    object_id uuid not null,
    primary key (kind, digest)
);
create index locator_by_object on locator (workspace_id, object_id);
call tidegate_protect('locator');
grant select, insert, delete on locator to tidegate_api;
create policy directory_permit on locator as permissive for select to tidegate_directory using (true);
create policy directory_restrict on locator as restrictive for all to tidegate_directory using (true);
grant select on locator to tidegate_directory;

create table api_key (
    workspace_id uuid not null references workspace,
    id uuid not null,
    name text not null,
    visible text not null,
    scopes text[] not null,
    created_by uuid not null,
    created_at timestamptz not null,
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz,
    primary key (workspace_id, id)
);
create index api_key_by_creator on api_key (workspace_id, created_by) where revoked_at is null;
call tidegate_protect('api_key');
grant select, insert, update on api_key to tidegate_api;

-- json and not jsonb: a detail may hold any text, and jsonb refuses the character U+0000.
create table audit_entry (
    workspace_id uuid not null references workspace,
    id uuid not null,
    at timestamptz not null,
    actor_kind text not null check (actor_kind in ('person', 'api_key', 'system')),
    actor_id uuid,
    action text not null,
    resource text not null,
    details json not null,
    request_id text not null,
    primary key (workspace_id, id)
);
create index audit_entry_by_resource on audit_entry (workspace_id, resource, id);
create index audit_entry_by_actor on audit_entry (workspace_id, actor_id, id);
call tidegate_protect('audit_entry');
grant select, insert on audit_entry to tidegate_api;
