drop table run_signal, blocked, gate_hold, timer, lease, ready, run_key, run_journal;
delete from partition_plan where parent in ('run'::regclass, 'step_event'::regclass);
drop table step_event, run, workspace_slot, worker, slot, shard;
