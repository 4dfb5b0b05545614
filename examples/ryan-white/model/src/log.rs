//! The run's own words: lines with a time and a level, each flushed at once so that a reader can follow.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// Where lines go.
pub struct Log<'a> {
    out: &'a mut dyn Write,
}

impl<'a> Log<'a> {
    pub fn new(out: &'a mut dyn Write) -> Log<'a> {
        Log { out }
    }

    pub fn info(&mut self, text: &str) {
        self.level("INFO", text);
    }

    pub fn warn(&mut self, text: &str) {
        self.level("WARN", text);
    }

    pub fn error(&mut self, text: &str) {
        self.level("ERROR", text);
    }

    /// A line with neither time nor level.
    pub fn banner(&mut self, text: &str) {
        // A reader that went away must not keep plots from being made.
        let _ = writeln!(self.out, "{text}").and_then(|()| self.out.flush());
    }

    fn level(&mut self, level: &str, text: &str) {
        let now = stamp(SystemTime::now());
        self.banner(&format!("[{now}] {level}: {text}"));
    }
}

/// A time as `YYYY-MM-DD HH:MM:SS`, in UTC: an image from scratch knows no other zone.
pub fn stamp(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// The date of a day counted from 1970-01-01, by the method of Howard Hinnant: years begin in March.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) =
        (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_written_as_dates() {
        let at = |seconds| stamp(UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01 00:00:00");
        assert_eq!(at(951_826_153), "2000-02-29 12:09:13");
        assert_eq!(at(1_798_761_599), "2026-12-31 23:59:59");
    }
}
