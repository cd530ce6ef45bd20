//! The fixed requests of one credential.

use std::collections::BTreeMap;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::mistake::Mistake;
use crate::provider::definition::{Body, BodyValue, Fact, Probe, Read, Regenerate};
use crate::provider::signing::canonical_query;
use crate::provider::template::Template;
use crate::provider::wire::{Call, ProbeCall, ReadCall, Signing};

/// Where one credential's requests go.
pub(super) struct Site<'a> {
    pub(super) base_url: &'a Url,
    pub(super) resource: Option<&'a Template>,
    pub(super) params: &'a BTreeMap<String, String>,
}

impl Site<'_> {
    /// The call that makes the new key.
    pub(super) fn regenerate(&self, call: &Regenerate, grace: Option<Duration>) -> Result<Call, Mistake> {
        let method = match call.method {
            crate::provider::definition::Method::Post => Method::POST,
            crate::provider::definition::Method::Put => Method::PUT,
            crate::provider::definition::Method::Patch => Method::PATCH,
        };
        let mut request = self.call("regenerate.path", method, &call.path, &call.query)?;
        for (name, value) in &call.headers {
            let value = HeaderValue::try_from(value)
                .map_err(|_| Mistake::new("regenerate.headers", "a header's value is one line of text"))?;
            request.headers.insert(header_name("regenerate.headers", name)?, value);
        }
        if let Some(Body::Json(members)) = &call.body {
            request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            request.body = Some(self.json(members, grace)?);
        }
        Ok(request)
    }

    /// The request that reads the current key.
    pub(super) fn read(&self, read: &Read) -> Result<ReadCall, Mistake> {
        let call = self.call("read.path", Method::GET, &read.path, &read.query)?;
        Ok(ReadCall { call, secret: read.secret.clone() })
    }

    /// The request that probes a key.
    pub(super) fn probe(&self, probe: &Probe, signing: Signing) -> Result<ProbeCall, Mistake> {
        Ok(ProbeCall {
            signing,
            call: self.call("probe.path", Method::GET, &probe.path, &probe.query)?,
            accepted: probe.accepted.clone(),
            not_accepted: probe.not_accepted.clone(),
        })
    }

    fn call(
        &self,
        place: &str,
        method: Method,
        path: &Template,
        query: &BTreeMap<String, String>,
    ) -> Result<Call, Mistake> {
        let encoded = |name: &str| {
            self.params.get(name).map(|value| utf8_percent_encode(value, PATH_ENCODED).to_string())
        };
        let path = path
            .render(|name| match (name, self.resource) {
                ("resource", Some(resource)) => resource.render(encoded).ok(),
                _ => encoded(name),
            })
            .map_err(|name| Mistake::new(format!("params.{name}"), "it is missing"))?;
        let path = format!("{}{path}", self.base_url.path().trim_end_matches('/'));
        let mut url = self.base_url.clone();
        url.set_path(&path);
        // What is sent must be what was written and signed: no '..' is resolved, nothing is encoded twice.
        if url.path() != path {
            return Err(Mistake::new(place, "a URL cannot hold this path as it stands")
                .hint("no '.' or '..' segments; write what must be encoded percent-encoded"));
        }
        let query = canonical_query(query.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let path_and_query = if query.is_empty() { path } else { format!("{path}?{query}") };
        url.set_query((!query.is_empty()).then_some(&query));
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        Ok(Call { method, url, path_and_query, headers, body: None })
    }

    fn json(
        &self,
        members: &BTreeMap<String, BodyValue>,
        grace: Option<Duration>,
    ) -> Result<Vec<u8>, Mistake> {
        let mut object = serde_json::Map::new();
        for (name, value) in members {
            let value = match value {
                BodyValue::Bool(value) => (*value).into(),
                BodyValue::Number(value) => (*value).into(),
                BodyValue::Text(template) => template
                    .render(|name| self.params.get(name).cloned())
                    .map_err(|name| Mistake::new(format!("params.{name}"), "it is missing"))?
                    .into(),
                BodyValue::From { from: Fact::GraceSeconds } => {
                    grace.map_or(0, |grace| grace.as_secs()).into()
                }
            };
            object.insert(name.clone(), value);
        }
        Ok(serde_json::Value::Object(object).to_string().into_bytes())
    }
}

/// RFC 3986's unreserved characters stay; everything else in a parameter is encoded, slashes above all.
const PATH_ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A header's name, or where the definition has a wrong one.
pub(super) fn header_name(place: &str, name: &str) -> Result<HeaderName, Mistake> {
    HeaderName::try_from(name).map_err(|_| Mistake::new(place, "it is not a header's name"))
}
