//! Mail: texts from templates, and sending by SMTP.
//!
//! Templates are in `templates/<language>/`, one `.txt` and one `.html` for each message. The first line of the `.txt`
//! is the subject. To add a language, add a folder and a line in `texts.rs`.

mod smtp;
mod texts;

pub use smtp::{SmtpError, SmtpMailer};
pub use texts::Texts;
