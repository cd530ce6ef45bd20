//! `keyturn providers test --live` as a person runs it: the real binary, and a provider on this machine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::Arc;

use clap::Parser as _;
use keyturn::cli::{self, Cli, Console, Exit, providers};
use keyturn::clock::SystemClock;
use keyturn::provider::simulator::{self, Trouble};
use keyturn::provider::{Binding, Catalog, Definition, bind};
use keyturn::secret::SecretValue;
use keyturn::testbed::publicsquare::{self, Setup};
use keyturn::testbed::{Fault, Gate, Simulator};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::Value;
use tempfile::TempDir;

const SQUARE: &str = include_str!("../src/provider/catalog/publicsquare-api-key.yaml");

/// One definition, its secret, and the place for the new key.
struct Desk {
    home: TempDir,
    params: String,
}

impl Desk {
    /// `more` stands below the definition's last line.
    fn new(definition: &str, real: &str, base_url: &str, secret: &str, params: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        assert!(definition.contains(real), "{real} is not in the definition");
        fs::write(home.path().join("own.yaml"), definition.replace(real, base_url)).unwrap();
        // As an editor leaves it.
        fs::write(home.path().join("signer"), format!("{secret}\n")).unwrap();
        Self { home, params: params.to_owned() }
    }

    fn of(square: &Simulator) -> Self {
        let Setup { key_id, rotator_key, .. } = Setup::default();
        let real = "https://api.publicsquare.com";
        Self::new(SQUARE, real, square.base_url(), &rotator_key, &format!("--param id={key_id}"))
    }

    /// The definition says something else than its provider was made from.
    fn mistakes(&self, right: &str, wrong: &str) {
        let file = self.home.path().join("own.yaml");
        let definition = fs::read_to_string(&file).unwrap();
        let mistaken = definition.replacen(right, wrong, 1);
        assert_ne!(mistaken, definition);
        fs::write(file, mistaken).unwrap();
    }

    fn key_file(&self) -> PathBuf {
        self.home.path().join("new-key")
    }

    fn key(&self) -> Value {
        serde_json::from_slice(&fs::read(self.key_file()).unwrap()).unwrap()
    }

    fn line(&self, more: &str) -> String {
        let home = self.home.path().display();
        format!(
            "keyturn providers test {home}/own.yaml {} --live --secret-file {home}/signer --new-key-to {home}/new-key {more}",
            self.params
        )
    }

    /// What the real binary does, nobody being there to ask.
    async fn run(&self, more: &str) -> (i32, String, String) {
        let mut command = self.command(more);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        said(output)
    }

