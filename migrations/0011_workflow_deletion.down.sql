-- Without the column there are no deleted workflows; their versions go with them.
delete from workflow where deleted_at is not null;
drop index workflow_listed;
drop index workflow_name;
alter table workflow drop column deleted_at;
alter table workflow add constraint workflow_name unique (workspace_id, name);
