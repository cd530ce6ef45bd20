//! The rotations in one table, which fits 120 columns.

use std::io;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, TableStyle};
use jiff::Timestamp;
use keyturn::clock::{Clock as _, SystemClock};

use super::rotations::Finished;
use super::screen::{Screen, Tone};

const HEADER: [&str; 10] = [
    "\ncredential",
    "\nprovider",
    "\nrotation",
    "\noutcome",
    "\nentry in OpenBao",
    "old key\ndies",
    "ms in\nprovider",
    "\nVault",
    "\ndisk",
    "\nown",
];

const REMARK: &str = "disk: the escrow's fsyncs. own: keyturn itself. The wait for Adyen is in no column, as it costs nothing.";

const FIRST_NUMBER: usize = 6;

/// One row for each rotation.
pub(crate) fn show(finished: &[Finished<'_>], screen: &mut Screen) -> io::Result<()> {
    let now = SystemClock::start().now();
    let mut table = Table::new();
    table.load_style(TableStyle::new()).set_header(HEADER);
    for one in finished {
        table.add_row(row(one, now));
    }
    for (place, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if place >= FIRST_NUMBER {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for (place, line) in table.lines().enumerate() {
        let tone = if place < 2 { Tone::Faint } else { Tone::Plain };
        screen.paint(tone, line.trim_end())?;
    }
    screen.paint(Tone::Faint, REMARK)
}

fn row(finished: &Finished<'_>, now: Timestamp) -> [String; 10] {
    let rotation = &finished.rotation;
    let timings = rotation.timings.unwrap_or_default();
    let expires = rotation.previous_expire_time;
    let expires = expires.and_then(|time| Timestamp::new(time.seconds, time.nanos).ok());
    [
        finished.label.clone(),
        finished.managed.provider.to_owned(),
        // The last part of the id is random, and enough to find it by eye.
        rotation.rotation_id.rsplit('-').next().unwrap_or_default().to_owned(),
        rotation.state().as_str_name().trim_start_matches("ROTATION_STATE_").to_lowercase(),
        format!("{} v{}", rotation.store, rotation.entry_version),
        expires.map_or_else(|| "at once".to_owned(), |time| until(time, now)),
        milliseconds(timings.provider),
        milliseconds(timings.vault),
        milliseconds(timings.escrow),
        milliseconds(timings.own),
    ]
}

/// The time left, to the minute.
fn until(time: Timestamp, now: Timestamp) -> String {
    let minutes = (time.duration_since(now).as_secs() + 30) / 60;
    match minutes {
        ..=0 => "now".to_owned(),
        minutes if minutes % 60 == 0 => format!("in {} h", minutes / 60),
        minutes => format!("in {minutes} m"),
    }
}

fn milliseconds(length: Option<prost_types::Duration>) -> String {
    let length = length.and_then(|length| Duration::try_from(length).ok()).unwrap_or_default();
    let milliseconds = length.as_secs_f64() * 1e3;
    // A column keeps its width, and nobody reads the tenth of a long time.
    if milliseconds < 9.95 { format!("{milliseconds:.1}") } else { format!("{milliseconds:.0}") }
}
