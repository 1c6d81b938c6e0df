-- Workspaces and what happened in them.

create table workspace (
    workspace_id uuid primary key,
    name text not null,
    slug text not null,
    created_at timestamptz not null
);
call tidegate_protect('workspace');
grant select, insert, update, delete on workspace to tidegate_api;

create table audit_entry (
    workspace_id uuid not null references workspace,
    id uuid not null,
    at timestamptz not null,
    actor_kind text not null check (actor_kind in ('person', 'api_key', 'system')),
    actor_id uuid,
    action text not null,
    resource text not null,
    details jsonb not null,
    request_id text not null,
    primary key (workspace_id, id)
);
call tidegate_protect('audit_entry');
grant select, insert on audit_entry to tidegate_api;
