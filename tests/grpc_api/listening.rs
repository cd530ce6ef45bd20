//! The addresses: what is replaced, what is refused, and who may connect.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use keyturn::api::proto::{self, rotate_service_client::RotateServiceClient};
use keyturn::api::{ListenOptions, Listeners, UnixOptions, serve};
use keyturn::engine::Fleet;
use keyturn::engine::scripted::{Asked, Said};
use keyturn::rotation::Phase;
use rustix::fs::{FlockOperation, flock};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::bench::{Fake, Served, StoppedClock, connect, fleet, id, idle, in_phase, on_socket, open};

#[tokio::test]
async fn a_dead_socket_is_replaced_and_a_live_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keyturn.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(fs::metadata(&path).unwrap().file_type().is_socket());
    let first = Listeners::bind(&on_socket(&path)).await.unwrap();
    assert_eq!(first.unix_path(), Some(path.as_path()));

    let error = Listeners::bind(&on_socket(&path)).await.unwrap_err();
    assert_eq!(error.code(), "LISTEN_SOCKET_IN_USE");
    assert!(path.exists(), "the refused process removed the other's socket");
    drop(first);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_socket_that_another_process_put_in_our_place_is_left_to_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keyturn.sock");
    let ours = Listeners::bind(&on_socket(&path)).await.unwrap();
    // Under another name first, so that the new inode is not the old one's number again.
    let other = UnixListener::bind(directory.path().join("other.sock")).unwrap();
    fs::rename(directory.path().join("other.sock"), &path).unwrap();
    drop(ours);
    assert!(path.exists());
    drop(other);
}

#[tokio::test]
async fn anything_but_a_socket_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("precious");
    fs::write(&path, "data").unwrap();
    assert_eq!(Listeners::bind(&on_socket(&path)).await.unwrap_err().code(), "LISTEN_NOT_A_SOCKET");
    assert_eq!(fs::read(&path).unwrap(), b"data");
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert_eq!(Listeners::bind(&on_socket(&link)).await.unwrap_err().code(), "LISTEN_NOT_A_SOCKET");
}

#[tokio::test]
async fn whoever_can_read_the_directory_cannot_keep_keyturn_from_starting() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keyturn.sock");
    let other = fs::File::open(directory.path()).unwrap();
    flock(&other, FlockOperation::NonBlockingLockExclusive).unwrap();
    let listeners = Listeners::bind(&on_socket(&path)).await.unwrap();
    let lock = fs::metadata(directory.path().join("keyturn.sock.lock")).unwrap();
    assert_eq!(lock.permissions().mode() & 0o777, 0o600);
    drop(listeners);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_start_during_anothers_start_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keyturn.sock");
    let other = fs::File::create(directory.path().join("keyturn.sock.lock")).unwrap();
    flock(&other, FlockOperation::NonBlockingLockExclusive).unwrap();
    assert_eq!(Listeners::bind(&on_socket(&path)).await.unwrap_err().code(), "LISTEN_SOCKET_IN_USE");
    drop(other);
    Listeners::bind(&on_socket(&path)).await.unwrap();
}

#[tokio::test]
async fn a_lock_that_is_not_keyturns_own_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (path, lock) = (directory.path().join("keyturn.sock"), directory.path().join("keyturn.sock.lock"));
    let precious = directory.path().join("precious");
    fs::write(&precious, "data").unwrap();
    fs::set_permissions(&precious, fs::Permissions::from_mode(0o644)).unwrap();
    std::os::unix::fs::symlink(&precious, &lock).unwrap();
    assert_eq!(Listeners::bind(&on_socket(&path)).await.unwrap_err().code(), "LISTEN_FOREIGN_FILE");
    assert_eq!(fs::metadata(&precious).unwrap().permissions().mode() & 0o777, 0o644);
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    assert_eq!(Listeners::bind(&on_socket(&path)).await.unwrap_err().code(), "LISTEN_FOREIGN_FILE");
}

#[tokio::test]
async fn a_socket_needs_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [directory.path().join("none/keyturn.sock"), file.join("keyturn.sock")] {
        assert_eq!(Listeners::bind(&on_socket(path)).await.unwrap_err().code(), "LISTEN_NO_DIRECTORY");
    }
}

