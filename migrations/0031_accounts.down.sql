alter table account_event
    drop column user_agent,
    drop column address;

drop table account_link;

alter table session
    drop column last_address,
    drop column remember;

-- Deactivated accounts stay closed: no password has this hash.
update person set password_hash = '!' where deactivated_at is not null;
alter table person
    drop column links_void_until,
    drop column deactivated_at,
    drop column notify_billing,
    drop column notify_usage,
    drop column time_zone,
    drop column language,
    drop column email_verified_at;

alter table person drop constraint person_email_key_key;
update person set email = lower(email);
alter table person add constraint person_email_key unique (email);
alter table person drop column email_key;
