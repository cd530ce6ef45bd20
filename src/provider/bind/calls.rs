//! The requests of one credential: all of them that does not differ from call to call.

use std::collections::BTreeMap;

use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::answer;
use super::body::Names;
use crate::mistake::Mistake;
use crate::provider::body::Body;
use crate::provider::definition::{self, KEY_ID, List, Marker, Probe, Read, ReadMethod, Regenerate, Revoke};
use crate::provider::signing::{canonical_query, in_a_path};
use crate::provider::template::{Part, Template};
use crate::provider::wire::{Call, ListCall, MarkerCall, ProbeCall, ReadCall, RevokeCall, Signing};

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
        let body = call.body.as_ref().map(|body| names.body(body)).transpose()?;
        Ok(with_body(self.call("regenerate.path", method, &call.path, &call.query)?, body))
    }

    /// The request that reads the current key.
    pub(super) fn read(&self, read: &Read, names: &Names<'_>) -> Result<ReadCall, Mistake> {
        let call = self.look("read.path", read.method, &read.path, &read.query)?;
        Ok(ReadCall { call, key: answer::key_read(read, names)? })
    }

    /// The request that shows whether the key has changed.
    pub(super) fn marker(&self, marker: &Marker, names: &Names<'_>) -> Result<MarkerCall, Mistake> {
        let call = self.look("marker.path", marker.method, &marker.path, &marker.query)?;
        let among = marker.among.as_ref().map(|among| answer::one_of(among, names)).transpose()?;
        Ok(MarkerCall { call, at: marker.at.clone(), among })
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

    /// The requests that list the keys.
    pub(super) fn list(&self, list: &List, labels: Vec<(String, String)>) -> Result<ListCall, Mistake> {
        let call = self.get("creates.list.path", &list.path, &BTreeMap::new())?;
        Ok(ListCall::new(call, self.query(&list.query)?, list, labels))
    }

    /// One request to revoke a key, whose id is left open.
    pub(super) fn revoke(&self, revoke: &Revoke, names: &Names<'_>) -> Result<RevokeCall, Mistake> {
        let method = match revoke.method {
            definition::RevokeMethod::Delete => Method::DELETE,
            definition::RevokeMethod::Post => Method::POST,
            definition::RevokeMethod::Put => Method::PUT,
            definition::RevokeMethod::Patch => Method::PATCH,
        };
        let body = revoke.body.as_ref().map(|body| names.body(body)).transpose()?;
        let mut path = vec![self.base_url.path().trim_end_matches('/').to_owned()];
        for part in revoke.path.parts() {
            match (part, path.last_mut()) {
                (Part::Name(name), _) if name == KEY_ID => path.push(String::new()),
                (Part::Name(name), Some(last)) => {
                    last.push_str(&self.segment(name).ok_or_else(|| is_missing(name))?);
                }
                (Part::Text(text), Some(last)) => last.push_str(text),
                (_, None) => {}
            }
        }
        let query = self.query(&revoke.query)?;
        let query = canonical_query(query.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let call = Call {
            method,
            url: self.base_url.clone(),
            path_and_query: String::new(),
            headers: self.headers()?,
            body: None,
        };
        let (statuses, gone) = (revoke.statuses.clone(), revoke.gone.clone());
        let bound = RevokeCall { call: with_body(call, body), query, path, statuses, gone };
        let any = KEY_ID.parse().ok().and_then(|any| bound.of(&any));
        any.map(|_| bound).ok_or_else(|| no_such_path("creates.revoke"))
    }

    /// A request that changes nothing.
    fn look(
        &self,
        place: &str,
        method: ReadMethod,
        path: &Template,
        query: &BTreeMap<String, Template>,
    ) -> Result<Call, Mistake> {
        match method {
            ReadMethod::Get => self.get(place, path, query),
            ReadMethod::Post => Ok(with_body(self.call(place, Method::POST, path, query)?, None)),
        }
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
        let path = path.render(|name| self.segment(name)).map_err(|name| is_missing(&name))?;
        let path = format!("{}{path}", self.base_url.path().trim_end_matches('/'));
        let query = self.query(query)?;
        let query = canonical_query(query.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let (url, headers) = (self.base_url.clone(), self.headers()?);
        let call = Call { method, url, path_and_query: String::new(), headers, body: None };
        let call = call.with_path(path).ok_or_else(|| no_such_path(place))?;
        Ok(call.with_query(&query))
    }

    /// What a name in a path stands for: the resource, or a parameter as one segment can hold it.
    fn segment(&self, name: &str) -> Option<String> {
        let encoded = |name: &str| self.params.get(name).map(|value| in_a_path(value));
        match (name, self.resource) {
            ("resource", Some(resource)) => resource.render(encoded).ok(),
            _ => encoded(name),
        }
    }

    fn query(&self, query: &BTreeMap<String, Template>) -> Result<Vec<(String, String)>, Mistake> {
        query.iter().map(|(name, value)| Ok((name.clone(), fill(value, self.params)?))).collect()
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

/// The request with a body, or without one and any word of what it would be.
fn with_body(mut request: Call, body: Option<Body>) -> Call {
    match &body {
        None => request.headers.remove(CONTENT_TYPE),
        Some(body) => {
            let usual = HeaderValue::from_static(content_type(body));
            let said = request.headers.get(CONTENT_TYPE).cloned();
            request.headers.insert(CONTENT_TYPE, said.unwrap_or(usual))
        }
    };
    Call { body, ..request }
}

fn no_such_path(place: &str) -> Mistake {
    Mistake::new(place, "a URL cannot hold this path as it stands")
        .hint("no '.' or '..' segments; write what must be encoded percent-encoded")
}

const fn content_type(body: &Body) -> &'static str {
    match body {
        Body::Json(_) => "application/json",
        Body::Form(_) => "application/x-www-form-urlencoded",
        // With its boundary, once it is written.
        Body::Multipart(_) => "multipart/form-data",
    }
}

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
