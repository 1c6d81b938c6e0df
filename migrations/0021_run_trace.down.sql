alter table run drop column traceparent;
