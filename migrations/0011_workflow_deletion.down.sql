-- Without the column there are no deleted workflows; their versions go with them.
alter table workflow no force row level security;
delete from workflow where deleted_at is not null;
alter table workflow force row level security;
drop index workflow_listed;
drop index workflow_name;
alter table workflow drop column deleted_at;
alter table workflow add constraint workflow_name unique (workspace_id, name);
