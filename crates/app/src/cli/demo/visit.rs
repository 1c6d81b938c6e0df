//! What is left behind for whoever wants to look around.

use super::screen::Screen;

/// Who the demo was.
#[derive(Debug, Clone)]
pub(super) struct Login {
    pub(super) email: String,
    pub(super) password: String,
    pub(super) workspace: String,
    pub(super) token: String,
}

impl Screen {
    /// The address, the log-in and three things to try.
    pub(super) fn visit(&self, base: &str, login: &Login) {
        let Login { email, password, workspace, token } = login;
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
        for (what, command) in [
            (
                "what usually follows what",
                format!("curl -s -H \"Authorization: Bearer $TOKEN\" '{ws}/patterns?kind=sequence&limit=5'"),
            ),
            (
                "what the workflow sent",
                format!("curl -s -H \"Authorization: Bearer $TOKEN\" '{ws}/events?type=reminder.co_change'"),
            ),
            (
                "an event of your own",
                format!(
                    "curl -s -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/cloudevents+json' '{ws}/events' \\\n     -d '{{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/me\",\"type\":\"file.modified\",\"subject\":\"README.md\"}}'"
                ),
            ),
        ] {
            self.line(&format!("   {}\n   {command}", self.faint(&format!("# {what}"))));
        }
        self.line("");
        self.line(&self.strong("   Ctrl-C ends it."));
    }
}
