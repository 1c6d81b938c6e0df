drop index run_signal_by_run;

create or replace procedure tidegate_protect_engine(tbl regclass)
    language plpgsql as $$
begin
    execute format('create policy engine_permit on %s as permissive for all to tidegate_engine
        using (workspace_id = any ((select tidegate_workspaces())::uuid[])) with check (workspace_id = any ((select tidegate_workspaces())::uuid[]))', tbl);
    execute format('create policy engine_restrict on %s as restrictive for all to tidegate_engine
        using (workspace_id = any ((select tidegate_workspaces())::uuid[])) with check (workspace_id = any ((select tidegate_workspaces())::uuid[]))', tbl);
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
