//! The contract suites with a single connection. Starting takes longer than any of the cases, so the cases of a suite
//! share a database.

use tidegate_testing::contract::{self, Stage};

macro_rules! tests {
    (
        everywhere { $($suite:ident { $($obligation:ident)* })* }
        served_only { $($other:tt)* }
    ) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $suite() {
            let database = crate::database().await;
            let stage = Stage::on(&database).await;
            $(
                println!("{}", stringify!($obligation));
                stage.fulfil(contract::$suite::$obligation).await;
            )*
        }
    )*};
}

tidegate_testing::obligations!(tests);