    fn command(&self, more: &str) -> Command {
        let line = self.line(more);
        let mut command = Command::new(env!("CARGO_BIN_EXE_keyturn"));
        command.args(line.split_whitespace().skip(1)).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The same with a person who answers.
    async fn answered(&self, answer: &str) -> (Exit, String, String) {
        let line = self.line("");
        let cli::Command::Providers(arguments) = Cli::parse_from(line.split_whitespace()).command else {
            panic!("it is about something else");
        };
        let (mut out, mut err, mut person) = (Vec::new(), Vec::new(), answer.as_bytes());
        let mut console = Console::new(&mut out, &mut err).with_person(&mut person);
        let exit = providers(&arguments, &Catalog::embedded(), &mut console).await;
        (exit, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }
}

fn said(output: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    for secret in ["CANARY", &Setup::default().rotator_key] {
        assert!(!out.contains(secret) && !err.contains(secret), "a secret is shown: {out}{err}");
    }
    (output.status.code().unwrap(), out, err)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_is_in_the_file_and_nowhere_else() {
    let square = publicsquare::start().await.unwrap();
    let desk = Desk::of(&square);
    let (code, out, err) = desk.run("--yes").await;
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(desk.key()["secret"], square.current_key().as_str());
    assert!(square.current_key().contains("CANARY"), "the check for secrets checks nothing");
    assert_eq!(fs::metadata(desk.key_file()).unwrap().mode() & 0o777, 0o600);
    assert_eq!(square.calls().len(), 1);
    assert!(err.contains("regenerate: POST http://127.0.0.1:"), "{err}");
    assert!(err.contains("The key in use: It is taken to be dead from the call on"), "{err}");
    assert!(out.contains("answer.secret: as promised: the answer shows the new key\n"), "{out}");
    assert!(out.contains("probe: as promised: the provider accepts the new key"), "{out}");
    assert!(out.contains("read: as promised: the provider shows the new key"), "{out}");
    assert!(out.contains("The old key is taken to be dead; give its applications the new one."), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_until_a_person_has_typed_the_name() {
    let square = publicsquare::start().await.unwrap();
    let desk = Desk::of(&square);
    let (code, _, err) = desk.run("").await;
    assert_eq!(code, i32::from(Exit::Usage.code()), "{err}");
    assert!(err.contains("nobody can be asked here; nothing was sent"), "{err}");
    let (exit, _, err) = desk.answered("yes\n").await;
    assert_eq!(exit, Exit::Refused, "{err}");
    assert!(!desk.key_file().exists());
    assert_eq!(square.calls().len(), 0);

    let (exit, out, err) = desk.answered("publicsquare/api-key\n").await;
    assert_eq!(exit, Exit::Done, "{out}{err}");
    assert!(err.contains("Type publicsquare/api-key to do this"), "{err}");
    assert_eq!(desk.key()["secret"], square.current_key().as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_there_is_left_alone_and_nothing_is_sent() {
    let square = publicsquare::start().await.unwrap();
    let desk = Desk::of(&square);
    fs::write(desk.key_file(), "the only copy of another key").unwrap();
    let (code, _, err) = desk.run("--yes").await;
    assert_eq!(code, i32::from(Exit::Usage.code()), "{err}");
    assert!(err.contains("new-key is there already"), "{err}");
    assert_eq!(fs::read(desk.key_file()).unwrap(), b"the only copy of another key");
    fs::remove_file(desk.key_file()).unwrap();
    fs::remove_file(desk.home.path().join("signer")).unwrap();
    let (code, _, err) = desk.run("--yes").await;
    assert_eq!(code, i32::from(Exit::Usage.code()), "{err}");
    assert!(err.contains("signer: it cannot be read"), "{err}");
    assert!(!desk.key_file().exists());
    assert_eq!(square.calls().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_refused_leaves_no_file() {
    let square = publicsquare::start().await.unwrap();
    let desk = Desk::of(&square);
    square.next_call(Fault::rate_limits(Some("60")));
    let (code, _, err) = desk.run("--yes").await;
    assert_eq!(code, i32::from(Exit::NotRotated.code()), "{err}");
    assert!(err.contains("there is no new key: ") && err.contains("[PROVIDER_RATE_LIMITED]"), "{err}");
    assert!(err.contains("the key in use stands as it was") && err.contains("left alone for 1m"), "{err}");
    assert!(!desk.key_file().exists());
    assert_eq!((square.calls().len(), square.minted_count()), (1, 0));

    // A key that may not even read is known before the call.
    fs::write(desk.home.path().join("signer"), "nobody's").unwrap();
    let (code, _, err) = desk.run("--yes").await;
    assert_eq!(code, i32::from(Exit::NotRotated.code()), "{err}");
    assert!(err.contains("refuses to show the present key") && err.contains("no key was asked for"), "{err}");
    assert!(!desk.key_file().exists());
    assert_eq!(square.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_called_by_its_name_and_no_second_call_is_made() {
    let square = publicsquare::start().await.unwrap();
    let desk = Desk::of(&square);
    square.next_call(Fault::answer_lost());
    let (code, out, err) = desk.run("--yes").await;
    assert_eq!(code, i32::from(Exit::PersonNeeded.code()), "{out}{err}");
    assert!(
        err.contains("nobody knows whether there is a new key: ") && err.contains("[ANSWER_CONNECTION_LOST]")
    );
    assert!(err.contains("the old one may be dead already") && err.contains("is left empty"), "{err}");
    assert_eq!(fs::read(desk.key_file()).unwrap(), b"");
    assert_eq!((square.calls().len(), square.minted_count()), (1, 1));
    let (code, _, err) = desk.run("--yes").await;
    assert_eq!(code, i32::from(Exit::Usage.code()), "{err}");
    assert_eq!(square.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_cannot_be_used_is_kept_for_a_person() {
    let square = publicsquare::start().await.unwrap();
    let desk = Desk::of(&square);
    square.next_call(Fault::answer_garbled());
    let (code, out, err) = desk.run("--yes").await;
    assert_eq!(code, i32::from(Exit::PersonNeeded.code()), "{out}{err}");
    assert!(err.contains("has the body of the answer, under `residue`"), "{err}");
    assert!(desk.key()["residue"].as_str().is_some_and(|body| !body.is_empty()));
    assert_eq!(square.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_no_answer_shows_is_read() {
    let square = publicsquare::start().await.unwrap();
    let desk = Desk::of(&square);
    desk.mistakes("answer:\n  secret: /key\n", "answer:\n  without_value: [204]\n");
    square.next_call(Fault::answer_empty());
    let (code, out, err) = desk.run("--yes").await;
    assert_eq!(code, 0, "{out}{err}");
    assert!(!out.contains("answer.secret"), "no answer was to show it: {out}");
    assert_eq!(desk.key()["secret"], square.current_key().as_str());
    assert_eq!(square.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_place_of_the_key_is_told_though_a_read_brings_the_key() {
    let square = publicsquare::start().await.unwrap();
    let desk = Desk::of(&square);
    desk.mistakes("answer:\n  secret: /key\n", "answer:\n  secret: /kye\n");
    let (code, out, err) = desk.run("--yes").await;
    assert_eq!(code, i32::from(Exit::Findings.code()), "{out}{err}");
    assert!(
        out.contains("answer.secret: NOT AS PROMISED: ") && out.contains("\"/kye\" (`answer.secret`)"),
        "{out}"
    );
    assert!(out.contains("read: as promised"), "{out}");
    assert!(out.ends_with("Not as the definition says: 1; not known: 0.\n"), "{out}");
    assert_eq!(desk.key()["secret"], square.current_key().as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_it_to_end_during_the_call_gets_the_key_first() {
    let square = publicsquare::start().await.unwrap();
    let desk = Desk::of(&square);
    let gate = Gate::new();
    square.next_call(Fault::held(&gate));
    let mut child = desk.command("--yes").spawn().unwrap();
    let pid = Pid::from_child(&child);
    gate.reached().await;
    let mut err = BufReader::new(child.stderr.take().unwrap());
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT, Signal::TSTP] {
        kill_process(pid, signal).unwrap();
        wait_for("waiting for it", &mut err);
    }
    gate.release();
    let mut rest = String::new();
    err.read_to_string(&mut rest).unwrap();
    let (code, out, _) = said(child.wait_with_output().unwrap());
    assert_eq!(code, 0, "{out}{rest}");
    assert_eq!(desk.key()["secret"], square.current_key().as_str());
}

/// A call whose answer comes when the gate opens, by a process that can then write five bytes and no more.
async fn without_room(desk: &Desk, gate: &Gate) -> (Child, BufReader<ChildStderr>) {
    let plain = desk.command("--yes");
    // A write beyond the limit fails then, and does not end the process.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(plain.get_program()).args(plain.get_args());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    gate.reached().await;
    limit_files(&child, Some(5));
    gate.release();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    wait_for("cannot be written", &mut err);
    (child, err)
}

fn limit_files(child: &Child, current: Option<u64>) {
    prlimit(Some(Pid::from_child(child)), Resource::Fsize, Rlimit { current, maximum: None }).unwrap();
}

fn wait_for(words: &str, err: &mut impl BufRead) {
    let mut line = String::new();
    while !line.contains(words) {
        line.clear();
        assert_ne!(err.read_line(&mut line).unwrap(), 0, "it ended without saying: {words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_cannot_be_written_is_kept_once_it_can() {
    let square = publicsquare::start().await.unwrap();
    let (desk, gate) = (Desk::of(&square), Gate::new());
    square.next_call(Fault::held(&gate));
    let (child, mut err) = without_room(&desk, &gate).await;
    // A person goes to mend it, and stops nothing.
    kill_process(Pid::from_child(&child), Signal::TSTP).unwrap();
    limit_files(&child, None);
    wait_for("the new key is in ", &mut err);
    std::io::copy(&mut err, &mut std::io::sink()).unwrap();
    let (code, out, _) = said(child.wait_with_output().unwrap());
    assert_eq!(code, 0, "{out}");
    assert_eq!(desk.key()["secret"], square.current_key().as_str());
    assert_eq!(square.calls().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_gives_up_what_cannot_be_written_is_sent_to_the_file_first() {
    let square = publicsquare::start().await.unwrap();
    let garbled = |gate: &Gate| Fault::answer_garbled().until(gate);
    for (fault, what) in [
        (Fault::held as fn(&Gate) -> Fault, "the provider made a new key, and it was given up"),
        (garbled, "nobody knows whether there is a new key"),
    ] {
        let (desk, gate) = (Desk::of(&square), Gate::new());
        square.next_call(fault(&gate));
        let (child, mut err) = without_room(&desk, &gate).await;
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        let mut rest = String::new();
        err.read_to_string(&mut rest).unwrap();
        let (code, out, _) = said(child.wait_with_output().unwrap());
        assert_eq!(code, i32::from(Exit::PersonNeeded.code()), "{out}{rest}");
        assert!(rest.contains(what) && rest.contains("new-key first: "), "{rest}");
        let left = fs::read(desk.key_file()).unwrap();
        assert!(left.starts_with(b"{\""), "what was written is gone: {left:?}");
    }
}

/// A provider that is derived from a definition.
async fn derived(
    definition: &str,
    params: &[(&str, &str)],
    scheme: Option<&str>,
    trouble: Trouble,
) -> (Arc<simulator::Simulator<SystemClock>>, String) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let params: BTreeMap<String, String> =
        params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let auth_scheme = scheme.map(str::to_owned);
    let binding = Binding { params, base_url: Some(base_url.clone()), auth_scheme, ..Binding::usual() };
    let bound = bind(&Definition::parse(definition).unwrap(), binding).unwrap();
    let admin = SecretValue::new("admin".to_owned());
    let simulator =
        Arc::new(simulator::Simulator::new(bound, SystemClock::start(), trouble, admin, Vec::new()));
    tokio::spawn(Arc::clone(&simulator).serve(listener));
    (simulator, base_url)
}

fn heard(simulator: &simulator::Simulator<SystemClock>) -> Vec<&'static str> {
    simulator.heard().iter().map(|heard| heard.what).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_beside_the_old_one_is_listed_and_nothing_is_revoked() {
    let definition = include_str!("../src/provider/catalog/sendgrid-api-key.yaml");
    let params = [("label", "trial"), ("scopes", "mail.send")];
    let (provider, base_url) = derived(definition, &params, None, Trouble::None).await;
    let params = "--param label=trial --param scopes=mail.send";
    let desk = Desk::new(definition, "https://api.sendgrid.com", &base_url, "admin", params);
    let (code, out, err) = desk.run("--yes").await;
    assert_eq!(code, 0, "{out}{err}");
    assert!(!err.contains("revoke: "), "{err}");
    assert!(err.contains("The key in use: It goes on to work. The new one lives beside it"), "{err}");
    let key_id = desk.key()["key_id"].as_str().unwrap().to_owned();
    assert!(out.contains("list: as promised: the new key is found by its label"), "{out}");
    assert!(
        out.contains(&format!("Left at the provider: the key in use, and the new one, {key_id}.")),
        "{out}"
    );
    assert_eq!(heard(&provider), ["list", "regenerate", "list"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pending_key_is_neither_activated_nor_discarded() {
    let definition = include_str!("../src/provider/catalog/stytch-m2m-secret.yaml");
    let params = [("project_id", "project-test-1"), ("m2m_client_id", "m2m-client-test-1")];
    let (provider, base_url) = derived(definition, &params, Some("basic"), Trouble::None).await;
    let params = "--param project_id=project-test-1 --param m2m_client_id=m2m-client-test-1";
    let desk = Desk::new(definition, "https://api.stytch.com", &base_url, "admin", params);
    let (code, _, err) = desk.run("--yes").await;
    assert_eq!(code, i32::from(Exit::Usage.code()), "{err}");
    assert!(err.contains("name what the secret that signs is: oauth2 or basic"), "{err}");
    assert!(!desk.key_file().exists());
    assert_eq!(heard(&provider), Vec::<&str>::new());
    let (code, out, err) = desk.run("--yes --auth-scheme basic").await;
    assert_eq!(code, 0, "{out}{err}");
    assert!(
        err.contains("regenerate: ") && !err.contains("activate: ") && !err.contains("discard: "),
        "{err}"
    );
    assert!(err.contains("If a key is pending already, it may die"), "{err}");
    assert!(err.contains("is pending beside it until somebody activates or discards it"), "{err}");
    assert!(out.contains("the new one, which is pending. Activate or discard it there."), "{out}");
    // The project's secret makes the call, and only the new key is exchanged for a token.
    assert_eq!(heard(&provider), ["regenerate", "token", "probe"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_our_own_choice_is_in_the_file_before_the_call() {
    let definition = include_str!("../src/provider/catalog/svix-endpoint-secret.yaml");
    let params = [("app_id", "app"), ("endpoint_id", "ep")];
    let (provider, base_url) = derived(definition, &params, None, Trouble::AnswerLost).await;
    let desk = Desk::new(
        definition,
        "https://api.svix.com\n",
        &format!("{base_url}\n"),
        "admin",
        "--param app_id=app --param endpoint_id=ep",
    );
    let (code, out, err) = desk.run("--yes").await;
    assert_eq!(code, i32::from(Exit::PersonNeeded.code()), "{out}{err}");
    assert!(err.contains("has the key that was sent; if the call took effect, that is the new key"), "{err}");
    let secret = desk.key()["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("whsec_") && !err.contains(&secret) && !out.contains(&secret));
    assert_eq!(heard(&provider), ["read", "regenerate"]);
}

const SEVERAL: &str = r#"
name: own/key
title: One of two keys
environments: { production: "https://own.example.com" }
default_environment: production
auth:
  - header: { name: X-Api-Key }
self: never
slots: [key1, key2]
regenerate: { path: "/keys/{slot}/regenerate" }
answer: { secret: /key }
read: { path: "/keys/{slot}", secret: /key, lag: 1s }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn of_several_keys_a_person_names_the_one_that_dies() {
    let (provider, base_url) = derived(SEVERAL, &[], None, Trouble::None).await;
    let desk = Desk::new(SEVERAL, "https://own.example.com", &base_url, "admin", "");
    let (code, _, err) = desk.run("--yes").await;
    assert_eq!(code, i32::from(Exit::Usage.code()), "{err}");
    assert!(err.contains("name the one that nobody uses: key1 or key2"), "{err}");
    assert_eq!(heard(&provider), Vec::<&str>::new());
    let (code, out, err) = desk.run("--yes --slot key2").await;
    assert_eq!(code, 0, "{out}{err}");
    assert!(err.contains("/keys/key2/regenerate\n") && !err.contains("key1"), "{err}");
    assert!(err.contains("What is in key2 now dies"), "{err}");
    assert!(out.contains("read: as promised") && out.contains("The new key is in key2 now"), "{out}");
    // The time for which a rotation leaves another slot alone is no end of this one's key.
    assert_eq!(desk.key().get("previous_expires_at"), None);
    assert_eq!(heard(&provider), ["read", "regenerate", "read"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lost_answer_may_have_ended_in_a_slot_is_said_to_be_dead() {
    let (provider, base_url) = derived(SEVERAL, &[], None, Trouble::AnswerLost).await;
    let desk = Desk::new(SEVERAL, "https://own.example.com", &base_url, "admin", "");
    let (code, out, err) = desk.run("--yes --slot key2").await;
    assert_eq!(code, i32::from(Exit::PersonNeeded.code()), "{out}{err}");
    assert!(err.contains("what was in key2 may be dead already") && !err.contains("grace window"), "{err}");
    assert_eq!(heard(&provider), ["read", "regenerate"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_that_says_too_much_is_told_from_the_provider() {
    let square = publicsquare::start_with(Setup {
        propagation: std::time::Duration::from_hours(1),
        ..Setup::default()
    });
    let square = square.await.unwrap();
    let desk = Desk::of(&square);
    let (code, out, err) = desk.run("--yes -o json").await;
    assert_eq!(code, i32::from(Exit::Findings.code()), "{out}{err}");
    let shown: Value = serde_json::from_str(&out).unwrap();
    let checks = shown["checks"].as_array().unwrap();
    let probe = checks.iter().find(|check| check["about"] == "probe").unwrap();
    assert_eq!(probe["verdict"], "broken");
    assert_eq!(desk.key()["secret"], square.current_key().as_str());
}

const ANSWERED: &str = r#"
name: own/key
title: A key with an id and an old one's end
environments: { production: "https://own.example.com" }
default_environment: production
auth:
  - header: { name: X-Api-Key }
self: never
regenerate: { path: /keys/rotate }
answer: { secret: /data/key, fields: { id: /data/id }, previous_expires_at: { at: /data/old_until } }
grace: { fixed: 1h }
probe: { path: /me }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_the_answer_says_beside_the_key_is_held_against_the_definition_too() {
    let (_provider, base_url) = derived(ANSWERED, &[], None, Trouble::None).await;
    let desk = || Desk::new(ANSWERED, "https://own.example.com", &base_url, "admin", "");
    let right = desk();
    let (code, out, err) = right.run("--yes").await;
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("answer.previous_expires_at: as promised: "), "{out}");
    assert!(!out.contains("not known"), "{out}");

    let wrong = desk();
    wrong.mistakes("/data/old_until", "/data/until");
    let (code, out, err) = wrong.run("--yes").await;
    assert_eq!(code, i32::from(Exit::Findings.code()), "{out}{err}");
    let said = "answer.previous_expires_at: NOT AS PROMISED: the answer has no readable time of the old key's end at \"/data/until\"";
    assert!(out.contains(said), "{out}");
    assert!(out.contains("The old key is taken to be dead"), "{out}");
    assert_eq!(wrong.key().get("previous_expires_at"), None);

    // Where no window is known, an answer may well name no end.
    let without = desk();
    without.mistakes("/data/old_until", "/data/until");
    without.mistakes("grace: { fixed: 1h }\n", "");
    let (code, out, err) = without.run("--yes").await;
    assert_eq!(code, 0, "{out}{err}");
    assert!(!out.contains("answer.previous_expires_at"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_key_was_found_the_places_are_named_at_which_it_was_looked_for() {
    let (_provider, base_url) = derived(ANSWERED, &[], None, Trouble::None).await;
    for (right, wrong, title) in [
        ("/data/id", "/data/ident", "the new key was not shown"),
        ("secret: /data/key", "secret: /data", "no text where the key should be"),
    ] {
        let desk = Desk::new(ANSWERED, "https://own.example.com", &base_url, "admin", "");
        desk.mistakes(right, wrong);
        let (code, out, err) = desk.run("--yes").await;
        assert_eq!(code, i32::from(Exit::PersonNeeded.code()), "{out}{err}");
        assert!(err.contains(title), "{err}");
        for place in [
            "(`answer.secret`)",
            "(`answer.fields.id`)",
            &format!("{:?}", wrong.trim_start_matches("secret: ")),
        ] {
            assert!(err.contains(place), "{place}: {err}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_place_of_the_keys_id_is_told() {
    let definition = include_str!("../src/provider/catalog/sendgrid-api-key.yaml");
    let params = [("label", "trial"), ("scopes", "mail.send")];
    let (_provider, base_url) = derived(definition, &params, None, Trouble::None).await;
    let params = "--param label=trial --param scopes=mail.send";
    let desk = Desk::new(definition, "https://api.sendgrid.com", &base_url, "admin", params);
    desk.mistakes("key_id: /api_key_id", "key_id: /id");
    let (code, out, err) = desk.run("--yes").await;
    assert_eq!(code, i32::from(Exit::Findings.code()), "{out}{err}");
    assert!(
        out.contains("answer.key_id: NOT AS PROMISED: the answer has no id of the new key at \"/id\""),
        "{out}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_asked_is_counted_in_the_last_line() {
    let (_provider, base_url) = derived(ANSWERED, &[], None, Trouble::None).await;
    let desk = Desk::new(ANSWERED, "https://own.example.com", &base_url, "admin", "");
    desk.mistakes("probe: { path: /me }", "probe: { path: /mee }");
    let (code, out, err) = desk.run("--yes").await;
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("probe: not known: "), "{out}");
    assert!(out.ends_with("Nothing was seen that contradicts the definition; not known: 1.\n"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_ends_the_questions_is_told_what_they_would_have_shown() {
    let (_provider, base_url) = derived(ANSWERED, &[], None, Trouble::None).await;
    let desk = Desk::new(ANSWERED, "https://own.example.com", &base_url, "admin", "");
    desk.mistakes("probe: { path: /me }", "probe: { path: /me }\npropagation: { delay: 20m, deadline: 30m }");
    let mut child = desk.command("--yes").spawn().unwrap();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    wait_for("the new key is in ", &mut err);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let (code, out, _) = said(child.wait_with_output().unwrap());
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("probe: not known: it was asked to end before this was seen"), "{out}");
    assert!(out.ends_with("not known: 1.\n"), "{out}");
}
