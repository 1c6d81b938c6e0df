-- The key that made a key: what it made ends with it, and is erased with it, in whatever order the keys of a workspace are.
alter table api_key add column parent_id uuid;
alter table api_key add constraint api_key_parent_fkey
    foreign key (workspace_id, parent_id) references api_key (workspace_id, id) on delete cascade;
create index api_key_by_parent on api_key (workspace_id, parent_id) where parent_id is not null;
