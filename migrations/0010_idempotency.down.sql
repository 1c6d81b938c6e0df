drop table person_idempotency_key;
drop table idempotency_key;
