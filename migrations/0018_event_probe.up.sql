-- Which keys the workspace has between two ids, in the order of the keys.
--
-- Each key is looked up in the order of the keys, which only their index has: while a partition holds little, all indexes that begin
-- with the workspace cost the same. It is planned for each call, so that a partition that has come is among them.
create or replace function known_events(for_workspace uuid, since uuid, until uuid, keys uuid[], out known boolean[])
  language plpgsql set search_path = pg_catalog, public, pg_temp
  set plan_cache_mode = force_custom_plan set enable_seqscan = off set enable_sort = off as $$
begin
    select array_agg(probed.known order by nth) into known
    from (select k.nth, exists (select from event e where e.workspace_id = for_workspace
                                and e.dedupe_key >= k.key and e.dedupe_key <= k.key and e.id >= since and e.id < until
                                order by e.dedupe_key limit 1 offset 0) as known
          from unnest(keys) with ordinality k (key, nth) offset 0) probed;
end $$;
