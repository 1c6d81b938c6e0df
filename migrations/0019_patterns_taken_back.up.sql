-- Deletes patterns that have no support any more. A session that grows too large takes thousands back at once, so it is one call; and
-- each is a lookup by its key, where a statement for all of them may read a whole workspace when statistics are missing or old.
create function take_back_patterns(for_workspace uuid, ids uuid[]) returns void
  language plpgsql set search_path = pg_catalog, public, pg_temp as $$
declare
    one uuid;
begin
    foreach one in array ids loop
        delete from pattern p where p.workspace_id = for_workspace and p.id = one and p.support <= 0;
    end loop;
end $$;
revoke execute on function take_back_patterns from public;
grant execute on function take_back_patterns to tidegate_api;
