//! A form whose fields stand one after the other as they are, between lines that occur in none of them.

use std::io::{self, Write};

use bytes::Bytes;
use zeroize::Zeroizing;

use super::{Filling, Value, at_once, cannot_be_written};

/// The whole form, and the boundary between its parts: the first that no part holds. So the same form is the same bytes.
pub(super) fn write(fields: &[(String, Value)], filling: Filling<'_>) -> Result<(Bytes, String), String> {
    for number in 0..BOUNDARIES_MAX {
        let boundary = format!("keyturn-{number}");
        let bytes = at_once(|out| write_to(out, fields, filling, &boundary))?;
        if is_clear(&bytes, &boundary, fields.len()) {
            return Ok((Bytes::from_owner(bytes), boundary));
        }
    }
    Err(cannot_be_written(io::ErrorKind::InvalidData.into()))
}

/// So many only a value holds that was made to.
const BOUNDARIES_MAX: u32 = 1000;

fn write_to(
    out: &mut dyn Write,
    fields: &[(String, Value)],
    filling: Filling<'_>,
    boundary: &str,
) -> io::Result<()> {
    for (name, value) in fields {
        // As browsers write what a quoted name cannot hold.
        let name = name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
        write!(out, "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n")?;
        match value {
            Value::Bool(value) => write!(out, "{value}")?,
            Value::Number(value) => write!(out, "{value}")?,
            Value::Text(pieces) => pieces
                .iter()
                .try_for_each(|piece| piece.visit(filling, |text| out.write_all(text.as_bytes())))?,
            Value::Null | Value::List(_) | Value::Object(_) => {}
        }
        out.write_all(b"\r\n")?;
    }
    write!(out, "--{boundary}--\r\n")
}

/// Whether the boundary stands before each part, after the last one, and nowhere else.
fn is_clear(form: &Zeroizing<Vec<u8>>, boundary: &str, parts: usize) -> bool {
    let line = format!("--{boundary}");
    form.windows(line.len()).filter(|window| *window == line.as_bytes()).count() == parts + 1
}

/// The fields of a form that was written, each with its name, for a person.
pub(in crate::provider) fn fields(body: &[u8], boundary: &str) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(body);
    let line = format!("--{boundary}");
    let parts = text.split(&line).filter_map(|part| {
        let (head, value) = part.split_once("\r\n\r\n")?;
        let name = head.split_once("name=\"")?.1.strip_suffix('"')?;
        Some((name.to_owned(), value.strip_suffix("\r\n")?.to_owned()))
    });
    parts.collect()
}
