drop function tidegate_ensure_partitions();
drop table partition_plan;
drop procedure tidegate_protect_machinery(regclass);
drop procedure tidegate_protect_engine(regclass);
drop procedure tidegate_protect(regclass);
drop function tidegate_person();
drop function tidegate_workspaces();
drop function tidegate_workspace();
revoke usage on schema public from tidegate_api, tidegate_engine, tidegate_directory;
