drop table suggestion;
