//! Events on PostgreSQL: added by one function, listed by ids that rise with positions, and read by consumers as a
//! feed.

mod add;
mod feed;
mod list;
mod row;

pub(crate) use add::PgEventRepository;
pub(crate) use feed::{PgEventConsumers, PgEventFeed};
