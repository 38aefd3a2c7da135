//! Goroutine profiles: `debug=1` (grouped by the runtime) and `debug=2` (one stack each), as text.
//!
//! Grammar of `debug=1`: `goroutine profile: total N`, then groups `COUNT @ pcs`, optional `# labels:`, and one
//! line per frame, `# pc function+offset file:line`. Of `debug=2`: `goroutine ID [state, minutes]:`, then pairs
//! of a function line and a tab-indented `file:line` line, and `created by FUNCTION`.

use std::collections::HashMap;

use plimsoll_core::artifact::{Artifact, ROWS_KEPT, StackGroup};

/// Packages whose frames say how a goroutine waits, not where.
const WAITING: &[&str] = &["runtime.", "sync.", "internal/", "syscall.", "time.Sleep", "golang.org/x/sync"];

/// Groups by place: innermost frame that is not the runtime's, wait state and creator.
#[derive(Default)]
struct Groups {
    by_place: HashMap<(String, Option<String>, Option<String>), u64>,
    total: u64,
}

impl Groups {
    fn add(&mut self, count: u64, top: Option<String>, state: Option<String>, creator: Option<String>) {
        self.total = self.total.saturating_add(count);
        let top = top.unwrap_or_else(|| "(no frame of the program)".to_owned());
        let slot = self.by_place.entry((top, state, creator)).or_default();
        *slot = slot.saturating_add(count);
    }

    fn finish(self, said: Option<u64>) -> Option<Artifact> {
        if self.by_place.is_empty() {
            return None;
        }
        let group = |((top, state, creator), count)| StackGroup { count, state, top, creator };
        let mut groups: Vec<StackGroup> = self.by_place.into_iter().map(group).collect();
        groups.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.top.cmp(&b.top)));
        groups.truncate(ROWS_KEPT);
        Some(Artifact::Goroutines { groups, total: said.unwrap_or(self.total) })
    }
}

/// Reads either form; `None` when the text is no goroutine profile. A cut text gives what it holds.
pub fn read(text: &str) -> Option<Artifact> {
    match text.trim_start().strip_prefix("goroutine profile: total ") {
        Some(rest) => {
            let said = rest.split_ascii_whitespace().next().and_then(|w| w.parse().ok());
            grouped(rest).finish(said)
        }
        None => one_by_one(text).finish(None),
    }
}

fn grouped(text: &str) -> Groups {
    let mut groups = Groups::default();
    let mut open: Option<(u64, Option<String>)> = None;
    for line in text.lines().skip(1) {
        if let Some(count) = header(line) {
            if let Some((n, top)) = open.replace((count, None)) {
                groups.add(n, top, None, None);
            }
        } else if let (Some((_, top @ None)), Some(place)) = (&mut open, frame(line)) {
            *top = Some(place);
        }
    }
    if let Some((n, top)) = open {
        groups.add(n, top, None, None);
    }
    groups
}

/// `1360 @ 0x48c14a …`
fn header(line: &str) -> Option<u64> {
    let (count, _) = line.split_once(" @")?;
    count.parse().ok()
}

/// `# 0x67eea4 main.await+0x24 /src/gateway.go:35` as `main.await (gateway.go:35)`; `None` for the runtime's own.
fn frame(line: &str) -> Option<String> {
    let mut columns = line.strip_prefix('#')?.split('\t').map(str::trim).filter(|c| !c.is_empty());
    let _address = columns.next()?;
    let function = columns.next()?;
    let function = function.rsplit_once("+0x").map_or(function, |(name, _)| name);
    place(function, columns.next().unwrap_or_default())
}

fn place(function: &str, location: &str) -> Option<String> {
    if WAITING.iter().any(|p| function.starts_with(p)) {
        return None;
    }
    let file = location.rsplit('/').next().unwrap_or(location);
    Some(format!("{function} ({file})"))
}

