//! Mails that are stored instead of sent.

use tidegate_kernel::{JobId, PageSize};
use tidegate_tenancy::Mail;

use super::Subject;
use crate::scope::system_scope;

/// A mail is stored once, reads back unchanged, and is listed newest first.
pub async fn a_mail_is_kept_once(subject: &Subject) {
    let mail = |text: &str| Mail {
        to: subject.unknown("ada@example.org").email,
        name: "Ada".to_owned(),
        subject: format!("About {text}"),
        text: text.to_owned(),
        html: format!("<p>{text}</p>"),
    };
    let (first, second) = (JobId::generate(&subject.env), JobId::generate(&subject.env));
    for (id, text) in [(first, "one"), (second, "two"), (first, "one again")] {
        subject.outbox.keep(&system_scope(), id, &mail(text)).await.expect("a mail is kept");
    }
    let one = PageSize::new(1).expect("a page size");
    let page = subject.outbox.list(&system_scope(), None, one).await.expect("mails are listed");
    assert_eq!((page.items[0].id, &page.items[0].mail, page.next), (second, &mail("two"), Some(second)));
    let page = subject.outbox.list(&system_scope(), page.next, one).await.expect("mails are listed");
    assert_eq!((page.items[0].id, &page.items[0].mail), (first, &mail("one")));
}
