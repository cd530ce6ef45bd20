//! As much of HTTP/1.1 as one request on one connection of our own client needs.

use std::fmt::Write as _;
use std::io;

use percent_encoding::percent_decode;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::ids::RotationId;
use crate::secret::SecretValue;

/// A request as it came.
#[derive(Debug)]
pub(crate) struct Received {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// The key that it brings, where the caller chooses it.
    pub(super) supplied: Option<SecretValue>,
}

impl Received {
    /// A request that was read elsewhere.
    #[cfg(feature = "testbed")]
    pub(crate) fn new(method: String, target: String, headers: Vec<(String, String)>, body: Vec<u8>) -> Self {
        Self { method, target, headers, body, supplied: None }
    }

    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    /// The rotation's id, in whichever header or part of the body it stands.
    pub(crate) fn rotation_id(&self) -> Option<RotationId> {
        let body = percent_decode(&self.body).decode_utf8_lossy();
        let texts = self.headers.iter().map(|(_, value)| value.as_str()).chain([body.as_ref()]);
        let words = texts.flat_map(|text| text.split(|c: char| !c.is_ascii_hexdigit() && c != '-'));
        // A key may be hexadecimal too; only an id is written with its four dashes.
        words.filter(|word| word.len() == 36).find_map(|word| word.parse().ok())
    }

    pub(super) fn is(&self, method: &str, target: &str) -> bool {
        self.method == method && self.target == target
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// No request of a definition is nearly as large.
const REQUEST_BYTES_MAX: usize = 256 * 1024;

/// Reads one request to its end.
pub(super) async fn receive(stream: &mut TcpStream) -> io::Result<Received> {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).await?;
        bytes.extend_from_slice(chunk.get(..count).unwrap_or_default());
        if let Some((received, begin, end)) = parse(&bytes)
            && let Some(body) = bytes.get(begin..end)
        {
            return Ok(Received { body: body.to_vec(), ..received });
        }
        if count == 0 || bytes.len() > REQUEST_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

/// The head of a request, and where its body begins and ends; nothing, while the head is not there.
fn parse(bytes: &[u8]) -> Option<(Received, usize, usize)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(bytes.get(..end)?).ok()?;
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
    let received = Received { method, target, headers, body: Vec::new(), supplied: None };
    let body: usize = received.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    Some((received, end + 4, end + 4 + body))
}

/// An answer: whole, cut in the middle of its body, or none.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(&'static str, &'static str)>,
    body: String,
    sent: Sent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    Whole,
    Half,
    Nothing,
}

impl Reply {
    pub(super) const fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new(), sent: Sent::Whole }
    }

    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self { body: body.to_string(), ..Self::status(status) }.with("content-type", "application/json")
    }

    /// The connection breaks instead.
    pub(super) const fn nothing() -> Self {
        let mut reply = Self::status(0);
        reply.sent = Sent::Nothing;
        reply
    }

    pub(super) fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(super) fn cut(self) -> Self {
        Self { sent: Sent::Half, ..self }
    }

    pub(crate) const fn status_code(&self) -> u16 {
        self.status
    }

    /// Its body as JSON; nothing where it has none.
    #[cfg(feature = "testbed")]
    pub(crate) fn value(&self) -> Option<Value> {
        serde_json::from_str(&self.body).ok()
    }

    pub(super) fn is_whole(&self) -> bool {
        self.sent == Sent::Whole
    }
}

/// Sends an answer and ends the connection.
pub(super) async fn send(stream: &mut TcpStream, reply: &Reply) -> io::Result<()> {
    let mut text = format!("HTTP/1.1 {} X\r\nconnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        write!(text, "{name}: {value}\r\n").map_err(io::Error::other)?;
    }
    if reply.status != 204 {
        write!(text, "content-length: {}\r\n", reply.body.len()).map_err(io::Error::other)?;
    }
    write!(text, "\r\n{}", reply.body).map_err(io::Error::other)?;
    let length = match reply.sent {
        Sent::Whole => text.len(),
        Sent::Half => text.len() - reply.body.len().div_ceil(2),
        Sent::Nothing => 0,
    };
    stream.write_all(text.as_bytes().get(..length).unwrap_or_default()).await?;
    stream.shutdown().await
}
