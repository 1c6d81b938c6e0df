//! A foreign mail server, and the mails that it must receive from the tours.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::companion::Companion;
use super::install::Installed;
use crate::failure::{Context, Failure};

/// A mail server that requires STARTTLS and a login.
pub(super) struct MailServer {
    companion: Companion,
    folder: PathBuf,
}

impl MailServer {
    /// Starts it on a free port.
    pub(super) fn start(installed: &Installed) -> Result<Self, Failure> {
        println!("peers: a mail server");
        let folder = installed.folder.join("mail");
        fs::create_dir_all(&folder).context(format_args!("making {}", folder.display()))?;
        let companion = Companion::start(installed, "mailbox.py", &folder, folder.join("mails.jsonl"))?;
        Ok(Self { companion, folder })
    }

    /// The settings of a server that sends mails to it.
    pub(super) fn environment(&self) -> [(&'static str, String); 4] {
        let certificates = self.folder.join("ca.pem").display().to_string();
        [
            ("SMTP_URL", format!("smtp://tidegate:p%40ss@localhost:{}", self.companion.address())),
            ("TIDEGATE_MAIL_FROM", "Tidegate <no-reply@example.org>".to_owned()),
            ("TIDEGATE_PUBLIC_URL", "https://tidegate.example.org".to_owned()),
            ("SSL_CERT_FILE", certificates),
        ]
    }

    /// Waits until the mails of the tours have arrived.
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.companion.wait("the mails of the tours", |mails| mails.iter().any(is_whole))
    }
}

/// Whether a mail arrived encrypted, from the expected sender, and can be parsed by another program.
fn is_whole(mail: &Value) -> bool {
    let text = |name: &str| mail[name].as_str().unwrap_or_default();
    mail["tls"] == true
        && text("user") == "tidegate"
        && text("from") == "Tidegate <no-reply@example.org>"
        && text("id").ends_with("@example.org>")
        && mail["defects"].as_array().is_some_and(Vec::is_empty)
        && text("text").starts_with("Hello ")
        && text("text").contains("https://tidegate.example.org/account/verify#tgl_")
        && text("html").contains("</html>")
        && !text("subject").is_empty()
}
