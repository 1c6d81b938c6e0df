-- What counts against the plan of a workspace.

-- Levels, which go up and down: stored bytes, workflows, members. Each is changed in the transaction of what it counts.
create table quota_level (
    workspace_id uuid not null references workspace on delete cascade,
    meter text collate "C" not null check (meter in ('storage_bytes', 'workflows', 'members')),
    used bigint not null check (used >= 0),
    primary key (workspace_id, meter)
) with (fillfactor = 50);
call tidegate_protect('quota_level');
call tidegate_protect_erasure('quota_level');
grant select, insert, update on quota_level to tidegate_api;

-- Units of a period that were handed out to servers. What a server does not need it gives back; what a killed server
-- held counts until the period ends. So `granted` is never less than what was used.
create table quota_grant (
    workspace_id uuid not null references workspace on delete cascade,
    meter text collate "C" not null check (meter in ('api_calls', 'runs', 'steps')),
    period_start timestamptz not null,
    granted bigint not null check (granted >= 0),
    primary key (workspace_id, meter, period_start)
) with (fillfactor = 50);
call tidegate_protect('quota_grant');
call tidegate_protect_engine('quota_grant');
grant select, insert, update on quota_grant to tidegate_api;
grant select, update, delete on quota_grant to tidegate_engine;

-- Thresholds that were passed, once per period.
create table quota_alert (
    workspace_id uuid not null references workspace on delete cascade,
    meter text collate "C" not null,
    period_start timestamptz not null,
    percent smallint not null check (percent between 1 and 100),
    used bigint not null,
    max bigint not null,
    at timestamptz not null,
    primary key (workspace_id, meter, period_start, percent)
);
call tidegate_protect('quota_alert');
call tidegate_protect_erasure('quota_alert');
grant select, insert on quota_alert to tidegate_api;

-- How many runs run at once is set with the plan.
grant update (run_limit) on workspace_slot to tidegate_api;

-- The levels of what is there already.
alter table workflow no force row level security;
alter table membership no force row level security;
alter table quota_level no force row level security;
insert into quota_level (workspace_id, meter, used)
select workspace_id, 'workflows', count(*) from workflow where deleted_at is null group by workspace_id
union all
select workspace_id, 'members', count(*) from membership group by workspace_id;
alter table workflow force row level security;
alter table membership force row level security;
alter table quota_level force row level security;
