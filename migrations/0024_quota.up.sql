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
    -- When people were told.
    notified_at timestamptz,
    primary key (workspace_id, meter, period_start, percent)
);
call tidegate_protect('quota_alert');
call tidegate_protect_erasure('quota_alert');
grant select, insert, update on quota_alert to tidegate_api;

-- Events are counted by day too: the current day in the head, earlier ones here. What was counted by month stands at the
-- first day of its month.
alter table event_period rename to event_day;
alter table event_day rename column period_start to day;
grant update on event_day to tidegate_api;
alter table workspace_head add column day_start timestamptz not null default '-infinity', add column day_used bigint not null default 0;
alter table workspace_head no force row level security;
alter table event_day no force row level security;
insert into event_day (workspace_id, day, used) select workspace_id, period_start, used from workspace_head where used > 0;
alter table workspace_head force row level security;
alter table event_day force row level security;

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
    today timestamptz := to_timestamp((now_ms / 86400000 * 86400)::double precision);
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
        if before.day_start < today and before.day_used > 0 then
            insert into event_day as d values (for_workspace, before.day_start, before.day_used)
            on conflict (workspace_id, day) do update set used = d.used + excluded.used;
        end if;
        update workspace_head h
        set position = head.position + added, last_ms = at_ms, period_start = head.period_start, used = head.used + added,
            day_start = greatest(before.day_start, today),
            day_used = case when before.day_start < today then added else before.day_used + added end
        where h.workspace_id = for_workspace;
    end if;

    head_position := head.position + coalesce(added, 0);
    period_used := head.used + coalesce(added, 0);
end $$;

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
