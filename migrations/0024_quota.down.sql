drop table quota_alert;
drop table quota_grant;
drop table quota_level;
