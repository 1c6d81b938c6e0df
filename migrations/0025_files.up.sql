-- Files: what is known of uploaded bytes. The bytes are in the object store, under a key that is made of the workspace and
-- the id.

-- `size` counts against the storage of the workspace until the file is purged or abandoned. While a file is uploading it
-- has the bytes that are reserved for it.
create table file (
    workspace_id uuid not null references workspace on delete cascade,
    id uuid not null,
    -- In the collation "C", so that an index finds names by their beginning.
    name text collate "C" not null,
    content_type text collate "C" not null,
    size bigint not null check (size >= 0),
    -- While a file is uploading, the declared digest.
    sha256 bytea check (length(sha256) = 32),
    state text collate "C" not null
        check (state in ('uploading', 'uploaded', 'deleted', 'purging', 'purged', 'abandoned')),
    -- Of the presigned request, if the bytes come by one.
    expires_at timestamptz,
    metadata jsonb not null,
    revision int not null check (revision > 0),
    uploader_kind text collate "C" not null check (uploader_kind in ('person', 'api_key', 'system')),
    uploader_id uuid,
    created_at timestamptz not null,
    uploaded_at timestamptz,
    deleted_at timestamptz,
    purge_at timestamptz,
    -- The attempt that completes a presigned upload, and until when no other one begins.
    attempt int not null default 0,
    claimed_until timestamptz,
    primary key (workspace_id, id),
    check ((uploader_id is null) = (uploader_kind = 'system')),
    check (state in ('uploading', 'abandoned') or (sha256 is not null and uploaded_at is not null)),
    check (state not in ('deleted', 'purging', 'purged') or (deleted_at is not null and purge_at is not null))
);
create index file_by_state on file (workspace_id, state, id);
create index file_by_type on file (workspace_id, content_type, id);
create index file_by_uploader on file (workspace_id, uploader_id, id);
create index file_by_name on file (workspace_id, name);
call tidegate_protect('file');
call tidegate_protect_erasure('file');
grant select, insert, update, delete on file to tidegate_api;

-- What is to be done about files later, in the transaction that makes it necessary. The engine finds what is due, and does
-- it as the workspace.
create table file_task (
    workspace_id uuid not null,
    file_id uuid not null,
    task text collate "C" not null check (task in ('give_up', 'remove_upload', 'purge', 'forget')),
    due_at timestamptz not null,
    failures int not null default 0,
    -- What hindered the last try.
    error text,
    primary key (workspace_id, file_id, task),
    foreign key (workspace_id, file_id) references file on delete cascade
);
create index file_task_due on file_task (due_at);
call tidegate_protect('file_task');
call tidegate_protect_machinery('file_task');
grant select, insert, update, delete on file_task to tidegate_api;
grant select, update, delete on file_task to tidegate_engine;
