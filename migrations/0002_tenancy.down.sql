drop table audit_entry;
drop table workspace;
