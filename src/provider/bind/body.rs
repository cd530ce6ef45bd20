//! The body of one credential's call: parameters filled in, and what differs from call to call left open.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::mistake::Mistake;
use crate::provider::body::{Body, Piece, Value};
use crate::provider::definition::{self, BodyValue, KEY_ID, Param, Scalar};
use crate::provider::fact::{Fact, Span};
use crate::provider::template::{Part, Template};

/// What the names in a body stand for.
pub(super) struct Names<'a> {
    pub(super) params: &'a BTreeMap<String, String>,
    /// The parameters as they are declared.
    pub(super) declared: &'a BTreeMap<String, Param>,
    /// The names of the further secrets that are there.
    pub(super) extra_secrets: &'a [String],
    pub(super) grace: Option<Duration>,
    pub(super) lifetime: Option<Duration>,
}

impl Names<'_> {
    /// The body as it is sent, but for its open parts.
    pub(super) fn body(&self, body: &definition::Body) -> Result<Body, Mistake> {
        Ok(match body {
            definition::Body::Json(value) => Body::Json(self.value(value)?),
            definition::Body::Form(fields) => Body::Form(self.fields(fields)?),
            definition::Body::Multipart(fields) => Body::Multipart(self.fields(fields)?),
        })
    }

    fn fields(&self, fields: &BTreeMap<String, Scalar>) -> Result<Vec<(String, Value)>, Mistake> {
        fields.iter().map(|(name, value)| Ok((name.clone(), self.field(value)?))).collect()
    }

    fn value(&self, value: &BodyValue) -> Result<Value, Mistake> {
        Ok(match value {
            BodyValue::Null => Value::Null,
            BodyValue::Scalar(scalar) => self.scalar(scalar)?,
            BodyValue::List(items) => {
                Value::List(items.iter().map(|item| self.value(item)).collect::<Result<_, _>>()?)
            }
            BodyValue::Object(members) => {
                let member = |(name, value): (&String, &BodyValue)| Ok((name.clone(), self.value(value)?));
                Value::Object(members.iter().map(member).collect::<Result<_, Mistake>>()?)
            }
        })
    }

    fn scalar(&self, scalar: &Scalar) -> Result<Value, Mistake> {
        Ok(match scalar {
            Scalar::Bool(value) => Value::Bool(*value),
            Scalar::Number(value) => Value::Number(*value),
            Scalar::Text(template) => self.text(template)?,
        })
    }

    /// A form has no lists: one that is a parameter stays as it was written.
    fn field(&self, scalar: &Scalar) -> Result<Value, Mistake> {
        match scalar {
            Scalar::Text(template) => self.plain_text(template),
            Scalar::Bool(_) | Scalar::Number(_) => self.scalar(scalar),
        }
    }

    /// A text; a length of time that stands alone is a number, and a parameter that is a list is one.
    fn text(&self, template: &Template) -> Result<Value, Mistake> {
        if let [Part::Name(name)] = template.parts()
            && self.declared.get(name).is_some_and(|param| param.list)
            && let Some(value) = self.params.get(name)
        {
            let item = |item: &str| Value::Text(vec![Piece::Fixed(item.to_owned())]);
            return Ok(Value::List(Param::items(value).map(item).collect()));
        }
        self.plain_text(template)
    }

    fn plain_text(&self, template: &Template) -> Result<Value, Mistake> {
        if let [Part::Name(name)] = template.parts()
            && let Some(Fact::Length(span, unit)) = Fact::named(name)
            && let Some(number) = self.length(span).and_then(|length| unit.count(length))
        {
            return Ok(Value::Number(number));
        }
        Ok(Value::Text(template.parts().iter().map(|part| self.piece(part)).collect::<Result<_, _>>()?))
    }

    fn piece(&self, part: &Part) -> Result<Piece, Mistake> {
        let name = match part {
            Part::Text(text) => return Ok(Piece::Fixed(text.clone())),
            Part::Name(name) => name,
        };
        if let Some(value) = self.params.get(name) {
            return Ok(Piece::Fixed(value.clone()));
        }
        if name == KEY_ID {
            return Ok(Piece::KeyId);
        }
        let of_fact = Fact::named(name).and_then(|fact| match fact {
            Fact::RotationId => Some(Piece::RotationId),
            Fact::Secret => Some(Piece::Signer),
            Fact::NewSecret => Some(Piece::Supplied),
            Fact::Length(span, unit) => {
                let count = self.length(span).and_then(|length| unit.count(length));
                count.map(|count| Piece::Fixed(count.to_string()))
            }
            Fact::End(span, form) => self.length(span).map(|length| Piece::End(length, form)),
        });
        let is_secret = self.extra_secrets.contains(name);
        of_fact
            .or_else(|| is_secret.then(|| Piece::Extra(name.clone())))
            .ok_or_else(|| Mistake::new(format!("params.{name}"), "it is missing"))
    }

    const fn length(&self, span: Span) -> Option<Duration> {
        match span {
            Span::Grace => self.grace,
            Span::Lifetime => self.lifetime,
        }
    }
}
