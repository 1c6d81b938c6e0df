//! All obligations of the contract suites, in new workspaces beside full ones.

use tidegate_testing::contract::{self, Stage};

macro_rules! each {
    (
        everywhere { $($suite:ident { $($obligation:ident)* })* }
        served_only { $($other:tt)* }
    ) => {
        /// Runs every obligation, and calls `done` after each.
        pub async fn fulfil(stage: &Stage, mut done: impl AsyncFnMut(&str)) {
            $($(
                Box::pin(stage.fulfil(contract::$suite::$obligation)).await;
                done(concat!(stringify!($suite), "::", stringify!($obligation))).await;
            )*)*
        }
    };
}

tidegate_testing::obligations!(each);
