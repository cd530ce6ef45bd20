//! The wire to Vault: the only file that names vaultrs and rustify.
//!
//! vaultrs gives the requests that carry no secret. Those that carry one ([`Call`]) and the sending itself are
//! our own: its request types leave copies of the body in memory, its transport drops the headers of an answer
//! (`Retry-After`) and does not bound its size, and its settings read the environment.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
pub(super) use rustify::endpoint::Endpoint;
use rustify::enums::{RequestMethod, RequestType, ResponseType};
use rustify::errors::ClientError;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use vaultrs::api::kv2::requests::{ReadSecretMetadataRequest, ReadSecretRequest, SetSecretMetadataRequest};
use zeroize::{Zeroize, Zeroizing};

use super::error::Error;
use super::failure::{Failure, Refused};
use super::freshness::Freshness;
use super::settings::Settings;
use crate::secret::SecretValue;
use crate::trust;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const ANSWER_BYTES_MAX: usize = 4 << 20;
const ERROR_CHARS_MAX: usize = 200;
/// However long Vault, or what stands in front of it, asks us to stay away.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(1);

/// A connection pool to one Vault, without a token of its own.
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    headers: HeaderMap,
    freshness: Freshness,
}

impl Client {
    pub(super) fn new(settings: &Settings) -> Result<Self, Error> {
        Self::build(settings, None)
    }

    /// A client that shows a TLS certificate.
    pub(super) fn with_identity(settings: &Settings, identity_pem: &[u8]) -> Result<Self, Error> {
        let identity = reqwest::Identity::from_pem(identity_pem).map_err(|_| Error::LoginMaterial {
            method: settings.auth.method(),
            cause: "certificate and key are no PEM pair".into(),
        })?;
        Self::build(settings, Some(identity))
    }

    fn build(settings: &Settings, identity: Option<reqwest::Identity>) -> Result<Self, Error> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("keyturn/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .tls_certs_only(authorities(settings)?)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(settings.request_timeout);
        if let Some(identity) = identity {
            builder = builder.identity(identity);
        }
        let http = builder.build().map_err(|_| bad_ca("no TLS client can be made of it"))?;
        let base = format!("{}/v1", settings.address.as_str().trim_end_matches('/'));
        Ok(Self { http, base, headers: fixed_headers(settings)?, freshness: Freshness::default() })
    }

    /// Sends one request once; gives a success's body.
    pub(super) async fn send<E: Endpoint>(
        &self,
        token: Option<&SecretValue>,
        endpoint: &E,
    ) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let wire = Wire { client: self, token };
        match endpoint.exec(&wire).await {
            Ok(mut result) => Ok(Zeroizing::new(std::mem::take(result.response.body_mut()))),
            Err(ClientError::GenericError { source }) => Err(source
                .downcast::<Failure>()
                .unwrap_or_else(|_| Failure::NotSent { cause: "the request could not be made".into() })),
            // All that rustify itself finds wrong, it finds before it sends.
            Err(_) => Err(Failure::NotSent { cause: "the request could not be made".into() }),
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("base", &self.base).finish_non_exhaustive()
    }
}

/// Who may sign the server's certificate; never asked of the environment.
fn authorities(settings: &Settings) -> Result<Vec<reqwest::Certificate>, Error> {
    match &settings.ca_pem {
        Some(pem) => reqwest::Certificate::from_pem_bundle(pem.as_bytes())
            .ok()
            .filter(|authorities| !authorities.is_empty())
            .ok_or_else(|| bad_ca("it is no PEM bundle of certificates")),
        // An image without any CA store must do where no TLS is spoken.
        None if settings.address.scheme() == "http" => Ok(Vec::new()),
        None => trust::system_roots().map_err(|error| bad_ca(error.to_string())),
    }
}

fn bad_ca(cause: impl Into<String>) -> Error {
    Error::Misconfigured { setting: "ca", cause: cause.into() }
}

