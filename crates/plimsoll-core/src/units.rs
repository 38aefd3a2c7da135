//! The one home of amounts in words: bytes, durations and rates, written and read.

/// Bytes in binary units with three significant digits: `512 B`, `1.50 MiB`, `12.0 GiB`.
pub fn bytes(n: f64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    if !n.is_finite() {
        return "no bound".to_owned();
    }
    let mut v = n.abs();
    let mut unit = 0;
    while v >= 999.5 && unit + 1 < UNITS.len() {
        v /= 1024.0;
        unit += 1;
    }
    let sign = if n < 0.0 { "-" } else { "" };
    let digits = if unit == 0 || v >= 99.95 { 0 } else { usize::from(v < 9.995) + 1 };
    format!("{sign}{v:.digits$} {}", UNITS[unit])
}

/// A rate in the unit that gives a readable number: per hour for slow growth, per second for fast.
pub fn rate(bytes_per_second: f64) -> String {
    let per_hour = bytes_per_second * 3600.0;
    if bytes_per_second.abs() >= 1024.0 * 1024.0 {
        format!("{}/s", bytes(bytes_per_second))
    } else if per_hour.abs() >= 24.0 * 1024.0 * 1024.0 || per_hour == 0.0 {
        format!("{}/h", bytes(per_hour))
    } else {
        format!("{}/day", bytes(per_hour * 24.0))
    }
}

/// A duration with two parts at most: `45 s`, `3 min 20 s`, `7 h 5 min`, `12 days`, `never`.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "never".to_owned();
    }
    let s = seconds.max(0.0).round() as u64;
    let two = |major: u64, a: &str, minor: u64, b: &str| {
        if minor == 0 { format!("{major} {a}") } else { format!("{major} {a} {minor} {b}") }
    };
    match s {
        0..=119 => format!("{s} s"),
        120..=7199 if s < 600 => two(s / 60, "min", s % 60, "s"),
        120..=7199 => format!("{} min", (s + 30) / 60),
        7200..=172_799 if s < 36_000 => two(s / 3600, "h", (s % 3600) / 60, "min"),
        7200..=172_799 => format!("{} h", (s + 1800) / 3600),
        172_800..=863_999 => format!("{:.1} days", s as f64 / 86_400.0),
        864_000..=31_535_999 => format!("{} days", (s + 43_200) / 86_400),
        _ => "over a year".to_owned(),
    }
}

/// A share in percent: `4 %`, `0.3 %`.
pub fn percent(share: f64) -> String {
    let p = share * 100.0;
    if p.abs() < 9.95 && p != 0.0 { format!("{p:.1} %") } else { format!("{p:.0} %") }
}

/// `12,345`: a number with its thousands apart.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Reads an amount of bytes: a plain number, Kubernetes (`512Mi`, `1.5G`), JVM (`4g`, `256m`: binary) or
/// with spelled units (`512MiB`, `1GB`).
pub fn parse_bytes(text: &str) -> Option<f64> {
    let text = text.trim();
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let value: f64 = number.parse().ok()?;
    let power = |base: f64, n: i32| Some(value * base.powi(n));
    match unit.trim() {
        "" | "B" | "b" => Some(value),
        "k" | "Ki" | "KiB" => power(1024.0, 1),
        "m" | "Mi" | "MiB" => power(1024.0, 2),
        "g" | "Gi" | "GiB" => power(1024.0, 3),
        "t" | "Ti" | "TiB" => power(1024.0, 4),
        "K" | "kB" | "KB" => power(1000.0, 1),
        "M" | "MB" => power(1000.0, 2),
        "G" | "GB" => power(1000.0, 3),
        "T" | "TB" => power(1000.0, 4),
        _ => None,
    }
}

/// Reads an amount of bytes as Kubernetes writes it: `512Mi`, `1G`, `1e9`, `128974848000m`.
pub fn parse_quantity(text: &str) -> Option<u64> {
    let text = text.trim();
    // An exponent looks like the suffix of an exabyte until a digit follows.
    let units: &[(&str, f64)] = &[
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("m", 1e-3),
        ("", 1.0),
    ];
    let (number, unit) = units.iter().find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, unit)))?;
    let value = number.parse::<f64>().ok()? * unit;
    (value.is_finite() && (0.0..1e18).contains(&value)).then_some(value.ceil() as u64)
}

/// Reads a duration: `30s`, `5m`, `2h`, `7d`, `1h30m`, or plain seconds.
pub fn parse_duration(text: &str) -> Option<f64> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return (seconds.is_finite() && seconds >= 0.0).then_some(seconds);
    }
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let split = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let value: f64 = rest[..split].parse().ok()?;
        let unit_end = rest[split..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |i| split + i);
        total += value
            * match rest[split..unit_end].trim() {
                "ms" => 0.001,
                "s" | "sec" => 1.0,
                "m" | "min" => 60.0,
                "h" => 3600.0,
                "d" => 86_400.0,
                "w" => 604_800.0,
                _ => return None,
            };
        rest = rest[unit_end..].trim_start();
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_of_kubernetes() {
        let cases = [
            ("512Mi", 512 << 20),
            ("1G", 1_000_000_000),
            ("2k", 2000),
            ("1e9", 1_000_000_000),
            ("1500m", 2),
            ("7", 7),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_quantity(text), Some(bytes), "{text}");
        }
        for text in ["", "x", "-1", "1X", "inf", "nan", "1e99"] {
            assert_eq!(parse_quantity(text), None, "{text}");
        }
    }

    #[test]
    fn amounts_in_words() {
        for (n, text) in [
            (0.0, "0 B"),
            (1023.0, "1.00 KiB"),
            (1.5 * 1048576.0, "1.50 MiB"),
            (47.3 * 1048576.0, "47.3 MiB"),
            (12e9, "11.2 GiB"),
            (-2048.0, "-2.00 KiB"),
            (f64::INFINITY, "no bound"),
        ] {
            assert_eq!(bytes(n), text);
        }
        assert_eq!(rate(2.5 * 1048576.0), "2.50 MiB/s");
        assert_eq!(rate(120.0 * 1048576.0 / 3600.0), "120 MiB/h");
        assert_eq!(rate(1048576.0 / 3600.0), "24.0 MiB/day");
    }

    #[test]
    fn durations_in_words_and_back() {
        for (s, text) in [
            (45.0, "45 s"),
            (200.0, "3 min 20 s"),
            (1500.0, "25 min"),
            (7.0 * 3600.0 + 300.0, "7 h 5 min"),
            (80.0 * 3600.0, "3.3 days"),
            (40.0 * 86_400.0, "40 days"),
            (f64::INFINITY, "never"),
        ] {
            assert_eq!(duration(s), text);
        }
        assert_eq!(parse_duration("1h30m"), Some(5400.0));
        assert_eq!(parse_duration("90"), Some(90.0));
        assert_eq!(parse_duration("250ms"), Some(0.25));
        assert_eq!(parse_duration("soon"), None);
        assert_eq!(parse_duration(""), None);
    }

    #[test]
    fn the_grammars_of_bytes() {
        for (text, n) in [
            ("1024", 1024.0),
            ("512Mi", 512.0 * 1048576.0),
            ("4g", 4.0 * 1073741824.0),
            ("1GB", 1e9),
            ("1.5 GiB", 1.5 * 1073741824.0),
        ] {
            assert_eq!(parse_bytes(text), Some(n), "{text}");
        }
        assert_eq!(parse_bytes("many"), None);
        assert_eq!(parse_bytes("-1"), None);
    }
}
