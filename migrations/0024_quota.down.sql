revoke update (run_limit) on workspace_slot from tidegate_api;
drop table quota_alert;
drop table quota_grant;
drop table quota_level;
