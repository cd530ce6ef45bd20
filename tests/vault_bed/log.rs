//! What is logged, so that a test can look for what must or must not be in it.

use std::io;
use std::sync::Arc;

use tokio::sync::watch;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

/// Collects what is logged.
#[derive(Clone)]
pub struct Log(Arc<watch::Sender<Vec<u8>>>);

impl Log {
    /// Hears what this thread logs until the guard is dropped.
    pub fn listen(level: tracing::Level) -> (Self, DefaultGuard) {
        let log = Self(Arc::new(watch::channel(Vec::new()).0));
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_writer(log.clone())
            .with_ansi(false)
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    pub fn heard(&self) -> String {
        String::from_utf8_lossy(&self.0.borrow()).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send_modify(|log| log.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
