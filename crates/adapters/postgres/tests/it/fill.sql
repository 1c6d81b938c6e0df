-- Rows in every table of tenants: one workspace that is full and thirty that have ten rows of each. {big} is the full one, {rows} how
-- many rows it has of each, {shard} the shard of its runs, {due} how many of its triggers are due. A new table is a line here.
create temporary table filling as
    select '{big}'::uuid as workspace_id, n, extract(epoch from now())::bigint * 1000 - {rows} + n as ms
    from generate_series(1, {rows}) n
    union all
    select event_id(1, small, 7), n, extract(epoch from now())::bigint * 1000 - {rows} + n
    from generate_series(1, 30) small, generate_series(1, 10) n;
insert into workspace (workspace_id, name, slug, created_at)
    select distinct workspace_id, 'w', 'w' || workspace_id, now() from filling where workspace_id <> '{big}';

insert into workspace_plan (workspace_id, plan, version, since)
    select distinct workspace_id, 'unlimited', 1, now() from filling on conflict do nothing;
insert into workspace_slot (workspace_id, slot) select distinct workspace_id, 1 from filling on conflict do nothing;
insert into usage_counter (workspace_id, meter, period_start, used)
    select workspace_id, 'runs', date_trunc('month', now()) + n * interval '1 month', 1 from filling;
insert into usage_correction (workspace_id, id, reference, meter, day, asked, amount, reason, at)
    select workspace_id, gen_random_uuid(), n::text, 'runs', date_trunc('day', now()) + n * interval '1 day', 1, 1, 'r', now()
    from filling;
insert into quota_level (workspace_id, meter, used)
    select distinct workspace_id, meter, 1 from filling cross join unnest('{storage_bytes,workflows,members}'::text[]) meter
    on conflict do nothing;
insert into quota_grant (workspace_id, meter, period_start, granted)
    select workspace_id, 'runs', date_trunc('month', now()) + n * interval '1 month', 1 from filling;
insert into quota_alert (workspace_id, meter, period_start, percent, used, max, at)
    select workspace_id, 'runs', date_trunc('month', now()) + n * interval '1 month', 80, 8, 10, now() from filling;
insert into event_day (workspace_id, day, used)
    select workspace_id, date_trunc('month', now()) + n * interval '1 month', 1 from filling;

-- One run in a thousand has failed, and one workflow has two runs.
insert into run (workspace_id, id, workflow_id, version, shard, status, trigger, input, depth, request_id, created_at)
    select workspace_id, event_id(ms, n, 0), event_id(1, case when n in (7, 77) then 99 else n % 10 end, 1), 1, {shard},
        case when n % 1000 = 0 then 'failed' when n > {rows} - 200 then 'pending' else 'completed' end, '{}', '{}', 0, 'r', now()
    from filling;
insert into ready (workspace_id, run_id, shard) select workspace_id, event_id(ms, n, 0), {shard} from filling where n % 3 <> 1 order by n desc;
insert into lease (workspace_id, run_id, shard, epoch, next_seq)
    select workspace_id, event_id(ms, n, 0), {shard}, 1000, 1 from filling where n % 3 = 1;
insert into run_journal (workspace_id, run_id, seq, at, body) select workspace_id, event_id(ms, n, 0), 0, now(), '{}' from filling;
insert into step_event (workspace_id, run_id, seq, at, kind, body)
    select workspace_id, event_id(ms, n, 0), 0, now(), 'run_started', '{}' from filling;
insert into timer (workspace_id, run_id, step, attempt, due_at, shard)
    select workspace_id, event_id(ms, n, 0), 0, 1, now() + n * interval '1 day', {shard} from filling;
insert into gate_hold (workspace_id, run_id, gate, shard) select workspace_id, event_id(ms, n, 0), 'held', 99 from filling;
insert into blocked (workspace_id, gate, run_id, shard) select workspace_id, 'workspace', event_id(ms, n, 0), 99 from filling where n % 3 = 1;
insert into run_request (workspace_id, id, run_id, shard, kind, at)
    select workspace_id, event_id(ms, n, 5), event_id(ms, n, 0), 99, 'cancel', now() from filling;
