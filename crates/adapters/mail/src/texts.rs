//! The texts of mails, rendered from templates (minijinja). A template whose name ends with `.html` is escaped as HTML.

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use tidegate_tenancy::{Email, Mail, MailError, MailTexts, SendMail};

/// The default language.
const DEFAULT: &str = "en";

/// The files of a language.
macro_rules! files {
    ($language:literal: $($file:literal)*) => {
        [$((concat!($language, "/", $file), include_str!(concat!("../templates/", $language, "/", $file)))),*]
    };
}

/// Every language with its files.
const LANGUAGES: &[(&str, &[(&str, &str)])] = &[(
    "en",
    &files!("en":
        "layout.html" "verify_email.txt" "verify_email.html" "already_registered.txt" "already_registered.html"
        "reset_password.txt" "reset_password.html" "change_email.txt" "change_email.html" "address_in_use.txt"
        "address_in_use.html" "email_changed.txt" "email_changed.html" "password_changed.txt" "password_changed.html"
        "second_factor_added.txt" "second_factor_added.html" "second_factor_removed.txt" "second_factor_removed.html"
        "member_added.txt" "member_added.html" "quota_threshold.txt"
        "quota_threshold.html" "trial_ends.txt" "trial_ends.html" "invoice_issued.txt" "invoice_issued.html"
        "payment_late.txt" "payment_late.html" "payment_action.txt" "payment_action.html" "subscription_suspended.txt"
        "subscription_suspended.html"
        "payment_received.txt" "payment_received.html" "subscription_ended.txt" "subscription_ended.html"),
)];

/// The texts of mails.
#[derive(Debug)]
pub struct Texts(Environment<'static>);

impl Texts {
    /// The built-in texts.
    ///
    /// # Errors
    /// [`MailError::Permanent`] if a template cannot be parsed, which is a defect.
    pub fn built_in() -> Result<Self, MailError> {
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.set_auto_escape_callback(|name| match name.rsplit_once('.') {
            Some((_, "html")) => AutoEscape::Html,
            _ => AutoEscape::None,
        });
        for (name, text) in LANGUAGES.iter().flat_map(|(_, files)| *files) {
            templates.add_template(name, text).map_err(|error| defect(&error))?;
        }
        Ok(Self(templates))
    }

    fn render(&self, language: &str, kind: &str, mail: &SendMail, link: Option<&str>) -> Result<String, MailError> {
        let template = self.0.get_template(&format!("{language}/{}.{kind}", mail.message.name()));
        let (to, name, message) = (mail.to.as_str(), mail.name.as_str(), Serde(&mail.message));
        let values = match link {
            Some(link) => context! { language, to, name, message, link },
            None => context! { language, to, name, message },
        };
        template.and_then(|template| template.render(values)).map_err(|error| defect(&error))
    }
}

fn defect(error: &minijinja::Error) -> MailError {
    MailError::Permanent(format!("the text of the mail has a defect: {error:#}"))
}

/// The best available language: the requested one, the same without its region, or the default.
fn language(asked: Option<&str>) -> &'static str {
    let known = |asked: &str| LANGUAGES.iter().map(|(name, _)| *name).find(|name| name.eq_ignore_ascii_case(asked));
    let asked = asked.unwrap_or(DEFAULT);
    let plain = asked.split(['-', '_']).next().unwrap_or_default();
    known(asked).or_else(|| known(plain)).unwrap_or(DEFAULT)
}

