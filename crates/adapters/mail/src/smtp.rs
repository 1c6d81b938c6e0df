//! Sending mails by SMTP, with lettre.

use std::time::Duration;

use async_trait::async_trait;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::Error;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use tidegate_kernel::JobId;
use tidegate_tenancy::{Mail, MailError, Mailer};

/// The timeout of one SMTP command. It is shorter than that of a job.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A mailer that sends to a mail server.
#[derive(Debug)]
pub struct SmtpMailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

/// The mail settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SmtpError {
    /// The server's address cannot be parsed.
    #[error(
        "write smtp://user:password@host:587 (STARTTLS), smtps://user:password@host:465 (TLS), or smtp://host:25?tls=none: {0}"
    )]
    Url(String),
    /// The sender's address cannot be parsed.
    #[error("write an address such as `Tidegate <no-reply@example.org>`: {0}")]
    From(String),
}

impl SmtpMailer {
    /// A mailer that sends from `from` through the server at `url`. It does not connect yet.
    ///
    /// `smtp://` requires STARTTLS and sends nothing if the server does not support it, unless the URL ends with
    /// `?tls=none`. `smtps://` uses TLS from the first byte. Certificates are verified.
    ///
    /// # Errors
    /// [`SmtpError`] if `url` or `from` cannot be parsed.
    pub fn new(url: &str, from: &str) -> Result<Self, SmtpError> {
        let url = match url.split_once("?tls=none") {
            Some((plain, "")) if url.starts_with("smtp://") => plain.to_owned(),
            _ if url.starts_with("smtp://") && !url.contains('?') => format!("{url}?tls=required"),
            _ => url.to_owned(),
        };
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(&url);
        let transport = transport.map_err(|error| SmtpError::Url(cause(&error)))?.timeout(Some(TIMEOUT)).build();
        let from: Mailbox = from.parse().map_err(|error| SmtpError::From(format!("{error}")))?;
        Ok(Self { transport, from })
    }

    fn message(&self, id: JobId, mail: &Mail) -> Result<Message, MailError> {
        let address: Address = mail.to.as_str().parse().map_err(|error| permanent("the address", &error))?;
        // The same id for every attempt, so that a mail which arrives twice is recognized as one.
        let message_id = format!("<{id}@{}>", self.from.email.domain());
        let body = MultiPart::alternative_plain_html(mail.text.clone(), mail.html.clone());
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(Some(mail.name.clone()), address))
            .subject(mail.subject.clone())
            .message_id(Some(message_id))
            // Prevents automatic replies, such as those of absent recipients (RFC 3834).
            .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()))
            .multipart(body)
            .map_err(|error| permanent("the mail", &error))
    }
}

fn permanent(what: &str, error: &dyn std::error::Error) -> MailError {
    MailError::Permanent(format!("{what}: {error}"))
}

/// An error with its chain of causes.
fn cause(error: &dyn std::error::Error) -> String {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send(&self, id: JobId, mail: &Mail) -> Result<(), MailError> {
        let message = self.message(id, mail)?;
        self.transport.send(message).await.map(drop).map_err(|error: Error| {
            if error.is_permanent() { MailError::Permanent(cause(&error)) } else { MailError::Transient(cause(&error)) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_cannot_be_used_are_refused_with_what_to_write() {
        let from = "Tidegate <no-reply@example.org>";
        for good in
            ["smtp://localhost:25?tls=none", "smtps://ada:secret@mail.example.org", "smtp://mail.example.org:587"]
        {
            assert!(SmtpMailer::new(good, from).is_ok(), "{good}");
        }
        for bad in ["", "mail.example.org", "http://mail.example.org", "smtp://mail.example.org?tls=maybe"] {
            let error = SmtpMailer::new(bad, from).unwrap_err().to_string();
            assert!(error.starts_with("write smtp://"), "{bad}: {error}");
        }
        let error = SmtpMailer::new("smtp://localhost", "Tidegate").unwrap_err().to_string();
        assert!(error.contains("no-reply@example.org"), "{error}");
    }
}
