-- Events, kept once each and in one order per workspace.

-- One row per workspace: how far its events have come, and how many the current billing period has taken.
-- Whoever adds events holds this row until the commit, so positions have no gaps and follow the order of commits.
create table workspace_head (
    workspace_id uuid primary key references workspace on delete cascade,
    position bigint not null default 0,
    -- The milliseconds in the id of the last event. The next ids never go below it, whatever a server's clock says.
    last_ms bigint not null default 0,
    period_start timestamptz not null,
    used bigint not null default 0
) with (fillfactor = 50);
call tidegate_protect('workspace_head');
call tidegate_protect_machinery('workspace_head');
grant select, insert, update on workspace_head to tidegate_api;
grant select on workspace_head to tidegate_engine;

-- What the periods before the current one took.
create table event_period (
    workspace_id uuid not null references workspace on delete cascade,
    period_start timestamptz not null,
    used bigint not null,
    primary key (workspace_id, period_start)
);
call tidegate_protect('event_period');
grant select, insert on event_period to tidegate_api;

-- No foreign key to workspace: its check would cost each row more than an index does, and workspace_head has one.
-- Texts compare by bytes, so that a prefix of subject is a range.
create table event (
    workspace_id uuid not null,
    id uuid not null,
    position bigint not null,
    -- The first 128 bits of SHA-256 over source and id, each with its length before it.
    dedupe_key uuid not null,
    type text collate "C" not null,
    source text collate "C" not null,
    sender_id text collate "C" not null,
    subject text collate "C",
    time timestamptz not null,
    -- As it was sent; timestamptz has neither the offset nor nanoseconds.
    time_text text,
    actor text collate "C",
    tool text collate "C",
    session text collate "C",
    extension text collate "C",
    data_content_type text,
    data_schema text,
    -- Extension attributes as a JSON object.
    attributes text,
    data_kind text check (data_kind in ('json', 'text', 'binary')),
    -- Bytes, because jsonb refuses what a JSON text may hold (\u0000).
    data bytea,
    primary key (workspace_id, id)
) partition by range (id);
call tidegate_protect('event');
grant select, insert on event to tidegate_api;

-- Ids rise with positions, so a list by position, newest first, reads one of these backwards. Filters by tool and by source read
-- the primary key: most workspaces have few of either, and two more indexes take a fifth of the rate of ingest.
create index on event (workspace_id, type, id);
create index on event (workspace_id, actor, id);
create index on event (workspace_id, subject, id);
create index on event (workspace_id, time);

-- Where the positions are: one row per ingest, with the position of its last event and an id that none of its events is below.
create table event_batch (
    workspace_id uuid not null,
    position bigint not null,
    first_id uuid not null,
    primary key (workspace_id, position, first_id)
) partition by range (first_id);
call tidegate_protect('event_batch');
grant select, insert on event_batch to tidegate_api;

-- How far each reader behind the insert has come; moved in the transaction that writes what it made of them.
create table event_consumer (
    workspace_id uuid not null references workspace on delete cascade,
    consumer text not null,
    position bigint not null,
    primary key (workspace_id, consumer)
) with (fillfactor = 50);
call tidegate_protect('event_consumer');
call tidegate_protect_machinery('event_consumer');
grant select, insert, update on event_consumer to tidegate_api;
grant select on event_consumer to tidegate_engine;

insert into partition_plan (parent, span_days, leaf_unique) values
    ('event', 32, '{workspace_id,dedupe_key}'),
    ('event_batch', 32, null);
select tidegate_ensure_partitions();

-- A UUIDv7 (RFC 9562, section 5.7) whose bits after the time are a counter (section 6.2): 40 bits of position, then 34 of salt.
create function event_id(ms bigint, place bigint, salt bigint) returns uuid
    language sql immutable parallel safe
    return (lpad(to_hex(ms), 12, '0') || '7' || lpad(to_hex((place >> 28) & 4095), 3, '0')
        || to_hex((-9223372036854775808) | ((place & 268435455) << 34) | (salt & 17179869183)))::uuid;

-- Which keys the workspace has between two ids, in the order of the keys.
--
-- It is planned for each call. A plan that is made while a partition is empty may take any index that begins with workspace_id,
-- since they all cost nothing then, and goes on reading all that the workspace has for each key when the partition is full.
create function known_events(for_workspace uuid, since uuid, until uuid, keys uuid[], out known boolean[])
  language plpgsql set search_path = pg_catalog, public, pg_temp
  set plan_cache_mode = force_custom_plan set enable_seqscan = off as $$
begin
    select array_agg(probed.known order by nth) into known
    from (select k.nth, exists (select from event e where e.workspace_id = for_workspace and e.dedupe_key = k.key
                                and e.id >= since and e.id < until offset 0) as known
          from unnest(keys) with ordinality k (key, nth) offset 0) probed;
end $$;
revoke execute on function known_events from public;
grant execute on function known_events to tidegate_api;

-- Adds events to a workspace in one call. The arrays run in parallel, one place per event; the keys MUST be distinct.
--
-- outcome is, per event: its position where it was added, 0 where the workspace had it within 32 days, -1 where it is beyond the
-- limit of the period (null: no limit). With the head locked nobody else adds to this workspace, and each statement here sees
-- what was committed before it; so what the probe has not found is new, and what fits fits.
create function ingest_events(
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
revoke execute on function ingest_events from public;
grant execute on function ingest_events to tidegate_api;
