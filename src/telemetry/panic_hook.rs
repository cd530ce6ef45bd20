//! Panics in the log, without what could be a secret.

use std::any::Any;
use std::panic;

/// Logs every panic with its place; its message only where that was written in the source.
///
/// A message that was put together at run time may hold anything, and is withheld.
pub fn install_panic_hook() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(target: "keyturn", place, "a part of keyturn panicked: {}", message(info.payload()));
    }));
}

fn message(payload: &(dyn Any + Send)) -> &'static str {
    payload.downcast_ref::<&'static str>().copied().unwrap_or("(message withheld)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_messages_from_the_source_are_shown() {
        assert_eq!(message(&"invariant: one holder"), "invariant: one holder");
        assert_eq!(message(&String::from("canary")), "(message withheld)");
    }
}
