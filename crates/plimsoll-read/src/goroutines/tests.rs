//! Goroutine dumps in every form, whole, cut, within logs, and hostile.

use plimsoll_core::classify::Certainty;
use proptest::prelude::*;

use super::*;
use crate::formats::{Kind, Reading};
use crate::reading::{Context, Report};

const GROUPED: &str = "goroutine profile: total 1364\n1360 @ 0x48c14a 0x67eea5\n#\t0x67eea4\tmain.await+0x24\t/src/leak.go:35\n\n3 @ 0x1\n# labels: {\"a\":\"b\"}\n#\t0x48b384\tinternal/poll.runtime_pollWait+0x84\t\t/go/netpoll.go:351\n#\t0x4e53e8\tnet.(*netFD).accept+0x28\t/go/net/fd_unix.go:149\n\n1 @ 0x492fe1\n";

const STACKS: &str = "\
goroutine 1 [running]:
main.main()
\t/src/main.go:9 +0x1

goroutine 7 [select, 5 minutes]:
runtime.gopark(0x1)
\t/go/proc.go:1 +0x1
main.await(0xc0)
\t/src/leak.go:35 +0x24
created by main.handle in goroutine 1
\t/src/leak.go:20 +0x1

goroutine 8 [select, 41 minutes, locked to thread] {route: \"/a]b:\"}:
runtime.gopark(0x2)
\t/go/proc.go:1 +0x1
main.await(...)
\t/src/leak.go:35 +0x99 fp=0xc sp=0xc pc=0x1
created by main.handle
\t/src/leak.go:20 +0x1

goroutine 9 [chan send (leaked)]:
main.send(0x1)
\t/src/leak.go:50
...12 frames elided...
created by main.handle in goroutine 7
\t/src/leak.go:21 +0x1
";

fn rows(text: &str) -> (Vec<StackGroup>, u64) {
    match read(text) {
        Some(Artifact::Goroutines { groups, total, .. }) => (groups, total),
        other => panic!("{other:?}"),
    }
}

fn counts(g: &Goroutines) -> Vec<(u64, &str)> {
    g.groups.iter().map(|p| (p.count, p.state.as_deref().unwrap_or("-"))).collect()
}

#[test]
fn what_is_read_from_outside_reads_back_the_same() {
    let mut before = parse(STACKS.as_bytes()).unwrap();
    before.groups.iter_mut().for_each(|g| g.labels.clear());
    before.warnings = Warnings::default();
    before.warnings.say("3 goroutines never stood still");
    before.truncated = None;
    let text = before.to_text("go1.27.3\n9 @");
    let after = parse(text.as_bytes()).unwrap();
    assert_eq!((after.form, after.total(), after.truncated.as_deref()), (Form::Outside, 4, None));
    assert_eq!(after.groups, before.groups, "{text}");
    assert_eq!(after.warnings.list(), before.warnings.list());
    assert!(after.report().artifact.kind.contains("from outside"));
    let cut = parse(&text.as_bytes()[..text.len() / 2]).unwrap();
    assert!(cut.truncated.is_some_and(|why| why.contains("it says 4 goroutines")));
}

#[test]
fn a_reading_from_outside_that_was_stopped_says_so() {
    let text = "goroutine profile: total 1\n# outside: go1.27.3\n# cut: stopped\n1 @\n# minutes: 1 x\n# state: select\n";
    let g = parse(text.as_bytes()).unwrap();
    assert_eq!(
        (g.truncated.as_deref(), g.groups[0].wait, g.groups[0].minutes),
        (Some("stopped"), Wait::Select, None)
    );
}

#[test]
fn groups_name_the_programs_own_line() {
    let (groups, total) = rows(GROUPED);
    assert_eq!(total, 1364);
    assert_eq!((groups[0].count, groups[0].top.as_str()), (1360, "main.await (leak.go:35)"));
    assert_eq!(groups[1].top, "net.(*netFD).accept (fd_unix.go:149)");
    assert_eq!(groups[2].top, "(no frame of the program)");
    let g = parse(GROUPED.as_bytes()).unwrap();
    assert_eq!((g.total(), g.truncated.as_deref()), (1364, None));
    assert_eq!(g.groups[1].labels["a: b"], 3);
    assert_eq!(g.groups[1].wait, Wait::Io);
}

/// As Go 1.27 prints it: the addresses tell what the frames leave out.
const ADDRESSES: &str = "goroutine profile: total 484\n\
    400 @ 0x486cea 0x41768e 0x4171d2 0x5221f9 0x48d0e1\n#\t0x5221f8\tmain.recv+0x18\t/src/m.go:3\n\n\
    70 @ 0x486cea 0x462817 0x52217a 0x48d0e1\n#\t0x522179\tmain.choose+0x59\t/src/m.go:5\n\n\
    10 @ 0x486cea 0x48a125 0x521a9d 0x48d0e1\n#\t0x48a124\ttime.Sleep+0x164\t/go/time.go:368\n#\t0x521a9c\tmain.nap+0x1c\t/src/m.go:9\n\n\
    3 @ 0x44eb34 0x48e20b 0x521a61 0x48d0e1\n#\t0x521a60\tmain.spin+0x0\t/src/m.go:8\n\n\
    1 @ 0x521b00 0x48d0e1\n#\t0x521aff\tmain.work+0x0\t/src/m.go:11\n\n";

#[test]
fn a_profile_in_text_concludes_as_stacks_do() {
    let g = parse(ADDRESSES.as_bytes()).unwrap();
    assert_eq!(
        g.groups.iter().map(|p| p.wait).collect::<Vec<_>>(),
        [Wait::Channel, Wait::Select, Wait::Sleep, Wait::Unsaid, Wait::Unsaid]
    );
    let report = g.report();
    let first = &report.findings[0];
    assert_eq!(first.text, "400 goroutines (83 %) wait in `chan receive or send` at main.recv (m.go:3)");
    assert!(first.hint.as_ref().unwrap().contains("usual cause: a channel whose other end went away"));
    assert!(report.summary.starts_with("484 goroutines; 400 goroutines (83 %)"), "{}", report.summary);
    // Where no address tells it, the crowd is told all the same.
    let bare = ADDRESSES.replace(" 0x41768e 0x4171d2", "");
    assert!(
        parse(bare.as_bytes()).unwrap().report().findings[0].text.starts_with("400 goroutines (83 %) stand")
    );
}

#[test]
fn stacks_are_grouped_by_wait_stack_and_creator() {
    let g = parse(STACKS.as_bytes()).unwrap();
    assert_eq!(counts(&g), [(2, "select"), (1, "chan send"), (1, "running")]);
    let parked = &g.groups[0];
    assert_eq!(parked.minutes, Some((5, 41)));
    assert_eq!(parked.labels["route: /a]b:"], 1);
    assert_eq!(parked.creator.as_ref().unwrap().place(), "main.handle (leak.go:20)");
    assert_eq!((g.groups[1].leaked, g.groups[1].frames[1].function.as_str()), (1, "..."));
    assert_eq!((g.counted, g.said, &g.truncated), (4, None, &None));
    let (groups, total) = rows(STACKS);
    assert_eq!((total, groups[0].top.as_str()), (4, "main.await (leak.go:35)"));
}

#[test]
fn a_panic_in_a_log_is_found_with_what_stands_around_it() {
    let log = format!("starting\npanic: boom\n\n{STACKS}exit status 2\nnext line\n");
    let g = parse(log.as_bytes()).unwrap();
    assert_eq!((g.counted, &g.truncated), (4, &None));
    assert!(g.warnings.list()[0].starts_with("4 lines"), "{:?}", g.warnings);
    let prefixed: String =
        STACKS.lines().map(|l| format!("2024-05-01T10:00:00.{}Z stderr F {l}\n", l.len())).collect();
    let from_log = parse(prefixed.as_bytes()).unwrap();
    assert_eq!(counts(&from_log), counts(&g));
    assert_eq!(from_log.groups[0].frames, g.groups[0].frames);
}

#[test]
fn dockers_log_is_taken_apart() {
    let line = |l: &str| {
        format!("{}\n", serde_json::json!({"log": format!("{l}\n"), "stream": "stderr", "time": "t"}))
    };
    let log: String = STACKS.lines().map(line).collect();
    let g = parse(log.as_bytes()).unwrap();
    assert_eq!((&g.groups, &g.truncated), (&parse(STACKS.as_bytes()).unwrap().groups, &None));
    assert_eq!(g.bytes, log.len() as u64);
}

#[test]
fn a_line_of_another_within_a_stack_is_stepped_over() {
    let at = STACKS.find("main.await(0xc0)").unwrap();
    let text = format!("{}level=info msg=\"served\"\n{}", &STACKS[..at], &STACKS[at..]);
    assert_eq!(counts(&parse(text.as_bytes()).unwrap()), counts(&parse(STACKS.as_bytes()).unwrap()));
}

#[test]
fn windows_ends_of_line_and_ancestors() {
    let g = parse(STACKS.replace('\n', "\r\n").as_bytes()).unwrap();
    assert_eq!(g.groups, parse(STACKS.as_bytes()).unwrap().groups);
    let ancestors = STACKS.replace(
        "\t/src/leak.go:21 +0x1\n",
        "\t/src/leak.go:21 +0x1\n[originating from goroutine 7]:\nmain.x(...)\n\t/src/x.go:1 +0x1\n",
    );
    assert_eq!(parse(ancestors.as_bytes()).unwrap().groups, g.groups);
}

#[test]
fn a_cut_is_told_wherever_it_shows() {
    for cut in 1..STACKS.len() {
        let head = &STACKS[..cut];
        let Some(g) = parse(head.as_bytes()) else {
            assert!(cut < "goroutine 1 [running]:".len(), "{cut}");
            continue;
        };
        let told = g.truncated.is_some() || !g.warnings.list().is_empty();
        // Only where a whole stack's last line ends does nothing show, as in the whole.
        let ends = head.ends_with("+0x1\n") || head.ends_with(":9 +0x1\n");
        assert!(told || ends, "{head:?}");
        assert!(g.counted <= 4);
    }
    for cut in 0..GROUPED.len() - 1 {
        if let Some(g) = parse(&GROUPED.as_bytes()[..cut]) {
            assert!(g.truncated.is_some(), "{}", &GROUPED[..cut]);
        }
    }
}

#[test]
fn other_texts_are_none() {
    assert!(read("<html><body>hello</body></html>").is_none());
    assert!(read("goroutine profile: total x\n99999999999999999999 @\n").is_none());
    assert!(parse(b"").is_none());
}

#[test]
fn pieces_say_the_same_as_the_whole_in_bounded_memory() {
    let mut big = String::new();
    for i in 0..20_000 {
        let (id, line) = (i + 2, i % 7);
        big.push_str(&format!("goroutine {id} [select, {} minutes]:\nmain.f(0x{i:x})\n\t/src/a.go:{line} +0x1\ncreated by main.g in goroutine {i}\n\t/src/a.go:99 +0x2\n\n", i % 50));
    }
    let whole = parse(big.as_bytes()).unwrap();
    let pieces = parse_stacks(big.as_bytes()).unwrap();
    assert_eq!((whole.groups.len(), whole.counted), (7, 20_000));
    assert_eq!((whole.groups, whole.bytes), (pieces.groups, pieces.bytes));
}

#[test]
fn a_stack_longer_than_a_piece_is_cut_and_told() {
    let frame = "main.recurse(0x1)\n\t/src/a.go:5 +0x1\n".repeat(60_000);
    let text = format!("goroutine 2 [select]:\n{frame}created by main.g\n\t/src/a.go:99 +0x2\n\n{STACKS}");
    let g = parse_stacks(text.as_bytes()).unwrap();
    assert!(g.warnings.list().iter().any(|w| w.contains("longer than 1 MiB")), "{:?}", g.warnings);
    assert_eq!(g.counted, 5);
    assert!(g.groups.iter().all(|p| p.frames.len() <= 256));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(goroutine |[0-9 @#x\\[\\]:()\t\n{},]|created by |minutes|.){0,200}") {
        let whole = parse(text.as_bytes());
        let pieces = parse_stacks(text.as_bytes());
        if let (Some(a), Some(b), Form::Stacks) = (&whole, &pieces, whole.as_ref().map_or(Form::Grouped, |w| w.form)) {
            prop_assert_eq!(a.counted, b.counted);
            prop_assert_eq!(a.groups.iter().map(|g| g.count).sum::<u64>() + a.lumped, a.counted);
        }
    }
}

fn many(n: u64, state: &str, minutes: impl Fn(u64) -> u64) -> String {
    let one = |i| {
        format!(
            "goroutine {} [{state}, {} minutes]:\nmain.await(0x1)\n\t/src/leak.go:35 +0x24\ncreated by main.handle in goroutine 1\n\t/src/leak.go:20 +0x1\n\n",
            i + 100,
            minutes(i)
        )
    };
    (0..n).map(one).collect::<String>() + STACKS
}

#[test]
fn a_growing_crowd_is_likely_a_burst_is_not_told() {
    let report = parse(many(2000, "chan receive", |i| i % 40).as_bytes()).unwrap().report();
    let crowd = report.findings.iter().find(|f| f.text.starts_with("2000")).unwrap();
    assert_eq!(crowd.certainty, Certainty::Likely);
    assert!(crowd.pro.iter().any(|p| p.contains("more each minute")), "{crowd:?}");
    assert!(crowd.contra.iter().any(|p| p.contains("pool of workers")), "{crowd:?}");
    assert!(crowd.hint.as_deref().unwrap().contains("main.await (/src/leak.go:35): close the channel"));
    let burst = parse(many(2000, "chan receive", |_| 38).as_bytes()).unwrap().report();
    let crowd = burst.findings.iter().find(|f| f.text.starts_with("2000")).unwrap();
    assert_eq!(crowd.certainty, Certainty::CannotTell);
    assert!(crowd.contra.iter().any(|p| p.contains("none is young")), "{crowd:?}");
}

#[test]
fn the_runtimes_proof_is_certain_and_ages_carry_their_error() {
    let report = parse(STACKS.as_bytes()).unwrap().report();
    assert_eq!(report.findings[0].certainty, Certainty::Certain);
    assert!(
        report.findings[0].text.starts_with("1 goroutine can never go on: wait in `chan send` at main.send")
    );
    let parked = &report.groups[0];
    assert_eq!((parked.minutes.unwrap().low, parked.minutes.unwrap().high), (3.0, 42.0));
    assert_eq!(parked.estimated_bytes, Some(2 * (2048 + 512)));
    assert!(
        report
            .summary
            .starts_with("4 goroutines, 1 proven leaked; 1 goroutine can never go on: wait in `chan send`"),
        "{}",
        report.summary
    );
}

#[test]
fn a_lock_names_who_may_hold_it_and_an_idle_process_says_nothing() {
    let wait = "sync.runtime_SemacquireMutex(0x1)\n\t/go/sema.go:1 +0x1\nsync.(*Mutex).Lock(...)\n\t/go/mutex.go:1\nmain.(*Cache).Get(0x1)\n\t/src/c.go:10 +0x1\ncreated by main.h\n\t/src/c.go:1 +0x1\n\n";
    let mut text: String = (2..80).map(|i| format!("goroutine {i} [semacquire]:\n{wait}")).collect();
    text.push_str("goroutine 99 [chan send]:\nmain.(*Cache).Flush(0x1)\n\t/src/c.go:70 +0x1\ncreated by main.h\n\t/src/c.go:1 +0x1\n");
    let report = parse(text.as_bytes()).unwrap().report();
    let lock = &report.findings[0];
    assert!(lock.pro.iter().any(|p| p.contains("main.(*Cache).Flush (c.go:70)")), "{lock:?}");
    assert!(parse(GROUPED.replace("1360", "6").as_bytes()).unwrap().report().findings.is_empty());
}

#[test]
fn many_places_of_one_creator_are_an_unbounded_spawn() {
    let one = |i: u64| {
        format!(
            "goroutine {} [runnable]:\nmain.work(0x1)\n\t/src/w.go:{} +0x24\ncreated by main.accept in goroutine 1\n\t/src/w.go:20 +0x1\n\n",
            i + 2,
            i % 30
        )
    };
    let report = parse((0..1500).map(one).collect::<String>().as_bytes()).unwrap().report();
    let f = &report.findings[0];
    assert!(f.text.contains("1500 goroutines (100 %) were started by main.accept (w.go:20)"), "{f:?}");
}

#[test]
fn two_dumps_show_who_grew() {
    let before = parse(many(100, "chan receive", |_| 1).as_bytes()).unwrap();
    let after = parse(many(400, "chan receive", |_| 3).as_bytes()).unwrap();
    let changes = compare(&[&before, &after]);
    assert_eq!(changes.len(), 1);
    assert_eq!((changes[0].delta(), changes[0].is_growth()), (300, true));
    assert!(!Change { counts: vec![100, 110], ..changes[0].clone() }.is_growth());
    let report = after.report_since(&before);
    let grown = report.findings.iter().find(|f| f.certainty == Certainty::Likely).unwrap();
    assert!(grown.text.starts_with("300 more wait in `chan receive` at main.await (leak.go:35): 100 before"));
    assert!(report.summary.starts_with("from 104 to 404 goroutines; 300 more"), "{}", report.summary);
    assert!(before.report_since(&before).summary.ends_with("no group grew by more than chance."));
    let crowd = parse(many(400, "IO wait", |_| 0).as_bytes()).unwrap();
    let against =
        |r: &Report, text: &str| r.findings.iter().any(|f| f.contra.iter().any(|c| c.starts_with(text)));
    let (one, two) = (crowd.report(), crowd.report_since(&crowd));
    assert!(against(&one, "one dump does not show growth"), "{one:?}");
    assert!(
        !against(&two, "one dump") && against(&two, "no group grew by more than chance over 2 dumps"),
        "{two:?}"
    );
    let cut = parse(&many(400, "chan receive", |_| 3).as_bytes()[..9000]).unwrap().report_since(&before);
    assert!(cut.findings.iter().all(|f| f.certainty != Certainty::Likely), "{cut:?}");
}

#[test]
fn a_cut_dump_tells_its_part() {
    let g = parse(STACKS.as_bytes()).unwrap().with_total(10);
    assert_eq!(g.truncated.as_deref(), Some("the process has 10 goroutines, the dump holds 4"));
    assert_eq!(g.total(), 10);
}

/// Stacks without end, as many as fit below the runtime's limit after `before`.
fn cut_by_the_runtime(before: &str) -> Vec<u8> {
    let mut out = before.as_bytes().to_vec();
    let end = before.len() + (64 << 20);
    for id in 1.. {
        let (place, state) = if id % 10 == 0 { ("main.send", "chan send") } else { ("main.await", "select") };
        let one = format!(
            "goroutine {id} [{state}]:\n{place}(0xc0)\n\t/src/leak.go:35 +0x24\ncreated by main.handle\n\t/src/leak.go:20 +0x1\n\n"
        );
        out.extend_from_slice(one.as_bytes());
        if out.len() >= end {
            break;
        }
    }
    out.truncate(end);
    out
}

#[test]
fn counts_of_what_the_runtime_cut_are_scaled_where_the_total_is_known() {
    let g = parse_stacks(cut_by_the_runtime("goroutine profile: total 2000000\n").as_slice()).unwrap();
    assert!(g.truncated.as_ref().is_some_and(|why| why.starts_with("exactly 64 MiB")), "{:?}", g.truncated);
    let (seen, first) = (g.counted, g.groups[0].count);
    let report = g.report();
    let about = report.groups[0].estimated_count.unwrap();
    assert!(about.abs_diff(1_800_000) <= 10_000, "{about}");
    let text = format!("about {about} goroutines (90 %; {first} of {seen} seen) wait in `select`");
    assert!(report.findings[0].text.starts_with(&text), "{:?}", report.findings[0]);
    assert!(report.summary.starts_with("2000000 goroutines; about "), "{}", report.summary);
    assert!(report.warnings.iter().any(|w| w.starts_with(&format!("the dump holds {seen} of 2000000"))));
}

#[test]
fn counts_of_what_was_cut_are_lower_bounds_where_it_is_not() {
    let g = parse_stacks(cut_by_the_runtime("").as_slice()).unwrap();
    let report = g.report();
    let text = format!("at least {} goroutines (90 % of those seen) wait", g.groups[0].count);
    assert!(report.findings[0].text.starts_with(&text), "{:?}", report.findings[0]);
    assert!(
        report.summary.starts_with(&format!("at least {} goroutines; ", g.counted)),
        "{}",
        report.summary
    );
    assert_eq!(report.groups[0].estimated_count, None);
    assert!(report.warnings.iter().any(|w| w.starts_with("counts are lower bounds")));
    // What is certain stays certain of those that are seen only.
    let leaked = many(400, "chan send (leaked)", |_| 1);
    let cut = parse(&leaked.as_bytes()[..9000]).unwrap();
    assert!(cut.report().findings[0].text.starts_with("at least "), "{:?}", cut.report().findings);
    assert!(cut.with_total(1000).report().findings[0].text.contains(" by the total) can never go on"));
}

#[test]
fn a_profile_of_the_same_bundle_or_log_tells_the_total() {
    let context = Kind::known(&parse(GROUPED.as_bytes()).unwrap());
    assert_eq!(context.goroutines, Some(1364));
    let whole = parse(STACKS.as_bytes()).unwrap();
    assert_eq!(Kind::known(&whole).goroutines, None);
    assert_eq!(Kind::reading(&whole, &context), Reading::from(whole.report()), "a whole dump needs no other");
    let text = many(400, "chan receive", |_| 1);
    let cut = parse(&text.as_bytes()[..9000]).unwrap();
    let told = Kind::reading(&cut, &context).head;
    assert!(told.summary.starts_with("1364 goroutines; about "), "{}", told.summary);
    let less = Context { goroutines: Some(1), ..Context::default() };
    assert!(Kind::reading(&cut, &less).head.summary.starts_with("at least "), "of another moment");
    // Where a dump stops within a line and a profile follows, it is cut.
    for end in 9000..9200 {
        let joined = parse(&[&text.as_bytes()[..end], GROUPED.as_bytes()].concat()).unwrap();
        let tail = &text[end - 60..end];
        if tail.ends_with("\n\n") || tail.ends_with(".go:20 +0x1\n") {
            assert_eq!(joined.truncated, None, "nothing shows that it was cut: {tail:?}");
            continue;
        }
        assert_eq!(joined.said, Some(1364), "{tail:?}");
        assert!(joined.report().summary.starts_with("1364 goroutines; about "), "{tail:?}");
    }
    let after = parse(format!("{STACKS}{GROUPED}").as_bytes()).unwrap();
    assert_eq!((after.said, &after.truncated), (None, &None), "a whole dump before a profile is whole");
}
