revoke delete on cron_trigger, event_consumer, run, step_event, workspace_head, workspace_slot from tidegate_engine;
revoke select, delete on api_key, audit_entry, event, event_batch, event_period, event_trigger, idempotency_key, locator, membership,
    pattern, pattern_day, pattern_link, pattern_member, pattern_oversized, pattern_subject, pattern_term, pattern_totals, suggestion,
    workflow, workflow_version, workspace, workspace_plan from tidegate_engine;
do $$
declare
    policy record;
begin
    for policy in
        select p.polname, p.polrelid::regclass as tbl from pg_policy p
        where pg_get_expr(p.polqual, p.polrelid) like '%tidegate_deleted_workspaces()%'
    loop
        execute format('drop policy %I on %s', policy.polname, policy.tbl);
    end loop;
end $$;
drop procedure tidegate_protect_erasure(regclass);
drop function tidegate_deleted_workspaces();
drop table workspace_erasure;
