//! The live view on a terminal of text.

use plimsoll_core::fact::Fact;
use plimsoll_core::judge::judge;
use plimsoll_core::recording::{Observation, Recording};
use plimsoll_core::target::{RuntimeKind, Target};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyModifiers};

use super::{Act, View, draw};

const MIB: f64 = 1048576.0;

fn process(pid: i32, name: &str, mib_per_second: f64) -> Recording {
    let mut r = Recording::new(Target {
        pid,
        name: name.to_owned(),
        runtime: RuntimeKind::Native,
        runtime_version: None,
        container: None,
        cgroup: None,
        limit_cgroup: None,
        started: 1000.0,
        flags: Vec::new(),
    });
    for i in 0..60 {
        let mut o = Observation::at(1001.0 + f64::from(i));
        let level = (20.0 + f64::from(pid) + mib_per_second * f64::from(i)) * MIB;
        for fact in [Fact::Rss, Fact::RssAnon, Fact::CgroupUnreclaimable] {
            o.known(fact, level);
        }
        o.known(Fact::CgroupLimit, 256.0 * MIB);
        r.add(o);
    }
    r
}

fn view() -> View {
    let judged = [process(1, "leaker", 1.0), process(2, "steady", 0.0)].map(|r| {
        let j = judge(&r, None);
        (r, j)
    });
    let mut view = View::default();
    view.set_rows(&judged, 2);
    view
}

fn frame(view: &mut View) -> String {
    let mut terminal = Terminal::new(TestBackend::new(120, 12)).expect("a terminal of text");
    terminal.draw(|f| draw(f, view)).expect("draws");
    terminal.backend().to_string()
}

fn press(view: &mut View, code: KeyCode) -> Act {
    view.key(code, KeyModifiers::NONE)
}

#[test]
fn the_leaker_stands_first_with_its_time() {
    let text = frame(&mut view());
    let rows: Vec<&str> = text.lines().collect();
    assert!(rows[0].contains("2 processes, 1 climbing, sorted by clock"), "{text}");
    assert!(rows[2].contains("leaker") && rows[2].contains("retention") && rows[2].contains("min"), "{text}");
    assert!(rows[3].contains("steady") && rows[3].contains("none"), "{text}");
}

#[test]
fn keys_sort_filter_open_and_leave() {
    let mut v = view();
    press(&mut v, KeyCode::Char('s'));
    assert!(frame(&mut v).lines().nth(2).is_some_and(|l| l.contains("leaker")), "80 MiB against 22");
    press(&mut v, KeyCode::Char('/'));
    for c in "stea".chars() {
        press(&mut v, KeyCode::Char(c));
    }
    press(&mut v, KeyCode::Enter);
    let text = frame(&mut v);
    assert!(text.contains("steady") && !text.contains("leaker"), "{text}");
    assert_eq!(press(&mut v, KeyCode::Enter), Act::Open(2));
    v.set_detail("line one\nline two".to_owned());
    assert!(frame(&mut v).contains("line two"));
    assert_eq!(press(&mut v, KeyCode::Esc), Act::Close);
    assert!(frame(&mut v).contains("leaker"), "leaving clears the filter");
    assert_eq!(press(&mut v, KeyCode::Char('q')), Act::Quit);
}

#[test]
fn an_empty_machine_and_a_tiny_terminal_do_not_break_it() {
    let mut v = View::default();
    press(&mut v, KeyCode::Down);
    assert_eq!(press(&mut v, KeyCode::Enter), Act::Nothing);
    let mut terminal = Terminal::new(TestBackend::new(3, 2)).expect("a terminal of text");
    terminal.draw(|f| draw(f, &mut v)).expect("draws");
}
