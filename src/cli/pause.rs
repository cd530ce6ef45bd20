//! `keyturn pause` and `keyturn resume`.

use uuid::Uuid;

use super::arguments::{PauseArguments, ResumeArguments};
use super::connect::Session;
use super::console::Console;
use super::exit::Exit;
use super::failure::Failure;
use super::view::CredentialView;
use super::words::relative;
use crate::api::proto::{Credential, PauseCredentialRequest, ResumeCredentialRequest};

pub(super) async fn pause(
    arguments: PauseArguments,
    session: &mut Session,
    console: &mut Console<'_>,
) -> Result<Exit, Failure> {
    let request = PauseCredentialRequest {
        credential: arguments.credential.to_string(),
        reason: arguments.reason,
        request_id: Uuid::now_v7().to_string(),
    };
    let answer = session.credentials.pause_credential(request).await?.into_inner();
    report(answer.credential, console, |credential, _| {
        let open = if credential.current_rotation.is_some() { "; its open rotation goes on" } else { "" };
        format!("{} is paused{open}; `keyturn resume {0}` ends the pause", credential.name)
    })
}

pub(super) async fn resume(
    arguments: ResumeArguments,
    session: &mut Session,
    console: &mut Console<'_>,
) -> Result<Exit, Failure> {
    let request = ResumeCredentialRequest {
        credential: arguments.credential.to_string(),
        request_id: Uuid::now_v7().to_string(),
    };
    let answer = session.credentials.resume_credential(request).await?.into_inner();
    report(answer.credential, console, |credential, console| {
        let due = credential.next_due_time.map(|due| relative(due, console.now()));
        let due =
            due.map_or_else(|| "it rotates only on request".to_owned(), |due| format!("next due {due}"));
        format!("{} runs by its schedule; {due}", credential.name)
    })
}

fn report(
    credential: Option<Credential>,
    console: &mut Console<'_>,
    sentence: impl FnOnce(&CredentialView, &Console<'_>) -> String,
) -> Result<Exit, Failure> {
    let missing = || Failure::new(Exit::Unexpected, "keyturn answered without the credential");
    let credential = credential.map(CredentialView::new).ok_or_else(missing)?;
    if console.is_table() {
        let sentence = sentence(&credential, console);
        console.say(&sentence)?;
    } else {
        console.document(&credential)?;
    }
    Ok(Exit::Done)
}
