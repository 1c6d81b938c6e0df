-- Durable background work.
--
-- A job is a row of job for as long as it is not done. Where it is says one of four tables: job_later until its time comes,
-- job_ready when it can be done, job_lease while it is being done, job_dead when it has failed for good. Only what can be done
-- is in the table that workers claim from. Rows of the four come and go and never change.

-- Jobs of the installation belong to no tenant. They have this workspace, which does not exist.
create function tidegate_installation() returns uuid
    language sql immutable parallel safe
    return '00000000-0000-0000-0000-000000000000'::uuid;

-- A table of jobs: those of the installation are seen by the directory.
create procedure tidegate_protect_installation(tbl regclass)
    language plpgsql as $$
begin
    execute format('create policy directory_permit on %s as permissive for all to tidegate_directory
        using (workspace_id = (select tidegate_installation())) with check (workspace_id = (select tidegate_installation()))', tbl);
    execute format('create policy directory_restrict on %s as restrictive for all to tidegate_directory
        using (workspace_id = (select tidegate_installation())) with check (workspace_id = (select tidegate_installation()))', tbl);
end $$;
revoke execute on procedure tidegate_protect_installation(regclass) from public;

create table job (
    workspace_id uuid not null,
    id uuid not null,
    shard smallint not null,
    kind text collate "C" not null,
    -- JSON as bytes: it is only ever read whole.
    payload bytea not null,
    priority smallint not null,
    unique_key text,
    -- Has a key, and has never begun.
    is_unique boolean not null,
    -- Attempts that have failed.
    attempts int not null,
    last_error text,
    run_at timestamptz,
    created_at timestamptz not null,
    -- Somebody took it back while it was being done.
    cancelled boolean not null,
    request_id text not null,
    -- The trace in which it was enqueued (W3C Trace Context).
    traceparent text check (length(traceparent) = 55),
    primary key (workspace_id, id),
    check (not is_unique or unique_key is not null)
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
create unique index job_unique on job (workspace_id, kind, unique_key) where is_unique;
create index job_by_kind on job (workspace_id, kind, id);
call tidegate_protect('job');
call tidegate_protect_engine('job');
call tidegate_protect_installation('job');
grant select, insert, update, delete on job to tidegate_api, tidegate_engine, tidegate_directory;

create table job_ready (
    workspace_id uuid not null,
    job_id uuid not null,
    shard smallint not null,
    kind text collate "C" not null,
    priority smallint not null,
    seq bigint generated always as identity,
    is_unique boolean not null,
    attempts int not null,
    -- Since when it could be done.
    since timestamptz not null,
    primary key (workspace_id, job_id)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
create index job_ready_claim on job_ready (shard, workspace_id, kind, priority, seq);

create table job_later (
    workspace_id uuid not null,
    job_id uuid not null,
    shard smallint not null,
    kind text collate "C" not null,
    priority smallint not null,
    run_at timestamptz not null,
    is_unique boolean not null,
    attempts int not null,
    primary key (workspace_id, job_id)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
create index job_later_due on job_later (shard, run_at);

create table job_lease (
    workspace_id uuid not null,
    job_id uuid not null,
    shard smallint not null,
    epoch bigint not null,
    kind text collate "C" not null,
    priority smallint not null,
    attempts int not null,
    primary key (workspace_id, job_id)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
create index job_lease_by_shard on job_lease (shard, epoch);

create table job_dead (
    workspace_id uuid not null,
    job_id uuid not null,
    shard smallint not null,
    kind text collate "C" not null,
    attempts int not null,
    error text not null,
    at timestamptz not null,
    primary key (workspace_id, job_id)
);
create index job_dead_by_age on job_dead (at, job_id);
create index job_dead_by_shard on job_dead (shard);
create index job_dead_by_id on job_dead (job_id);

call tidegate_protect('job_ready');
call tidegate_protect('job_later');
call tidegate_protect('job_lease');
call tidegate_protect('job_dead');
call tidegate_protect_machinery('job_ready');
call tidegate_protect_machinery('job_later');
call tidegate_protect_machinery('job_lease');
call tidegate_protect_machinery('job_dead');
call tidegate_protect_installation('job_ready');
call tidegate_protect_installation('job_later');
call tidegate_protect_installation('job_lease');
call tidegate_protect_installation('job_dead');
grant select, insert, delete on job_ready, job_later, job_dead to tidegate_api, tidegate_directory;
grant select on job_lease to tidegate_api, tidegate_directory;
grant select, insert, delete on job_ready, job_later, job_lease, job_dead to tidegate_engine;
-- Locking a row needs the right to update, although nothing is updated.
grant update on job_dead to tidegate_api, tidegate_directory;
grant select on slot to tidegate_directory;

-- When a job that comes again and again is due next.
create table job_schedule (
    kind text collate "C" primary key,
    cron text not null,
    next_at timestamptz not null
);
grant select, insert, update on job_schedule to tidegate_engine;

-- What is removed once it is old, whosever it is.
create index session_by_end on session (least(revoked_at, expires_at));
grant delete on session, account_event to tidegate_directory;

create index usage_counter_by_period on usage_counter (period_start);
create policy directory_permit on usage_counter as permissive for all to tidegate_directory using (true);
create policy directory_restrict on usage_counter as restrictive for all to tidegate_directory using (true);
grant select (workspace_id, meter, period_start), delete on usage_counter to tidegate_directory;
create index usage_recorder_by_age on usage_recorder (at);

-- Not the answers.
create index idempotency_key_by_age on idempotency_key (kept_until);
create policy directory_permit on idempotency_key as permissive for all to tidegate_directory using (true);
create policy directory_restrict on idempotency_key as restrictive for all to tidegate_directory using (true);
grant select (workspace_id, actor_id, digest, kept_until), delete on idempotency_key to tidegate_directory;
create index person_idempotency_key_by_age on person_idempotency_key (kept_until);