insert into run_key (workspace_id, workflow_id, dedupe_key, run_id, input_digest, created_at)
    select workspace_id, event_id(1, 1, 1), 'key ' || n, event_id(ms, n, 0), '', now() from filling;

insert into workspace_head (workspace_id, position, last_ms, period_start)
    select workspace_id, max(n), max(ms), '1970-01-01' from filling group by workspace_id
    on conflict (workspace_id) do update set position = excluded.position, last_ms = excluded.last_ms;
insert into event (workspace_id, id, position, dedupe_key, type, source, sender_id, subject, time, actor)
    select workspace_id, event_id(ms, n, 0), n, gen_random_uuid(), 'type ' || n % 10, 'source', n, 'subject ' || n % 100,
        now() - ({rows} - n) * interval '1 second', case when n in (7, 77) then 'rare' else 'actor ' || n % 20 end
    from filling;
insert into event_batch (workspace_id, position, first_id)
    select workspace_id, n, event_id(ms - 9, n - 9, 0) from filling where n % 10 = 0;
insert into event_consumer (workspace_id, consumer, position)
    select workspace_id, consumer, max(n) - 10 from filling cross join unnest('{reader,detection}'::text[]) consumer
    group by workspace_id, consumer
    on conflict (workspace_id, consumer) do update set position = excluded.position;

insert into workflow (workspace_id, id, name, revision, latest_version, created_at, updated_at)
    select workspace_id, event_id(ms, n, 0), 'w ' || n, 1, 1, now(), now() from filling;
insert into workflow_version (workspace_id, workflow_id, version, name, format, source, created_at)
    select f.workspace_id, event_id(f.ms, 1, 0), v.n, 'w', 'yaml', '', now()
    from filling f join filling v using (workspace_id) where f.n = 1;
insert into cron_trigger (workspace_id, workflow_id, ordinal, version, next_fire)
    select workspace_id, event_id(ms, n, 0), 0, 1, now() + (n - {due}) * interval '1 hour' from filling;
insert into event_trigger (workspace_id, workflow_id, ordinal, version, event_type, after_position)
    select workspace_id, event_id(ms, n, 0), 0, 1, 'type ' || n, 0 from filling;

insert into audit_entry (workspace_id, id, at, actor_kind, actor_id, action, resource, details, request_id)
    select workspace_id, event_id(ms, n, 0), now(), 'person', event_id(1, case when n in (7, 77) then 99 else 1 end, 2),
        case when n in (8, 88) then 'rare' else 'usual' end, case when n in (9, 99) then 'rare' else 'usual' end, '{}', 'r'
    from filling;
insert into membership (workspace_id, user_id, role, joined_at)
    select workspace_id, event_id(ms, n, 0), 'member', now() + n * interval '1 second' from filling;
insert into api_key (workspace_id, id, name, visible, scopes, created_by, created_at, revoked_at)
    select workspace_id, event_id(ms, n, 0), 'k', 'k', '{}', event_id(1, 1, 2), now(),
        case when n % 1000 <> 0 then now() end
    from filling;
insert into locator (workspace_id, kind, digest, object_id)
    select workspace_id, 'api_key', sha256((workspace_id::text || n)::bytea), event_id(ms, n, 0) from filling;
-- Subjects in sessions of three, by twenty actors, a second apart; each subject on ten days.
create function pg_temp.term(text) returns uuid language sql immutable as
    $$ select encode(substring(sha256(convert_to($1, 'UTF8')) for 16), 'hex')::uuid $$;
create temporary table counted as
    select workspace_id, n, ms, pg_temp.term('subject ' || n) as a, pg_temp.term('subject ' || n + 1) as b,
        pg_temp.term('session ' || n / 3) as session, pg_temp.term('actor ' || n % 20) as actor,
        now() - ({rows} - n) * interval '1 second' as at
    from filling;
