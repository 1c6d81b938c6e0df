alter table workflow drop constraint workflow_published;
drop table workflow_version;
drop table workflow;
