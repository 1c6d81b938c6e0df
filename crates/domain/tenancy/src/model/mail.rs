//! Mails to people: their messages and their final form.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tidegate_kernel::{JobPayload, NewJob, StoreError, UserId};

use super::{Email, Name, Person, Role};

/// The message of a mail. It has a text in every language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "snake_case")]
pub enum MailMessage {
    /// A link verifies the address, with which an account was created.
    VerifyEmail,
    /// Somebody tried to create an account with the address of this one. A link sets a new password.
    AlreadyRegistered,
    /// A link sets a new password.
    ResetPassword,
    /// A link makes this address the address of the account.
    ChangeEmail,
    /// Somebody tried to make this address the address of another account.
    AddressInUse,
    /// Sent to the old address after the address of the account has changed.
    EmailChanged {
        /// The new address.
        address: String,
    },
    /// The password has changed.
    PasswordChanged,
    /// A second factor was added.
    SecondFactorAdded {
        /// The name of the factor.
        factor: String,
    },
    /// A second factor was removed.
    SecondFactorRemoved {
        /// The name of the factor.
        factor: String,
    },
    /// The person has become a member of a workspace.
    MemberAdded {
        /// The workspace's name.
        workspace: String,
        /// The name of the role.
        role: String,
    },
    /// The usage of a meter has passed a share of its limit.
    QuotaThreshold {
        /// The workspace's name.
        workspace: String,
        /// What is limited.
        meter: String,
        /// The share, in percent.
        percent: i16,
        /// What was used.
        used: i64,
        /// The limit.
        limit: i64,
    },
    /// The trial of a subscription ends soon.
    TrialEnds {
        /// The workspace's name.
        workspace: String,
        /// The title of the plan.
        plan: String,
        /// The price of the first period.
        price: String,
        /// The day on which the first period begins.
        ends: String,
    },
    /// An invoice was issued.
    InvoiceIssued {
        /// The workspace's name.
        workspace: String,
        /// The number of the invoice.
        number: String,
        /// What is to be paid.
        amount: String,
        /// The day on which payment is due.
        due: String,
        /// Whether a payment method of the workspace is charged.
        charged: bool,
        /// How to pay, in the operator's words.
        instructions: Option<String>,
    },
    /// A payment failed or is late.
    PaymentLate {
        /// The workspace's name.
        workspace: String,
        /// What is to be paid.
        amount: String,
        /// How often the owners were told of it before.
        reminder: u8,
        /// The day on which the subscription is suspended.
        suspended: String,
        /// Whether a payment method of the workspace is charged.
        charged: bool,
        /// How to pay, in the operator's words.
        instructions: Option<String>,
    },
    /// A payment has to be confirmed at the customer's bank.
    PaymentAction {
        /// The workspace's name.
        workspace: String,
        /// The number of the invoice.
        number: String,
        /// What is to be paid.
        amount: String,
        /// The page on which it is confirmed.
        url: String,
    },
    /// The subscription is suspended.
    SubscriptionSuspended {
        /// The workspace's name.
        workspace: String,
        /// What is to be paid.
        amount: String,
        /// Whether a payment method of the workspace is charged.
        charged: bool,
        /// How to pay, in the operator's words.
        instructions: Option<String>,
    },
    /// An invoice was paid.
    PaymentReceived {
        /// The workspace's name.
        workspace: String,
        /// The number of the invoice.
        number: String,
        /// What was paid.
        amount: String,
    },
    /// The subscription has ended.
    SubscriptionEnded {
        /// The workspace's name.
        workspace: String,
        /// The title of the plan.
        plan: String,
    },
}

impl MailMessage {
    /// The names of all messages, which are also the file names of their texts.
    pub const NAMES: &'static [&'static str] = &[
        "verify_email",
        "already_registered",
        "reset_password",
        "change_email",
        "address_in_use",
        "email_changed",
        "password_changed",
        "second_factor_added",
        "second_factor_removed",
        "member_added",
        "quota_threshold",
        "trial_ends",
        "invoice_issued",
        "payment_late",
        "payment_action",
        "subscription_suspended",
        "payment_received",
        "subscription_ended",
    ];

    /// The name of the message.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::AlreadyRegistered => "already_registered",
            Self::ResetPassword => "reset_password",
            Self::ChangeEmail => "change_email",
            Self::AddressInUse => "address_in_use",
            Self::EmailChanged { .. } => "email_changed",
            Self::PasswordChanged => "password_changed",
            Self::SecondFactorAdded { .. } => "second_factor_added",
            Self::SecondFactorRemoved { .. } => "second_factor_removed",
            Self::MemberAdded { .. } => "member_added",
            Self::QuotaThreshold { .. } => "quota_threshold",
            Self::TrialEnds { .. } => "trial_ends",
            Self::InvoiceIssued { .. } => "invoice_issued",
            Self::PaymentLate { .. } => "payment_late",
            Self::PaymentAction { .. } => "payment_action",
            Self::SubscriptionSuspended { .. } => "subscription_suspended",
            Self::PaymentReceived { .. } => "payment_received",
            Self::SubscriptionEnded { .. } => "subscription_ended",
        }
    }

    /// Whether the person wants such a mail. What concerns the account or a failed payment is always sent.
    #[must_use]
    pub const fn is_wanted_by(&self, person: &Person) -> bool {
        match self {
            Self::QuotaThreshold { .. } => person.notifications.usage,
            Self::TrialEnds { .. } | Self::InvoiceIssued { .. } | Self::PaymentReceived { .. } => {
                person.notifications.billing
            }
            _ => true,
        }
    }
}

