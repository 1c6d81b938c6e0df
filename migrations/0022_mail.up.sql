-- Mails of an installation without a mail server: kept for people to read instead of sent.
create table kept_mail (
    id uuid primary key,
    at timestamptz not null,
    recipient text not null,
    name text not null,
    subject text not null,
    body_text text not null,
    body_html text not null
);
create index kept_mail_by_age on kept_mail (at);
grant select, insert, delete on kept_mail to tidegate_directory;
