//! Mail: texts from templates, and SMTP.
//!
//! Texts are in `templates/<language>/`, one `.txt` and one `.html` for each message. The first line of the `.txt` is the
//! subject. A translation is another folder and a line in `texts.rs`.

mod smtp;
mod texts;

pub use smtp::{SmtpError, SmtpMailer};
pub use texts::Texts;
