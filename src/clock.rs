//! The one place that asks for the time of day.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// A time as names of runs hold it: `20261123-212736`.
pub fn stamp(seconds: u64) -> String {
    let text = rfc3339(seconds);
    text.chars().filter(char::is_ascii_digit).collect::<String>().chars().enumerate().fold(
        String::new(),
        |mut stamp, (index, c)| {
            if index == 8 {
                stamp.push('-');
            }
            stamp.push(c);
            stamp
        },
    )
}

/// A time as people and DynamoDB items hold it: `2026-11-23T21:27:36Z`.
pub fn rfc3339(seconds: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}

/// The time that a name begins with, as `stamp` writes it.
pub fn of_stamp(name: &str) -> Option<u64> {
    let [year, month, day] = [name.get(0..4)?, name.get(4..6)?, name.get(6..8)?];
    let [hour, minute, second] = [name.get(9..11)?, name.get(11..13)?, name.get(13..15)?];
    let text = format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z");
    let time = humantime::parse_rfc3339(&text).ok()?;
    Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_time_is_written_for_names_and_for_people() {
        assert_eq!(super::rfc3339(1_764_000_000), "2025-11-24T16:00:00Z");
        assert_eq!(super::of_stamp("20251124-160000.2-1"), Some(1_764_000_000));
        assert_eq!(super::of_stamp("adopted"), None);
        assert_eq!(super::stamp(1_764_000_000), "20251124-160000");
    }
}
