drop table event_trigger;
drop table cron_trigger;
