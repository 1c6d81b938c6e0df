-- Deleted workspaces whose data waits to be erased.

-- No foreign key: the row goes with the workspace, last of all.
create table workspace_erasure (
    workspace_id uuid primary key,
    deleted_at timestamptz not null,
    erase_at timestamptz not null,
    -- erase_at, or later after a failure.
    next_try timestamptz not null,
    -- What hindered the last try.
    error text
);
call tidegate_protect('workspace_erasure');
call tidegate_protect_machinery('workspace_erasure');
grant insert on workspace_erasure to tidegate_api;
grant select, update, delete on workspace_erasure to tidegate_engine;

-- Of the workspaces that an engine batch has declared, those that are deleted.
create function tidegate_deleted_workspaces() returns uuid[]
    language sql stable parallel safe
    return array(select e.workspace_id from workspace_erasure e where e.workspace_id = any (tidegate_workspaces()));

-- A tenant table that the engine touches only to erase it: it sees what deleted workspaces have left, of those that its batch
-- declares.
create procedure tidegate_protect_erasure(tbl regclass)
    language plpgsql as $$
begin
    execute format('create policy engine_permit on %s as permissive for all to tidegate_engine
        using (workspace_id = any ((select tidegate_deleted_workspaces())::uuid[]))
        with check (workspace_id = any ((select tidegate_deleted_workspaces())::uuid[]))', tbl);
    execute format('create policy engine_restrict on %s as restrictive for all to tidegate_engine
        using (workspace_id = any ((select tidegate_deleted_workspaces())::uuid[]))
        with check (workspace_id = any ((select tidegate_deleted_workspaces())::uuid[]))', tbl);
    execute format('grant select, delete on %s to tidegate_engine', tbl);
end $$;
revoke execute on procedure tidegate_protect_erasure(regclass) from public;

call tidegate_protect_erasure('api_key');
call tidegate_protect_erasure('audit_entry');
call tidegate_protect_erasure('event');
call tidegate_protect_erasure('event_batch');
call tidegate_protect_erasure('event_period');
call tidegate_protect_erasure('event_trigger');
call tidegate_protect_erasure('idempotency_key');
call tidegate_protect_erasure('locator');
call tidegate_protect_erasure('membership');
call tidegate_protect_erasure('pattern');
call tidegate_protect_erasure('pattern_day');
call tidegate_protect_erasure('pattern_link');
call tidegate_protect_erasure('pattern_member');
call tidegate_protect_erasure('pattern_oversized');
call tidegate_protect_erasure('pattern_subject');
call tidegate_protect_erasure('pattern_term');
call tidegate_protect_erasure('pattern_totals');
call tidegate_protect_erasure('suggestion');
call tidegate_protect_erasure('workflow');
call tidegate_protect_erasure('workflow_version');
call tidegate_protect_erasure('workspace');
call tidegate_protect_erasure('workspace_plan');

-- What the engine sees anyway. usage_counter is not among it: what was used may have to be paid.
grant delete on cron_trigger, event_consumer, run, step_event, workspace_head, workspace_slot to tidegate_engine;

-- Workspaces that were deleted before.
alter table workspace no force row level security;
alter table workspace_erasure no force row level security;
insert into workspace_erasure (workspace_id, deleted_at, erase_at, next_try)
select workspace_id, deleted_at, now() + interval '30 days', now() + interval '30 days' from workspace where deleted_at is not null;
alter table workspace force row level security;
alter table workspace_erasure force row level security;