/// The payload of the job that renders a mail and sends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendMail {
    /// The address, as the person wrote it.
    pub to: String,
    /// The person's name.
    pub name: String,
    /// The person's language (RFC 5646); `None` for the installation's language.
    pub language: Option<String>,
    /// The message.
    #[serde(flatten)]
    pub message: MailMessage,
}

impl JobPayload for SendMail {
    const KIND: &'static str = "mail.send";
}

impl SendMail {
    /// A mail to a person, in the person's language.
    #[must_use]
    pub fn to(person: &Person, message: MailMessage) -> Self {
        Self {
            to: person.email.to_string(),
            name: person.name.to_string(),
            language: person.language.as_ref().map(ToString::to_string),
            message,
        }
    }

    /// The job that sends a mail to a person; `None` if the person does not want it.
    ///
    /// # Errors
    /// [`StoreError::Internal`] if the job cannot be serialized as JSON, which is a defect of the program.
    pub fn job(person: &Person, message: MailMessage) -> Result<Option<NewJob>, StoreError> {
        message.is_wanted_by(person).then(|| NewJob::new(&Self::to(person, message))).transpose()
    }

    /// The mail to a person who has become a member.
    ///
    /// # Errors
    /// [`StoreError::Internal`] if the job cannot be serialized as JSON, which is a defect of the program.
    pub fn member_added(person: &Person, workspace: &Name, role: &Role) -> Result<NewJob, StoreError> {
        let message = MailMessage::MemberAdded { workspace: workspace.to_string(), role: role.name().to_owned() };
        NewJob::new(&Self::to(person, message))
    }
}

/// The payload of the job that makes a link and sends it. The secret of the link is made by the job, so that it is in no
/// queue. Whether an account exists is looked up by the job, too: the request that asks for the link takes the same time
/// in any case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendLink {
    /// When it was asked for. A security event since then voids the request as it voids links.
    pub at: DateTime<Utc>,
    /// What it is for.
    #[serde(flatten)]
    pub request: LinkRequest,
}

/// What a link is asked for, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "for", rename_all = "snake_case")]
pub enum LinkRequest {
    /// Verifies the address of a new account.
    Registration {
        /// The person.
        user: UserId,
    },
    /// Tells the owner of a taken address that somebody tried to register with it.
    TakenAddress {
        /// The address that was given.
        address: String,
    },
    /// Verifies the address of the account that has this address, unless it is verified.
    Verification {
        /// The address that was given.
        address: String,
    },
    /// Sets a new password for the account that has this address, if there is one.
    ForgottenPassword {
        /// The address that was given.
        address: String,
    },
    /// Makes this address the person's address.
    NewAddress {
        /// The person.
        user: UserId,
        /// The new address.
        address: String,
    },
}

impl JobPayload for SendLink {
    const KIND: &'static str = "mail.link";
}

/// A rendered mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The address.
    pub to: Email,
    /// The recipient's name.
    pub name: String,
    /// The subject, in one line.
    pub subject: String,
    /// The plain text, for programs that do not show HTML.
    pub text: String,
    /// The same text as HTML.
    pub html: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_chooses_mails_that_are_not_about_the_account_or_a_failed_payment() {
        let person = Person {
            notifications: super::super::Notifications { usage: false, billing: false },
            ..crate::model::testing::person()
        };
        let [workspace, number, amount] = ["Acme", "INV-000001", "1 EUR"].map(str::to_owned);
        let paid = MailMessage::PaymentReceived { workspace: workspace.clone(), number, amount: amount.clone() };
        let late = MailMessage::SubscriptionSuspended { workspace, amount, charged: false, instructions: None };
        for (message, wanted) in [(MailMessage::PasswordChanged, true), (paid, false), (late, true)] {
            assert_eq!(message.is_wanted_by(&person), wanted, "{message:?}");
            assert_eq!(SendMail::job(&person, message).unwrap().is_some(), wanted);
        }
    }

    #[test]
    fn a_job_reads_back_and_names_its_message() {
        let person = crate::model::testing::person();
        let (workspace, meter) = ("Acme".to_owned(), "events".to_owned());
        for message in [
            MailMessage::VerifyEmail,
            MailMessage::MemberAdded { workspace: workspace.clone(), role: "viewer".to_owned() },
            MailMessage::QuotaThreshold { workspace: workspace.clone(), meter, percent: 80, used: 8, limit: 10 },
            MailMessage::PaymentReceived { workspace, number: "INV-000001".to_owned(), amount: "1 EUR".to_owned() },
        ] {
            assert!(MailMessage::NAMES.contains(&message.name()));
            let mail = SendMail::to(&person, message);
            let text = serde_json::to_string(&mail).unwrap();
            assert!(text.contains(&format!("\"message\":\"{}\"", mail.message.name())), "{text}");
            assert_eq!(serde_json::from_str::<SendMail>(&text).unwrap(), mail);
        }
    }
}
