//! `plimsoll top`: the overview, live.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use plimsoll_core::judge::judge;
use plimsoll_host::fleet::Fleet;
use plimsoll_host::world::World;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use super::live::{Session, Watch};
use super::overview::{judge_all, rank};
use super::triage::stop_flag;
use crate::error::{CliError, Kind};
use crate::exit_code;
use crate::render;
use crate::top::{Act, View, draw};

/// The live view: every process by its clock, with a detail pane
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Keys: arrows or j k move, Enter opens the detail, s changes the sort, / filters, q quits. \
The screen is drawn once per interval and only where it changed, so that a slow line carries it."
)]
pub(crate) struct Args {
    /// Seconds between two samples.
    #[arg(long, default_value_t = 1.0)]
    interval: f64,
}

/// Ticks between two judgements of the whole machine.
const JUDGE_EVERY: u64 = 3;
/// Longest wait for a key.
const GLANCE: Duration = Duration::from_millis(100);

pub(crate) fn run(args: &Args) -> Result<u8, CliError> {
    let stop = stop_flag()?;
    let mut terminal = ratatui::try_init().map_err(|e| {
        CliError::usage("failed to open the terminal").because(e).hint("use plimsoll triage in a pipe")
    })?;
    let result = watch(&mut terminal, args, &stop);
    ratatui::restore();
    result.map(|()| exit_code::FINE)
}

fn watch(terminal: &mut ratatui::DefaultTerminal, args: &Args, stop: &AtomicBool) -> Result<(), CliError> {
    let broken = |e: std::io::Error| CliError::new(Kind::Internal, "failed to draw").because(e);
    let interval = Duration::from_secs_f64(args.interval.clamp(0.1, 3600.0));
    let mut fleet = Fleet::open(&World::default());
    let mut view = View::default();
    let mut detail: Option<Detail> = None;
    let (mut ticks, mut next) = (0u64, Instant::now());
    while !stop.load(Ordering::Relaxed) {
        let mut changed = false;
        if Instant::now() >= next {
            next = (next + interval).max(Instant::now());
            fleet.tick();
            ticks += 1;
            if ticks % JUDGE_EVERY == 1 {
                let mut judged = judge_all(&fleet);
                rank(&mut judged);
                view.set_rows(&judged, fleet.pids().count());
            }
            changed = true;
        }
        if let Some(text) = detail.as_ref().and_then(Detail::newest) {
            view.set_detail(text);
            changed = true;
        }
        if event::poll(GLANCE.min(next.saturating_duration_since(Instant::now()))).map_err(broken)? {
            changed = true;
            if let Event::Key(key) = event::read().map_err(broken)?
                && key.kind == KeyEventKind::Press
            {
                match view.key(key.code, key.modifiers) {
                    Act::Quit => return Ok(()),
                    Act::Open(pid) => detail = Some(Detail::open(pid)),
                    Act::Close => detail = None,
                    Act::Nothing => {}
                }
            }
        }
        if changed {
            terminal.draw(|frame| draw(frame, &mut view)).map_err(broken)?;
        }
    }
    Ok(())
}

/// A closer look at one process, sampled and judged on a thread of its own.
struct Detail {
    stop: Arc<AtomicBool>,
    screens: Receiver<String>,
    _thread: JoinHandle<()>,
}

impl Detail {
    fn open(pid: i32) -> Detail {
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, screens) = channel();
        let flag = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let how = Watch { seconds: f64::INFINITY, every: 1.0, whole: true, record: None, limit: None };
            let mut session = match Session::open(&World::default(), pid, &how) {
                Ok(session) => session,
                Err(e) => return drop(sender.send(e.to_string())),
            };
            while let Ok(Some(judgement)) = session.step(&flag) {
                let judgement = judgement.unwrap_or_else(|| judge(&session.recording, None));
                let paint = render::paint::Paint::new(false);
                if sender.send(render::triage::screen(&session.recording, &judgement, paint)).is_err() {
                    return;
                }
            }
        });
        Detail { stop, screens, _thread: thread }
    }

    fn newest(&self) -> Option<String> {
        self.screens.try_iter().last()
    }
}

impl Drop for Detail {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
