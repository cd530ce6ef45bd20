//! Follows one rotation to its end, over restarts of keyturn.

use std::time::Duration;

use jiff::Timestamp;
use tonic::Code;

use super::connect::Session;
use super::console::{Console, Tone};
use super::exit::Exit;
use super::failure::Failure;
use super::sentences::hold_in_words;
use super::view::{RotationView, Standing};
use crate::api::proto::WatchRotationRequest;

/// How often, and how far apart, a lost connection is opened again.
const RECONNECTS_MAX: u32 = 60;
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

/// Shows every step until the rotation is final, or needs a person; gives it as it was last seen.
pub(super) async fn to_the_end(
    first: RotationView,
    session: &mut Session,
    console: &mut Console<'_>,
) -> Result<RotationView, Failure> {
    let started_at = console.now();
    let mut seen = first;
    show(None, &seen, started_at, console)?;
    let mut reconnects = 0;
    loop {
        let lost = match watch(&mut seen, started_at, session, console).await {
            Ok(()) => return Ok(seen),
            Err(failure) if failure.exit == Exit::Unreachable && reconnects < RECONNECTS_MAX => failure,
            Err(failure) => return Err(failure),
        };
        if reconnects == 0 {
            console.remark(&format!("{}; the rotation goes on when keyturn is back, waiting", lost.what));
        }
        reconnects += 1;
        tokio::time::sleep(RECONNECT_PAUSE).await;
        // An attempt that fails shows again as a failed watch, and is counted there.
        session.reopen().await.ok();
    }
}

/// Ends well once the rotation is final or needs a person.
async fn watch(
    seen: &mut RotationView,
    started_at: Timestamp,
    session: &mut Session,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let request =
        WatchRotationRequest { rotation_id: seen.rotation_id.clone(), credential: seen.credential.clone() };
    let mut messages = session.rotations.watch_rotation(request).await?.into_inner();
    while let Some(message) = messages.message().await? {
        let Some(rotation) = message.rotation.map(RotationView::new) else { continue };
        show(Some(seen), &rotation, started_at, console)?;
        *seen = rotation;
        if !matches!(seen.standing, Standing::Open | Standing::Unknown) {
            return Ok(());
        }
    }
    Err(tonic::Status::new(Code::Unavailable, "keyturn ended the stream").into())
}

/// One line for each step that is news.
fn show(
    before: Option<&RotationView>,
    rotation: &RotationView,
    started_at: Timestamp,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let reason = |rotation: &RotationView| rotation.hold.as_ref().map(|hold| hold.reason.clone());
    let news = before.is_none_or(|before| {
        (&before.state, &before.activity) != (&rotation.state, &rotation.activity)
            || reason(before) != reason(rotation)
    });
    if !news || !console.is_table() {
        return Ok(());
    }
    if before.is_none() {
        let RotationView { rotation_id, credential, provider, store, .. } = rotation;
        console.paint(Tone::Strong, &format!("rotation {rotation_id}"))?;
        console.paint(Tone::Faint, &format!("{credential}: {provider} -> {store}"))?;
    }
    let now = console.now();
    let seconds = now.duration_since(started_at).as_secs_f64();
    let doing = match &rotation.hold {
        Some(hold) => hold_in_words(hold, now),
        None => doing(&rotation.activity).to_owned(),
    };
    let tone = if rotation.hold.is_some() { Tone::Caution } else { Tone::Plain };
    console.paint(tone, format!("{seconds:>7.1}s  {:<10} {doing}", rotation.state).trim_end())?;
    Ok(())
}

fn doing(activity: &str) -> &str {
    match activity {
        "loading" => "reading record and escrow",
        "preflight" => "checking that it can succeed",
        "saving" => "writing the record",
        "calling" => "calling the provider",
        "sealing" => "sealing the answer into escrow",
        "reading" => "asking the provider for its current key",
        "probing" => "asking the provider whether it accepts the new key",
        "publishing" => "writing the application's entry",
        "waiting" => "waiting for the provider",
        "held" => "held up",
        "idle" | "" => "",
        other => other,
    }
}
