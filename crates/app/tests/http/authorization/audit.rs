//! Every operation that changes something leaves an entry in the audit log, and a refused operation leaves none.

/// Operations that are recorded elsewhere. The list may only shrink.
const NOT_AUDITED: &str = include_str!("not_audited.txt");
/// The length of [`NOT_AUDITED`] when it was last shortened.
const NOT_AUDITED_AT_MOST: usize = 2;

fn not_audited() -> Vec<&'static str> {
    NOT_AUDITED.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// Checks the number of entries that a request for `operation` has left in the log of its workspace.
pub fn check(operation: &str, done: bool, entries: i64) {
    if !done {
        assert_eq!(entries, 0, "{operation} leaves an entry in the audit log although it was refused");
    } else if !operation.starts_with("GET ") && !not_audited().contains(&operation) {
        assert!(entries > 0, "{operation} leaves no entry in the audit log");
    }
}

#[test]
fn the_list_of_operations_that_are_not_audited_only_shrinks() {
    assert!(not_audited().len() <= NOT_AUDITED_AT_MOST, "every change by a person or a key is audited");
}
