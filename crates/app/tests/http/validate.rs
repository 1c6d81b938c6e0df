//! `tidegate workflow validate`: problems as `file:line:column: message`, and exit codes that mean something.

use std::process::{Command, Output};

fn validate(file: &std::path::Path) -> Output {
    let program = env!("CARGO_BIN_EXE_tidegate");
    Command::new(program).args(["workflow", "validate"]).arg(file).output().expect("the program runs")
}

#[test]
fn a_document_is_checked_without_a_server() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file is written");
        path
    };
    let good = validate(&write("good.yaml", "name: good\nsteps: [{id: a, uses: transform}]\n"));
    assert_eq!((good.status.code(), good.stdout.len(), good.stderr.len()), (Some(0), 0, 0));

    let file = write(
        "bad.json",
        "{\"name\": \"bad\",\n \"steps\": [{\"id\": \"a\", \"uses\": \"transfrom\", \"with\": 1}]}\n",
    );
    let bad = validate(&file);
    let lines: Vec<String> = String::from_utf8_lossy(&bad.stdout).lines().map(str::to_owned).collect();
    assert_eq!(bad.status.code(), Some(1));
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with(&format!("{}:2:32: there is no step `transfrom`", file.display())), "{lines:?}");
    assert!(
        lines[0].ends_with("did you mean `transform`?") && lines[1].contains(":2:53: expected an object"),
        "{lines:?}"
    );

    let unreadable = validate(&write("broken.yaml", "name: ["));
    assert_eq!(unreadable.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unreadable.stdout).contains("broken.yaml:"));

    let missing = validate(&folder.path().join("nowhere.yaml"));
    assert_eq!((missing.status.code(), missing.stdout.len()), (Some(2), 0));
}
