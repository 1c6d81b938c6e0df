//! All obligations of the contract suites, in new workspaces beside full ones.

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use tidegate_testing::contract::{self, Stage};

macro_rules! each {
    (
        everywhere { $($suite:ident { $($obligation:ident)* })* }
        served_only { $($other:tt)* }
    ) => {
        /// Runs every obligation, and calls `done` after each.
        pub async fn fulfil(stage: &Stage, mut done: impl AsyncFnMut(&str)) {
            $($(
                boxed(stage, contract::$suite::$obligation).await;
                done(concat!(stringify!($suite), "::", stringify!($obligation))).await;
            )*)*
        }
    };
}

/// An obligation as a future on the heap. It is made in a function of its own: the frame of `fulfil` would otherwise have
/// room for the futures of all obligations at once, which is more than a stack has.
fn boxed<'s, S: From<Stage> + 's>(stage: &'s Stage, obligation: impl AsyncFnOnce(&S) + 's) -> LocalBoxFuture<'s, ()> {
    stage.fulfil(obligation).boxed_local()
}

tidegate_testing::obligations!(each);
