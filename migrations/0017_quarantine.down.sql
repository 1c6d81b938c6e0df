drop policy engine_permit on run_journal;
drop policy engine_restrict on run_journal;
call tidegate_protect_machinery('run_journal');

drop index blocked_by_shard;
revoke update on blocked from tidegate_engine;

alter table run_signal no force row level security;
delete from run_signal where kind <> 'cancel';
alter table run_signal force row level security;
alter table run_signal drop constraint run_signal_kind_check;
alter table run_signal add constraint run_signal_kind_check check (kind in ('cancel'));

-- Whoever drives runs after this finds those that were set aside.
alter table ready no force row level security;
alter table run_quarantine no force row level security;
insert into ready (workspace_id, run_id, shard) select workspace_id, run_id, shard from run_quarantine
on conflict (workspace_id, run_id) do nothing;
alter table ready force row level security;
drop table run_quarantine;
