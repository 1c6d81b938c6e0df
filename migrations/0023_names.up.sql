-- Two names that said something else: what is requested of a run is no signal, and the consumer that detects patterns is detection.
alter table run_signal rename to run_request;
alter table run_request rename constraint run_signal_pkey to run_request_pkey;
alter table run_request rename constraint run_signal_kind_check to run_request_kind_check;
alter index run_signal_by_shard rename to run_request_by_shard;
alter index run_signal_by_run rename to run_request_by_run;

-- The owner is not bound by row-level security for this statement.
alter table event_consumer no force row level security;
update event_consumer set consumer = 'detection' where consumer = 'patterns';
-- A server of an older release fails here, and does not detect everything again from the beginning.
alter table event_consumer add constraint event_consumer_renamed check (consumer <> 'patterns');
alter table event_consumer force row level security;
