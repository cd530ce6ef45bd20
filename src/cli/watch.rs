//! `keyturn watch`: every change, as it happens.

use std::collections::HashMap;

use super::arguments::WatchArguments;
use super::connect::Session;
use super::console::Console;
use super::exit::Exit;
use super::failure::Failure;
use super::sentences::{note, state};
use super::view::CredentialView;
use super::words::time_of_day;
use crate::api::proto::WatchCredentialsRequest;

pub(super) async fn watch(
    arguments: WatchArguments,
    session: &mut Session,
    console: &mut Console<'_>,
) -> Result<Exit, Failure> {
    let names = arguments.credentials.iter().map(ToString::to_string).collect();
    let request = WatchCredentialsRequest { credentials: names };
    let mut messages = session.credentials.watch_credentials(request).await?.into_inner();
    let mut lines = HashMap::new();
    while let Some(message) = messages.message().await? {
        for credential in message.credentials.into_iter().map(CredentialView::new) {
            if console.is_table() {
                show(&credential, &mut lines, console)?;
            } else {
                console.message(&credential)?;
            }
            if console.reader_is_gone() {
                return Ok(Exit::Done);
            }
        }
    }
    Ok(Exit::Done)
}

/// One line, unless nothing in it has changed.
fn show(
    credential: &CredentialView,
    lines: &mut HashMap<String, String>,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let now = console.now();
    let (state, tone, _) = state(credential);
    let note = note(credential, now);
    let line = format!("{}  {state:<12}  {:<10}  {note}", credential.name, credential.activity);
    let line = line.trim_end().to_owned();
    if lines.get(&credential.name) == Some(&line) {
        return Ok(());
    }
    let text = console.painted(tone, &line);
    console.say(&format!("{}  {text}", time_of_day(now)))?;
    lines.insert(credential.name.clone(), line);
    Ok(())
}
