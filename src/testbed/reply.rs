//! What a simulated provider says, and how much of it arrives.

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use futures_util::stream::{self, StreamExt};
use serde_json::Value;

use super::connection::Connection;
use super::fault::Answer;
use super::ledger::CallOutcome;

/// An answer before it is sent.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    status: u16,
    media_type: &'static str,
    body: Option<Value>,
    retry_after: Option<String>,
    /// Where the new key is in the body, as a JSON pointer.
    secret_at: Option<String>,
    is_repeated: bool,
}

impl Reply {
    /// 200 with a JSON body.
    pub(super) const fn ok(body: Value) -> Self {
        Self::new(200, "application/json", body)
    }

    /// 200 with a JSON body, one member of which is the new key.
    pub(super) fn minted(body: Value, secret_member: &str) -> Self {
        Self::ok(body).with_secret_at(Some(format!("/{secret_member}")))
    }

    /// The same reply, with the new key where a JSON pointer says.
    pub(super) fn with_secret_at(mut self, pointer: Option<String>) -> Self {
        self.secret_at = pointer;
        self
    }

    /// The same reply to a call that was made before, and did nothing new.
    pub(super) const fn repeated(mut self) -> Self {
        self.is_repeated = true;
        self
    }

    /// Any status and media type.
    pub(super) const fn new(status: u16, media_type: &'static str, body: Value) -> Self {
        Self { status, media_type, body: Some(body), retry_after: None, secret_at: None, is_repeated: false }
    }

    /// A status without a body.
    pub(super) fn bare(status: u16) -> Self {
        let mut reply = Self::new(status, "", Value::Null);
        reply.body = None;
        reply
    }

    /// The same reply with a `Retry-After` header, where one is given.
    pub(super) fn retry_after(mut self, value: Option<String>) -> Self {
        self.retry_after = value;
        self
    }

    /// 204, whatever it was.
    pub(super) fn without_content(mut self) -> Self {
        self.status = 204;
        self.body = None;
        self
    }

    /// `null` in the place of the new key.
    pub(super) fn without_value(mut self) -> Self {
        if let (Some(body), Some(pointer)) = (self.body.as_mut(), &self.secret_at)
            && let Some(value) = body.pointer_mut(pointer)
        {
            *value = Value::Null;
        }
        self
    }

    pub(super) const fn status(&self) -> u16 {
        self.status
    }

    /// What a success came to.
    pub(super) const fn outcome(&self) -> CallOutcome {
        if self.is_repeated { CallOutcome::Replayed } else { CallOutcome::Done }
    }

    pub(super) const fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }

    /// Sends as much of the reply as `answer` lets through.
    pub(super) async fn deliver(self, answer: &Answer, connection: &Connection) -> Response {
        match answer {
            Answer::Dropped => {
                connection.cut();
                Response::new(Body::empty())
            }
            Answer::Hanging => std::future::pending().await,
            Answer::CutAfterBytes(count) => self.cut_after(*count, connection.clone()),
            Answer::Garbage => self.response(Body::from("<html>upstream said yes</html>")),
            Answer::AsItIs | Answer::NoContent | Answer::NullValue | Answer::Status { .. } => {
                let body = Body::from(self.text());
                self.response(body)
            }
        }
    }

    fn text(&self) -> String {
        self.body.as_ref().map(Value::to_string).unwrap_or_default()
    }

    fn cut_after(self, count: usize, connection: Connection) -> Response {
        let text = self.text();
        let head = Bytes::from(text.clone()).slice(..count.min(text.len()));
        let sent = stream::iter([Ok::<_, std::io::Error>(head)]);
        // The pause between the bytes and the break lets the server write what it has.
        let broken = stream::once(async move {
            tokio::task::yield_now().await;
            connection.cut();
            Err(std::io::ErrorKind::ConnectionReset.into())
        });
        let mut response = self.response(Body::from_stream(sent.chain(broken)));
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(text.len()));
        response
    }

    fn response(&self, body: Body) -> Response {
        let mut response = Response::new(body);
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        if self.body.is_some() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        }
        if let Some(Ok(value)) = self.retry_after.as_deref().map(HeaderValue::from_str) {
            headers.insert(header::RETRY_AFTER, value);
        }
        response
    }
}