fn one_by_one(text: &str) -> Groups {
    let mut groups = Groups::default();
    for stack in text.split("\n\n") {
        let mut lines = stack.trim_start().lines();
        let Some(state) = lines.next().and_then(state) else { continue };
        let (mut top, mut creator) = (None, None);
        while let Some(line) = lines.next() {
            if let Some(by) = line.strip_prefix("created by ") {
                let function = by.split(" in goroutine").next().unwrap_or(by);
                creator =
                    Some(place(function, location(lines.next())).unwrap_or_else(|| function.to_owned()));
            } else if top.is_none() && !line.starts_with('\t') {
                let function = line.rsplit_once('(').map_or(line, |(name, _)| name);
                top = place(function, location(lines.next()));
            }
        }
        groups.add(1, top, Some(state), creator);
    }
    groups
}

/// `goroutine 41 [chan receive, 5 minutes]:` as `chan receive`.
fn state(line: &str) -> Option<String> {
    let inside = line.strip_prefix("goroutine ")?.split_once('[')?.1;
    let state = inside.split([',', ']']).next()?;
    Some(state.to_owned())
}

/// ` /src/gateway.go:35 +0x24` as `/src/gateway.go:35`.
fn location(line: Option<&str>) -> &str {
    line.and_then(|l| l.split_ascii_whitespace().next()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUPED: &str = "goroutine profile: total 1364\n1360 @ 0x48c14a 0x67eea5\n#\t0x67eea4\tmain.await+0x24\t/src/leak.go:35\n\n3 @ 0x1\n# labels: {\"a\":\"b\"}\n#\t0x48b384\tinternal/poll.runtime_pollWait+0x84\t\t/go/netpoll.go:351\n#\t0x4e53e8\tnet.(*netFD).accept+0x28\t/go/net/fd_unix.go:149\n\n1 @ 0x492fe1\n";

    fn rows(text: &str) -> (Vec<StackGroup>, u64) {
        match read(text) {
            Some(Artifact::Goroutines { groups, total }) => (groups, total),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn groups_name_the_programs_own_line() {
        let (groups, total) = rows(GROUPED);
        assert_eq!(total, 1364);
        assert_eq!((groups[0].count, groups[0].top.as_str()), (1360, "main.await (leak.go:35)"));
        assert_eq!(groups[1].top, "net.(*netFD).accept (fd_unix.go:149)");
        assert_eq!(groups[2].top, "(no frame of the program)");
    }

    #[test]
    fn stacks_one_by_one_keep_state_and_creator() {
        let text = "goroutine 7 [select, 5 minutes]:\nruntime.gopark(0x1)\n\t/go/proc.go:1 +0x1\nmain.await(0xc0)\n\t/src/leak.go:35 +0x24\ncreated by main.handle in goroutine 1\n\t/src/leak.go:20 +0x1\n\ngoroutine 8 [select]:\nmain.await(...)\n\t/src/leak.go:35 +0x24\ncreated by main.handle\n\t/src/leak.go:20 +0x1\n";
        let (groups, total) = rows(text);
        assert_eq!(total, 2);
        assert_eq!(
            groups[0],
            StackGroup {
                count: 2,
                state: Some("select".to_owned()),
                top: "main.await (leak.go:35)".to_owned(),
                creator: Some("main.handle (leak.go:20)".to_owned()),
            }
        );
    }

    #[test]
    fn every_cut_and_any_bytes_are_survived() {
        for i in 0..GROUPED.len() {
            if let Some(Artifact::Goroutines { groups, .. }) = read(&GROUPED[..i]) {
                assert!(!groups.is_empty());
            }
        }
        assert_eq!(read("<html><body>hello</body></html>"), None);
        assert_eq!(read("goroutine profile: total x\n99999999999999999999 @\n"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(goroutine |[0-9 @#x\\[\\]:()\t\n]|created by |.){0,200}") {
            let _read = read(&text);
        }
    }
}
