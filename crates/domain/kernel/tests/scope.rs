//! The guarantees of scopes for code outside this crate.
//!
//! The compiler messages in `tests/ui/*.stderr` belong to one version of the compiler. After an upgrade,
//! `TRYBUILD=overwrite cargo test -p tidegate-kernel --test scope` writes them again; review the difference.

use serde::de::DeserializeOwned;
use tidegate_kernel::{OperatorScope, PersonScope, ScopeIssuer, SystemScope, WorkspaceScope};

#[test]
fn code_without_a_scope_does_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/scope_is_lent.rs");
    cases.compile_fail("tests/ui/no_*.rs");
}

/// Fails to compile if `$type` implements `$trait`: then both implementations of `Ambiguous` apply, and the compiler
/// cannot choose one. Unlike the messages above, this works with every version of the compiler.
macro_rules! never {
    ($type:ty: $trait:path) => {{
        trait Ambiguous<Choice> {
            fn choose() {}
        }
        struct Implemented;
        impl<T: ?Sized> Ambiguous<()> for T {}
        impl<T: $trait> Ambiguous<Implemented> for T {}
        <$type as Ambiguous<_>>::choose();
    }};
}

#[test]
fn a_scope_is_never_copied_defaulted_or_read_from_input() {
    never!(WorkspaceScope: Clone);
    never!(WorkspaceScope: Default);
    never!(WorkspaceScope: DeserializeOwned);
    never!(PersonScope: Clone);
    never!(PersonScope: Default);
    never!(PersonScope: DeserializeOwned);
    never!(OperatorScope: Clone);
    never!(OperatorScope: Default);
    never!(OperatorScope: DeserializeOwned);
    never!(SystemScope: Clone);
    never!(SystemScope: Default);
    never!(SystemScope: DeserializeOwned);
    never!(ScopeIssuer: Clone);
    never!(ScopeIssuer: Default);
    never!(ScopeIssuer: DeserializeOwned);
}
