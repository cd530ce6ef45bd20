//! What the answer to the call showed, held against what the definition says of it.

use super::{Check, Trial, Verdict};
use crate::provider::Answer;
use crate::provider::definition::AnswerShape;

/// A new key, and what showed it.
#[derive(Debug)]
pub struct NewKey {
    /// The key, with what goes with it.
    pub answer: Answer,
    /// What showed it.
    pub source: Source,
}

/// What showed a new key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The answer to the call; or keyturn chose the key, and the answer says that the provider took it.
    Answer,
    /// A read after a success without a key.
    Read,
}

impl Trial {
    /// Whether the answer had everything that the definition finds in it. Nothing is asked for this.
    pub(super) fn shown(&self, new: &NewKey) -> Vec<Check> {
        [self.shown_key(new), self.shown_id(new), self.shown_end(new)].into_iter().flatten().collect()
    }

    fn shown_key(&self, new: &NewKey) -> Option<Check> {
        let shape = &self.definition.answer;
        if self.bound().plan().supplies {
            return None;
        }
        let places = places(shape)?;
        let (verdict, seen) = match new.source {
            Source::Answer => (Verdict::Kept, "the answer shows the new key".to_owned()),
            Source::Read => {
                (Verdict::Broken, format!("the answer did not show the new key at {places}; a read did"))
            }
        };
        Some(Check { about: "answer.secret", verdict, seen })
    }

    fn shown_id(&self, new: &NewKey) -> Option<Check> {
        let at = self.definition.answer.key_id.as_ref()?.as_str();
        let (verdict, seen) = match &new.answer.key_id {
            Some(_) => (Verdict::Kept, "the answer shows the new key's id".to_owned()),
            None => (Verdict::Broken, format!("the answer has no id of the new key at {at:?}")),
        };
        Some(Check { about: "answer.key_id", verdict, seen })
    }

    fn shown_end(&self, new: &NewKey) -> Option<Check> {
        let at = self.definition.answer.previous_expires_at.as_ref()?.at.as_str();
        // Where no window is granted, there is no end to tell.
        self.bound().plan().grace.filter(|grace| !grace.is_zero())?;
        let (verdict, seen) = match (new.source, new.answer.previous_expires_at) {
            (Source::Answer, Some(_)) => (Verdict::Kept, "the answer says when the old key dies".to_owned()),
            (Source::Answer, None) => (
                Verdict::Broken,
                format!(
                    "the answer has no readable time of the old key's end at {at:?}, though there is a grace window"
                ),
            ),
            // Of an answer without a key nothing else was taken.
            (Source::Read, _) => {
                (Verdict::Open, "the answer was not looked at, for it showed no key".to_owned())
            }
        };
        Some(Check { about: "answer.previous_expires_at", verdict, seen })
    }
}

/// Where a definition looks for the key in an answer; `None` where no answer shows it.
pub(super) fn places(shape: &AnswerShape) -> Option<String> {
    let secret = shape.secret.as_ref()?;
    let list = shape.among.iter().map(|among| ("answer.among.list".to_owned(), &among.list));
    let fields = shape.fields.iter().map(|(name, at)| (format!("answer.fields.{name}"), at));
    let all = list.chain([("answer.secret".to_owned(), secret)]).chain(fields);
    let all: Vec<String> = all.map(|(name, at)| format!("{:?} (`{name}`)", at.as_str())).collect();
    Some(all.join(", "))
}
