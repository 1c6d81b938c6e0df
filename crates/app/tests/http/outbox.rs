//! The mails that a server has sent: without a mail server they are kept in the database.

use crate::support::TestApp;

impl TestApp {
    /// The texts of the mails to an address, oldest first. Waits until the mails of earlier requests are there.
    pub async fn mails(&self, recipient: &str) -> Vec<String> {
        self.until_quiet().await;
        let sql =
            format!("select subject || E'\\n' || body_text from kept_mail where recipient = '{recipient}' order by id");
        self.database.texts(sql).await
    }

    /// The links in the mails to an address, oldest first.
    pub async fn links(&self, recipient: &str) -> Vec<String> {
        let mails = self.mails(recipient).await;
        let lines = mails.iter().flat_map(|mail| mail.lines()).filter(|line| line.contains("/account/"));
        lines.map(str::to_owned).collect()
    }

    /// The token of the newest link to this page in the mails to an address.
    pub async fn token(&self, recipient: &str, page: &str) -> String {
        let links = self.links(recipient).await;
        let mut tokens = links.iter().filter_map(|link| link.split_once(&format!("/account/{page}#")));
        tokens.next_back().unwrap_or_else(|| panic!("no link to {page} in {links:?}")).1.to_owned()
    }
}
