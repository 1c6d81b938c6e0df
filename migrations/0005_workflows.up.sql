-- Workflows and their versions. A version is written once and never changes.

create table workflow (
    workspace_id uuid not null references workspace on delete cascade,
    id uuid not null,
    -- The name and the description of the latest version.
    name text not null check (octet_length(name) between 1 and 400),
    -- UTF-8: text refuses what a description may hold.
    description bytea,
    revision int not null check (revision >= 1),
    latest_version int not null check (latest_version >= 1),
    published_version int,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    primary key (workspace_id, id),
    constraint workflow_name unique (workspace_id, name),
    check (published_version <= latest_version)
);
call tidegate_protect('workflow');
grant select, insert, update on workflow to tidegate_api;

create table workflow_version (
    workspace_id uuid not null,
    workflow_id uuid not null,
    version int not null check (version >= 1),
    name text not null,
    format text not null check (format in ('yaml', 'json')),
    source bytea not null,
    created_at timestamptz not null,
    primary key (workspace_id, workflow_id, version),
    foreign key (workspace_id, workflow_id) references workflow on delete cascade
);
call tidegate_protect('workflow_version');
grant select, insert on workflow_version to tidegate_api;

-- What is published exists.
alter table workflow add constraint workflow_published
    foreign key (workspace_id, id, published_version) references workflow_version;
