//! `keyturn providers test --live`: one real call, of which a person was told before what it does.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::arguments::TestArguments;
use super::console::{Console, Tone};
use super::exit::Exit;
use super::failure::Failure;
use super::words::{moment, plain, span};
use crate::provider::Definition;
use crate::provider::describe::{Purpose, Request, old_key, requests};
use crate::trial::{
    Called, Cause, Check, Error, Interrupts, KeyFile, Left, Notice, Secrets, Trial, Verdict, Wish,
};

/// Makes one real call, after a person has said so.
pub(super) async fn live(
    arguments: &TestArguments,
    definition: &Definition,
    console: &mut Console<'_>,
) -> Result<Exit, Failure> {
    let (Some(secret_file), Some(path)) = (&arguments.live.secret_file, &arguments.live.new_key_to) else {
        return Err(Failure::new(Exit::Usage, "--live needs --secret-file and --new-key-to"));
    };
    let trial = Trial::new(definition, wish(arguments)).map_err(|error| explained(definition, error))?;
    let secrets = Secrets::read(secret_file, &arguments.live.extra_secret_files)
        .map_err(|unreadable| Failure::new(Exit::Usage, unreadable.to_string()))?;
    // Asked for a second time when it is made, for then it counts.
    if path.symlink_metadata().is_ok() {
        return Err(taken(path));
    }
    tell_what_it_does(&trial, path, console);
    if !arguments.live.yes {
        confirm(definition, console)?;
    }
    let before = trial.look(&secrets).await.map_err(|cause| not_called(&cause))?;
    // From here on a signal no longer ends it; before this, nothing is lost by an end.
    let no_signals = |error| Failure::new(Exit::Unexpected, format!("signals cannot be received: {error}"));
    let mut interrupts = Interrupts::listen().map_err(no_signals)?;
    let file = KeyFile::create(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => taken(path),
        _ => Failure::new(Exit::Usage, format!("{} cannot be made: {error}", path.display()))
            .note(NOTHING_CALLED),
    })?;
    let limit = trial.bound().plan().call_timeout;
    let told = |notice: Notice<'_>| console.remark(&words_of(notice, path, limit));
    match trial.call(&secrets, &before, file, &mut interrupts, told).await {
        Called::Kept(new) => {
            console.remark(&format!("the new key is in {}", path.display()));
            let checks = trial.check(&secrets, &before, &new, &mut interrupts).await;
            let key_id = new.answer.key_id.as_ref().map(|id| plain(id.as_str()));
            let old_key_until = new.answer.previous_expires_at;
            show(&trial, &Kept { file: path.display().to_string(), key_id, old_key_until, checks }, console)
        }
        Called::NotSent { removed } => {
            let failure = Failure::new(Exit::Refused, "it was asked to end, and nothing was sent");
            Err(not_removed(removed, path).into_iter().fold(failure, Failure::note))
        }
        Called::NotApplied { cause, retry_after, removed } => {
            let failure = Failure::new(Exit::NotRotated, format!("there is no new key: {}", said(&cause)))
                .note("the key in use stands as it was");
            let wait =
                retry_after.map(|wait| format!("the provider asks to be left alone for {}", span(wait)));
            Err(wait.into_iter().chain(not_removed(removed, path)).fold(failure, Failure::note))
        }
        Called::Unknown { cause, left } => Err(unknown(&trial, &cause, left, path)),
        Called::Lost(error) => Err(lost(&error, path)),
    }
}

fn wish(arguments: &TestArguments) -> Wish {
    let extra = arguments.live.extra_secret_files.iter().map(|(name, _)| name.clone());
    Wish {
        params: arguments.params.iter().cloned().collect(),
        environment: arguments.environment.clone(),
        auth_scheme: arguments.live.auth_scheme.clone(),
        signs_itself: arguments.live.signs_itself,
        slot: arguments.live.slot.clone(),
        extra_secrets: extra.collect(),
    }
}

fn explained(definition: &Definition, error: Error) -> Failure {
    match error {
        Error::Binding(mistakes) => Failure::mistakes(Path::new(&definition.name), &mistakes).note(
            "say --param NAME=VALUE for parameters, --extra-secret-file NAME=FILE for further secrets, --auth-scheme \
             NAME for what the secret is, --slot NAME for one of several keys",
        ),
        Error::Way(error) => Failure::new(Exit::Unexpected, error.to_string()).note(NOTHING_CALLED),
    }
}

const NOTHING_CALLED: &str = "no key was asked for; the key in use stands";

