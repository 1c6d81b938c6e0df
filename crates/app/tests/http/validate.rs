//! `tidegate workflow`: problems as `file:line:column: message`, coming ticks, and exit codes.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output};

fn workflow<A: AsRef<OsStr>>(command: &str, arguments: impl IntoIterator<Item = A>) -> Output {
    let program = env!("CARGO_BIN_EXE_tidegate");
    Command::new(program).args(["workflow", command]).args(arguments).output().expect("the program runs")
}

fn validate(file: &Path) -> Output {
    workflow("validate", [file])
}

fn lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect()
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
    let lines = lines(&bad.stdout);
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

const VALID: &str = "name: good\nsteps: [{id: a, uses: transform}]\n";

#[test]
fn several_files_and_folders_are_checked_at_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    for (name, text) in [
        ("all/one.yaml", VALID),
        ("all/below/two.yml", "name: ''\nsteps: [{id: a, uses: transform}]\n"),
        ("all/below/three.JSON", "{\"name\": \"three\",\n \"steps\": 1}"),
        ("all/notes.txt", "not a document"),
        ("all/.hidden/four.yaml", "not a document"),
        ("other/five.yaml", VALID),
        ("empty/notes.txt", ""),
    ] {
        let path = at(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder is made");
        std::fs::write(path, text).expect("a file is written");
    }
    let all = workflow("validate", [at("all"), at("other/five.yaml"), at("all/one.yaml")]);
    assert_eq!(all.status.code(), Some(1));
    let told = lines(&all.stdout);
    let expected = [
        format!("{}:2:11: expected a list of steps, this is a number", at("all/below/three.JSON").display()),
        format!("{}:1:7: a name must not be empty", at("all/below/two.yml").display()),
    ];
    assert_eq!(told, expected);
    assert_eq!(lines(&all.stderr), ["tidegate: 2 of 4 documents are invalid, with 2 problems"]);

    let good = workflow("validate", [at("all/one.yaml"), at("other")]);
    assert_eq!((good.status.code(), good.stdout.len()), (Some(0), 0));
    assert_eq!(lines(&good.stderr), ["tidegate: 2 documents are valid"]);

    // Unreadable paths are reported before any document is checked.
    for (path, why) in [("nowhere", "cannot read"), ("empty", "holds no *.yaml, *.yml or *.json")] {
        let wrong = workflow("validate", [at("all"), at(path)]);
        assert_eq!((wrong.status.code(), wrong.stdout.len()), (Some(2), 0), "{path}");
        assert!(String::from_utf8_lossy(&wrong.stderr).contains(why), "{wrong:?}");
    }
    assert_eq!(workflow::<&str>("validate", []).status.code(), Some(2));
}

#[test]
fn coming_ticks_are_printed_without_a_server() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, triggers: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("{VALID}triggers: [{triggers}]\n")).expect("a file is written");
        path.display().to_string()
    };
    let berlin = write("berlin.yaml", "{cron: '0 2,14 * * *', timezone: Europe/Berlin}");
    let spring = workflow("schedule", [&berlin, "--from", "2026-03-29T00:00:00Z", "--count", "3"]);
    let expected = [
        "2026-03-29T03:00:00+02:00 2026-03-29T01:00:00Z",
        "2026-03-29T14:00:00+02:00 2026-03-29T12:00:00Z",
        "2026-03-30T02:00:00+02:00 2026-03-30T00:00:00Z",
    ];
    assert_eq!((spring.status.code(), lines(&spring.stdout)), (Some(0), expected.map(str::to_owned).to_vec()));
    // A tick at exactly that time is included.
    let tick = workflow("schedule", [&berlin, "--from", "2026-03-29T03:00:00+02:00", "--count", "1"]);
    assert_eq!(lines(&tick.stdout), expected[..1]);
    // By default, the next ten ticks from now on.
    let now = lines(&workflow("schedule", [&berlin]).stdout);
    assert!(now.len() == 10 && now.is_sorted() && now[0].as_str() > "2026", "{now:?}");

    let several = "{event: {type: a}}, {cron: '0 9 * * MON'}, {cron: '@daily', timezone: Pacific/Apia}";
    let several =
        workflow("schedule", [&write("several.yaml", several), "--from", "2026-06-01T10:00:00Z", "--count", "1"]);
    let expected = [
        "2026-06-08T09:00:00+00:00 2026-06-08T09:00:00Z /triggers/1",
        "2026-06-02T00:00:00+13:00 2026-06-01T11:00:00Z /triggers/2",
    ];
    assert_eq!(lines(&several.stdout), expected);

    let none = workflow("schedule", [&write("none.yaml", "{event: {type: a}}")]);
    assert_eq!((none.status.code(), none.stdout.len()), (Some(0), 0));
    assert!(String::from_utf8_lossy(&none.stderr).contains("has no schedule"));
    let never = write("never.yaml", "{cron: '0 0 30 2 *'}");
    let invalid = workflow("schedule", [&never]);
    assert_eq!(invalid.status.code(), Some(1));
    assert_eq!(lines(&invalid.stdout), [format!("{never}:3:19: this pattern names a time that never comes")]);
    let meant = write("meant.yaml", "{cron: '0 9 * * Mon/2'}");
    let told = lines(&workflow("validate", [&meant]).stdout);
    assert!(told[0].starts_with(&format!("{meant}:3:28: ")), "{told:?}");
    assert!(told[0].ends_with("did you mean `0 9 * * Mon-SAT/2`?"), "{told:?}");
    for wrong in [&["nowhere.yaml"][..], &[&berlin, "--from", "tomorrow"], &[&berlin, "--count", "0"], &[]] {
        let answer = workflow("schedule", wrong);
        assert_eq!((answer.status.code(), answer.stdout.len()), (Some(2), 0), "{wrong:?}");
    }
}
