//! Mails to people: what they are about, and what is sent.

use serde::{Deserialize, Serialize};
use tidegate_kernel::{JobPayload, NewJob, StoreError};

use super::{Email, Name, Person, Role};

/// What a mail is about. Each has its texts in every language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "snake_case")]
pub enum MailMessage {
    /// Somebody has made an account with this address.
    Welcome,
    /// The person has become a member of a workspace.
    MemberAdded {
        /// The workspace's name.
        workspace: String,
        /// The name of the role.
        role: String,
    },
}

impl MailMessage {
    /// The names of all messages, as files of texts are called.
    pub const NAMES: &'static [&'static str] = &["welcome", "member_added"];

    /// The name of the message.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Welcome => "welcome",
            Self::MemberAdded { .. } => "member_added",
        }
    }
}

/// The job that words a mail and sends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendMail {
    /// The address, as the person wrote it.
    pub to: String,
    /// What the person is called.
    pub name: String,
    /// The language that the person reads, as in RFC 5646; `None` for the installation's.
    pub language: Option<String>,
    /// What it is about.
    #[serde(flatten)]
    pub message: MailMessage,
}

impl JobPayload for SendMail {
    const KIND: &'static str = "mail.send";
}

impl SendMail {
    /// A mail to a person.
    #[must_use]
    pub fn to(person: &Person, message: MailMessage) -> Self {
        Self { to: person.email.to_string(), name: person.name.to_string(), language: None, message }
    }

    /// To somebody who has made an account.
    ///
    /// # Errors
    /// [`StoreError::Internal`] where the job cannot be written as JSON: a defect.
    pub fn welcome(person: &Person) -> Result<NewJob, StoreError> {
        NewJob::new(&Self::to(person, MailMessage::Welcome))
    }

    /// To somebody who has become a member.
    ///
    /// # Errors
    /// [`StoreError::Internal`] where the job cannot be written as JSON: a defect.
    pub fn member_added(person: &Person, workspace: &Name, role: &Role) -> Result<NewJob, StoreError> {
        let message = MailMessage::MemberAdded { workspace: workspace.to_string(), role: role.name().to_owned() };
        NewJob::new(&Self::to(person, message))
    }
}

/// A mail as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The address.
    pub to: Email,
    /// What the person is called.
    pub name: String,
    /// One line.
    pub subject: String,
    /// The text for programs that show no HTML.
    pub text: String,
    /// The same as HTML.
    pub html: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_reads_back_and_names_its_message() {
        let person = crate::model::testing::person();
        for message in
            [MailMessage::Welcome, MailMessage::MemberAdded { workspace: "Acme".to_owned(), role: "viewer".to_owned() }]
        {
            assert!(MailMessage::NAMES.contains(&message.name()));
            let mail = SendMail::to(&person, message);
            let text = serde_json::to_string(&mail).unwrap();
            assert!(text.contains(&format!("\"message\":\"{}\"", mail.message.name())), "{text}");
            assert_eq!(serde_json::from_str::<SendMail>(&text).unwrap(), mail);
        }
    }
}
