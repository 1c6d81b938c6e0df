-- Runs that the engine cannot drive. They are set aside with the reason, so that their shard goes on, until an operator
-- releases or ends them.
create table run_quarantine (
    workspace_id uuid not null,
    run_id uuid not null,
    shard smallint not null,
    reason text not null check (reason in ('refused', 'unreadable', 'unsupported')),
    error text not null,
    at timestamptz not null,
    primary key (workspace_id, run_id)
);
-- Operators read it by age, and a worker finds those of its shards.
create index run_quarantine_by_age on run_quarantine (at, run_id);
create index run_quarantine_by_shard on run_quarantine (shard);
call tidegate_protect('run_quarantine');
call tidegate_protect_machinery('run_quarantine');
grant select on run_quarantine to tidegate_api;
grant select, insert, update, delete on run_quarantine to tidegate_engine;

-- What operators want of such a run.
alter table run_signal drop constraint run_signal_kind_check;
alter table run_signal add constraint run_signal_kind_check check (kind in ('cancel', 'release', 'end'));

-- A place that becomes free goes to the first waiting run that nobody else is taking at that moment: skipping locked rows
-- needs the right to update, although nothing is updated.
grant update on blocked to tidegate_engine;
create index blocked_by_shard on blocked (shard);

-- A journal holds what tenants' steps were given and made: the engine sees that of the workspaces it works for.
drop policy engine_permit on run_journal;
drop policy engine_restrict on run_journal;
call tidegate_protect_engine('run_journal');
