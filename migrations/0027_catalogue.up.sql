-- The catalogue of plans. A plan that ships with the program is added when a server starts.
create table plan_version (
    name text collate "C" not null check (name ~ '^[a-z-]{1,40}$'),
    version int not null check (version > 0),
    status text collate "C" not null check (status in ('draft', 'published', 'retired')),
    revision int not null check (revision > 0),
    built_in boolean not null,
    -- JSON as bytes: it is only ever read whole.
    document bytea not null,
    created_at timestamptz not null,
    published_at timestamptz,
    retired_at timestamptz,
    primary key (name, version),
    check ((status = 'draft') = (published_at is null)),
    check ((status = 'retired') = (retired_at is not null))
);
grant select on plan_version to tidegate_api;
grant select, insert, delete, update (status, revision, document, published_at, retired_at) on plan_version
    to tidegate_directory;

-- Whoever writes it, a version that was published keeps its document for good.
create function tidegate_plan_is_final() returns trigger language plpgsql as $$
begin
    if old.status <> 'draft' and (tg_op = 'DELETE' or new.document <> old.document or new.status = 'draft') then
        raise exception 'a version of a plan that was published never changes'
            using errcode = 'check_violation', constraint = 'plan_is_final', table = 'plan_version', schema = 'public';
    end if;
    return case when tg_op = 'DELETE' then old else new end;
end $$;
revoke execute on function tidegate_plan_is_final() from public;
create trigger plan_is_final before update or delete on plan_version
    for each row execute function tidegate_plan_is_final();
