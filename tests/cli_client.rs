//! The command line against a scripted server: what a person reads, what a script gets, and the exit codes.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::unnecessary_wraps,
    reason = "a test's helpers fail as the test does, and a protobuf time is optional everywhere"
)]

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use clap::Parser as _;
use futures_util::{Stream, stream};
use keyturn::api::proto;
use keyturn::api::proto::credential_service_server::{CredentialService, CredentialServiceServer};
use keyturn::api::proto::rotate_service_server::{RotateService, RotateServiceServer};
use keyturn::cli::{Cli, Command, Console, Exit, Target, execute};
use prost_types::Timestamp;
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

const ID: &str = "01939e5a-0000-7000-8000-000000000001";

/// What the scripted server answers.
#[derive(Debug, Default)]
struct Script {
    credentials: Vec<proto::Credential>,
    steps: Vec<proto::Rotation>,
    refusal: Option<Status>,
    /// So many streams of a rotation end early, as when keyturn is restarted.
    restarts: AtomicU32,
    plan: proto::PlanRotationResponse,
}

struct Scripted(Arc<Script>);

type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Scripted {
    fn last(&self) -> Option<proto::Rotation> {
        let open = || self.0.credentials.first()?.current_rotation.clone();
        self.0.steps.last().cloned().or_else(open)
    }

    fn check(&self) -> Result<(), Status> {
        self.0.refusal.clone().map_or(Ok(()), Err)
    }
}

#[tonic::async_trait]
impl RotateService for Scripted {
    async fn rotate(
        &self,
        _: Request<proto::RotateRequest>,
    ) -> Result<Response<proto::RotateResponse>, Status> {
        self.check()?;
        Ok(Response::new(proto::RotateResponse { rotation: self.0.steps.first().cloned() }))
    }

    async fn get_rotation(
        &self,
        _: Request<proto::GetRotationRequest>,
    ) -> Result<Response<proto::GetRotationResponse>, Status> {
        Ok(Response::new(proto::GetRotationResponse { rotation: self.last() }))
    }

    async fn list_rotations(
        &self,
        _: Request<proto::ListRotationsRequest>,
    ) -> Result<Response<proto::ListRotationsResponse>, Status> {
        let rotations = self.0.steps.clone();
        Ok(Response::new(proto::ListRotationsResponse { rotations, next_page_token: String::new() }))
    }

    type WatchRotationStream = Messages<proto::WatchRotationResponse>;

    async fn watch_rotation(
        &self,
        _: Request<proto::WatchRotationRequest>,
    ) -> Result<Response<Self::WatchRotationStream>, Status> {
        let left = self.0.restarts.load(Ordering::Relaxed);
        if left > 0 {
            self.0.restarts.store(left - 1, Ordering::Relaxed);
            return Ok(Response::new(Box::pin(stream::iter([Err(stopping())]))));
        }
        let messages = self.0.steps.clone().into_iter();
        let messages = messages.map(|rotation| Ok(proto::WatchRotationResponse { rotation: Some(rotation) }));
        Ok(Response::new(Box::pin(stream::iter(messages))))
    }

    async fn cancel_rotation(
        &self,
        _: Request<proto::CancelRotationRequest>,
    ) -> Result<Response<proto::CancelRotationResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn resolve_rotation(
        &self,
        request: Request<proto::ResolveRotationRequest>,
    ) -> Result<Response<proto::ResolveRotationResponse>, Status> {
        self.check()?;
        let mut rotation = self.last().unwrap();
        rotation.set_state(proto::RotationState::Resolved);
        rotation.set_decision(request.into_inner().decision());
        rotation.halt = None;
        Ok(Response::new(proto::ResolveRotationResponse { rotation: Some(rotation) }))
    }

    async fn plan_rotation(
        &self,
        _: Request<proto::PlanRotationRequest>,
    ) -> Result<Response<proto::PlanRotationResponse>, Status> {
        Ok(Response::new(self.0.plan.clone()))
    }
}

