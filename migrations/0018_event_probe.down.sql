create or replace function known_events(for_workspace uuid, since uuid, until uuid, keys uuid[], out known boolean[])
  language plpgsql set search_path = pg_catalog, public, pg_temp
  set plan_cache_mode = force_custom_plan set enable_seqscan = off as $$
begin
    select array_agg(probed.known order by nth) into known
    from (select k.nth, exists (select from event e where e.workspace_id = for_workspace and e.dedupe_key = k.key
                                and e.id >= since and e.id < until offset 0) as known
          from unnest(keys) with ordinality k (key, nth) offset 0) probed;
end $$;
