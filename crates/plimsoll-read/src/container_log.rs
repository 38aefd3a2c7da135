//! What a program printed, out of the log that a container's runtime made of it: Docker's JSON lines
//! (`{"log":"text\\n","stream":"stderr","time":"…"}`) and the CRI's (`TIME stderr F text`, `P` for a part of a line).

use serde::Deserialize;

/// Lines that are looked at to tell the form.
const PEEKED: usize = 4;

#[derive(Deserialize)]
struct Docker {
    log: String,
}

/// The printed text; none when the log is no container runtime's. Lines of another form are kept as they are.
pub(crate) fn unwrap(text: &str) -> Option<String> {
    let head = || text.lines().filter(|l| !l.is_empty()).take(PEEKED);
    if head().next().is_some() && head().all(|l| docker(l).is_some()) {
        return Some(text.lines().map(|l| docker(l).unwrap_or_else(|| format!("{l}\n"))).collect());
    }
    if head().next().is_some() && head().all(|l| cri(l).is_some()) {
        let mut out = String::with_capacity(text.len());
        for line in text.split_inclusive('\n') {
            let (content, part) = cri(line).unwrap_or((line, false));
            out.push_str(if part { content.trim_end_matches('\n') } else { content });
        }
        return Some(out);
    }
    None
}

fn docker(line: &str) -> Option<String> {
    if !line.starts_with("{\"") {
        return None;
    }
    serde_json::from_str::<Docker>(line).ok().map(|d| d.log)
}

/// The text, and whether its line goes on.
fn cri(line: &str) -> Option<(&str, bool)> {
    let (time, rest) = line.split_once(' ')?;
    let (stream, rest) = rest.split_once(' ')?;
    let (tag, text) = rest.split_once(' ')?;
    let dated = time.len() >= 20 && time.starts_with(|c: char| c.is_ascii_digit()) && time.contains('T');
    (dated && matches!(stream, "stdout" | "stderr") && matches!(tag, "F" | "P")).then_some((text, tag == "P"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_give_what_was_printed() {
        let docker =
            "{\"log\":\"a\\tb\\n\",\"stream\":\"stderr\",\"time\":\"t\"}\n{\"log\":\"\\n\"}\nnot of docker\n";
        assert_eq!(unwrap(&docker.replace("not of docker", "{\"log\":\"c\"}")).as_deref(), Some("a\tb\n\nc"));
        assert_eq!(unwrap(docker), None);
        let cri = "2024-05-01T10:00:00.5Z stderr F a\n2024-05-01T10:00:00.51Z stderr P b\n2024-05-01T10:00:00.6Z stderr F c\n";
        assert_eq!(unwrap(cri).as_deref(), Some("a\nbc\n"));
        assert_eq!(unwrap("goroutine 1 [running]:\n"), None);
        assert_eq!(unwrap(""), None);
    }
}
