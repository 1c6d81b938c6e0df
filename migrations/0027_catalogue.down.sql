drop table plan_version;
drop function tidegate_plan_is_final();
