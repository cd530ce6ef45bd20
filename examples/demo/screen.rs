//! What a person sees: lines in a pipe, and lines that change in place on a terminal.

use std::io::{self, IsTerminal as _, Write as _};

const CLEAR_LINE: &str = "\r\u{1b}[2K";

/// Standard output, as it deserves to be treated.
#[derive(Debug)]
pub(crate) struct Screen {
    is_terminal: bool,
    live_lines: usize,
}

/// How much a text wants to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Strong,
    Faint,
    Good,
    Alarm,
}

impl Screen {
    pub(crate) fn new() -> Self {
        Self { is_terminal: io::stdout().is_terminal(), live_lines: 0 }
    }

    pub(crate) const fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// One line, or several.
    pub(crate) fn say(&mut self, text: &str) -> io::Result<()> {
        self.live_lines = 0;
        let clear = if self.is_terminal { CLEAR_LINE } else { "" };
        write_out(&format!("{clear}{text}\n"))
    }

    /// One line in a tone.
    pub(crate) fn paint(&mut self, tone: Tone, text: &str) -> io::Result<()> {
        let text = self.painted(tone, text);
        self.say(&text)
    }

    /// A part of a line in a tone.
    pub(crate) fn painted(&self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Strong => "1",
            Tone::Faint => "2",
            Tone::Good => "32",
            Tone::Alarm => "1;31",
        };
        if self.is_terminal { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// Lines that take the place of those of the call before; nothing in a pipe.
    pub(crate) fn live(&mut self, lines: &[String]) -> io::Result<()> {
        if !self.is_terminal {
            return Ok(());
        }
        let mut text = match self.live_lines {
            0 => String::new(),
            count => format!("\u{1b}[{count}A"),
        };
        // A line that wraps would take two rows, and the next call would miss its place.
        text.push_str("\u{1b}[?7l");
        for line in lines {
            text.extend([CLEAR_LINE, line, "\n"]);
        }
        text.push_str("\u{1b}[?7h");
        self.live_lines = lines.len();
        write_out(&text)
    }

    /// What went wrong, on standard error.
    pub(crate) fn fail(&mut self, text: &str) {
        let clear = if self.is_terminal { CLEAR_LINE } else { "" };
        // Nothing is left to tell it to, if the error output is gone.
        writeln!(io::stderr(), "{clear}{text}").ok();
    }
}

/// A line about a step that takes a while; on a terminal the next line takes its place.
pub(crate) fn transient(text: &str) {
    let text = if io::stdout().is_terminal() {
        format!("{CLEAR_LINE}  {text} ...")
    } else {
        format!("  {text} ...\n")
    };
    // Progress is no reason to fail.
    write_out(&text).ok();
}

fn write_out(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
