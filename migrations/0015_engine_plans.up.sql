-- Index lookups for the engine, whatever the statistics are.

-- A policy of the form `workspace_id = any (…)` is an index condition: the planner may read whole workspaces by it and then compare
-- each row with each key that was asked for. This form can only be checked, row by row. Unset still means no rows.
create or replace procedure tidegate_protect_engine(tbl regclass)
    language plpgsql as $$
begin
    execute format('create policy engine_permit on %s as permissive for all to tidegate_engine
        using (array_position((select tidegate_workspaces()), workspace_id) is not null)
        with check (array_position((select tidegate_workspaces()), workspace_id) is not null)', tbl);
    execute format('create policy engine_restrict on %s as restrictive for all to tidegate_engine
        using (array_position((select tidegate_workspaces()), workspace_id) is not null)
        with check (array_position((select tidegate_workspaces()), workspace_id) is not null)', tbl);
end $$;

drop policy engine_permit on usage_counter;
drop policy engine_restrict on usage_counter;
call tidegate_protect_engine('usage_counter');
drop policy engine_permit on run;
drop policy engine_restrict on run;
call tidegate_protect_engine('run');
drop policy engine_permit on step_event;
drop policy engine_restrict on step_event;
call tidegate_protect_engine('step_event');

-- What was asked of a run.
create index run_signal_by_run on run_signal (workspace_id, run_id);
