//! `keyturn status`: all credentials in one line each, or one in full.

use jiff::Timestamp;

use super::arguments::StatusArguments;
use super::connect::Session;
use super::console::{Console, Tone};
use super::exit::Exit;
use super::failure::Failure;
use super::sentences::{note, remarks, state, verdict};
use super::table;
use super::view::CredentialView;
use super::words::{distance, moment, relative};
use crate::api::proto::{GetCredentialRequest, ListCredentialsRequest};

pub(super) async fn status(
    arguments: StatusArguments,
    session: &mut Session,
    console: &mut Console<'_>,
) -> Result<Exit, Failure> {
    if let Some(name) = arguments.credential {
        let credential = read(session, name.as_str()).await?;
        if console.is_table() { one(&credential, console) } else { Ok(console.document(&credential)?) }?;
    } else {
        let credentials = read_all(session).await?;
        if console.is_table() { all(&credentials, console) } else { Ok(console.document(&credentials)?) }?;
    }
    Ok(Exit::Done)
}

pub(super) async fn read(session: &mut Session, name: &str) -> Result<CredentialView, Failure> {
    let request = GetCredentialRequest { credential: name.to_owned() };
    let answer = session.credentials.get_credential(request).await?.into_inner();
    let missing = || Failure::new(Exit::Unexpected, "keyturn answered without the credential");
    answer.credential.map(CredentialView::new).ok_or_else(missing)
}

async fn read_all(session: &mut Session) -> Result<Vec<CredentialView>, Failure> {
    let mut credentials = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListCredentialsRequest { page_size: 200, page_token };
        let answer = session.credentials.list_credentials(request).await?.into_inner();
        credentials.extend(answer.credentials.into_iter().map(CredentialView::new));
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return Ok(credentials);
        }
    }
}

fn all(credentials: &[CredentialView], console: &mut Console<'_>) -> Result<(), Failure> {
    if credentials.is_empty() {
        console.say("no credential is configured")?;
        return Ok(());
    }
    let now = console.now();
    let header = ["CREDENTIAL", "PROVIDER", "STATE", "SINCE", "NEXT DUE", "OLD KEY", "NOTE"];
    table::print(console, header, credentials.iter().map(|credential| row(credential, now)))?;
    print_remarks(credentials, console)
}

fn print_remarks(credentials: &[CredentialView], console: &mut Console<'_>) -> Result<(), Failure> {
    let now = console.now();
    for credential in credentials {
        let remarks = remarks(credential, now);
        if !remarks.is_empty() {
            console.say("")?;
        }
        for (tone, remark) in remarks {
            console.paint(tone, &remark)?;
        }
    }
    Ok(())
}

fn row(credential: &CredentialView, now: Timestamp) -> (Tone, [String; 7]) {
    let (state, tone, since) = state(credential);
    let row = [
        credential.name.clone(),
        credential.provider.clone(),
        state,
        since.map_or_else(dash, |since| distance(since, now)),
        credential.next_due_time.map_or_else(dash, |due| relative(due, now)),
        old_key(credential, now),
        note(credential, now),
    ];
    (tone, row)
}

fn old_key(credential: &CredentialView, now: Timestamp) -> String {
    match credential.previous_expire_time {
        Some(time) if time > now => format!("dies {}", relative(time, now)),
        Some(_) => "dead".to_owned(),
        None => dash(),
    }
}

fn dash() -> String {
    "-".to_owned()
}

fn one(credential: &CredentialView, console: &mut Console<'_>) -> Result<(), Failure> {
    let now = console.now();
    let (state, tone, since) = state(credential);
    let since =
        since.map(|since| format!(" ({}, {})", relative(since, now), moment(since))).unwrap_or_default();
    let version = credential.entry_version.map(|version| format!(", version {version}")).unwrap_or_default();
    let due = credential.next_due_time.map(|due| format!("{} ({})", relative(due, now), moment(due)));
    let state = console.painted(tone, &state);
    console.paint(Tone::Strong, &credential.name)?;
    console.say(&format!("  provider  {}", credential.provider))?;
    console.say(&format!("  store     {}{version}", credential.store))?;
    let fields = credential.fields.iter().map(|(name, field)| format!("{name} in #{field}"));
    let fields = fields.collect::<Vec<_>>().join(", ");
    if !fields.is_empty() {
        console.say(&format!("  fields    {fields}"))?;
    }
    console.say(&format!("  state     {state}{since}"))?;
    console.say(&format!("  activity  {}", credential.activity))?;
    let undue = if credential.pause.is_some() { "after the pause" } else { "only on request" };
    console.say(&format!("  next due  {}", due.as_deref().unwrap_or(undue)))?;
    console.say(&format!("  old key   {}", old_key(credential, now)))?;
    if let Some(rotation) = &credential.current_rotation {
        console.say(&format!("  rotation  {}", rotation.rotation_id))?;
    }
    if let Some(last) = &credential.last_rotation {
        console.say(&format!("  last      {} {}", last.rotation_id, verdict(last, now)))?;
    }
    let note = note(credential, now);
    if !note.is_empty() {
        console.say(&format!("  note      {note}"))?;
    }
    print_remarks(std::slice::from_ref(credential), console)
}
