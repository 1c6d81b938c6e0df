drop table file_task;
drop table file;
