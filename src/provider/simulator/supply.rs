//! The key that a request brings, where the caller chooses it.

use super::exchange::Received;
use crate::provider::body::{Body, Piece, Value, fields};
use crate::provider::wire::Call;
use crate::secret::SecretValue;

/// The key that stands where this call has the one that was chosen.
pub(super) fn brought_by(received: &Received, call: &Call) -> Option<SecretValue> {
    let text = match call.body.as_ref()? {
        Body::Json(value) => {
            let body: serde_json::Value = serde_json::from_slice(received.body()).ok()?;
            body.pointer(&place(value)?)?.as_str()?.to_owned()
        }
        Body::Form(fields) => {
            let (name, _) = fields.iter().find(|(_, value)| place(value).is_some())?;
            let mut sent = url::form_urlencoded::parse(received.body());
            sent.find(|(own, _)| own == name)?.1.into_owned()
        }
        Body::Multipart(parts) => {
            let (name, _) = parts.iter().find(|(_, value)| place(value).is_some())?;
            let (_, boundary) = received.header("content-type")?.split_once("boundary=")?;
            let sent = fields(received.body(), boundary);
            sent.into_iter().find(|(own, _)| own == name)?.1
        }
    };
    Some(SecretValue::new(text))
}

/// Where in a value it stands, as a JSON pointer.
fn place(value: &Value) -> Option<String> {
    match value {
        Value::Text(pieces) => matches!(pieces.as_slice(), [Piece::Supplied]).then(String::new),
        Value::List(items) => {
            items.iter().enumerate().find_map(|(index, item)| Some(format!("/{index}{}", place(item)?)))
        }
        Value::Object(members) => members.iter().find_map(|(name, member)| {
            let name = name.replace('~', "~0").replace('/', "~1");
            Some(format!("/{name}{}", place(member)?))
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}