#[tonic::async_trait]
impl CredentialService for Scripted {
    async fn get_credential(
        &self,
        _: Request<proto::GetCredentialRequest>,
    ) -> Result<Response<proto::GetCredentialResponse>, Status> {
        self.check()?;
        Ok(Response::new(proto::GetCredentialResponse { credential: self.0.credentials.first().cloned() }))
    }

    /// Two pages, so that a client that forgets the second is found out.
    async fn list_credentials(
        &self,
        request: Request<proto::ListCredentialsRequest>,
    ) -> Result<Response<proto::ListCredentialsResponse>, Status> {
        let (first, rest) = self.0.credentials.split_at(self.0.credentials.len().min(1));
        let answer = if request.into_inner().page_token.is_empty() {
            proto::ListCredentialsResponse { credentials: first.to_vec(), next_page_token: "2".into() }
        } else {
            proto::ListCredentialsResponse { credentials: rest.to_vec(), next_page_token: String::new() }
        };
        Ok(Response::new(answer))
    }

    type WatchCredentialsStream = Messages<proto::WatchCredentialsResponse>;

    async fn watch_credentials(
        &self,
        _: Request<proto::WatchCredentialsRequest>,
    ) -> Result<Response<Self::WatchCredentialsStream>, Status> {
        let credentials = self.0.credentials.clone();
        let message =
            || Ok(proto::WatchCredentialsResponse { credentials: credentials.clone(), synced: true });
        Ok(Response::new(Box::pin(stream::iter([message(), message(), Err(stopping())]))))
    }

    async fn pause_credential(
        &self,
        _: Request<proto::PauseCredentialRequest>,
    ) -> Result<Response<proto::PauseCredentialResponse>, Status> {
        Ok(Response::new(proto::PauseCredentialResponse { credential: self.0.credentials.first().cloned() }))
    }

    async fn resume_credential(
        &self,
        _: Request<proto::ResumeCredentialRequest>,
    ) -> Result<Response<proto::ResumeCredentialResponse>, Status> {
        Ok(Response::new(proto::ResumeCredentialResponse { credential: self.0.credentials.first().cloned() }))
    }
}

fn stopping() -> Status {
    let details = ErrorDetails::with_error_info("STOPPING", "keyturn.dev", []);
    Status::with_error_details(tonic::Code::Unavailable, "keyturn is shutting down", details)
}

/// A server on a socket of its own.
struct Server {
    socket: PathBuf,
    _directory: tempfile::TempDir,
    _stop: DropGuard,
}

fn serve(script: Script) -> Server {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("keyturn.sock");
    let incoming = UnixListenerStream::new(UnixListener::bind(&socket).unwrap());
    let stop = CancellationToken::new();
    let (script, stopped) = (Arc::new(script), stop.clone());
    tokio::spawn(async move {
        let (_, health) = tonic_health::server::health_reporter();
        let serving = tonic::transport::Server::builder()
            .add_service(health)
            .add_service(RotateServiceServer::new(Scripted(Arc::clone(&script))))
            .add_service(CredentialServiceServer::new(Scripted(script)))
            .serve_with_incoming_shutdown(incoming, stopped.cancelled());
        serving.await.unwrap();
    });
    Server { socket, _directory: directory, _stop: stop.drop_guard() }
}

/// What a command wrote, and how it ended.
struct Run {
    exit: Exit,
    out: String,
    err: String,
}

impl Server {
    async fn run(&self, line: &str) -> Run {
        self.run_with(line, None).await
    }

    async fn run_with(&self, line: &str, answer: Option<&str>) -> Run {
        let socket = self.socket.display().to_string();
        run(&format!("{line} --socket {socket}"), answer).await
    }
}

