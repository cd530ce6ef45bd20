//! The request that exchanges one credential's secret for an access token.

use std::collections::BTreeMap;

use percent_encoding::utf8_percent_encode;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use url::Url;

use super::calls::{Site, fill};
use crate::mistake::Mistake;
use crate::provider::base_url;
use crate::provider::body::{Body, Piece, Value};
use crate::provider::definition::{ClientAuth, Oauth2Auth};
use crate::provider::signing::QUERY_ENCODED;
use crate::provider::wire::{Call, Signing, TokenRequest};

/// The request below the scheme's own address, or below that of all other calls.
pub(super) fn request(
    oauth2: &Oauth2Auth,
    base_url: &Url,
    params: &BTreeMap<String, String>,
) -> Result<TokenRequest, Mistake> {
    let own = oauth2.base_url.as_deref().map(base_url::parse).transpose();
    let own = own.map_err(|mistake| mistake.under("auth.oauth2.base_url"))?;
    let site = Site {
        base_url: own.as_ref().unwrap_or(base_url),
        resource: None,
        params,
        headers: &BTreeMap::new(),
    };
    let call = site.call("auth.oauth2.path", Method::POST, &oauth2.path, &BTreeMap::new())?;
    let client_id = fill(&oauth2.client_id, params)?;
    let fixed = |name: &str, value: String| (name.to_owned(), Value::Text(vec![Piece::Fixed(value)]));
    let mut fields = vec![fixed("grant_type", oauth2.grant_type.clone())];
    for (name, value) in &oauth2.parameters {
        fields.push(fixed(name, fill(value, params)?));
    }
    let signing = match oauth2.client_auth {
        ClientAuth::Basic => {
            let client_id = utf8_percent_encode(&client_id, QUERY_ENCODED);
            Signing::Basic { before: format!("{client_id}:"), after: String::new(), encoded: true }
        }
        ClientAuth::Post => {
            fields.push(fixed("client_id", client_id));
            fields.push(("client_secret".to_owned(), Value::Text(vec![Piece::Signer])));
            Signing::Body
        }
    };
    let mut headers = call.headers;
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    Ok(TokenRequest { call: Call { headers, body: Some(Body::Form(fields)), ..call }, signing })
}
