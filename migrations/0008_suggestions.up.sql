-- What a rule suggests about a pattern: offered once, answered once.

create table suggestion (
    workspace_id uuid not null references workspace on delete cascade,
    -- Follows from the workspace, the rule and the pattern.
    id uuid not null,
    rule text not null,
    pattern_id uuid not null,
    -- The subject whose growth lowers the confidence.
    basis uuid not null,
    -- In millionths.
    confidence bigint not null check (confidence between 0 and 1000000),
    support bigint not null,
    -- The names and numbers behind it as JSON.
    facts bytea not null,
    status text not null check (status in ('open', 'applied', 'dismissed')),
    workflow_id uuid,
    offered_at timestamptz not null,
    answered_at timestamptz,
    primary key (workspace_id, id),
    unique (workspace_id, rule, pattern_id),
    check ((status = 'open') = (answered_at is null)),
    check ((status = 'applied') = (workflow_id is not null))
);
call tidegate_protect('suggestion');
grant select, insert, update on suggestion to tidegate_api;
create index suggestion_by_confidence on suggestion (workspace_id, status, confidence desc, id desc);
create index suggestion_open_by_basis on suggestion (workspace_id, basis) where status = 'open';
