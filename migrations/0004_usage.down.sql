drop table usage_recorder;
drop table usage_counter;
drop table workspace_plan;
