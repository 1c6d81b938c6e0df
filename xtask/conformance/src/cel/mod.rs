//! The conformance tests of CEL: <https://github.com/cel-expr/cel-spec>, `tests/simple/testdata`.
//!
//! The variables of a test become `cel.bind(name, literal, …)` around its expression. Real variables would not do:
//! Tidegate's have fixed roots and JSON values, which do not distinguish an int from a uint.

mod case;
mod literal;
mod textproto;

use std::fs;
use std::path::Path;

use crate::Failure;
use crate::report::{Outcome, Report};
use case::Case;
use textproto::Message;

/// Files for features that expressions do not have.
const LEFT_OUT: [(&str, &str); 3] = [
    ("block_ext", "cel.block and cel.index are for the output of optimizers"),
    ("network_ext", "there are no functions on network addresses"),
    ("proto2_ext", MESSAGES),
];

const MESSAGES: &str = "there are no protobuf messages: bindings are JSON";

/// Words in expressions that are about messages, their fields or their enums.
const MESSAGE_WORDS: [&str; 7] =
    ["TestAllTypes", "TestAllRequired", "NestedMessage", "GlobalEnum", "NestedEnum", "cel.expr.", "proto.getExt"];

/// Protobuf types that are plain values here.
const NAMED_TYPES: [&str; 2] = ["google.protobuf.Timestamp", "google.protobuf.Duration"];

/// Reads every file of `folder` and evaluates every test.
pub(crate) fn run(folder: &Path, report: &mut Report) -> Result<(), Failure> {
    let read = |cause| Failure::Read { path: folder.to_owned(), cause };
    let entries = fs::read_dir(folder).map_err(read)?.collect::<Result<Vec<_>, _>>().map_err(read)?;
    let mut paths: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "textproto"));
    paths.sort();
    for path in paths {
        let text = fs::read_to_string(&path).map_err(|cause| Failure::Read { path: path.clone(), cause })?;
        let file = textproto::parse(&text).map_err(|detail| Failure::Format { path: path.clone(), detail })?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for section in file.messages("section") {
            for test in section.messages("test") {
                let case_name = format!("{}/{}", section.text("name"), test.text("name"));
                report.add(&name, &case_name, outcome(&name, test));
            }
        }
    }
    Ok(())
}

fn outcome(file: &str, test: &Message) -> Outcome {
    if let Some(reason) = reason_to_skip(file, test) {
        return Outcome::Skipped(reason);
    }
    match Case::of(test) {
        Err(reason) => Outcome::Skipped(reason),
        Ok(case) => match case.check() {
            Ok(()) => Outcome::Passed,
            Err(detail) => Outcome::Failed(format!("`{}` {detail}", test.text("expr"))),
        },
    }
}

fn reason_to_skip(file: &str, test: &Message) -> Option<&'static str> {
    if let Some((_, reason)) = LEFT_OUT.iter().find(|(name, _)| *name == file) {
        return Some(reason);
    }
    if test.text("check_only") == "true" {
        return Some("types are not deduced without evaluating");
    }
    if test.text("disable_macros") == "true" {
        return Some("macros are always there");
    }
    let mut expression = test.text("expr");
    for name in NAMED_TYPES {
        expression = expression.replace(name, "");
    }
    let literal = expression.as_bytes().windows(2).any(|pair| pair[0].is_ascii_alphanumeric() && pair[1] == b'{');
    let about_messages = literal || MESSAGE_WORDS.iter().any(|word| expression.contains(word));
    (about_messages || expression.contains("google.protobuf.")).then_some(MESSAGES)
}
