//! Sends mails to a real SMTP server, made with the crate mailin.
#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use mailin::{Action, AuthMechanism, Handler, Response, SessionBuilder, response};
use tidegate_kernel::JobId;
use tidegate_mail::{SmtpMailer, Texts};
use tidegate_tenancy::{Mail, MailError, MailMessage, MailTexts, Mailer, SendMail};
use tidegate_testing::clock::test_environment;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// The mails that the server has received.
#[derive(Clone, Default)]
struct Inbox {
    logins: Arc<Mutex<Vec<(String, String)>>>,
    recipients: Arc<Mutex<Vec<String>>>,
    data: Arc<Mutex<Vec<u8>>>,
    /// The response to recipients, if it refuses them.
    refusal: Option<Response>,
}

impl Handler for Inbox {
    fn auth_plain(&mut self, _: &str, user: &str, password: &str) -> Response {
        self.logins.lock().unwrap().push((user.to_owned(), password.to_owned()));
        response::AUTH_OK
    }

    fn rcpt(&mut self, to: &str) -> Response {
        self.recipients.lock().unwrap().push(to.to_owned());
        self.refusal.clone().unwrap_or(response::OK)
    }

    fn data(&mut self, line: &[u8]) -> std::io::Result<()> {
        self.data.lock().unwrap().extend_from_slice(line);
        Ok(())
    }
}

impl Inbox {
    /// Starts the server and returns its port.
    async fn serve(&self) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let inbox = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                tokio::spawn(converse(stream, peer.ip(), inbox.clone()));
            }
        });
        port
    }

    fn text(&self) -> String {
        String::from_utf8(self.data.lock().unwrap().clone()).unwrap()
    }
}

async fn converse(stream: TcpStream, peer: IpAddr, inbox: Inbox) {
    let mut sessions = SessionBuilder::new("mail.example.org");
    sessions.enable_auth(AuthMechanism::Plain).insecure_enable_plaintext_auth();
    let mut session = sessions.build(peer, inbox);
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let mut answer = session.greeting();
    loop {
        let mut text = Vec::new();
        answer.write_to(&mut text).unwrap();
        if writer.write_all(&text).await.is_err() || answer.action == Action::Close {
            return;
        }
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line).await.unwrap_or(0) == 0 {
            return;
        }
        answer = session.process(&line);
    }
}

fn mail() -> Mail {
    let message = MailMessage::MemberAdded { workspace: "Zürich".to_owned(), role: "viewer".to_owned() };
    let mail = SendMail { to: "ada@example.org".to_owned(), name: "Ada Ü".to_owned(), language: None, message };
    Texts::built_in().unwrap().word(&mail, None).unwrap()
}

fn mailer(port: u16, login: &str) -> SmtpMailer {
    SmtpMailer::new(&format!("smtp://{login}127.0.0.1:{port}?tls=none"), "Tidegate <no-reply@example.org>").unwrap()
}

#[tokio::test]
async fn a_mail_arrives_with_both_texts_and_the_same_id_each_time() {
    let inbox = Inbox::default();
    let port = inbox.serve().await;
    let id = JobId::generate(&test_environment());
    for _ in 0..2 {
        mailer(port, "ada:p%40ss@").send(id, &mail()).await.unwrap();
    }
    let text = inbox.text();
    assert_eq!(inbox.recipients.lock().unwrap()[0], "ada@example.org");
    assert_eq!(inbox.logins.lock().unwrap()[0], ("ada".to_owned(), "p@ss".to_owned()));
    assert_eq!(text.matches(&format!("Message-ID: <{id}@example.org>")).count(), 2, "{text}");
    for part in ["From: Tidegate <no-reply@example.org>", "text/plain; charset=utf-8", "text/html; charset=utf-8"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(
        text.contains("Subject: You are a member of =?utf-8?") && text.contains("Auto-Submitted: auto-generated"),
        "{text}"
    );
    assert!(text.lines().all(str::is_ascii), "{text}");
}

#[tokio::test]
async fn a_refusal_is_for_good_or_for_now() {
    let id = JobId::generate(&test_environment());
    for (refusal, permanent) in [(response::NO_MAILBOX, true), (response::OUT_OF_SPACE, false)] {
        let inbox = Inbox { refusal: Some(refusal), ..Inbox::default() };
        let error = mailer(inbox.serve().await, "ada:secret@").send(id, &mail()).await.unwrap_err();
        assert_eq!(matches!(error, MailError::Permanent(_)), permanent, "{error}");
    }
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let error = mailer(nobody, "").send(id, &mail()).await.unwrap_err();
    assert!(matches!(error, MailError::Transient(_)), "{error}");
}

#[tokio::test]
async fn nothing_is_sent_in_the_clear_to_a_server_without_tls() {
    let inbox = Inbox::default();
    let port = inbox.serve().await;
    let mailer = SmtpMailer::new(&format!("smtp://ada:secret@127.0.0.1:{port}"), "no-reply@example.org").unwrap();
    let id = JobId::generate(&test_environment());
    assert!(mailer.send(id, &mail()).await.is_err());
    assert!(inbox.logins.lock().unwrap().is_empty() && inbox.text().is_empty());
}
