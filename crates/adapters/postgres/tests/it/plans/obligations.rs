//! All obligations of the contract suites, in new workspaces beside full ones.

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use tidegate_testing::contract::{self, Stage};

/// An obligation, as a function that begins it.
type Begin = for<'s> fn(&'s Stage) -> LocalBoxFuture<'s, ()>;

macro_rules! each {
    (
        everywhere { $($suite:ident { $($obligation:ident)* })* }
        served_only { $($other:tt)* }
    ) => {
        /// Every obligation with its name.
        const ALL: &[(&str, Begin)] = &[$($(
            (concat!(stringify!($suite), "::", stringify!($obligation)), |stage| boxed(stage, contract::$suite::$obligation)),
        )*)*];
    };
}

/// Runs every obligation, and calls `done` after each.
pub async fn fulfil(stage: &Stage, mut done: impl AsyncFnMut(&str)) {
    for (name, begin) in ALL {
        begin(stage).await;
        done(name).await;
    }
}

/// An obligation as a future on the heap, so that the stack does not have room for all of them at once.
fn boxed<'s, S: From<Stage> + 's>(stage: &'s Stage, obligation: impl AsyncFnOnce(&S) + 's) -> LocalBoxFuture<'s, ()> {
    stage.fulfil(obligation).boxed_local()
}

tidegate_testing::obligations!(each);
