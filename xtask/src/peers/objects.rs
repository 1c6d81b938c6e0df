//! A foreign S3 server, on which the contract of object stores is run.

use std::fs;

use super::companion::Companion;
use super::install::Installed;
use super::step;
use crate::failure::{Context, Failure};
use crate::shell;

/// Runs the contract of object stores on the server.
pub(super) fn check(installed: &Installed) -> Result<(), Failure> {
    let folder = installed.folder.join("objects");
    fs::create_dir_all(&folder).context(format_args!("making {}", folder.display()))?;
    let server = Companion::start(installed, "objects.py", &folder, folder.join("requests.jsonl"))?;
    let mut test = shell::cargo();
    test.args(["test", "--quiet", "-p", "tidegate-object-store", "--test", "contract", "on_a_foreign_server"]);
    test.args(["--", "--ignored", "--exact", "on_a_foreign_server::every_obligation_is_met"]);
    step("an S3 server", test.env("TIDEGATE_TEST_S3", server.address()))
}
