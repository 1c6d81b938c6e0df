-- A used refresh token gets its successor once more while nobody has used that. The successor is made of the token that is
-- presented and of this salt; neither token is stored, and the salt is forgotten when the successor is used.
alter table refresh_token add column successor_salt bytea
    constraint refresh_token_successor_salt_check check (length(successor_salt) = 32);
-- Only the last used token of a family has one.
create unique index refresh_token_succession on refresh_token (session_id) where successor_salt is not null;