impl MailTexts for Texts {
    fn word(&self, mail: &SendMail, link: Option<&str>) -> Result<Mail, MailError> {
        let to = Email::new(&mail.to).map_err(|error| MailError::Permanent(format!("the address: {error}")))?;
        let language = language(mail.language.as_deref());
        let text = self.render(language, "txt", mail, link)?;
        let (subject, text) = text.split_once('\n').unwrap_or((&text, ""));
        Ok(Mail {
            to,
            name: mail.name.clone(),
            subject: subject.trim().to_owned(),
            text: text.trim_start().to_owned(),
            html: self.render(language, "html", mail, link)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use tidegate_tenancy::MailMessage;

    use super::*;

    fn mail(name: &str, message: MailMessage) -> SendMail {
        SendMail { to: "ada@example.org".to_owned(), name: name.to_owned(), language: None, message }
    }

    #[test]
    fn every_language_has_every_message() {
        for (language, files) in LANGUAGES {
            for message in MailMessage::NAMES {
                for kind in ["txt", "html"] {
                    let name = format!("{language}/{message}.{kind}");
                    assert!(files.iter().any(|(file, _)| *file == name), "{name} is missing");
                }
            }
        }
    }

    #[test]
    fn a_mail_is_worded_and_what_people_write_stays_text() {
        let texts = Texts::built_in().unwrap();
        let message = MailMessage::MemberAdded { workspace: "<b>R&D</b>".to_owned(), role: "viewer".to_owned() };
        let worded = texts.word(&mail("Ada", message), None).unwrap();
        assert_eq!(worded.subject, "You are a member of <b>R&D</b>");
        assert!(worded.text.contains("Hello Ada") && worded.text.contains("<b>R&D</b>"), "{}", worded.text);
        assert!(worded.html.contains("&lt;b&gt;R&amp;D&lt;") && !worded.html.contains("<b>R&D"), "{}", worded.html);
        assert!(worded.html.contains("lang=\"en\"") && worded.html.trim_end().ends_with("</html>"));
    }

    #[test]
    fn every_message_about_an_account_has_its_link_or_fact_in_both_forms() {
        let texts = Texts::built_in().unwrap();
        let link = "https://tidegate.example.org/account/reset#tgl_x-_7";
        for message in [
            MailMessage::VerifyEmail,
            MailMessage::AlreadyRegistered,
            MailMessage::ResetPassword,
            MailMessage::ChangeEmail,
        ] {
            let mail = mail("Ada <b>", message);
            assert!(matches!(texts.word(&mail, None), Err(MailError::Permanent(_))), "it is not sent without its link");
            let worded = texts.word(&mail, Some(link)).unwrap();
            assert!(worded.text.lines().any(|line| line == link), "{}", worded.text);
            assert!(worded.html.contains("#tgl_x-_7\"") && !worded.html.contains("Ada <b>"), "{}", worded.html);
            assert!(worded.text.contains("ada@example.org") && worded.html.contains("ada@example.org"));
        }
        let address = "ada@example.net".to_owned();
        for message in [MailMessage::AddressInUse, MailMessage::EmailChanged { address }, MailMessage::PasswordChanged]
        {
            let new = matches!(message, MailMessage::EmailChanged { .. });
            let worded = texts.word(&mail("Ada", message), None).unwrap();
            for text in [&worded.text, &worded.html] {
                assert!(text.contains("ada@example.org"), "{text}");
                assert_eq!(text.contains("ada@example.net"), new, "{text}");
            }
        }
    }

    #[test]
    fn every_message_about_billing_has_its_facts_in_both_forms() {
        let texts = Texts::built_in().unwrap();
        let (workspace, number, amount) = ("Acme".to_owned(), "INV-000007".to_owned(), "22.61 EUR".to_owned());
        let day = "2026-01-31".to_owned();
        for instructions in [None, Some("IBAN DE00 & name the number".to_owned())] {
            let (workspace, amount) = (workspace.clone(), amount.clone());
            let how = instructions.clone();
            let messages = [
                MailMessage::InvoiceIssued {
                    workspace: workspace.clone(),
                    number: number.clone(),
                    amount: amount.clone(),
                    due: day.clone(),
                    charged: how.is_some(),
                    instructions: how.clone(),
                },
                MailMessage::PaymentLate {
                    workspace: workspace.clone(),
                    amount: amount.clone(),
                    reminder: 3,
                    suspended: day.clone(),
                    charged: how.is_some(),
                    instructions: how.clone(),
                },
                MailMessage::SubscriptionSuspended { workspace, amount, charged: false, instructions: how },
            ];
            for message in messages {
                let worded = texts.word(&mail("Ada", message), None).unwrap();
                for text in [&worded.text, &worded.html] {
                    assert!(text.contains("22.61 EUR") && text.contains("Acme"), "{text}");
                    assert_eq!(text.contains("IBAN DE00"), instructions.is_some(), "{text}");
                }
                assert!(!worded.html.contains("DE00 & name"), "{}", worded.html);
            }
        }
        let plan = "Starter".to_owned();
        let action = MailMessage::PaymentAction {
            workspace: workspace.clone(),
            number: number.clone(),
            amount: amount.clone(),
            url: "https://bank.example/confirm?a=1".to_owned(),
        };
        assert!(
            texts.word(&mail("Ada", action.clone()), None).unwrap().text.ends_with("https://bank.example/confirm?a=1")
        );
        for message in [
            action,
            MailMessage::TrialEnds {
                workspace: workspace.clone(),
                plan: plan.clone(),
                price: amount.clone(),
                ends: day,
            },
            MailMessage::PaymentReceived { workspace: workspace.clone(), number, amount },
            MailMessage::SubscriptionEnded { workspace, plan },
        ] {
            let worded = texts.word(&mail("Ada", message), None).unwrap();
            assert!(worded.text.contains("Acme") && worded.html.contains("Acme") && !worded.subject.is_empty());
        }
    }

    #[test]
    fn a_language_without_texts_falls_back() {
        for asked in [None, Some("en"), Some("EN-gb"), Some("tlh"), Some("")] {
            assert_eq!(language(asked), "en", "{asked:?}");
        }
    }

    #[test]
    fn an_address_that_is_none_is_refused_for_good() {
        let texts = Texts::built_in().unwrap();
        let nobody = SendMail { to: "nobody".to_owned(), ..mail("Ada", MailMessage::PasswordChanged) };
        assert!(matches!(texts.word(&nobody, None), Err(MailError::Permanent(_))));
    }
}
