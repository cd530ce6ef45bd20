//! The server: every service on every listener, bounded in all it takes, until it is told to stop.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::HealthService;
use tracing::warn;

use super::connection::{self, Listen};
use super::credential::CredentialApi;
use super::listen::{Error, Listeners};
use super::operators::Operators;
use super::proto::credential_service_server::CredentialServiceServer;
use super::proto::rotate_service_server::RotateServiceServer;
use super::quota::Quota;
use super::rotate::RotateApi;
use super::watches::Watches;
use super::{health, proto};
use crate::clock::Clock;
use crate::engine::Fleet;

/// The longest a call may take until its answer begins; streams may then go on.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// How long calls in flight may go on after the shutdown began.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_mins(1);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

// What one peer may take. 10,000 watchers in one process are a normal size, and they fit: on 160 connections at the
// least, so that even the 256 over TCP are enough (256 * 64 = 16,384, which is the usual bound on watches). The users
// of the Unix socket can be told apart, so that each may also have a thousand clients that use a connection of their
// own, and ten such users fit under the usual bound on connections.
const STREAMS_PER_CONNECTION_MAX: u32 = 64;
const CONNECTIONS_PER_USER_MAX: usize = 1024;
const CONNECTIONS_OVER_TCP_MAX: usize = 256;

const REQUEST_BYTES_MAX: usize = 64 * 1024;
const HEADER_BYTES_MAX: u32 = 16 * 1024;

/// What every service has.
#[derive(Debug, Clone)]
pub(super) struct Shared<C> {
    pub(super) fleet: Fleet,
    pub(super) clock: C,
    pub(super) operators: Operators,
    pub(super) watches: Watches,
    pub(super) shutdown: CancellationToken,
}

/// Answers on the listeners until `shutdown` is cancelled.
///
/// Then it accepts nobody any more, ends every stream, lets calls in flight finish for at most five seconds, and
/// removes the socket's file. `readiness` is what grpc.health.v1 says of the services: whether Vault has let
/// keyturn in and every record was read once.
pub async fn serve(
    listeners: Listeners,
    fleet: Fleet,
    clock: impl Clock,
    readiness: watch::Receiver<bool>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let reporter = health::reporter().await;
    let health = HealthServer::new(HealthService::from_health_reporter(reporter.clone()));
    let routes = routes(fleet.clone(), clock, &listeners, &shutdown)?.add_service(health);
    let Listeners { unix, tcp, tls, connections_max, .. } = listeners;
    let permits = Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS)));
    // However few there are, nobody has all of them.
    let share = |most: usize| Quota::of(most.min(connections_max / 2).max(1));
    // Kept to the end: dropping it removes the socket.
    let (unix, _file) = unix.unzip();
    let on_unix = answer(unix, share(CONNECTIONS_PER_USER_MAX), Arc::clone(&permits), &routes, &shutdown);
    let on_tcp = answer(tcp, share(CONNECTIONS_OVER_TCP_MAX), Arc::clone(&permits), &routes, &shutdown);
    let (tls, renewal) = tls.unzip();
    let on_tls = answer(tls, share(CONNECTIONS_OVER_TCP_MAX), permits, &routes, &shutdown);
    let beside = async {
        let renewing = async {
            if let Some(renewal) = renewal {
                renewal.follow().await;
            }
        };
        tokio::join!(renewing, health::report(reporter, &fleet, readiness, shutdown.clone()));
        pending::<Infallible>().await
    };
    tokio::select! {
        result = async { tokio::try_join!(on_unix, on_tcp, on_tls) } => result.map(drop),
        () = drain_timeout(&shutdown) => {
            warn!("calls were still in flight when the time to finish them was over");
            Ok(())
        }
        never = beside => match never {},
    }
}

async fn drain_timeout(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    tokio::time::sleep(DRAIN_TIMEOUT).await;
}

fn routes(
    fleet: Fleet,
    clock: impl Clock,
    listeners: &Listeners,
    shutdown: &CancellationToken,
) -> Result<Routes, Error> {
    let shared = Shared {
        fleet,
        clock,
        operators: listeners.operators.clone(),
        watches: Watches::up_to(listeners.watches_max),
        shutdown: shutdown.clone(),
    };
    let rotate = RotateApi::new(shared.clone());
    let credential = CredentialApi::new(shared);
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let broken = |error: tonic_reflection::server::Error| Error::Server { cause: error.to_string() };
    Ok(Routes::new(RotateServiceServer::new(rotate).max_decoding_message_size(REQUEST_BYTES_MAX))
        .add_service(CredentialServiceServer::new(credential).max_decoding_message_size(REQUEST_BYTES_MAX))
        .add_service(reflection().build_v1().map_err(broken)?)
        .add_service(reflection().build_v1alpha().map_err(broken)?))
}

/// Answers on one listener, if it is there; ends when all its connections have ended after the shutdown.
async fn answer<L: Listen>(
    listener: Option<L>,
    quota: Quota,
    permits: Arc<Semaphore>,
    routes: &Routes,
    shutdown: &CancellationToken,
) -> Result<(), Error> {
    let Some(listener) = listener else { return Ok(()) };
    Server::builder()
        .timeout(CALL_TIMEOUT)
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .add_routes(routes.clone())
        .serve_with_incoming_shutdown(connection::incoming(listener, quota, permits), shutdown.cancelled())
        .await
        .map_err(|error| Error::Server { cause: error.to_string() })
}
