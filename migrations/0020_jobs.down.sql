drop index person_idempotency_key_by_age;
revoke select (workspace_id, actor_id, digest, kept_until), delete on idempotency_key from tidegate_directory;
drop policy directory_permit on idempotency_key;
drop policy directory_restrict on idempotency_key;
drop index idempotency_key_by_age;
drop index usage_recorder_by_age;
revoke select (workspace_id, meter, period_start), delete on usage_counter from tidegate_directory;
drop policy directory_permit on usage_counter;
drop policy directory_restrict on usage_counter;
drop index usage_counter_by_period;
revoke delete on session, account_event from tidegate_directory;
drop index session_by_end;

drop table job_schedule, job_dead, job_lease, job_later, job_ready, job;
revoke select on slot from tidegate_directory;
drop procedure tidegate_protect_installation(regclass);
drop function tidegate_installation();
