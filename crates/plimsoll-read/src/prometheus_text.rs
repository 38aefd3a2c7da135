//! Metrics in the Prometheus text form: the sum over the series of a name, without building a table.

/// The sum of all series called `name`; `None` when there is none, or when it is beyond any number.
pub fn sum(text: &str, name: &str) -> Option<f64> {
    samples(text, name).map(|(_, v)| v).reduce(|a, b| a + b).filter(|v| v.is_finite())
}

/// The series called `name` with the given label.
pub fn with_label(text: &str, name: &str, label: &str, value: &str) -> Option<f64> {
    let wanted = format!("{label}=\"{value}\"");
    samples(text, name).find(|(labels, _)| labels.contains(&wanted)).map(|(_, v)| v)
}

/// True when the text looks like metrics: at least one line of a name and a number.
pub fn looks_like(text: &str) -> bool {
    text.lines().take(200).any(|l| {
        let named = l.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        named && l.rsplit_once(' ').is_some_and(|(_, v)| v.parse::<f64>().is_ok())
    })
}

/// Labels (with their braces, or empty) and values of every series called `name`.
fn samples<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
    text.lines().filter_map(move |l| {
        let rest = l.strip_prefix(name)?;
        let (labels, value) = match rest.strip_prefix('{') {
            Some(inside) => inside.rsplit_once('}')?,
            None => ("", rest.strip_prefix(' ')?),
        };
        let v: f64 = value.split_ascii_whitespace().next()?.parse().ok()?;
        v.is_finite().then_some((labels, v))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP go_goroutines Number.\n# TYPE go_goroutines gauge\ngo_goroutines 12\ngo_goroutines_total 3\nheap{space=\"new\"} 5 1700000000\nheap{space=\"old\",x=\"}\"} 1.5e1\nbad NaN\n";

    #[test]
    fn series_by_name_and_label() {
        assert_eq!(sum(TEXT, "go_goroutines"), Some(12.0));
        assert_eq!(sum(TEXT, "heap"), Some(20.0));
        assert_eq!(with_label(TEXT, "heap", "space", "old"), Some(15.0));
        assert_eq!(sum(TEXT, "bad"), None);
        assert_eq!(sum(TEXT, "absent"), None);
        assert!(looks_like(TEXT));
        assert!(!looks_like("<html>\n<body>hello</body>"));
    }

    #[test]
    fn a_sum_beyond_any_number_is_none() {
        // Found while writing the fuzz target: each value is finite, their sum is not.
        assert_eq!(sum("heap{a=\"1\"} 1e308\nheap{a=\"2\"} 1e308\n", "heap"), None);
    }

    #[test]
    fn every_cut_is_survived() {
        for i in 0..TEXT.len() {
            let _sum = sum(&TEXT[..i], "heap");
        }
    }
}
