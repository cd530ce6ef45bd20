//! The requests of one credential: all of them that does not differ from call to call.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::answer;
use super::body::Names;
use crate::mistake::Mistake;
use crate::provider::body::Body;
use crate::provider::definition::{self, Probe, Read, Regenerate};
use crate::provider::signing::canonical_query;
use crate::provider::template::Template;
use crate::provider::wire::{Call, ProbeCall, ReadCall, Signing};

/// Where one credential's requests go, and what they have in common.
pub(super) struct Site<'a> {
    pub(super) base_url: &'a Url,
    pub(super) resource: Option<&'a Template>,
    pub(super) params: &'a BTreeMap<String, String>,
    pub(super) headers: &'a BTreeMap<String, Template>,
}

impl Site<'_> {
    /// The call that makes the new key.
    pub(super) fn regenerate(&self, call: &Regenerate, names: &Names<'_>) -> Result<Call, Mistake> {
        let method = match call.method {
            definition::Method::Post => Method::POST,
            definition::Method::Put => Method::PUT,
            definition::Method::Patch => Method::PATCH,
        };
        let mut request = self.call("regenerate.path", method, &call.path, &call.query)?;
        let body = call.body.as_ref().map(|body| names.body(body)).transpose()?;
        match &body {
            None => request.headers.remove(CONTENT_TYPE),
            Some(body) => {
                let usual = HeaderValue::from_static(content_type(body));
                let said = request.headers.get(CONTENT_TYPE).cloned();
                request.headers.insert(CONTENT_TYPE, said.unwrap_or(usual))
            }
        };
        Ok(Call { body, ..request })
    }

    /// The request that reads the current key.
    pub(super) fn read(&self, read: &Read, names: &Names<'_>) -> Result<ReadCall, Mistake> {
        Ok(ReadCall {
            call: self.get("read.path", &read.path, &read.query)?,
            key: answer::key_read(read, names)?,
        })
    }

    /// The request that probes a key.
    pub(super) fn probe(&self, probe: &Probe, signing: Signing) -> Result<ProbeCall, Mistake> {
        Ok(ProbeCall {
            signing,
            call: self.get("probe.path", &probe.path, &probe.query)?,
            accepted: probe.accepted.clone(),
            not_accepted: probe.not_accepted.clone(),
        })
    }

    fn get(&self, place: &str, path: &Template, query: &BTreeMap<String, Template>) -> Result<Call, Mistake> {
        let mut call = self.call(place, Method::GET, path, query)?;
        call.headers.remove(CONTENT_TYPE);
        Ok(call)
    }

    /// A request without a body.
    pub(super) fn call(
        &self,
        place: &str,
        method: Method,
        path: &Template,
        query: &BTreeMap<String, Template>,
    ) -> Result<Call, Mistake> {
        let encoded = |name: &str| {
            self.params.get(name).map(|value| utf8_percent_encode(value, PATH_ENCODED).to_string())
        };
        let path = path
            .render(|name| match (name, self.resource) {
                ("resource", Some(resource)) => resource.render(encoded).ok(),
                _ => encoded(name),
            })
            .map_err(|name| is_missing(&name))?;
        let path = format!("{}{path}", self.base_url.path().trim_end_matches('/'));
        let mut url = self.base_url.clone();
        url.set_path(&path);
        // What is sent must be what was written and signed: no '..' is resolved, nothing is encoded twice.
        if url.path() != path {
            return Err(Mistake::new(place, "a URL cannot hold this path as it stands")
                .hint("no '.' or '..' segments; write what must be encoded percent-encoded"));
        }
        let query = query.iter().map(|(name, value)| Ok((name.as_str(), fill(value, self.params)?)));
        let query: Vec<(&str, String)> = query.collect::<Result<_, Mistake>>()?;
        let query = canonical_query(query.iter().map(|(name, value)| (*name, value.as_str())));
        let path_and_query = if query.is_empty() { path } else { format!("{path}?{query}") };
        url.set_query((!query.is_empty()).then_some(&query));
        Ok(Call { method, url, path_and_query, headers: self.headers()?, body: None })
    }

    fn headers(&self) -> Result<HeaderMap, Mistake> {
        let mut headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        for (name, value) in self.headers {
            let place = format!("headers.{name}");
            let value = HeaderValue::try_from(fill(value, self.params)?)
                .map_err(|_| Mistake::new(&place, "a header's value is one line of text"))?;
            headers.insert(header_name(&place, name)?, value);
        }
        Ok(headers)
    }
}

const fn content_type(body: &Body) -> &'static str {
    match body {
        Body::Json(_) => "application/json",
        Body::Form(_) => "application/x-www-form-urlencoded",
    }
}

/// RFC 3986's unreserved characters stay; everything else in a parameter is encoded, slashes above all.
const PATH_ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A template of parameters, filled in as they are.
pub(super) fn fill(template: &Template, params: &BTreeMap<String, String>) -> Result<String, Mistake> {
    template.render(|name| params.get(name).cloned()).map_err(|name| is_missing(&name))
}

fn is_missing(name: &str) -> Mistake {
    Mistake::new(format!("params.{name}"), "it is missing")
}

/// A header's name, or where the definition has a wrong one.
pub(super) fn header_name(place: &str, name: &str) -> Result<HeaderName, Mistake> {
    HeaderName::try_from(name).map_err(|_| Mistake::new(place, "it is not a header's name"))
}