async fn run(line: &str, answer: Option<&str>) -> Run {
    let cli = Cli::try_parse_from(format!("keyturn {line}").split_whitespace()).unwrap();
    let Command::Client(command) = cli.command else { panic!("{line} needs no server") };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut answers = answer.unwrap_or_default().as_bytes();
    let mut console = Console::new(&mut out, &mut err);
    if answer.is_some() {
        console = console.with_person(&mut answers);
    }
    let exit = execute(command, |_| Ok(Target::Socket(PathBuf::new())), &mut console).await;
    Run { exit, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
}

/// An output whose reader has gone.
struct Gone;

impl std::io::Write for Gone {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// How a command ends of which nobody reads the output.
async fn unread(line: &str, server: &Server) -> (Exit, String) {
    let line = format!("keyturn {line} --socket {}", server.socket.display());
    let Command::Client(command) = Cli::parse_from(line.split_whitespace()).command else {
        panic!("{line} needs no server")
    };
    let (mut out, mut err) = (Gone, Vec::new());
    let mut console = Console::new(&mut out, &mut err);
    let exit = execute(command, |_| Ok(Target::Socket(PathBuf::new())), &mut console).await;
    (exit, String::from_utf8(err).unwrap())
}

fn ago(seconds: i64) -> Option<Timestamp> {
    use keyturn::clock::{Clock as _, SystemClock};
    let now = SystemClock::start().now();
    Some(Timestamp { seconds: now.as_second() - seconds, nanos: 0 })
}

fn rotation(state: proto::RotationState, activity: proto::Activity) -> proto::Rotation {
    let mut rotation = proto::Rotation {
        rotation_id: ID.into(),
        credential: "adyen-client-key".into(),
        provider: "adyen/client-key".into(),
        store: "secret/payments/adyen#client_key".into(),
        create_time: ago(90),
        calls: 1,
        ..proto::Rotation::default()
    };
    rotation.set_state(state);
    rotation.set_activity(activity);
    rotation.set_trigger(proto::Trigger::Manual);
    rotation
}

fn succeeded() -> proto::Rotation {
    proto::Rotation {
        end_time: ago(80),
        entry_version: 4,
        verified: true,
        previous_expire_time: ago(-86_310),
        ..rotation(proto::RotationState::Succeeded, proto::Activity::Unspecified)
    }
}

fn halted() -> proto::Rotation {
    let way_out = proto::WayOut {
        message: "Look in the Customer Area which key is newest.".into(),
        decisions: vec![proto::Decision::KeepCurrent.into(), proto::Decision::RotateAgain.into()],
    };
    let halt = proto::Halt {
        reason: "NO_WAY_TO_TELL".into(),
        message: "The answer was lost.\u{1b}[2J".into(),
        since_time: ago(60),
        way_out: Some(way_out),
        doubt: "ANSWER_TIMEOUT".into(),
    };
    proto::Rotation {
        halt: Some(halt),
        ..rotation(proto::RotationState::Halted, proto::Activity::Unspecified)
    }
}

fn credential(name: &str) -> proto::Credential {
    proto::Credential {
        name: name.into(),
        provider: "adyen/client-key".into(),
        store: "secret/payments/adyen#client_key".into(),
        loaded: true,
        role: proto::Role::Own.into(),
        activity: proto::Activity::Idle.into(),
        last_rotation: Some(succeeded()),
        next_due_time: ago(-86_310 * 26),
        previous_expire_time: ago(-7_210),
        entry_version: 4,
        ..proto::Credential::default()
    }
}

fn held() -> proto::Credential {
    let hold = proto::Hold {
        reason: "VAULT_SEALED".into(),
        message: "Vault is sealed; unseal it, and keyturn goes on by itself.".into(),
        since_time: ago(180),
        next_try_time: ago(-12),
    };
    proto::Credential {
        hold: Some(hold),
        activity: proto::Activity::Held.into(),
        ..credential("spritz-integrator")
    }
}

#[tokio::test]
async fn status_is_one_line_each_and_sentences_below() {
    let stuck = proto::Credential { current_rotation: Some(halted()), ..credential("paypal") };
    let server = serve(Script {
        credentials: vec![credential("adyen-client-key"), held(), stuck],
        ..Script::default()
    });
    let run = server.run("status").await;
    assert_eq!((run.exit, run.err.as_str()), (Exit::Done, ""));
    let lines: Vec<&str> = run.out.lines().collect();
    assert!(lines[0].starts_with("CREDENTIAL         PROVIDER          STATE    SINCE"), "{}", run.out);
    assert!(lines[1].starts_with("adyen-client-key   adyen/client-key  rotated  1m 20s"), "{}", run.out);
    assert!(
        lines[1].contains("dies in 2h")
            && lines[2].contains("held     3m")
            && lines[3].contains("halted   1m")
    );
    assert!(run.out.contains("spritz-integrator: held for 3m: Vault is sealed"));
    assert!(run.out.contains("\n  Look in the Customer Area which key is newest."));
    assert!(run.out.contains("\n  keyturn resolve adyen-client-key --as keep-current"));
    assert!(!run.out.contains('\u{1b}'), "a pipe gets no escapes, not even a provider's");
}

#[tokio::test]
async fn colour_comes_only_where_it_is_wanted() {
    let server = serve(Script { credentials: vec![held()], ..Script::default() });
    assert!(server.run("status --color always").await.out.contains("\u{1b}[33m"));
    assert!(!server.run("status --color never").await.out.contains('\u{1b}'));
}

#[tokio::test]
async fn status_of_one_shows_it_in_full() {
    let fields = [("client_id", "cf_client_id"), ("name", "name")];
    let fields = fields.map(|(name, field)| (name.to_owned(), field.to_owned())).into();
    let whole = proto::Credential { fields, ..credential("adyen-client-key") };
    let server = serve(Script { credentials: vec![whole], ..Script::default() });
    let run = server.run("status adyen-client-key").await;
    for part in [
        "store     secret/payments/adyen#client_key, version 4",
        "fields    client_id in #cf_client_id, name in #name",
        "next due  in 25d",
        "rotated: the new key",
    ] {
        assert!(run.out.contains(part), "{part} is not in\n{}", run.out);
    }
}

#[tokio::test]
async fn programs_get_json_and_yaml() {
    let server =
        serve(Script { credentials: vec![credential("adyen-client-key"), held()], ..Script::default() });
    let json: serde_json::Value = serde_json::from_str(&server.run("status -o json").await.out).unwrap();
    assert_eq!(json[0]["name"], "adyen-client-key");
    assert_eq!(json[0]["last_rotation"]["state"], "succeeded");
    assert_eq!(json[1]["hold"]["reason"], "VAULT_SEALED");
    let yaml = server.run("status -o yaml").await.out;
    assert!(yaml.contains("name: adyen-client-key"), "{yaml}");
    let lines = server.run("watch -o json").await.out;
    assert!(lines.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
}

#[tokio::test]
async fn rotate_gives_the_id_and_the_way_to_follow_it() {
    let queued = rotation(proto::RotationState::Queued, proto::Activity::Preflight);
    let server = serve(Script { steps: vec![queued], ..Script::default() });
    let run = server.run("rotate adyen-client-key").await;
    assert_eq!(run.exit, Exit::Done);
    assert!(run.out.contains(ID) && run.out.contains("keyturn watch adyen-client-key"));
}

#[tokio::test]
async fn waiting_shows_each_step_once_and_a_verdict() {
    use proto::{Activity, RotationState as State};
    let steps = vec![
        rotation(State::Queued, Activity::Preflight),
        rotation(State::Queued, Activity::Preflight),
        rotation(State::Intended, Activity::Calling),
        rotation(State::Published, Activity::Probing),
        succeeded(),
    ];
    let server = serve(Script { steps, ..Script::default() });
    let run = server.run("rotate adyen-client-key --wait").await;
    assert_eq!(run.exit, Exit::Done, "{}{}", run.out, run.err);
    assert_eq!(run.out.matches("checking that it can succeed").count(), 1, "{}", run.out);
    assert!(run.out.contains("intended   calling the provider"));
    let verdict = run.out.lines().last().unwrap();
    assert!(verdict.starts_with("rotated: the new key is in secret/payments/adyen#client_key version 4; the provider accepts it; the old key dies in 23h"), "{verdict}");
}

#[tokio::test]
async fn waiting_goes_on_over_a_restart() {
    let queued = rotation(proto::RotationState::Queued, proto::Activity::Preflight);
    let server = serve(Script { steps: vec![queued, succeeded()], restarts: 1.into(), ..Script::default() });
    let run = server.run("rotate adyen-client-key --wait").await;
    assert_eq!(run.exit, Exit::Done, "{}{}", run.out, run.err);
    assert!(run.err.contains("the rotation goes on when keyturn is back"), "{}", run.err);
    assert!(run.out.contains("rotated: the new key"));
}

#[tokio::test]
async fn waiting_ends_otherwise_than_well_with_its_own_codes() {
    use proto::{Activity, RotationState as State};
    let failure = proto::Failure {
        reason: "PROVIDER_FORBIDDEN".into(),
        message: "The provider refuses the call; the old key stands.".into(),
        problem: Some(proto::ProviderProblem {
            http_status: 403,
            request_id: "8836".into(),
            ..Default::default()
        }),
    };
    let failed = proto::Rotation { failure: Some(failure), ..rotation(State::Failed, Activity::Unspecified) };
    let queued = rotation(State::Queued, Activity::Preflight);
    let server = serve(Script { steps: vec![queued.clone(), failed], ..Script::default() });
    let run = server.run("rotate adyen-client-key --wait").await;
    assert_eq!(run.exit, Exit::NotRotated);
    assert!(
        run.out.contains("[PROVIDER_FORBIDDEN] The provider said: HTTP 403, request id 8836."),
        "{}",
        run.out
    );

    let server = serve(Script { steps: vec![queued, halted()], ..Script::default() });
    let run = server.run("rotate adyen-client-key --wait -o json").await;
    assert_eq!(run.exit, Exit::PersonNeeded);
    let json: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(json["cause"]["decisions"][1], "rotate-again");
}

#[tokio::test]
async fn a_refusal_says_why_and_what_helps() {
    let mut details = ErrorDetails::with_error_info("GRACE_WINDOW_OPEN", "keyturn.dev", []);
    details.set_retry_info(Some(std::time::Duration::from_mins(90)));
    let refusal = Status::with_error_details(
        tonic::Code::FailedPrecondition,
        "the grace window of the last rotation is open",
        details,
    );
    let server = serve(Script { refusal: Some(refusal), ..Script::default() });
    let run = server.run("rotate adyen-client-key").await;
    assert_eq!((run.exit, run.out.as_str()), (Exit::Refused, ""));
    assert!(
        run.err.starts_with("error: the grace window of the last rotation is open [GRACE_WINDOW_OPEN]\n")
    );
    assert!(run.err.contains("possible again in 1h 30m") && run.err.contains("--emergency"));
}

#[tokio::test]
async fn a_dry_run_lists_steps_and_obstacles() {
    let finding = |blocking| proto::Finding {
        reason: "TOKEN_TOO_SHORT".into(),
        message: "The token ends too soon.".into(),
        blocking,
    };
    let plan = |blocking| proto::PlanRotationResponse {
        steps: vec!["Write the intent.".into(), "Call the provider.".into()],
        if_answer_is_lost: "It is read back.".into(),
        old_key: "It dies at once.".into(),
        a_person_is_asked: vec!["the read is refused".into()],
        findings: vec![finding(blocking)],
    };
    let server = serve(Script { plan: plan(true), ..Script::default() });
    let run = server.run("rotate adyen-client-key --dry-run").await;
    assert_eq!(run.exit, Exit::Refused);
    assert!(
        run.out.contains("2. Call the provider.") && run.out.contains("in the way: The token ends too soon.")
    );
    assert!(
        run.out.contains("  It dies at once.\n") && run.out.contains("  the read is refused\n"),
        "{}",
        run.out
    );
    let server = serve(Script { plan: plan(false), ..Script::default() });
    assert_eq!(server.run("rotate adyen-client-key --dry-run").await.exit, Exit::Done);
}

#[tokio::test]
async fn resolving_explains_asks_and_takes_no_for_an_answer() {
    let stuck = || proto::Credential { current_rotation: Some(halted()), ..credential("adyen-client-key") };
    let server = serve(Script { credentials: vec![stuck()], ..Script::default() });
    let line = "resolve adyen-client-key --as rotate-again";
    let run = server.run(line).await;
    assert_eq!(run.exit, Exit::Usage);
    assert!(run.err.contains("add --yes"), "{}", run.err);

    let run = server.run_with(line, Some("no\n")).await;
    assert_eq!(run.exit, Exit::Refused);
    assert!(run.err.contains("stays at the provider, unknown to everybody"), "{}", run.err);

    let run = server.run_with(line, Some("rotate-again\n")).await;
    assert_eq!(run.exit, Exit::Done);
    assert!(run.out.contains("resolved as rotate-again"), "{}", run.out);
    assert_eq!(server.run(&format!("{line} --yes --rotation {ID}")).await.exit, Exit::Done);

    let server = serve(Script { credentials: vec![credential("adyen-client-key")], ..Script::default() });
    let run = server.run(line).await;
    assert_eq!(run.exit, Exit::Refused);
    assert!(run.err.contains("nothing to resolve"));
}

#[tokio::test]
async fn watching_shows_changes_and_ends_with_the_server() {
    let server =
        serve(Script { credentials: vec![credential("adyen-client-key"), held()], ..Script::default() });
    let run = server.run("watch").await;
    assert_eq!(run.exit, Exit::Unreachable);
    assert_eq!(run.out.lines().count(), 2, "what did not change is not repeated:\n{}", run.out);
    assert!(run.err.contains("[STOPPING]"));
}

#[tokio::test]
async fn nobody_is_shown_more_than_is_read_and_the_exit_code_still_counts() {
    let script = || Script {
        credentials: vec![credential("adyen-client-key")],
        steps: vec![halted()],
        ..Script::default()
    };
    for (line, exit) in [
        ("status", Exit::Done),
        ("status -o json", Exit::Done),
        ("history adyen-client-key", Exit::Done),
        ("watch", Exit::Done),
        ("watch -o json", Exit::Done),
        ("rotate adyen-client-key --wait", Exit::PersonNeeded),
    ] {
        assert_eq!(unread(line, &serve(script())).await, (exit, String::new()), "{line}");
    }
}

#[tokio::test]
async fn history_pause_resume_and_health_speak() {
    let server = serve(Script {
        credentials: vec![credential("adyen-client-key")],
        steps: vec![succeeded()],
        ..Script::default()
    });
    let run = server.run("history adyen-client-key").await;
    assert!(run.out.contains(ID) && run.out.contains("succeeded"), "{}", run.out);
    assert!(server.run("pause adyen-client-key --reason audit").await.out.contains("is paused"));
    assert!(server.run("resume adyen-client-key").await.out.contains("next due in 25d"));
    let run = server.run("health").await;
    assert_eq!((run.exit, run.out.as_str()), (Exit::Done, "serving\n"));
    assert_eq!(server.run("health --service nonsense").await.exit, Exit::Usage);
}

#[tokio::test]
async fn without_a_server_it_says_where_it_looked_and_how_to_start_one() {
    let run = run("status --socket /nonexistent/keyturn.sock", None).await;
    assert_eq!(run.exit, Exit::Unreachable);
    assert!(
        run.err.contains("/nonexistent/keyturn.sock") && run.err.contains("keyturn run --config"),
        "{}",
        run.err
    );
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("dead.sock");
    drop(UnixListener::bind(&socket).unwrap());
    let run = run_on(&socket).await;
    assert!(run.err.contains("nobody listens there"), "{}", run.err);
}

async fn run_on(socket: &std::path::Path) -> Run {
    run(&format!("status --socket {}", socket.display()), None).await
}