#[tokio::test]
async fn the_socket_has_the_mode_that_was_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    for mode in [0o660, 0o666, 0o600] {
        let path = directory.path().join("keyturn.sock");
        let unix = UnixOptions { mode, ..UnixOptions::new(&path) };
        let options = ListenOptions { unix: Some(unix), ..ListenOptions::default() };
        let _listeners = Listeners::bind(&options).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
    }
}

#[tokio::test]
async fn a_socket_is_made_where_nobody_can_touch_it_and_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keyturn.sock");
    let workshop = directory.path().join("keyturn.sock.new");
    let names = || {
        let entries = fs::read_dir(directory.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let precious = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(precious.path(), &workshop).unwrap();
    assert_eq!(Listeners::bind(&on_socket(&path)).await.unwrap_err().code(), "LISTEN_FOREIGN_FILE");
    assert_eq!(fs::read_dir(precious.path()).unwrap().count(), 0);
    fs::remove_file(&workshop).unwrap();

    // What a process that died in the middle left behind.
    fs::create_dir(&workshop).unwrap();
    drop(UnixListener::bind(workshop.join("s")).unwrap());
    let listeners = Listeners::bind(&on_socket(&path)).await.unwrap();
    assert_eq!(names(), ["keyturn.sock", "keyturn.sock.lock"]);
    std::os::unix::net::UnixStream::connect(&path).unwrap();
    drop(listeners);
    assert_eq!(names(), ["keyturn.sock.lock"]);
}

#[tokio::test]
async fn the_longest_path_that_clients_can_connect_to_can_be_bound() {
    let directory = tempfile::tempdir().unwrap();
    let rest = 107 - directory.path().as_os_str().len() - 1;
    let path = directory.path().join("x".repeat(rest));
    let _listeners = Listeners::bind(&on_socket(&path)).await.unwrap();
    std::os::unix::net::UnixStream::connect(&path).unwrap();
}

#[tokio::test]
async fn without_tls_only_the_loopback_is_taken() {
    let options = |tcp: &str| ListenOptions { tcp: Some(tcp.parse().unwrap()), ..ListenOptions::default() };
    assert_eq!(Listeners::bind(&options("0.0.0.0:0")).await.unwrap_err().code(), "LISTEN_NOT_LOOPBACK");
    assert_eq!(Listeners::bind(&ListenOptions::default()).await.unwrap_err().code(), "LISTEN_NO_ADDRESS");
    let taken = Listeners::bind(&options("127.0.0.1:0")).await.unwrap();
    let again = options(&taken.tcp_address().unwrap().to_string());
    assert_eq!(Listeners::bind(&again).await.unwrap_err().code(), "LISTEN_TCP");
}

#[tokio::test]
async fn both_addresses_are_served_and_a_tcp_caller_is_known_by_address() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = on_socket(directory.path().join("keyturn.sock"));
    options.tcp = Some("127.0.0.1:0".parse().unwrap());
    let listeners = Listeners::bind(&options).await.unwrap();
    let addresses = [
        format!("http://{}", listeners.tcp_address().unwrap()),
        format!("unix://{}", listeners.unix_path().unwrap().display()),
    ];
    let mut fake = Fake::new(idle("adyen"), |_| Ok(Said::Rotation(id(1))));
    let (_readiness, ready) = watch::channel(true);
    tokio::spawn(serve(listeners, fleet([&fake]), StoppedClock, ready, CancellationToken::new()));
    let own = format!("uid {}", rustix::process::getuid().as_raw());
    for (address, caller) in addresses.into_iter().zip(["127.0.0.1", &own]) {
        let mut client = RotateServiceClient::new(connect(address).await);
        let request = proto::RotateRequest { credential: "adyen".into(), ..Default::default() };
        client.rotate(request).await.unwrap();
        let Some(Asked::Rotate(asked)) = fake.asked.recv().await else { panic!("nothing was asked") };
        assert_eq!(asked.caller.as_deref(), Some(caller));
    }
}

