//! `keyturn providers test`: a definition's rotation, rehearsed on this machine, or its requests as they would leave.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::arguments::TestArguments;
use super::console::{Console, Tone};
use super::exit::Exit;
use super::failure::Failure;
use super::live;
use super::providers::unknown;
use super::table;
use super::words::{plain, span};
use crate::provider::describe::{Request, requests};
use crate::provider::{Binding, Catalog, Definition, bind};
use crate::rehearsal::{Error, Scene, rehearse};

/// Rehearses a definition, or only shows what it would send.
pub(super) async fn test(
    arguments: &TestArguments,
    catalog: &Catalog,
    console: &mut Console<'_>,
) -> Result<Exit, Failure> {
    let definition = find(&arguments.definition, catalog)?;
    let params: BTreeMap<String, String> = arguments.params.iter().cloned().collect();
    if arguments.live.live {
        return live::live(arguments, &definition, console).await;
    }
    if arguments.dry_run {
        let requests = would_send(&definition, params, arguments.environment.clone());
        return show_requests(&requests.map_err(|error| explained(&definition, error))?, console);
    }
    let scenes = rehearse(&definition, &params).await.map_err(|error| explained(&definition, error))?;
    show_scenes(&definition, &scenes, console)
}

/// One that comes along, by its name; else one of the owner's own, by its file.
fn find(definition: &str, catalog: &Catalog) -> Result<Definition, Failure> {
    let mistake = match catalog.find(definition) {
        Ok(definition) => return Ok(definition.clone()),
        Err(mistake) => mistake,
    };
    let file = Path::new(definition);
    if !file.exists() {
        return Err(unknown(definition, mistake).note("nor is there such a file").note(
            "it takes the name of a definition that comes along (`keyturn providers` lists them), or the path of a file",
        ));
    }
    let text = fs::read_to_string(file)
        .map_err(|error| Failure::new(Exit::Usage, format!("{} cannot be read: {error}", file.display())))?;
    Definition::parse(&text).map_err(|mistakes| Failure::mistakes(file, &mistakes))
}

fn explained(definition: &Definition, error: Error) -> Failure {
    match error {
        Error::Binding(mistakes) => Failure::mistakes(Path::new(&definition.name), &mistakes)
            .note("parameters are given as --param NAME=VALUE"),
        Error::Stage(reason) => Failure::new(Exit::Unexpected, reason),
    }
}

fn would_send(
    definition: &Definition,
    params: BTreeMap<String, String>,
    environment: Option<String>,
) -> Result<Vec<Request>, Error> {
    let own = definition.self_signing.ways().first().copied().unwrap_or_default();
    let extra_secrets = definition.extra_secrets.keys().cloned().collect();
    let binding =
        Binding { params, environment, extra_secrets, self_authenticating: own, ..Binding::usual() };
    let bound = bind(definition, binding).map_err(Error::Binding)?;
    Ok(requests(&bound, definition))
}

fn show_requests(requests: &[Request], console: &mut Console<'_>) -> Result<Exit, Failure> {
    if console.is_table() {
        for line in requests.iter().flat_map(Request::lines) {
            console.say(&plain(&line))?;
        }
        console.paint(Tone::Good, "Nothing was sent.")?;
    } else {
        console.document(&requests)?;
    }
    Ok(Exit::Done)
}

fn show_scenes(
    definition: &Definition,
    scenes: &[Scene],
    console: &mut Console<'_>,
) -> Result<Exit, Failure> {
    let broken = scenes.iter().filter(|scene| !scene.is_kept).count();
    if console.is_table() {
        for own in definition.self_signing.ways() {
            let signer = if *own { "the key itself" } else { "a separate credential" };
            console.paint(Tone::Strong, &format!("Signed by {signer}"))?;
            let rows = scenes.iter().filter(|scene| scene.signed_by_itself == *own).map(row);
            table::print(console, ["SITUATION", "CALLS", "TOOK", "ENDED", "AS PROMISED"], rows)?;
            console.say("")?;
        }
        let name = plain(&definition.name);
        if broken == 0 {
            console.paint(
                Tone::Good,
                &format!("{name} ends as it promises in all {} situations", scenes.len()),
            )?;
        } else {
            console.paint(Tone::Alarm, &format!("{name} breaks its promise; situations: {broken}"))?;
        }
        console.say("This rehearsed what the definition says, against a simulator made from it; the provider was not asked.")?;
    } else {
        console.document(&scenes)?;
    }
    Ok(if broken == 0 { Exit::Done } else { Exit::Findings })
}

fn row(scene: &Scene) -> (Tone, [String; 5]) {
    let (tone, kept) = if scene.is_kept { (Tone::Plain, "yes") } else { (Tone::Alarm, "NO") };
    let took = span(Duration::from_millis(scene.took_ms));
    let calls = if scene.calls.is_empty() { "none".to_owned() } else { scene.calls.join(", ") };
    (tone, [scene.situation.clone(), calls, took, scene.ended.clone(), kept.to_owned()])
}
