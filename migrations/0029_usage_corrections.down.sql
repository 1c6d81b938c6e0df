drop table usage_correction;
