drop function ingest_events, known_events;
drop function event_id;
delete from partition_plan where parent in ('event'::regclass, 'event_batch'::regclass);
drop table event_consumer;
drop table event_batch;
drop table event;
drop table event_period;
drop table workspace_head;