fn fixed_headers(settings: &Settings) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_static("x-vault-request"), HeaderValue::from_static("true"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(namespace) = &settings.namespace {
        let value = HeaderValue::from_str(namespace).map_err(|_| Error::Misconfigured {
            setting: "namespace",
            cause: "a namespace is visible ASCII text".into(),
        })?;
        headers.insert(HeaderName::from_static("x-vault-namespace"), value);
    }
    Ok(headers)
}

/// Reads data and version of a KV v2 entry.
pub(super) fn read_data(mount: &str, path: &str, version: Option<u64>) -> impl Endpoint {
    ReadSecretRequest { mount: mount.to_owned(), path: path.to_owned(), version }
}

/// Reads the metadata of a KV v2 entry.
pub(super) fn read_metadata(mount: &str, path: &str) -> impl Endpoint {
    ReadSecretMetadataRequest { mount: mount.to_owned(), path: path.to_owned() }
}

/// Makes a KV v2 entry keep its newest version only.
pub(super) fn keep_one_version(mount: &str, path: &str) -> impl Endpoint {
    SetSecretMetadataRequest {
        mount: mount.to_owned(),
        path: path.to_owned(),
        max_versions: Some(1),
        ..SetSecretMetadataRequest::default()
    }
}

/// A request that vaultrs has not, or that carries a secret; its body is wiped when it is dropped.
pub(super) struct Call {
    method: RequestMethod,
    path: String,
    query: Option<String>,
    body: Zeroizing<Vec<u8>>,
}

impl Call {
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self { method: RequestMethod::GET, path: path.into(), query: None, body: Zeroizing::default() }
    }

    pub(super) fn post(path: impl Into<String>, body: Zeroizing<Vec<u8>>) -> Self {
        Self { method: RequestMethod::POST, path: path.into(), query: None, body }
    }

    pub(super) fn with_query(self, query: &str) -> Self {
        Self { query: Some(query.to_owned()), ..self }
    }
}

impl Endpoint for Call {
    type Response = ();
    const REQUEST_BODY_TYPE: RequestType = RequestType::JSON;
    const RESPONSE_BODY_TYPE: ResponseType = ResponseType::JSON;

    fn path(&self) -> String {
        self.path.clone()
    }

    fn method(&self) -> RequestMethod {
        self.method.clone()
    }

    fn query(&self) -> Result<Option<String>, ClientError> {
        Ok(self.query.clone())
    }

    fn body(&self) -> Result<Option<Vec<u8>>, ClientError> {
        Ok((!self.body.is_empty()).then(|| self.body.to_vec()))
    }
}

/// One request's way through rustify: our client, this token.
struct Wire<'a> {
    client: &'a Client,
    token: Option<&'a SecretValue>,
}

impl rustify::client::Client for Wire<'_> {
    fn send<'s, 'f>(
        &'s self,
        request: http::Request<Vec<u8>>,
    ) -> Pin<Box<dyn Future<Output = Result<http::Response<Vec<u8>>, ClientError>> + Send + 'f>>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(async move {
            self.exchange(request)
                .await
                .map_err(|failure| ClientError::GenericError { source: failure.into() })
        })
    }

    fn base(&self) -> &str {
        &self.client.base
    }
}

impl Wire<'_> {
    async fn exchange(&self, request: http::Request<Vec<u8>>) -> Result<http::Response<Vec<u8>>, Failure> {
        let (parts, body) = request.into_parts();
        let body = Bytes::from_owner(Zeroizing::new(body));
        let mut headers = self.client.headers.clone();
        self.client.freshness.demand(&mut headers);
        if let Some(token) = self.token {
            headers.insert(HeaderName::from_static("x-vault-token"), sensitive(token)?);
        }
        let sending =
            self.client.http.request(parts.method, parts.uri.to_string()).headers(headers).body(body).send();
        let answer = sending.await.map_err(|error| unsent_or_unanswered(&error))?;
        self.client.freshness.note(answer.headers());
        let status = answer.status().as_u16();
        let retry_after = retry_after(answer.headers());
        let mut body = bounded_body(answer).await?;
        if (200..300).contains(&status) {
            return Ok(http::Response::new(std::mem::take(&mut *body)));
        }
        Err(Failure::Refused(refusal(status, &body, retry_after)))
    }
}

