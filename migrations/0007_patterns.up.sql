-- What detection has counted behind the insert. Everything is a sum of contributions, so that it can be taken away again.
-- Subjects, actors, sessions and tools stand as terms: the first 128 bits of SHA-256 over the text. No table but the first has
-- a foreign key to workspace: its check would cost each row more than an index does.

create table pattern_totals (
    workspace_id uuid primary key references workspace on delete cascade,
    events bigint not null,
    active_days bigint not null,
    -- Sessions that make pairs, and those that are too large to.
    sessions bigint not null,
    oversized_sessions bigint not null
) with (fillfactor = 50);
call tidegate_protect('pattern_totals');
grant select, insert, update on pattern_totals to tidegate_api;

-- The texts behind the terms.
create table pattern_term (
    workspace_id uuid not null,
    term uuid not null,
    text text collate "C" not null,
    primary key (workspace_id, term)
);
call tidegate_protect('pattern_term');
grant select, insert on pattern_term to tidegate_api;

-- One row per thing that can be a pattern. It is shown from a support of 3 on.
create table pattern (
    workspace_id uuid not null,
    -- Follows from the workspace and the columns up to b.
    id uuid not null,
    kind text not null check (kind in ('frequency', 'sequence', 'co_occurrence')),
    dimension text check (dimension in ('extension', 'tool', 'hour', 'subject')),
    a uuid not null,
    b uuid not null,
    support bigint not null,
    -- Frequency: on how many days. Sequence: the gaps, summed.
    days bigint not null,
    gap_ms bigint not null,
    primary key (workspace_id, id),
    check ((kind = 'frequency') = (dimension is not null))
);
call tidegate_protect('pattern');
grant select, insert, update, delete on pattern to tidegate_api;
create index pattern_strongest on pattern (workspace_id, kind, support desc, id desc) where support >= 3;

-- What is known of a subject by itself: what confidences are shares of.
create table pattern_subject (
    workspace_id uuid not null,
    subject uuid not null,
    sessions bigint not null,
    touches bigint not null,
    primary key (workspace_id, subject)
);
call tidegate_protect('pattern_subject');
grant select, insert, update on pattern_subject to tidegate_api;

-- Frequency by day of event time (UTC).
create table pattern_day (
    workspace_id uuid not null,
    dimension text not null check (dimension in ('all', 'extension', 'tool', 'hour', 'subject')),
    value uuid not null,
    day date not null,
    events bigint not null,
    first_at timestamptz not null,
    last_at timestamptz not null,
    last_event uuid not null,
    primary key (workspace_id, dimension, value, day)
);
call tidegate_protect('pattern_day');
grant select, insert, update on pattern_day to tidegate_api;

-- Each subject of each session, with its first event there.
create table pattern_member (
    workspace_id uuid not null,
    session uuid not null,
    subject uuid not null,
    at timestamptz not null,
    event_id uuid not null,
    primary key (workspace_id, session, subject)
);
call tidegate_protect('pattern_member');
grant select, insert, update on pattern_member to tidegate_api;
create index pattern_member_by_subject on pattern_member (workspace_id, subject, at, event_id);

-- Sessions of over 100 subjects, which make no pairs.
create table pattern_oversized (
    workspace_id uuid not null,
    session uuid not null,
    primary key (workspace_id, session)
);
call tidegate_protect('pattern_oversized');
grant select, insert on pattern_oversized to tidegate_api;

-- Each actor's events in the order that sequences are found in.
create table pattern_link (
    workspace_id uuid not null,
    actor uuid not null,
    at timestamptz not null,
    subject uuid not null,
    event_id uuid not null,
    session uuid,
    primary key (workspace_id, actor, at, subject, event_id)
);
call tidegate_protect('pattern_link');
grant select, insert on pattern_link to tidegate_api;
create index pattern_link_by_subject on pattern_link (workspace_id, subject, at, event_id);
