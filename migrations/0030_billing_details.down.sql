alter table invoice drop parties;
drop table billing_details;
