drop table pattern_link;
drop table pattern_oversized;
drop table pattern_member;
drop table pattern_day;
drop table pattern_subject;
drop table pattern;
drop table pattern_term;
drop table pattern_totals;
