//! The output of the demo. Colours and progress lines that overwrite themselves are used only on a terminal.

use std::cell::Cell;
use std::io::{IsTerminal, Write};

/// Standard output.
pub(crate) struct Screen {
    terminal: bool,
    colour: bool,
    chapter: Cell<u32>,
}

impl Screen {
    pub(crate) fn new() -> Self {
        let terminal = std::io::stdout().is_terminal();
        let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { terminal, colour, chapter: Cell::new(0) }
    }

    fn write(&self, text: &str) {
        // A closed pipe is no failure of the demo.
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(super) fn strong(&self, text: &str) -> String {
        self.paint("1", text)
    }

    pub(super) fn faint(&self, text: &str) -> String {
        self.paint("2", text)
    }

    /// Replaces control characters in text from outside, because they would move the cursor.
    pub(super) fn outside(&self, text: &str) -> String {
        text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
    }

    pub(crate) fn line(&self, text: &str) {
        self.write(&format!("{text}\n"));
    }

    /// A numbered heading.
    pub(super) fn chapter(&self, title: &str) {
        let number = self.chapter.get() + 1;
        self.chapter.set(number);
        let heading = self.paint("1;36", &format!("{number}. {title}"));
        self.line(&format!("\n{heading}"));
    }

    pub(super) fn item(&self, text: &str) {
        self.line(&format!("   {text}"));
    }

    pub(super) fn done(&self, text: &str) {
        let mark = self.paint("32", "✓");
        self.line(&format!(" {mark} {text}"));
    }

    /// Announces a step that takes a while.
    pub(crate) fn waiting(&self, text: &str) {
        self.line(&self.faint(&format!("{text} …")));
    }

    /// Shows progress. On a terminal each call overwrites the line of the one before; elsewhere only the end is shown.
    pub(super) fn progress(&self, what: &str, done: i64, of: i64) {
        let percent = done.saturating_mul(100) / of.max(1);
        if self.terminal {
            let filled = usize::try_from(percent.clamp(0, 100) / 4).unwrap_or(0);
            let bar = format!("{}{}", "█".repeat(filled), "░".repeat(25 - filled));
            let end = if done >= of { "\n" } else { "" };
            self.write(&format!("\r\x1b[K   {what} {bar} {done}/{of}{end}"));
        } else if done >= of {
            self.item(&format!("{what} {done}/{of}"));
        }
    }
}
