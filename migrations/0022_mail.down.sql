drop table kept_mail;