/// A server without credentials on both addresses; it ends with the readiness that is given too.
async fn serve_both(directory: &Path, connections_max: usize) -> ([String; 2], watch::Sender<bool>) {
    let mut options = on_socket(directory.join("keyturn.sock"));
    options.tcp = Some("127.0.0.1:0".parse().unwrap());
    options.connections_max = connections_max;
    let listeners = Listeners::bind(&options).await.unwrap();
    let addresses = [
        format!("unix://{}", listeners.unix_path().unwrap().display()),
        format!("http://{}", listeners.tcp_address().unwrap()),
    ];
    let (readiness, ready) = watch::channel(true);
    tokio::spawn(serve(listeners, Fleet::new([]), StoppedClock, ready, CancellationToken::new()));
    (addresses, readiness)
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_their_turn() {
    let directory = tempfile::tempdir().unwrap();
    let ([unix, tcp], _readiness) = serve_both(directory.path(), 1).await;
    let list = proto::ListRotationsRequest::default;
    let mut first = RotateServiceClient::new(connect(unix).await);
    first.list_rotations(list()).await.unwrap();
    let mut second = RotateServiceClient::new(connect(tcp).await);
    let mut waiting = std::pin::pin!(second.list_rotations(list()));
    for _ in 0..10 {
        assert!(futures_util::poll!(waiting.as_mut()).is_pending());
        first.list_rotations(list()).await.unwrap();
    }
    drop(first);
    waiting.await.unwrap();
}

#[tokio::test]
async fn a_peer_with_too_many_connections_gets_no_more_and_the_others_theirs() {
    let directory = tempfile::tempdir().unwrap();
    let ([unix, tcp], _readiness) = serve_both(directory.path(), 2).await;
    let list = proto::ListRotationsRequest::default;
    let mut first = RotateServiceClient::new(connect(unix).await);
    first.list_rotations(list()).await.unwrap();
    let mut refused = UnixStream::connect(directory.path().join("keyturn.sock")).await.unwrap();
    assert_eq!(refused.read(&mut [0; 64]).await.unwrap(), 0, "it was not closed");
    RotateServiceClient::new(connect(tcp).await).list_rotations(list()).await.unwrap();
    first.list_rotations(list()).await.unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_begin_loses_its_connection() {
    let directory = tempfile::tempdir().unwrap();
    let _readiness = serve_both(directory.path(), 16).await;
    for said in ["", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut silent = UnixStream::connect(directory.path().join("keyturn.sock")).await.unwrap();
        silent.write_all(said.as_bytes()).await.unwrap();
        tokio::time::pause();
        let mut heard = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(10), silent.read_to_end(&mut heard));
        assert!(closed.await.is_ok(), "{said:?} kept it");
        tokio::time::resume();
    }
}

#[tokio::test]
async fn a_client_that_began_may_be_silent() {
    let directory = tempfile::tempdir().unwrap();
    let ([unix, _], _readiness) = serve_both(directory.path(), 16).await;
    let mut client = RotateServiceClient::new(connect(unix).await);
    client.list_rotations(proto::ListRotationsRequest::default()).await.unwrap();
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(30)).await;
    tokio::time::resume();
    client.list_rotations(proto::ListRotationsRequest::default()).await.unwrap();
}

#[tokio::test]
async fn watches_beyond_the_bound_are_told_to_come_back() {
    let fake = Fake::showing(in_phase("adyen", Phase::Intended { rotation: open(1) }));
    let served = Served::start_with(fleet([&fake]), |options| options.watches_max = 1).await;
    let (mut rotations, mut credentials) = (served.rotations().await, served.credentials().await);
    let one = proto::WatchRotationRequest { rotation_id: id(1).to_string(), ..Default::default() };
    let all = proto::WatchCredentialsRequest::default;
    let watching = rotations.watch_rotation(one.clone()).await.unwrap();
    let status = credentials.watch_credentials(all()).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().reason, "TOO_MANY_WATCHES");
    assert!(details.retry_info().unwrap().retry_delay.is_some());

    drop(watching);
    let watching = loop {
        // The server learns soon that the client is gone.
        match credentials.watch_credentials(all()).await {
            Ok(watching) => break watching,
            Err(status) => assert_eq!(status.code(), Code::ResourceExhausted),
        }
    };
    assert_eq!(rotations.watch_rotation(one).await.unwrap_err().code(), Code::ResourceExhausted);
    drop(watching);
}
