alter table event_consumer no force row level security;
alter table event_consumer drop constraint event_consumer_renamed;
update event_consumer set consumer = 'patterns' where consumer = 'detection';
alter table event_consumer force row level security;

alter table run_request rename to run_signal;
alter table run_signal rename constraint run_request_pkey to run_signal_pkey;
alter table run_signal rename constraint run_request_kind_check to run_signal_kind_check;
alter index run_request_by_shard rename to run_signal_by_shard;
alter index run_request_by_run rename to run_signal_by_run;
