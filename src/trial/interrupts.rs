//! The signals by which a person or a machine asks a command to end.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that would end the process. While this exists they are told instead: a call that was sent has an answer.
#[derive(Debug)]
pub struct Interrupts {
    keyboard: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Interrupts {
    /// Takes the signals over from now on.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            keyboard: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Ends with the next signal. Cancel-safe.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.keyboard.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }

    /// Carries the work to its end, whatever is asked meanwhile, and tells of each time that it was asked to end.
    pub(super) async fn outlast<T>(&mut self, work: impl Future<Output = T>, mut asked: impl FnMut()) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = self.next() => asked(),
            }
        }
    }
}
