//! The log: text for terminals, JSON for collectors, and never a secret.

use std::io::IsTerminal as _;

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, FilterFn, LevelFilter};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::{Registry, fmt};

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One line of text per event.
    Text,
    /// One JSON object per event.
    Json,
}

/// Why a log filter cannot be understood, or the log cannot start.
#[derive(Debug, thiserror::Error)]
#[error(
    "the log filter {filter:?} cannot be used: {cause}; write a level such as info, or target=level pairs"
)]
pub struct InvalidFilter {
    filter: String,
    cause: String,
}

/// Starts the log of this process, on its error output; `filter` is a level or `target=level` pairs.
///
/// What libraries write through the `log` crate is dropped: it would not pass through the rules in here.
pub fn start_log(format: LogFormat, filter: &str) -> Result<(), InvalidFilter> {
    let colored = format == LogFormat::Text && std::io::stderr().is_terminal();
    let subscriber = subscriber(format, filter, colored, std::io::stderr)?;
    tracing::subscriber::set_global_default(subscriber)
        .map_err(|error| InvalidFilter { filter: filter.to_owned(), cause: error.to_string() })
}

/// The log with another writer.
pub fn subscriber<W>(
    format: LogFormat,
    filter: &str,
    colored: bool,
    writer: W,
) -> Result<impl Subscriber + Send + Sync + use<W>, InvalidFilter>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let wanted = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .parse(filter)
        .map_err(|error| InvalidFilter { filter: filter.to_owned(), cause: error.to_string() })?;
    let allowed = wanted.and(FilterFn::new(may_be_logged));
    let layer = fmt::layer().with_writer(writer).with_ansi(colored);
    let layer = match format {
        LogFormat::Text => layer.boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    };
    Ok(Registry::default().with(layer.with_filter(allowed)))
}

/// Crates that log requests with their tokens, or every 404 as an error.
const NEVER: [&str; 2] = ["vaultrs", "rustify"];

/// Crates whose finer levels show headers and bodies.
const CAPPED_AT_INFO: [&str; 11] = [
    "age",
    "axum",
    "h2",
    "hyper",
    "hyper_rustls",
    "hyper_util",
    "reqwest",
    "rustls",
    "tonic",
    "tower",
    "want",
];

/// Holds for every filter that anybody can write.
fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let library = target.split_once("::").map_or(target, |(library, _)| library);
    !NEVER.contains(&library) && (!CAPPED_AT_INFO.contains(&library) || *metadata.level() <= Level::INFO)
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

    fn logged(format: LogFormat, filter: &str, act: impl FnOnce()) -> String {
        let (sender, lines) = mpsc::channel();
        let writer = move || Lines(sender.clone());
        let log = subscriber(format, filter, false, writer).unwrap();
        tracing::subscriber::with_default(log, act);
        String::from_utf8(lines.try_iter().flatten().collect()).unwrap()
    }

    #[test]
    fn no_filter_lets_a_library_show_what_it_must_not() {
        for filter in ["trace", "vaultrs=trace,rustify::clients=trace,hyper=trace,reqwest=trace,h2=trace"] {
            let text = logged(LogFormat::Text, filter, || {
                tracing::error!(target: "vaultrs::api", "canary");
                tracing::error!(target: "rustify", "canary");
                tracing::error!(target: "rustify::clients::reqwest", "canary");
                tracing::trace!(target: "hyper::proto::h1::io", "canary");
                tracing::debug!(target: "reqwest::connect", "canary");
                tracing::trace!(target: "h2::codec", "canary");
            });
            assert_eq!(text, "");
        }
    }

    #[test]
    fn the_filter_decides_about_our_own_events() {
        let act = || {
            tracing::info!(target: "keyturn::engine", credential = "adyen", "rotated");
            tracing::debug!(target: "keyturn::engine", "fine print");
            tracing::warn!(target: "hyper::server", "a warning");
        };
        let text = logged(LogFormat::Text, "info", act);
        assert!(text.contains("rotated credential=\"adyen\"") && text.contains("a warning"), "{text}");
        assert!(!text.contains("fine print"));
        let text = logged(LogFormat::Json, "keyturn=debug", act);
        let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!((&first["message"], &first["credential"]), (&"rotated".into(), &"adyen".into()));
        assert!(text.contains("fine print"));
    }

    #[test]
    fn a_wrong_filter_is_named() {
        let error = subscriber(LogFormat::Text, "keyturn=loud", false, io::stderr).err().unwrap();
        assert!(error.to_string().contains("keyturn=loud"));
    }
}
