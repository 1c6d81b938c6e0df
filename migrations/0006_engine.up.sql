-- Runs, and the machinery that drives them.
--
-- Only the worker that owns a shard changes a run. What others want of a run is a row in run_signal. Only runnable work lives
-- in ready; what waits lives in timer and blocked, what is being worked on in lease.

-- Where a workspace's work is done: workspace -> slot (stored, movable) -> shard -> owner.
create table shard (
    shard smallint primary key,
    owner uuid,
    -- Grows with every change of owner. A worker that slept through one finds another epoch and writes nothing.
    epoch bigint not null default 0,
    -- On the database's clock, like nothing else.
    leased_until timestamptz not null default '-infinity'
);
insert into shard (shard) select n from generate_series(0, 15) n;
grant select, update on shard to tidegate_engine;

create table slot (
    slot smallint primary key check (slot between 0 and 1023),
    shard smallint not null references shard
);
insert into slot (slot, shard) select n, n % 16 from generate_series(0, 1023) n;
grant select on slot to tidegate_api;
grant select, update on slot to tidegate_engine;

-- The workers that are alive, so that each knows its fair share of the shards.
create table worker (
    worker uuid primary key,
    seen_until timestamptz not null
);
grant select, insert, update, delete on worker to tidegate_engine;

create table workspace_slot (
    workspace_id uuid primary key references workspace on delete cascade,
    slot smallint not null references slot,
    -- Its share of service beside other workspaces that have work.
    weight int not null default 1 check (weight between 1 and 1000),
    -- The most runs that may be active at once; null for no limit.
    run_limit int check (run_limit >= 1)
);
call tidegate_protect('workspace_slot');
call tidegate_protect_machinery('workspace_slot');
grant select, insert on workspace_slot to tidegate_api;
grant select, update on workspace_slot to tidegate_engine;

-- What callers read. Partitioned with its history by the run's id; what a live run needs is in run_journal as well.
create table run (
    workspace_id uuid not null,
    id uuid not null,
    workflow_id uuid not null,
    version int not null,
    shard smallint not null,
    status text not null check (status in ('pending', 'running', 'waiting', 'completed', 'failed', 'cancelled', 'timed_out')),
    -- JSON as bytes: jsonb refuses what a text of a caller may hold.
    trigger bytea not null,
    event bytea,
    input bytea not null,
    outputs bytea,
    error bytea,
    dedupe_key text,
    -- How many events of other runs led to this one.
    depth smallint not null check (depth between 0 and 10),
    concurrency_key text,
    concurrency_limit int check (concurrency_limit >= 1),
    request_id text not null,
    created_at timestamptz not null,
    started_at timestamptz,
    finished_at timestamptz,
    primary key (workspace_id, id),
    check ((concurrency_key is null) = (concurrency_limit is null))
) partition by range (id);
create index run_by_workflow on run (workspace_id, workflow_id, id);
create index run_by_status on run (workspace_id, status, id);
call tidegate_protect('run');
call tidegate_protect_engine('run');
grant select, insert on run to tidegate_api;
grant select, update on run to tidegate_engine;

-- Every transition of a run, once, for ever.
create table step_event (
    workspace_id uuid not null,
    run_id uuid not null,
    seq int not null check (seq >= 0),
    at timestamptz not null,
    kind text not null,
    step smallint,
    attempt int,
    body bytea not null,
    primary key (workspace_id, run_id, seq)
) partition by range (run_id);
call tidegate_protect('step_event');
call tidegate_protect_engine('step_event');
grant select on step_event to tidegate_api;
grant select, insert on step_event to tidegate_engine;

insert into partition_plan (parent, span_days) values ('run', 32), ('step_event', 32);
select tidegate_ensure_partitions();

-- The transitions of runs that are live beyond one commit: what a worker rebuilds a run from. Gone when the run has ended.
create table run_journal (
    workspace_id uuid not null,
    run_id uuid not null,
    seq int not null,
    at timestamptz not null,
    body bytea not null,
    primary key (workspace_id, run_id, seq)
);
call tidegate_protect('run_journal');
call tidegate_protect_machinery('run_journal');
grant select, insert, delete on run_journal to tidegate_engine;

-- Which run a key started, per workflow.
create table run_key (
    workspace_id uuid not null,
    workflow_id uuid not null,
    dedupe_key text not null,
    run_id uuid not null,
    input_digest bytea not null,
    created_at timestamptz not null,
    primary key (workspace_id, workflow_id, dedupe_key)
);
create index run_key_by_age on run_key (created_at);
call tidegate_protect('run_key');
call tidegate_protect_machinery('run_key');
grant select, insert, update on run_key to tidegate_api;
grant select, delete on run_key to tidegate_engine;

-- Runs that somebody could work on now. Rows come and go and never change.
create table ready (
    workspace_id uuid not null,
    run_id uuid not null,
    shard smallint not null,
    seq bigint generated always as identity,
    primary key (workspace_id, run_id)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
create index ready_claim on ready (shard, workspace_id, seq);
call tidegate_protect('ready');
call tidegate_protect_machinery('ready');
grant insert on ready to tidegate_api;
grant select, insert, delete on ready to tidegate_engine;

-- Runs that a worker has in hand, and how far each was committed: the guard of every completion.
create table lease (
    workspace_id uuid not null,
    run_id uuid not null,
    shard smallint not null,
    epoch bigint not null,
    next_seq int not null,
    -- Its place among the ready; null where it was claimed by name.
    ready_seq bigint,
    primary key (workspace_id, run_id)
) with (fillfactor = 60, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
create index lease_by_shard on lease (shard, epoch);
call tidegate_protect('lease');
call tidegate_protect_machinery('lease');
grant select, insert, update, delete on lease to tidegate_engine;

-- Times that runs wait for.
create table timer (
    workspace_id uuid not null,
    run_id uuid not null,
    step smallint not null,
    attempt int not null,
    due_at timestamptz not null,
    shard smallint not null,
    primary key (workspace_id, run_id, step)
);
create index timer_due on timer (shard, due_at);
call tidegate_protect('timer');
call tidegate_protect_machinery('timer');
grant select, insert, update, delete on timer to tidegate_engine;

-- Which runs have passed which limit. A gate is a workspace's, or a workflow's for one key.
create table gate_hold (
    workspace_id uuid not null,
    run_id uuid not null,
    gate text not null,
    shard smallint not null,
    primary key (workspace_id, run_id, gate)
);
create index gate_hold_by_shard on gate_hold (shard);
call tidegate_protect('gate_hold');
call tidegate_protect_machinery('gate_hold');
grant select, insert, delete on gate_hold to tidegate_engine;

-- Runs before a gate that is full, in the order in which they came.
create table blocked (
    workspace_id uuid not null,
    gate text not null,
    seq bigint generated always as identity,
    run_id uuid not null,
    shard smallint not null,
    primary key (workspace_id, gate, seq),
    unique (workspace_id, run_id)
);
call tidegate_protect('blocked');
call tidegate_protect_machinery('blocked');
grant select, insert, delete on blocked to tidegate_engine;

-- What comes from outside a run.
create table run_signal (
    workspace_id uuid not null,
    id uuid not null,
    run_id uuid not null,
    shard smallint not null,
    kind text not null check (kind in ('cancel')),
    at timestamptz not null,
    primary key (workspace_id, id)
);
create index run_signal_by_shard on run_signal (shard);
call tidegate_protect('run_signal');
call tidegate_protect_machinery('run_signal');
grant insert on run_signal to tidegate_api;
grant select, delete on run_signal to tidegate_engine;
