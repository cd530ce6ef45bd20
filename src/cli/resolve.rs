//! `keyturn resolve`: a person's decision about an unknown or halted rotation.

use uuid::Uuid;

use super::arguments::{DecisionArgument, ResolveArguments};
use super::connect::Session;
use super::console::{Console, Tone};
use super::exit::Exit;
use super::failure::Failure;
use super::sentences::{cause_in_words, verdict};
use super::status;
use super::view::{RotationView, Standing, decision_word};
use crate::api::proto::{Decision, GetRotationRequest, ResolveRotationRequest};

pub(super) async fn resolve(
    arguments: ResolveArguments,
    session: &mut Session,
    console: &mut Console<'_>,
) -> Result<Exit, Failure> {
    let rotation = find(&arguments, session).await?;
    let decision = arguments.decision.into();
    if !arguments.yes {
        confirm(&rotation, decision, console)?;
    }
    let request = ResolveRotationRequest {
        rotation_id: rotation.rotation_id,
        decision: decision.into(),
        request_id: Uuid::now_v7().to_string(),
    };
    let answer = session.rotations.resolve_rotation(request).await?.into_inner();
    let missing = || Failure::new(Exit::Unexpected, "keyturn answered without the rotation");
    let rotation = answer.rotation.map(RotationView::new).ok_or_else(missing)?;
    if console.is_table() {
        let verdict = verdict(&rotation, console.now());
        console.say(&verdict)?;
        if matches!(rotation.standing, Standing::Open | Standing::Unknown) {
            console.paint(Tone::Faint, &format!("follow it with: keyturn watch {}", rotation.credential))?;
        }
    } else {
        console.document(&rotation)?;
    }
    Ok(Exit::Done)
}

/// The rotation that the person means: the named one, else the open one.
async fn find(arguments: &ResolveArguments, session: &mut Session) -> Result<RotationView, Failure> {
    let name = arguments.credential.as_str();
    if let Some(id) = arguments.rotation {
        let request = GetRotationRequest { rotation_id: id.to_string(), credential: name.to_owned() };
        let answer = session.rotations.get_rotation(request).await?.into_inner();
        let missing = || Failure::new(Exit::Unexpected, "keyturn answered without the rotation");
        return answer.rotation.map(RotationView::new).ok_or_else(missing);
    }
    let nothing = || {
        Failure::new(Exit::Refused, format!("{name} has no open rotation; there is nothing to resolve"))
            .note(format!("`keyturn history {name}` shows how the last ones ended"))
    };
    status::read(session, name).await?.current_rotation.ok_or_else(nothing)
}

fn confirm(rotation: &RotationView, decision: Decision, console: &mut Console<'_>) -> Result<(), Failure> {
    let word = decision_word(decision);
    console.remark(&format!(
        "rotation {} of {} is {}",
        rotation.rotation_id, rotation.credential, rotation.state
    ));
    if let Some(cause) = &rotation.cause {
        console.remark(&format!("  {}", cause_in_words(cause)));
        if let Some(way_out) = &cause.way_out {
            console.remark(&format!("  {way_out}"));
        }
    }
    console.remark(&format!("{word}: {}", meaning(decision)));
    match console.ask(&format!("Type {word} to do this, anything else to leave it as it is:"))? {
        Some(answer) if answer == word => Ok(()),
        Some(_) => Err(Failure::new(Exit::Refused, "nothing was done")),
        None => Err(Failure::new(Exit::Usage, "nobody can be asked here; nothing was done")
            .note("add --yes where a script decides")),
    }
}

/// What a decision does, to the key above all.
const fn meaning(decision: Decision) -> &'static str {
    match decision {
        Decision::KeepCurrent => {
            "the rotation is closed, and what Vault holds stays as it is. Right where the provider still accepts \
             that key, or where the entry was mended by hand; else applications are left with a dead key"
        }
        Decision::PublishAnyway => {
            "the new key goes to the applications now, although the provider was not seen to accept it. Right \
             where the provider is known to be slow; else applications get a key that does not work"
        }
        Decision::TryAgain => {
            "keyturn tries its own means once more. Harmless; right where something was mended in the meantime"
        }
        Decision::RotateAgain => {
            "the rotation is given up, and the provider is asked for one more new key. A key that the lost call \
             may have made stays at the provider, unknown to everybody; the key in Vault may be dead until the \
             new one is there"
        }
        Decision::Unspecified => "nothing",
    }
}

impl From<DecisionArgument> for Decision {
    fn from(argument: DecisionArgument) -> Self {
        match argument {
            DecisionArgument::KeepCurrent => Self::KeepCurrent,
            DecisionArgument::PublishAnyway => Self::PublishAnyway,
            DecisionArgument::TryAgain => Self::TryAgain,
            DecisionArgument::RotateAgain => Self::RotateAgain,
        }
    }
}