fn sensitive(token: &SecretValue) -> Result<HeaderValue, Failure> {
    let wiped = Bytes::from_owner(Zeroizing::new(token.expose().as_bytes().to_vec()));
    let mut value = HeaderValue::from_maybe_shared(wiped)
        .map_err(|_| Failure::NotSent { cause: "the token is no visible ASCII text".into() })?;
    value.set_sensitive(true);
    Ok(value)
}

fn unsent_or_unanswered(error: &reqwest::Error) -> Failure {
    if error.is_connect() {
        let cause = if error.is_timeout() { "connecting took too long" } else { "no connection" };
        return Failure::NotSent { cause: format!("{cause} ({})", innermost(error)) };
    }
    if error.is_builder() {
        return Failure::NotSent { cause: "the request could not be made".into() };
    }
    let cause = if error.is_timeout() { "no answer in time" } else { "the connection broke" };
    Failure::NoAnswer { cause: format!("{cause} ({})", innermost(error)) }
}

/// The last cause in the chain; unlike reqwest's own words it never repeats the address.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    if std::ptr::addr_eq(cause, error) { "no cause given".to_owned() } else { cause.to_string() }
}

async fn bounded_body(mut answer: reqwest::Response) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let announced = answer.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    let mut body = Zeroizing::new(Vec::with_capacity(announced.min(ANSWER_BYTES_MAX)));
    while let Some(chunk) = answer.chunk().await.map_err(|error| unsent_or_unanswered(&error))? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(Failure::Unreadable { cause: "the answer is too large".into() });
        }
        extend_wiping(&mut body, &chunk);
    }
    Ok(body)
}

/// Grows without leaving an unwiped copy behind, as `Vec`'s own growth would.
fn extend_wiping(body: &mut Zeroizing<Vec<u8>>, chunk: &[u8]) {
    if body.capacity() - body.len() < chunk.len() {
        let mut larger = Vec::with_capacity((body.len() + chunk.len()) * 2);
        larger.extend_from_slice(body);
        body.zeroize();
        **body = larger;
    }
    body.extend_from_slice(chunk);
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

fn refusal(status: u16, body: &[u8], retry_after: Option<Duration>) -> Refused {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Body {
        errors: Vec<String>,
        data: Option<Deleted>,
    }
    #[derive(Deserialize)]
    struct Deleted {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    struct Metadata {
        version: u64,
    }
    let Body { errors, data } = serde_json::from_slice(body).unwrap_or_default();
    let errors = errors.into_iter().map(|error| printable(&error)).collect();
    Refused { status, errors, deleted_version: data.map(|data| data.metadata.version), retry_after }
}

fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(ERROR_CHARS_MAX).collect()
}

/// Reads the `data` of an answer; members that `T` does not name are passed over, not copied.
pub(super) fn data_of<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    #[derive(Deserialize)]
    struct Envelope<T> {
        data: T,
    }
    parsed::<Envelope<T>>(body).map(|envelope| envelope.data)
}

/// Reads the `auth` of an answer to a login or a renewal.
pub(super) fn auth_of<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    #[derive(Deserialize)]
    struct Envelope<T> {
        auth: T,
    }
    parsed::<Envelope<T>>(body).map(|envelope| envelope.auth)
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    // serde's own words may quote the value that does not fit.
    serde_json::from_slice(body).map_err(|error| Failure::Unreadable {
        cause: match serde_json::from_slice::<IgnoredAny>(body) {
            Ok(_) => "a member is missing or has another type".to_owned(),
            Err(_) => format!("no JSON at line {} column {}", error.line(), error.column()),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_answer_keeps_us_away_for_longer_than_a_minute() {
        let asked = |text: &str| {
            let value = HeaderValue::from_str(text).unwrap();
            retry_after(&HeaderMap::from_iter([(RETRY_AFTER, value)])).map(|wait| wait.as_secs())
        };
        assert_eq!(asked("7"), Some(7));
        assert_eq!(asked(&u64::MAX.to_string()), Some(60));
        assert_eq!(asked("soon"), None);
    }
}
