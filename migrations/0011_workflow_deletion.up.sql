-- A deleted workflow stays as a row: runs under way follow its versions, and past ones are read with them. Nobody finds it, and
-- its name is free.

alter table workflow add column deleted_at timestamptz;
alter table workflow add check (deleted_at is null or published_version is null);
alter table workflow drop constraint workflow_name;
create unique index workflow_name on workflow (workspace_id, name) where deleted_at is null;
-- The list passes over no deleted ones.
create index workflow_listed on workflow (workspace_id, id) where deleted_at is null;
