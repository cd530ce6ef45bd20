//! Where a command writes, and whom it can ask.

use std::io::{self, BufRead, Write};

use jiff::Timestamp;
use serde::Serialize;

use super::arguments::{ColorChoice, OutputArguments, OutputFormat};
use crate::clock::{Clock as _, SystemClock};

/// Where a command writes, and whom it can ask.
pub struct Console<'a> {
    out: &'a mut (dyn Write + Send),
    err: &'a mut (dyn Write + Send),
    /// Set while a person sits at the other end of both input and error output.
    person: Option<&'a mut (dyn BufRead + Send)>,
    out_is_terminal: bool,
    /// Whoever read the output has read enough.
    reader_is_gone: bool,
    format: OutputFormat,
    colored: bool,
    clock: SystemClock,
}

impl<'a> Console<'a> {
    /// A console for machines: nobody to ask, no terminal.
    pub fn new(out: &'a mut (dyn Write + Send), err: &'a mut (dyn Write + Send)) -> Self {
        let clock = SystemClock::start();
        Self {
            out,
            err,
            person: None,
            out_is_terminal: false,
            reader_is_gone: false,
            format: OutputFormat::Table,
            colored: false,
            clock,
        }
    }

    /// The same console, output going to a terminal.
    #[must_use]
    pub fn on_terminal(mut self) -> Self {
        self.out_is_terminal = true;
        self
    }

    /// The same console with a person who can be asked.
    #[must_use]
    pub fn with_person(mut self, answers: &'a mut (dyn BufRead + Send)) -> Self {
        self.person = Some(answers);
        self
    }

    /// Applies what the command line says about output.
    pub fn style(&mut self, output: &OutputArguments) {
        self.format = output.output;
        self.colored = match output.color {
            ColorChoice::Auto => self.out_is_terminal,
            ColorChoice::Always => true,
            ColorChoice::Never => false,
        };
    }

    /// Writes a text that is the output itself.
    pub fn print(&mut self, text: &str) -> io::Result<()> {
        self.say(text)
    }

    /// Tells what went wrong.
    pub fn fail(&mut self, text: &str) {
        self.remark(&format!("error: {text}"));
    }

    pub(super) const fn is_table(&self) -> bool {
        matches!(self.format, OutputFormat::Table)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// One line for people who read along.
    ///
    /// A reader who has gone is no error: the command goes on, for its exit code still counts.
    pub(super) fn say(&mut self, text: &str) -> io::Result<()> {
        match writeln!(self.out, "{text}").and_then(|()| self.out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.reader_is_gone = true;
                Ok(())
            }
            result => result,
        }
    }

    /// Whether a command that only shows what happens shows it to nobody any more.
    pub(super) const fn reader_is_gone(&self) -> bool {
        self.reader_is_gone
    }

    /// One line for people, coloured where colours are wanted.
    pub(super) fn paint(&mut self, tone: Tone, text: &str) -> io::Result<()> {
        let text = self.painted(tone, text);
        self.say(&text)
    }

    pub(super) fn painted(&self, tone: Tone, text: &str) -> String {
        match (self.colored, tone.code()) {
            (true, Some(code)) => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            _ => text.to_owned(),
        }
    }

    /// The one document of a command whose output is for programs.
    pub(super) fn document(&mut self, value: &impl Serialize) -> io::Result<()> {
        let text = match self.format {
            OutputFormat::Yaml => yaml(value)?,
            OutputFormat::Json | OutputFormat::Table => serde_json::to_string_pretty(value)?,
        };
        self.say(&text)
    }

    /// One of many documents, as they come.
    pub(super) fn message(&mut self, value: &impl Serialize) -> io::Result<()> {
        let text = match self.format {
            OutputFormat::Yaml => format!("---\n{}", yaml(value)?),
            OutputFormat::Json | OutputFormat::Table => serde_json::to_string(value)?,
        };
        self.say(&text)
    }

    /// One line that is not part of the output: progress, warnings, errors.
    pub(super) fn remark(&mut self, text: &str) {
        // Nothing is left to tell it to, if the error output is gone.
        writeln!(self.err, "{text}").ok();
    }

    /// Asks the person and gives the answer; `None` where there is nobody to ask.
    pub(super) fn ask(&mut self, question: &str) -> io::Result<Option<String>> {
        let Some(person) = self.person.as_mut() else { return Ok(None) };
        write!(self.err, "{question} ")?;
        self.err.flush()?;
        let mut answer = String::new();
        person.read_line(&mut answer)?;
        Ok(Some(answer.trim().to_owned()))
    }
}

fn yaml(value: &impl Serialize) -> io::Result<String> {
    let text = serde_saphyr::to_string(value).map_err(io::Error::other)?;
    Ok(text.trim_end().to_owned())
}

impl std::fmt::Debug for Console<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Console").field("format", &self.format).finish_non_exhaustive()
    }
}

/// How much a line wants to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Faint,
    Strong,
    Good,
    Caution,
    Alarm,
}

impl Tone {
    const fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Faint => Some("2"),
            Self::Strong => Some("1"),
            Self::Good => Some("32"),
            Self::Caution => Some("33"),
            Self::Alarm => Some("1;31"),
        }
    }
}
