alter table workspace_head no force row level security;
alter table event_day no force row level security;
insert into event_day as d (workspace_id, day, used) select workspace_id, day_start, day_used from workspace_head where day_used > 0
on conflict (workspace_id, day) do update set used = d.used + excluded.used;
-- Back to one row for each month before the current one.
create temporary table event_month on commit drop as
    select workspace_id, date_trunc('month', day, 'UTC') as month, sum(used)::bigint as used from event_day group by 1, 2;
delete from event_day where true;
insert into event_day (workspace_id, day, used)
select m.workspace_id, m.month, m.used from event_month m join workspace_head h using (workspace_id) where m.month < h.period_start;
alter table workspace_head force row level security;
alter table event_day force row level security;
alter table workspace_head drop column day_start, drop column day_used;
revoke update on event_day from tidegate_api;
alter table event_day rename column day to period_start;
alter table event_day rename to event_period;
-- Adds events to a workspace in one call. The arrays run in parallel, one place per event; the keys MUST be distinct.
--
-- outcome is, per event: its position where it was added, 0 where the workspace had it within 32 days, -1 where it is beyond the
-- limit of the period (null: no limit). With the head locked nobody else adds to this workspace, and each statement here sees
-- what was committed before it; so what the probe has not found is new, and what fits fits.
create or replace function ingest_events(
    for_workspace uuid, now_ms bigint, salt bigint, period timestamptz, period_limit bigint,
    keys uuid[], types text[], sources text[], sender_ids text[], subjects text[], times timestamptz[], time_texts text[],
    actors text[], tools text[], sessions text[], extensions text[], content_types text[], schemas text[], attributes_ text[],
    kinds text[], data_ bytea[],
    out head_position bigint, out period_used bigint, out outcome bigint[]
) language plpgsql set search_path = pg_catalog, public, pg_temp
  -- The plans of what is left here are made once; there is one index for each of them.
  set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
    head public.workspace_head;
    before public.workspace_head;
    at_ms bigint;
    room bigint;
    added bigint;
begin
    select * into head from workspace_head h where h.workspace_id = for_workspace for no key update;
    if not found then
        insert into workspace_head (workspace_id, period_start) values (for_workspace, period) on conflict do nothing;
        select * into head from workspace_head h where h.workspace_id = for_workspace for no key update;
    end if;
    before := head;
    if head.period_start < period then
        head.period_start := period;
        head.used := 0;
    end if;

    at_ms := greatest(now_ms, head.last_ms);
    room := case when period_limit is null then 9223372036854775807 else greatest(period_limit - head.used, 0) end;

    select array_agg(case when known then 0 when fresh <= room then head.position + fresh else -1 end order by nth),
           least(room, max(fresh))
    into outcome, added
    from (select nth, known, count(*) filter (where not known) over (order by nth rows unbounded preceding) as fresh
          from unnest(known_events(for_workspace, event_id(greatest(at_ms - 2764800000, 0), 0, 0), event_id(at_ms + 1, 0, 0), keys))
               with ordinality probed (known, nth)) counted;

    if added > 0 then
        insert into event
        select for_workspace, event_id(at_ms, u.place, salt), u.place, u.key, u.type, u.source, u.sender_id, u.subject, u.time,
               u.time_text, u.actor, u.tool, u.session, u.extension, u.content_type, u.schema, u.attributes, u.kind, u.data
        from unnest(outcome, keys, types, sources, sender_ids, subjects, times, time_texts, actors, tools, sessions, extensions,
                    content_types, schemas, attributes_, kinds, data_)
             u (place, key, type, source, sender_id, subject, time, time_text, actor, tool, session, extension,
                content_type, schema, attributes, kind, data)
        where u.place > 0;
        insert into event_batch values (for_workspace, head.position + added, event_id(at_ms, head.position + 1, 0));
        if before.period_start < head.period_start then
            insert into event_period values (for_workspace, before.period_start, before.used);
        end if;
        update workspace_head h
        set position = head.position + added, last_ms = at_ms, period_start = head.period_start, used = head.used + added
        where h.workspace_id = for_workspace;
    end if;

    head_position := head.position + coalesce(added, 0);
    period_used := head.used + coalesce(added, 0);
end $$;
revoke update (run_limit) on workspace_slot from tidegate_api;
drop table quota_alert;
drop table quota_grant;
drop table quota_level;
