-- Corrections of usage, which operators make: they are added to what was counted, and never changed. They are kept when
-- their workspace is erased, as the counts are.
create table usage_correction (
    workspace_id uuid not null,
    id uuid not null,
    -- The name that the operator gave it, so that it is not made twice.
    reference text collate "C" not null,
    meter text collate "C" not null check (meter in ('api_calls', 'events', 'runs', 'steps')),
    day timestamptz not null,
    -- What was asked for, and what was added: a day is not corrected below zero.
    asked bigint not null check (asked <> 0),
    amount bigint not null check (amount between least(asked, 0) and greatest(asked, 0)),
    reason text not null,
    at timestamptz not null,
    primary key (workspace_id, id),
    unique (workspace_id, reference)
);
create index usage_correction_by_day on usage_correction (workspace_id, meter, day);
call tidegate_protect('usage_correction');
grant select, insert on usage_correction to tidegate_api;
