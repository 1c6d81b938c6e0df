drop index refresh_token_succession;
alter table refresh_token drop column successor_salt;
