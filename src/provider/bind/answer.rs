//! What one credential's answers mean.

use std::collections::BTreeMap;

use serde_json::Value;

use super::body::Names;
use super::calls::fill;
use crate::mistake::Mistake;
use crate::provider::definition::{self, AnswerShape, Definition, Grace, Read, Scalar};
use crate::provider::wire::{Among, AnswerFacts, Condition, KeyPlace};

/// What tells the meaning of any answer.
pub(super) fn facts(definition: &Definition, names: &Names<'_>) -> Result<AnswerFacts, Mistake> {
    let AnswerShape { statuses, without_value, secret, fields, among, encoding, .. } = &definition.answer;
    let AnswerShape { key_id, previous_expires_at, .. } = &definition.answer;
    let key = secret.as_ref().map(|secret| {
        let among = among.as_ref().map(|among| one_of(among, names)).transpose()?;
        Ok(KeyPlace { secret: secret.clone(), fields: fields.clone(), among, encoding: *encoding })
    });
    Ok(AnswerFacts {
        statuses: statuses.clone(),
        without_value: without_value.clone(),
        key: key.transpose()?,
        key_id: key_id.clone(),
        previous_expires_at: previous_expires_at.clone(),
        grace: names.grace,
        grace_begins_with_the_call: matches!(definition.grace, Grace::Requested(_)),
        success: definition.success.as_ref().map(|success| condition(success, names)).transpose()?,
        errors: definition.errors.clone(),
        rate_limit_block: definition.rate_limit_block,
        problem: definition.problem.clone(),
    })
}

/// Where the answer of a read holds the key.
pub(super) fn key_read(read: &Read, names: &Names<'_>) -> Result<KeyPlace, Mistake> {
    let among = read.among.as_ref().map(|among| one_of(among, names)).transpose()?;
    Ok(KeyPlace { secret: read.secret.clone(), fields: BTreeMap::new(), among, encoding: read.encoding })
}

/// The element of a list that counts.
pub(super) fn one_of(among: &definition::Among, names: &Names<'_>) -> Result<Among, Mistake> {
    Ok(Among { list: among.list.clone(), condition: condition(&among.condition, names)? })
}

fn condition(condition: &definition::Condition, names: &Names<'_>) -> Result<Condition, Mistake> {
    let is = match &condition.is {
        Scalar::Bool(value) => Value::from(*value),
        Scalar::Number(value) => Value::from(*value),
        Scalar::Text(text) => Value::from(fill(text, names.params)?),
    };
    Ok(Condition { at: condition.at.clone(), is })
}
