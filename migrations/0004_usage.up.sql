-- What workspaces may use and what they have used. Events are counted in workspace_head, with the events themselves.

-- The plan of a workspace, in the version that it was bought. Without a row, the server's default plan counts.
create table workspace_plan (
    workspace_id uuid primary key references workspace on delete cascade,
    plan text not null,
    version int not null,
    since timestamptz not null
);
call tidegate_protect('workspace_plan');
grant select, insert, update on workspace_plan to tidegate_api;

-- Counts per period, whose first instant (UTC) is its name: the day for API calls, the month for runs and steps.
-- Runs and steps are added by the statement that records them, so that both are there or neither.
-- What was used outlives its workspace, since it may have to be paid: no foreign key.
create table usage_counter (
    workspace_id uuid not null,
    meter text collate "C" not null check (meter in ('api_calls', 'runs', 'steps')),
    period_start timestamptz not null,
    used bigint not null check (used >= 0),
    primary key (workspace_id, meter, period_start)
) with (fillfactor = 50);
call tidegate_protect('usage_counter');
call tidegate_protect_engine('usage_counter');
grant select on usage_counter to tidegate_api;
grant select, insert, update on usage_counter to tidegate_engine;

-- Who counts API calls in memory, and the number of the last batch that it wrote. A batch that is sent again because its
-- answer was lost has a number that is there already, and changes nothing.
create table usage_recorder (
    recorder uuid primary key,
    batch bigint not null,
    at timestamptz not null
) with (fillfactor = 50);
call tidegate_protect_machinery('usage_recorder');
grant select, insert, update, delete on usage_recorder to tidegate_engine;
