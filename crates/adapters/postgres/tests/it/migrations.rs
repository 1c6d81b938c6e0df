//! Each migration can be reverted and applied again, also by an owner who is subject to row-level security.

use std::fs;
use std::path::Path;

use tidegate_testing::catalog::lists::WITHOUT_WORKSPACE;
use tidegate_testing::{TestDatabase, schema};

#[tokio::test]
async fn each_goes_up_down_and_up_again() {
    schema::goes_up_down_and_up_again(&TestDatabase::empty().await).await;
}

/// The table whose rows a line of SQL changes.
fn changed(line: &str) -> Option<&str> {
    let after = ["insert into ", "update ", "delete from "].iter().find_map(|verb| line.strip_prefix(verb))?;
    after.split([' ', '(']).next()
}

/// The owner of the tables need not be a superuser, and forced row-level security applies to owners too. A statement
/// that ignores that changes no row and reports no error.
#[test]
fn rows_of_tenants_are_changed_while_row_level_security_does_not_bind_the_owner() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../migrations");
    let mut looked_at = 0;
    for file in fs::read_dir(folder).expect("the migrations") {
        let path = file.expect("a migration").path();
        let text = fs::read_to_string(&path).expect("a migration is text");
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(end, _)| end + 1));
        for (start, line) in starts.map(|start| (start, text[start..].lines().next())) {
            let Some(table) = line.and_then(changed) else { continue };
            if WITHOUT_WORKSPACE.iter().any(|(name, ..)| *name == table) {
                continue;
            }
            looked_at += 1;
            let lifted = format!("alter table {table} no force row level security;");
            let restored = format!("alter table {table} force row level security;");
            let holds = text[..start].contains(&lifted) && text[start..].contains(&restored);
            assert!(holds, "{}: {table} is changed outside of {lifted:?} and {restored:?}", path.display());
        }
    }
    assert!(looked_at >= 5, "no statement is recognized any more");
}
