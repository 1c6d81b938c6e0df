drop table audit_entry;
drop table api_key;
drop table locator;
-- The policies of workspaces look into memberships.
drop policy directory_permit on workspace;
drop policy directory_restrict on workspace;
drop table membership;
drop table workspace;
drop table account_event;
drop table signing_key;
drop table refresh_token;
drop table session;
drop table person;
