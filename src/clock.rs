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

#[cfg(test)]
mod tests {
    #[test]
    fn a_time_is_written_for_names_and_for_people() {
        assert_eq!(super::rfc3339(1_764_000_000), "2025-11-24T16:00:00Z");
        assert_eq!(super::stamp(1_764_000_000), "20251124-160000");
    }
}
