//! A definition's text, held against the schema and read: everything that cannot be read at once, each with its
//! place, and without repeating any of it.
//!
//! A definition should hold no secret, but one may have been pasted into it, or a wrong file given. So nothing is
//! said but our own words and the names of our own schema.

use std::sync::LazyLock;

use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use super::Definition;
use crate::document::{Document, member, shape};
use crate::mistake::Mistake;
use crate::provider::template;

static SCHEMA: LazyLock<Value> = LazyLock::new(super::schema);

/// Reads a definition, whatever it means.
pub(super) fn read(yaml: &str) -> Result<(Definition, Document), Vec<Mistake>> {
    let mut document = Document::parse(yaml).map_err(|mistake| vec![mistake])?;
    let misfits = shape::fit(&mut document.value, &SCHEMA);
    let mut mistakes = misfits.mistakes.clone();
    let (definition, broken) = read_texts(document.value.take());
    mistakes.extend(broken.into_iter().filter(|mistake| !misfits.explain(&mistake.path)));
    match definition {
        Some(definition) if mistakes.is_empty() => Ok((definition, document)),
        _ => {
            let placed = document.in_order(mistakes).into_iter();
            Err(placed.map(|mistake| unnamed(mistake, &misfits)).collect())
        }
    }
}

/// The mistake about what is around it, where its own name is not one of the schema's.
fn unnamed(mistake: Mistake, misfits: &shape::Misfits) -> Mistake {
    match misfits.around_unknown(&mistake.path) {
        Some(around) => Mistake { path: around.to_owned(), ..mistake },
        None => mistake,
    }
}

/// What may stand in for a text that cannot be read, so that the next one can: a path, then a duration.
const STAND_INS: [&str; 2] = ["/", "1s"];

fn read_texts(mut value: Value) -> (Option<Definition>, Vec<Mistake>) {
    let mut mistakes: Vec<Mistake> = Vec::new();
    let mut stand_ins = STAND_INS.iter();
    loop {
        let error = match serde_path_to_error::deserialize(&value) {
            Ok(definition) => return (Some(definition), mistakes),
            Err(error) => error,
        };
        let path = name(error.path());
        if mistakes.last().is_none_or(|last| last.path != path) {
            mistakes.push(unreadable(path, &error.inner().to_string()));
            stand_ins = STAND_INS.iter();
        }
        match (place(&mut value, error.path()), stand_ins.next()) {
            (Some(text), Some(stand_in)) => *text = Value::from(*stand_in),
            _ => return (None, mistakes),
        }
    }
}

fn unreadable(path: String, complaint: &str) -> Mistake {
    match template::COMPLAINTS.into_iter().find(|own| *own == complaint) {
        Some(own) => Mistake::new(path, own),
        None => Mistake::new(path, "what stands here cannot be read")
            .hint("a duration is 30s, 5m, 1h or 30d; for the rest see `keyturn providers schema`"),
    }
}

/// A path in the words of a document.
fn name(path: &Path) -> String {
    path.iter().fold(String::new(), |above, segment| match segment {
        Segment::Seq { index } => format!("{above}[{index}]"),
        Segment::Map { key } | Segment::Enum { variant: key } => member(&above, key),
        Segment::Unknown => above,
    })
}

fn place<'v>(value: &'v mut Value, path: &Path) -> Option<&'v mut Value> {
    path.iter().try_fold(value, |value, segment| match segment {
        Segment::Seq { index } => value.get_mut(*index),
        Segment::Map { key } | Segment::Enum { variant: key } => value.get_mut(key),
        Segment::Unknown => None,
    })
}
