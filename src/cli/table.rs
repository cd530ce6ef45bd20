//! Quiet tables: columns and nothing else.

use std::io;

use comfy_table::{Table, TableStyle};

use super::console::{Console, Tone};

/// Prints rows under a header, each row in its tone. Nothing is cut and nothing wraps, so that a pipe gets all.
pub(super) fn print<const N: usize>(
    console: &mut Console<'_>,
    header: [&str; N],
    rows: impl IntoIterator<Item = (Tone, [String; N])>,
) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(TableStyle::new()).set_header(header);
    let mut tones = vec![Tone::Faint];
    for (tone, row) in rows {
        tones.push(tone);
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<String> = table.lines().collect();
    for (tone, line) in tones.into_iter().zip(lines) {
        console.paint(tone, line.trim_end())?;
    }
    Ok(())
}
