drop index cron_trigger_by_time;

drop index api_key_live;
drop index membership_by_joining;

drop index audit_entry_by_action;
drop index audit_entry_by_actor;
create index audit_entry_by_actor on audit_entry (workspace_id, actor_id, id);
alter table audit_entry drop column actor_key;

create index run_by_workflow on run (workspace_id, workflow_id, id);
drop index run_by_workflow_status;
