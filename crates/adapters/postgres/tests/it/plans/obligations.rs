//! Whatever the store has to do, in workspaces of its own beside those that are full.

use tidegate_testing::contract::{self, Stage};

macro_rules! each {
    (
        everywhere { $($suite:ident { $($obligation:ident)* })* }
        served_only { $($other:tt)* }
    ) => {
        /// Fulfils every obligation, and tells of each when it is done.
        pub async fn fulfil(stage: &Stage, mut done: impl AsyncFnMut(&str)) {
            $($(
                Box::pin(stage.fulfil(contract::$suite::$obligation)).await;
                done(concat!(stringify!($suite), "::", stringify!($obligation))).await;
            )*)*
        }
    };
}

tidegate_testing::obligations!(each);