insert into pattern_totals (workspace_id, events, active_days, sessions, oversized_sessions)
    select workspace_id, count(*), 10, count(*) / 3, 0 from counted group by workspace_id
    on conflict (workspace_id) do nothing;
insert into pattern_term (workspace_id, term, text)
    select workspace_id, a, 'subject ' || n from counted union select workspace_id, b, 'subject ' || n + 1 from counted
    on conflict do nothing;
insert into pattern_subject (workspace_id, subject, sessions, touches)
    select workspace_id, a, 4, 5 from counted on conflict do nothing;
insert into pattern_day (workspace_id, dimension, value, day, events, first_at, last_at, last_event)
    select workspace_id, 'subject', a, current_date - n % 10, 1, at, at, event_id(ms, n, 0) from counted on conflict do nothing;
insert into pattern_member (workspace_id, session, subject, at, event_id)
    select workspace_id, session, unnest(array[a, b]), at, event_id(ms, n, 0) from counted on conflict do nothing;
insert into pattern_link (workspace_id, actor, at, subject, event_id, session)
    select workspace_id, actor, at, a, event_id(ms, n, 0), session from counted
    union all
    select workspace_id, actor, at + interval '1 millisecond', b, event_id(ms, n, 9), session from counted;
insert into pattern (workspace_id, id, kind, dimension, a, b, support, days, gap_ms)
    select workspace_id, event_id(ms, n, 3), (array['frequency', 'sequence', 'co_occurrence'])[n % 3 + 1],
        case when n % 3 = 0 then 'subject' end, a, b, n % 50, 5, 10
    from counted;
insert into suggestion (workspace_id, id, rule, pattern_id, basis, confidence, support, facts, status, offered_at, answered_at)
    select workspace_id, event_id(ms, n, 4), 'r', event_id(ms, n, 3), a, 400000 + n, n % 50, convert_to(json_build_object(
            'kind', 'frequency', 'dimension', 'subject', 'value', 'subject ' || n, 'days', 5, 'active_days', 10, 'all_events', {rows}
        )::text, 'UTF8'), case when n % 2 = 0 then 'open' else 'dismissed' end, now(), case when n % 2 <> 0 then now() end
    from counted;
insert into pattern_oversized (workspace_id, session) select workspace_id, event_id(ms, n, 0) from counted;
drop table counted;

insert into idempotency_key (workspace_id, actor_id, digest, fingerprint, claimed_until, kept_until)
    select workspace_id, event_id(1, 1, 2), sha256(n::text::bytea), sha256(''), now(), now() + n * interval '1 hour' from filling;
insert into run_quarantine (workspace_id, run_id, shard, reason, error, at)
    select workspace_id, event_id(ms, n, 6), {shard}, 'refused', 'e', now() - n * interval '1 second' from filling;

-- Jobs, a quarter of them in each place.
insert into job (workspace_id, id, shard, kind, payload, priority, is_unique, attempts, created_at, cancelled, request_id)
    select workspace_id, event_id(ms, n, 7), {shard}, 'kind ' || n % 10, '{}', 1, false, 0, now(), false, 'r' from filling;
insert into job_ready (workspace_id, job_id, shard, kind, priority, is_unique, attempts, since)
    select workspace_id, event_id(ms, n, 7), {shard}, 'kind ' || n % 10, 1, false, 0, now() from filling where n % 4 = 0;
insert into job_later (workspace_id, job_id, shard, kind, priority, run_at, is_unique, attempts)
    select workspace_id, event_id(ms, n, 7), {shard}, 'kind ' || n % 10, 1, now() + n * interval '1 day', false, 0
    from filling where n % 4 = 1;
insert into job_lease (workspace_id, job_id, shard, epoch, kind, priority, attempts)
    select workspace_id, event_id(ms, n, 7), {shard}, 1000, 'kind ' || n % 10, 1, 0 from filling where n % 4 = 2;
