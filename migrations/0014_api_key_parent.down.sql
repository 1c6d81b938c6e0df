drop index api_key_by_parent;
alter table api_key drop constraint api_key_parent_fkey;
alter table api_key drop column parent_id;
