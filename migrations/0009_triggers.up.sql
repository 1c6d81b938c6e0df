-- The triggers of published versions. Publishing replaces a workflow's.

-- Times. Whoever moves next_fire on from the time that is due starts the run, in the same transaction.
create table cron_trigger (
    workspace_id uuid not null,
    workflow_id uuid not null,
    -- Its place among the version's triggers.
    ordinal smallint not null check (ordinal >= 0),
    version int not null,
    next_fire timestamptz not null,
    primary key (workspace_id, workflow_id, ordinal),
    foreign key (workspace_id, workflow_id) references workflow on delete cascade
);
create index cron_trigger_due on cron_trigger (next_fire);
call tidegate_protect('cron_trigger');
call tidegate_protect_machinery('cron_trigger');
grant select, insert, update, delete on cron_trigger to tidegate_api;
grant select on cron_trigger to tidegate_engine;

-- Events.
create table event_trigger (
    workspace_id uuid not null,
    workflow_id uuid not null,
    ordinal smallint not null check (ordinal >= 0),
    version int not null,
    event_type text not null,
    -- Only events after this position set it off.
    after_position bigint not null,
    primary key (workspace_id, workflow_id, ordinal),
    foreign key (workspace_id, workflow_id) references workflow on delete cascade
);
create index event_trigger_by_type on event_trigger (workspace_id, event_type);
call tidegate_protect('event_trigger');
grant select, insert, delete on event_trigger to tidegate_api;
