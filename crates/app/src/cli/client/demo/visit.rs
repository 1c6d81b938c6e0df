//! How to go on after the demo.

use super::screen::Screen;

/// The login that the demo has used.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    pub(super) email: String,
    pub(super) password: String,
    pub(super) workspace: String,
    pub(super) token: String,
    /// The subject that the published workflow listens to; empty if it listens to none.
    pub(super) subject: String,
}

impl Screen {
    /// Prints the address, the login and three things to try.
    pub(crate) fn visit(&self, base: &str, login: &Login, ends_with_us: bool) {
        let Login { email, password, workspace, token, subject } = login;
        self.chapter("Look around");
        self.item(&format!("address     {}", self.strong(base)));
        self.item(&format!("e-mail      {email}"));
        self.item(&format!("password    {password}"));
        self.item(&format!("workspace   {workspace}"));
        self.item(&format!("the API     {base}/docs"));
        self.line("");
        self.line("   Three things to try (the token is good for 30 minutes):");
        self.line(&format!("   export TOKEN={token}"));
        let ws = format!("{base}/api/v1/workspaces/{workspace}");
        let curl = "curl -s -w '\\n' -H \"Authorization: Bearer $TOKEN\"";
        let event = serde_json::json!({
            "specversion": "1.0", "id": "mine-1", "source": "/me", "type": "file.modified",
            "subject": if subject.is_empty() { "README.md" } else { subject },
        });
        let event = event.to_string().replace('\'', "'\\''");
        let starts =
            if subject.is_empty() { "an event of your own" } else { "an event of your own; it starts the workflow" };
        let send = format!("{curl} -H 'Content-Type: application/cloudevents+json' '{ws}/events' -d '{event}'");
        for (what, command) in [
            (starts, send),
            ("the runs, with what started them", format!("{curl} '{ws}/runs'")),
            ("what usually follows what", format!("{curl} '{ws}/patterns?kind=sequence&limit=5'")),
        ] {
            self.line(&format!("   {}\n   {command}", self.faint(&format!("# {what}"))));
        }
        if ends_with_us {
            self.line("");
            self.line(&self.strong("   Ctrl-C ends it."));
        }
    }
}