insert into job_dead (workspace_id, job_id, shard, kind, attempts, error, at)
    select workspace_id, event_id(ms, n, 7), {shard}, 'kind ' || n % 10, 1, 'e', now() - n * interval '1 second'
    from filling where n % 4 = 3;

-- Files, one in ten of them deleted, and what is to be done about these.
insert into file (workspace_id, id, name, content_type, size, sha256, state, metadata, revision, uploader_kind, uploader_id,
        created_at, uploaded_at, deleted_at, purge_at)
    select workspace_id, event_id(ms, n, 8), 'file ' || n, 'type/' || n % 10, n, sha256(n::text::bytea),
        case when n % 10 = 0 then 'deleted' else 'uploaded' end, '{}', 1, 'person', event_id(1, n % 20, 2), now(), now(),
        case when n % 10 = 0 then now() end, case when n % 10 = 0 then now() + n * interval '1 hour' end
    from filling;
insert into file_task (workspace_id, file_id, task, due_at)
    select workspace_id, event_id(ms, n, 8), 'purge', now() + n * interval '1 hour' from filling where n % 10 = 0;

-- Invoices, one of a hundred of them open, each with a line and its transaction.
insert into subscription (workspace_id, status, state, changed_at, wake_at)
    select distinct workspace_id, 'active', '\x7b7d'::bytea, now(), now() + interval '1 day' from filling on conflict do nothing;
insert into payment_customer (workspace_id, provider, customer, created_at)
    select distinct workspace_id, 'p', 'c', now() from filling;
insert into billing_details (workspace_id, details, revision, changed_at)
    select distinct workspace_id, '{}'::bytea, 1, now() from filling;
insert into billing_notice (workspace_id, id, sent_at) select workspace_id, event_id(ms, n, 8), now() from filling;
insert into promo_redemption (workspace_id, code, percent_ppm, invoices_left, redeemed_at)
    select workspace_id, 'CODE-' || n, 1000, case when n % 100 = 0 then 3 else 0 end, now() from filling;
insert into invoice (workspace_id, id, number, status, currency, period_start, period_end, subtotal, tax, total, carried_forward,
        credit_applied, issued_at, due_at, paid_at)
    select workspace_id, event_id(ms, n, 8), n + 1, case when n % 100 = 0 then 'open' else 'paid' end, 'EUR', now(), now(), 100, 19,
        119, 0, 0, now(), now(), case when n % 100 <> 0 then now() end
    from filling;
insert into invoice_line (workspace_id, invoice_id, line, description, quantity, unit_amount, amount, tax, tax_ppm, tax_inclusive, facts)
    select workspace_id, event_id(ms, n, 8), 1, 'd', 1, 100, 100, 19, 190000, false, '{"kind": "carried_forward"}' from filling;
insert into payment (workspace_id, id, invoice_id, attempt, provider, provider_id, state, amount, currency, credited, created_at,
        changed_at)
    select workspace_id, event_id(ms, n, 8), event_id(ms, n, 8), 0, 'p', n::text, 'succeeded', 119, 'EUR', 0, now(), now() from filling;
insert into credit_note (workspace_id, id, number, invoice_id, currency, total, tax, reason, issued_at)
    select workspace_id, event_id(ms, n, 8), n + 1, event_id(ms, n, 8), 'EUR', 10, 1, 'r', now() from filling;
insert into ledger_transaction (workspace_id, id, at, cause, currency, invoice_id)
    select workspace_id, event_id(ms, n, 8), now(), 'invoice', 'EUR', event_id(ms, n, 8) from filling;
-- The entries balance. To check so many one by one takes a minute.
alter table ledger_entry disable trigger ledger_balances;
insert into ledger_entry (workspace_id, transaction_id, line, account, currency, amount)
    select workspace_id, event_id(ms, n, 8), line, account, 'EUR', amount
    from filling, (values (1, 'receivable', 119), (2, 'revenue', -100), (3, 'tax', -19)) e (line, account, amount);
alter table ledger_entry enable trigger ledger_balances;
drop table filling;