fn taken(path: &Path) -> Failure {
    Failure::new(Exit::Usage, format!("{} is there already", path.display()))
        .note("a new key goes to a file of its own; it may hold the only copy of another one")
        .note(NOTHING_CALLED)
}

fn not_called(cause: &Cause) -> Failure {
    Failure::new(Exit::NotRotated, said(cause)).note(NOTHING_CALLED)
}

fn said(cause: &Cause) -> String {
    format!("{} [{}]", plain(&cause.what), cause.code)
}

/// The requests, and what they do to the key in use. Nothing is sent yet.
fn tell_what_it_does(trial: &Trial, path: &Path, console: &mut Console<'_>) {
    let shown = requests(trial.bound(), trial.definition());
    let sent = shown.iter().filter(|request| is_sent(request.purpose));
    for line in sent.flat_map(Request::lines) {
        console.remark(&plain(&line));
    }
    console.remark("");
    let heading =
        console.painted(Tone::Strong, "These go to the provider, regenerate once. It makes a real key.");
    console.remark(&heading);
    console.remark(&format!("The key in use: {}", plain(&what_becomes_of_the_old_key(trial))));
    console.remark(&format!("If the answer is lost: {}", if_answer_is_lost(trial)));
    console.remark(&format!(
        "The new key goes to {}, in clear, readable for you alone, and nowhere else: no application gets it.",
        path.display()
    ));
}

/// A rotation would send the others too.
const fn is_sent(purpose: Purpose) -> bool {
    match purpose {
        Purpose::Token
        | Purpose::Regenerate
        | Purpose::Read
        | Purpose::Marker
        | Purpose::Probe
        | Purpose::List => true,
        Purpose::Revoke | Purpose::Activate | Purpose::Discard => false,
    }
}

fn what_becomes_of_the_old_key(trial: &Trial) -> String {
    let plan = trial.bound().plan();
    match plan.slots.first() {
        Some(slot) => format!("What is in {slot} now dies; whoever uses it is refused from then on. The provider's other keys stay."),
        None if has_phases(trial) => {
            "It goes on to work. The new one is pending beside it until somebody activates or discards it; this command does neither. \
             If a key is pending already, it may die: not for a credential that keyturn rotates."
                .to_owned()
        }
        None if plan.creates.is_some() => {
            "It goes on to work. The new one lives beside it until somebody revokes it; this command does not.".to_owned()
        }
        None => old_key(plan),
    }
}

/// The new key is pending until it is activated.
fn has_phases(trial: &Trial) -> bool {
    trial.bound().plan().creates.as_ref().is_some_and(|creates| creates.phases.is_some())
}

/// In a rotation the means that the definition declares would follow.
fn if_answer_is_lost(trial: &Trial) -> &'static str {
    let plan = trial.bound().plan();
    if plan.self_authenticating && plan.grace.is_none() && plan.creates.is_none() {
        return "nothing more is called. The key in use may be dead then, and nothing else can sign: a lock-out, out of \
                which only the provider's own console helps.";
    }
    "nothing more is called, and it is for you to find out at the provider whether there is a new key."
}

fn confirm(definition: &Definition, console: &mut Console<'_>) -> Result<(), Failure> {
    let name = plain(&definition.name);
    match console.ask(&format!("Type {name} to do this, anything else to leave it as it is:"))? {
        Some(answer) if answer == name => Ok(()),
        Some(_) => Err(Failure::new(Exit::Refused, "nothing was sent")),
        None => Err(Failure::new(Exit::Usage, "nobody can be asked here; nothing was sent")
            .note("run it at a terminal, or add --yes where a script decides")),
    }
}

fn words_of(notice: Notice<'_>, path: &Path, limit: Duration) -> String {
    match notice {
        Notice::Waiting => format!(
            "the request has left, and its answer may hold the only copy of a key; waiting for it, {} at most",
            span(limit)
        ),
        Notice::CannotKeep(error) => format!(
            "the new key is here, and {} cannot be written: {error}; mend that, and it goes on by itself. Ctrl-C gives \
             the key up for lost",
            path.display()
        ),
    }
}

fn unknown(trial: &Trial, cause: &Cause, left: Left, path: &Path) -> Failure {
    let file = path.display();
    let left = match left {
        Left::Nothing => format!("{file} is left empty, so that the same command is not simply made again"),
        Left::Body => format!("{file} has the body of the answer, under `residue`; the new key may be in it"),
        Left::BodyPerhaps => {
            format!(
                "look into {file} first: it could not be written to its end, and what is there may have the new key"
            )
        }
        Left::ChosenKey => {
            format!("{file} has the key that was sent; if the call took effect, that is the new key")
        }
    };
    Failure::new(Exit::PersonNeeded, format!("nobody knows whether there is a new key: {}", said(cause)))
        .note(what_helps(trial))
        .note(left)
        .note("no second call was made")
}

