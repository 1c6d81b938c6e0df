-- What every later migration builds on: how a table is protected, and how partitions come to be.
-- The roles named here belong to the cluster and are made before the migrations run.

revoke create on schema public from public;
grant usage on schema public to tidegate_api, tidegate_engine, tidegate_directory;

-- The workspace of the open transaction. After COMMIT the setting is '' and not null, and ''::uuid raises, hence nullif.
-- Policies call it inside a scalar subquery, so that it is evaluated once per statement and not once per row.
create function tidegate_workspace() returns uuid
    language sql stable parallel safe
    return nullif(current_setting('app.workspace_id', true), '')::uuid;

-- The workspaces that an engine batch has declared. Unset means none.
create function tidegate_workspaces() returns uuid[]
    language sql stable parallel safe
    return nullif(current_setting('app.workspace_ids', true), '')::uuid[];

-- The person of the open transaction.
create function tidegate_person() returns uuid
    language sql stable parallel safe
    return nullif(current_setting('app.user_id', true), '')::uuid;

-- A tenant table: the API role sees one workspace. The restrictive policy holds even if a permissive one is added by mistake.
create procedure tidegate_protect(tbl regclass)
    language plpgsql as $$
begin
    execute format('alter table %s enable row level security', tbl);
    execute format('alter table %s force row level security', tbl);
    execute format('create policy api_permit on %s as permissive for all to tidegate_api
        using (workspace_id = (select tidegate_workspace())) with check (workspace_id = (select tidegate_workspace()))', tbl);
    execute format('create policy api_restrict on %s as restrictive for all to tidegate_api
        using (workspace_id = (select tidegate_workspace())) with check (workspace_id = (select tidegate_workspace()))', tbl);
end $$;

-- A tenant table that the engine works on: it sees the workspaces that its batch declares.
create procedure tidegate_protect_engine(tbl regclass)
    language plpgsql as $$
begin
    execute format('create policy engine_permit on %s as permissive for all to tidegate_engine
        using (workspace_id = any ((select tidegate_workspaces())::uuid[])) with check (workspace_id = any ((select tidegate_workspaces())::uuid[]))', tbl);
    execute format('create policy engine_restrict on %s as restrictive for all to tidegate_engine
        using (workspace_id = any ((select tidegate_workspaces())::uuid[])) with check (workspace_id = any ((select tidegate_workspaces())::uuid[]))', tbl);
end $$;

-- A table of the machinery: what the engine claims from has to be seen whole.
create procedure tidegate_protect_machinery(tbl regclass)
    language plpgsql as $$
begin
    execute format('alter table %s enable row level security', tbl);
    execute format('alter table %s force row level security', tbl);
    execute format('create policy engine_permit on %s as permissive for all to tidegate_engine using (true) with check (true)', tbl);
    execute format('create policy engine_restrict on %s as restrictive for all to tidegate_engine using (true) with check (true)', tbl);
end $$;

revoke execute on procedure tidegate_protect(regclass), tidegate_protect_engine(regclass), tidegate_protect_machinery(regclass) from public;

-- Tables partitioned by ranges of a UUIDv7, whose first 48 bits are milliseconds since 1970.
create table partition_plan (
    parent regclass primary key,
    span_days int not null check (span_days between 1 and 366),
    -- Columns that are unique within a leaf, where there are any.
    leaf_unique text[]
);

-- Makes the leaves from one span before now to two spans after it. It takes nothing from callers, so whoever may execute it
-- can make nothing else.
create function tidegate_ensure_partitions() returns int
    language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    plan record;
    span bigint;
    first bigint;
    leaf text;
    made int := 0;
begin
    perform pg_advisory_xact_lock(hashtext('tidegate_ensure_partitions'));
    for plan in select p.parent, c.relname, p.span_days, p.leaf_unique from public.partition_plan p join pg_class c on c.oid = p.parent loop
        span := plan.span_days::bigint * 86400000;
        first := floor(extract(epoch from now()) * 1000 / span)::bigint - 1;
        for n in first .. first + 3 loop
            leaf := plan.relname || '_' || to_char((timestamptz 'epoch' + n * span * interval '1 millisecond') at time zone 'UTC', 'YYYYMMDD');
            if to_regclass('public.' || quote_ident(leaf)) is null then
                execute format('create table public.%I partition of %s for values from (%L) to (%L)', leaf, plan.parent,
                    rpad(lpad(to_hex(n * span), 12, '0'), 32, '0')::uuid, rpad(lpad(to_hex((n + 1) * span), 12, '0'), 32, '0')::uuid);
                execute format('alter table public.%I enable row level security', leaf);
                execute format('alter table public.%I force row level security', leaf);
                if plan.leaf_unique is not null then
                    execute format('create unique index on public.%I (%s)', leaf,
                        (select string_agg(quote_ident(col), ', ' order by ord) from unnest(plan.leaf_unique) with ordinality u (col, ord)));
                end if;
                made := made + 1;
            end if;
        end loop;
    end loop;
    return made;
end $$;
revoke execute on function tidegate_ensure_partitions() from public;
grant execute on function tidegate_ensure_partitions() to tidegate_engine;
