//! Numbers as people read them: with separators, units and no more digits than mean something.

/// `62,496`
pub fn thousands(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().unwrap_or(u64::MAX).to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 plot`, `62,496 plots`
pub fn numbered(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{} {noun}s", thousands(count)) }
}

/// `0.04 s`, `12 s`, `3 min 5 s`, `2 h 14 min`
pub fn duration(seconds: f64) -> String {
    let seconds = if seconds.is_finite() { seconds.max(0.0) } else { 0.0 };
    if seconds < 0.995 {
        return format!("{seconds:.2} s");
    }
    if seconds < 9.95 {
        return format!("{seconds:.1} s");
    }
    whole_seconds(seconds.round() as u64)
}

/// `4 s`, `3 min 5 s`, `2 h 14 min`, `1 d 3 h`
pub fn whole_seconds(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// `1.4/s`, `12/min`, `3/h`: in the unit that gives a number above one.
pub fn rate(per_second: f64) -> String {
    if !per_second.is_finite() || per_second <= 0.0 {
        return String::new();
    }
    let (number, unit) = if per_second >= 1.0 {
        (per_second, "s")
    } else if per_second * 60.0 >= 1.0 {
        (per_second * 60.0, "min")
    } else {
        (per_second * 3600.0, "h")
    };
    if number < 9.95 {
        format!("{number:.1}/{unit}")
    } else {
        format!("{}/{unit}", thousands(number.round() as u64))
    }
}

/// `1.2 MiB`
pub fn bytes(count: u64) -> String {
    bytesize::ByteSize::b(count).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_have_separators() {
        let told: Vec<String> =
            [0_u64, 999, 1_000, 62_496, 1_000_000].into_iter().map(thousands).collect();
        assert_eq!(told, ["0", "999", "1,000", "62,496", "1,000,000"]);
        assert_eq!(numbered(1, "plot"), "1 plot");
        assert_eq!(numbered(62_496, "plot"), "62,496 plots");
    }

    #[test]
    fn durations_have_the_digits_that_matter() {
        let told: Vec<String> =
            [0.0, 0.043, 0.999, 1.26, 59.7, 61.0, 185.0, 8_040.0, 200_000.0, f64::NAN]
                .into_iter()
                .map(duration)
                .collect();
        assert_eq!(
            told,
            [
                "0.00 s",
                "0.04 s",
                "1.0 s",
                "1.3 s",
                "1 min 0 s",
                "1 min 1 s",
                "3 min 5 s",
                "2 h 14 min",
                "2 d 7 h",
                "0.00 s"
            ]
        );
    }

    #[test]
    fn rates_are_told_in_a_unit_that_fits() {
        let told: Vec<String> =
            [2048.0, 14.4, 1.44, 0.2, 0.001, 0.0].into_iter().map(rate).collect();
        assert_eq!(told, ["2,048/s", "14/s", "1.4/s", "12/min", "3.6/h", ""]);
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(1_258_291), "1.2 MiB");
    }
}
