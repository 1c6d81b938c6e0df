-- Lists by what is asked: each filter has an index in the order of its pages.

-- A workflow's runs are read status by status.
create index run_by_workflow_status on run (workspace_id, workflow_id, status, id);
drop index run_by_workflow;

-- The actor as one column that is never null, so that the system's entries lie together as a person's do.
alter table audit_entry add column actor_key uuid not null
    generated always as (coalesce(actor_id, '00000000-0000-0000-0000-000000000000')) stored;
drop index audit_entry_by_actor;
create index audit_entry_by_actor on audit_entry (workspace_id, actor_key, id);
create index audit_entry_by_action on audit_entry (workspace_id, action, id);

create index membership_by_joining on membership (workspace_id, joined_at, user_id);
create index api_key_live on api_key (workspace_id, id) where revoked_at is null;

-- A workspace's triggers in the order of their times, for the turns that workspaces take when too many are due at once.
create index cron_trigger_by_time on cron_trigger (workspace_id, next_fire);
