//! Files on PostgreSQL.

mod list;
mod repository;
mod row;
mod tasks;

pub(crate) use repository::PgFileRepository;
