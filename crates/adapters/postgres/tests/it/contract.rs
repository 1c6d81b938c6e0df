//! The contract suites, each obligation in a database of its own.

use tidegate_testing::contract::Stage;
use tidegate_testing::{TestDatabase, contract};

macro_rules! tests {
    (
        everywhere { $($suite:ident { $($obligation:ident)* })* }
        served_only { $($single:ident::$other:ident $reason:literal)* }
    ) => {
        $(mod $suite {
            $(test! { $suite $obligation })*
        })*
        mod served_only {
            $(test! { $single $other })*
        }
    };
}

macro_rules! test {
    ($suite:ident $obligation:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn $obligation() {
            let database = super::TestDatabase::new().await;
            super::Stage::on(&database).await.fulfil(super::contract::$suite::$obligation).await;
        }
    };
}

tidegate_testing::obligations!(tests);
