drop table login_challenge;
drop table recovery_code;
drop table factor;

alter table session
    drop column authenticated_at,
    drop column methods;
