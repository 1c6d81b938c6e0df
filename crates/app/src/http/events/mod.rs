//! Events: taken in with a verdict each, and listed.

mod ingest;
mod list;

use tidegate_events::{IngestError, ListEventsError, ReadEventError};
use utoipa_actix_web::service_config::ServiceConfig;

use super::problem::Problem;

pub use ingest::{IngestView, POSITION, RejectedView};
pub use list::EventView;

pub(super) fn configure(config: &mut ServiceConfig<'_>) {
    config.service(ingest::ingest).service(list::list).service(list::get_one);
}

impl From<IngestError> for Problem {
    fn from(error: IngestError) -> Self {
        match error {
            IngestError::Forbidden(error) => error.into(),
            IngestError::Store(error) => error.into(),
        }
    }
}

impl From<ReadEventError> for Problem {
    fn from(error: ReadEventError) -> Self {
        match error {
            ReadEventError::Forbidden(error) => error.into(),
            ReadEventError::NotFound => Self::not_found(),
            ReadEventError::Store(error) => error.into(),
        }
    }
}

impl From<ListEventsError> for Problem {
    fn from(error: ListEventsError) -> Self {
        match error {
            ListEventsError::Forbidden(error) => error.into(),
            ListEventsError::Store(error) => error.into(),
        }
    }
}