fn not_removed(removed: std::io::Result<()>, path: &Path) -> Option<String> {
    removed.err().map(|error| format!("{} cannot be removed: {error}", path.display()))
}

/// Writing may have worked where only syncing failed.
fn lost(error: &std::io::Error, path: &Path) -> Failure {
    let file = path.display();
    let what = format!("the provider made a new key, and it was given up: {file} cannot be written: {error}");
    Failure::new(Exit::PersonNeeded, what)
        .note(format!("look into {file} first: the key may be there nevertheless"))
        .note("if it is not, make another one in the provider's console; this one is known to nobody")
}

/// What a person does where nobody knows whether there is a new key.
fn what_helps(trial: &Trial) -> String {
    let plan = trial.bound().plan();
    let means = if has_phases(trial) {
        "the key in use works on; a pending key may be at the provider. Look for it there, and discard it"
    } else if plan.creates.is_some() {
        "the key in use works on; a key more may live at the provider. Look for it there, and revoke it"
    } else if let Some(slot) = plan.slots.first() {
        return format!(
            "what was in {slot} may be dead already; the provider's other keys stay. Look into the provider's console, \
             and take what is in {slot} now, or make it anew there"
        );
    } else if plan.grace.is_some() {
        "if there is a new key, the old one dies when its grace window is over. Look into the provider's console, and \
         make a key there before that"
    } else {
        "if there is a new key, the old one may be dead already. Look into the provider's console, and make a key there"
    };
    means.to_owned()
}

/// What a call that brought a key came to; it has no secret.
#[derive(Serialize)]
struct Kept {
    /// Where the key is.
    file: String,
    key_id: Option<String>,
    old_key_until: Option<Timestamp>,
    checks: Vec<Check>,
}

impl Kept {
    fn count(&self, verdict: Verdict) -> usize {
        self.checks.iter().filter(|check| check.verdict == verdict).count()
    }
}

fn show(trial: &Trial, kept: &Kept, console: &mut Console<'_>) -> Result<Exit, Failure> {
    if console.is_table() {
        console.paint(Tone::Good, &format!("The provider made a new key, and {} has it.", kept.file))?;
        for check in &kept.checks {
            let (tone, word) = match check.verdict {
                Verdict::Kept => (Tone::Plain, "as promised"),
                Verdict::Broken => (Tone::Alarm, "NOT AS PROMISED"),
                Verdict::Open => (Tone::Caution, "not known"),
            };
            console.paint(tone, &plain(&format!("{}: {word}: {}", check.about, check.seen)))?;
        }
        console.say(&left_to_do(trial, kept))?;
        if let Some((tone, text)) = in_all(kept) {
            console.paint(tone, &text)?;
        }
    } else {
        console.document(kept)?;
    }
    Ok(if kept.count(Verdict::Broken) > 0 { Exit::Findings } else { Exit::Done })
}

/// What is left after all questions, where not everything is as promised.
fn in_all(kept: &Kept) -> Option<(Tone, String)> {
    match (kept.count(Verdict::Broken), kept.count(Verdict::Open)) {
        (0, 0) => None,
        (0, open) => Some((
            Tone::Caution,
            format!("Nothing was seen that contradicts the definition; not known: {open}."),
        )),
        (broken, open) => {
            Some((Tone::Alarm, format!("Not as the definition says: {broken}; not known: {open}.")))
        }
    }
}

/// What a person has to do at the provider and here.
fn left_to_do(trial: &Trial, kept: &Kept) -> String {
    let plan = trial.bound().plan();
    let file = format!("Put the key where it belongs, and remove {}.", kept.file);
    let id = kept.key_id.as_ref().map(|id| format!(", {id}")).unwrap_or_default();
    match (&plan.creates, plan.slots.first(), kept.old_key_until) {
        (Some(_), ..) if has_phases(trial) => {
            format!(
                "Left at the provider: the key in use, and the new one, which is pending. Activate or discard it there. {file}"
            )
        }
        (Some(_), ..) => {
            format!(
                "Left at the provider: the key in use, and the new one{id}. Revoke there what is not needed. {file}"
            )
        }
        (None, Some(slot), _) => format!("The new key is in {slot} now; the one before it is dead. {file}"),
        (None, None, Some(end)) => {
            format!(
                "The old key works until {}; give its applications the new one before that. {file}",
                moment(end)
            )
        }
        (None, None, None) => {
            format!("The old key is taken to be dead; give its applications the new one. {file}")
        }
    }
}
