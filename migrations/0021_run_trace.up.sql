-- The trace in which a run was started (W3C Trace Context), so that what the engine does with it later is a part of the same.
alter table run add column traceparent text check (length(traceparent) = 55);
