//! A foreign server like Stripe: the calls that it has, and the signatures of its notifications.

use std::fs;

use super::companion::Companion;
use super::install::Installed;
use super::step;
use crate::failure::{Context, Failure};
use crate::shell;

/// Runs the tests of the adapter that need the server.
pub(super) fn check(installed: &Installed) -> Result<(), Failure> {
    let folder = installed.folder.join("payments");
    fs::create_dir_all(&folder).context(format_args!("making {}", folder.display()))?;
    let server = Companion::start(installed, "payments.py", &folder, folder.join("requests.jsonl"))?;
    let mut test = shell::cargo();
    test.args(["test", "--quiet", "-p", "tidegate-stripe", "--test", "foreign", "--", "--ignored"]);
    step("a server like Stripe", test.env("TIDEGATE_TEST_STRIPE", server.address()))
}
