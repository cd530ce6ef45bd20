//! The log: text for terminals, JSON for collectors, and never a secret.

use std::io::IsTerminal as _;

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::{Registry, fmt};

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One line of text per event.
    Text,
    /// One JSON object per event.
    Json,
}

/// The log of this process was started before.
#[derive(Debug, thiserror::Error)]
#[error("the log is started twice")]
pub struct AlreadyStarted;

/// Starts the log of this process, on its error output.
///
/// What libraries write through the `log` crate is dropped: it would not pass through the rules in here.
pub fn init(format: Format, level: Level) -> Result<(), AlreadyStarted> {
    let colored = format == Format::Text && std::io::stderr().is_terminal();
    let subscriber = subscriber(format, level, colored, std::io::stderr);
    tracing::subscriber::set_global_default(subscriber).map_err(|_| AlreadyStarted)
}

fn subscriber<W>(
    format: Format,
    level: Level,
    colored: bool,
    writer: W,
) -> impl Subscriber + Send + Sync + use<W>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let allowed = FilterFn::new(move |metadata| may_be_logged(metadata, level));
    let layer = fmt::layer().with_writer(writer).with_ansi(colored);
    let layer = match format {
        Format::Text => layer.boxed(),
        Format::Json => layer.json().flatten_event(true).boxed(),
    };
    Registry::default().with(layer.with_filter(allowed))
}

/// Crates that log requests with their tokens, or every 404 as an error.
const NEVER: [&str; 2] = ["vaultrs", "rustify"];

/// Only our own events go into detail: the finer levels of HTTP libraries show headers and bodies.
fn may_be_logged(metadata: &Metadata<'_>, level: Level) -> bool {
    let target = metadata.target();
    let library = target.split_once("::").map_or(target, |(library, _)| library);
    let finest = match library {
        "keyturn" => level,
        _ => level.min(Level::INFO),
    };
    !NEVER.contains(&library) && *metadata.level() <= finest
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::mpsc;

    use super::*;

    #[derive(Clone)]
    struct Lines(mpsc::Sender<Vec<u8>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).unwrap();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: Format, level: Level, act: impl FnOnce()) -> String {
        let (sender, lines) = mpsc::channel();
        let log = subscriber(format, level, false, move || Lines(sender.clone()));
        tracing::subscriber::with_default(log, act);
        String::from_utf8(lines.try_iter().flatten().collect()).unwrap()
    }

    #[test]
    fn no_level_lets_a_library_show_what_it_must_not() {
        let text = logged(Format::Text, Level::TRACE, || {
            tracing::error!(target: "vaultrs::api", "canary");
            tracing::error!(target: "rustify", "canary");
            tracing::error!(target: "rustify::clients::reqwest", "canary");
            tracing::trace!(target: "hyper::proto::h1::io", "canary");
            tracing::debug!(target: "reqwest::connect", "canary");
            tracing::trace!(target: "h2::codec", "canary");
        });
        assert_eq!(text, "");
    }

    #[test]
    fn the_level_decides_about_our_own_events() {
        let act = || {
            tracing::info!(target: "keyturn::engine", credential = "adyen", "rotated");
            tracing::debug!(target: "keyturn::engine", "fine print");
            tracing::warn!(target: "hyper::server", "a warning");
        };
        let text = logged(Format::Text, Level::INFO, act);
        assert!(text.contains("rotated credential=\"adyen\"") && text.contains("a warning"), "{text}");
        assert!(!text.contains("fine print"));
        let text = logged(Format::Json, Level::DEBUG, act);
        let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!((&first["message"], &first["credential"]), (&"rotated".into(), &"adyen".into()));
        assert!(text.contains("fine print"));
        assert_eq!(logged(Format::Json, Level::ERROR, act), "");
    }
}
