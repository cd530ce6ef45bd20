//! The signals by which a person or a machine asks a command to end, or to stop for a while.

use std::future::{poll_fn, ready};
use std::io;
use std::task::{Context, Poll};

use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that would end or stop the process. While this exists they are told instead: a call that was sent has
/// an answer.
#[derive(Debug)]
pub struct Interrupts {
    endings: Vec<Signal>,
    /// Taken so that the process goes on; who sends it does not ask it to end.
    stop: Signal,
}

impl Interrupts {
    /// Takes the signals over from now on.
    pub fn listen() -> io::Result<Self> {
        let endings =
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup(), SignalKind::quit()];
        Ok(Self {
            endings: endings.into_iter().map(signal).collect::<io::Result<_>>()?,
            stop: signal(SignalKind::from_raw(Number::TSTP.as_raw()))?,
        })
    }

    /// Ends with the next signal to end. Cancel-safe.
    pub(super) async fn next(&mut self) {
        poll_fn(|context| poll_any(self.endings.iter_mut(), context)).await;
    }

    /// Takes the signals to end that came so far, and says whether there was one.
    pub(super) async fn take(&mut self) -> bool {
        let mut has_come = false;
        loop {
            tokio::select! {
                biased;
                () = self.next() => has_come = true,
                () = ready(()) => return has_come,
            }
        }
    }

    /// Carries the work to its end, whatever is asked meanwhile, and tells of each time that it was asked to end or stop.
    pub(super) async fn outlast<T>(&mut self, work: impl Future<Output = T>, mut asked: impl FnMut()) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            let any = poll_fn(|context| poll_any(self.endings.iter_mut().chain([&mut self.stop]), context));
            tokio::select! {
                done = &mut work => return done,
                () = any => asked(),
            }
        }
    }
}

fn poll_any<'a>(mut signals: impl Iterator<Item = &'a mut Signal>, context: &mut Context<'_>) -> Poll<()> {
    if signals.any(|signal| signal.poll_recv(context).is_ready()) { Poll::Ready(()) } else { Poll::Pending }
}

#[cfg(test)]
mod tests {
    use rustix::process::{getpid, kill_process};

    use super::*;

    #[tokio::test]
    async fn a_signal_that_came_before_is_taken_once() {
        let (mut first, mut second) = (Interrupts::listen().unwrap(), Interrupts::listen().unwrap());
        assert!(!second.take().await);
        kill_process(getpid(), Number::QUIT).unwrap();
        // Whoever listens is told at the same moment.
        first.next().await;
        assert!(second.take().await);
        assert!(!second.take().await, "the same signal counts twice");
    }
}
