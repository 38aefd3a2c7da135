//! Where the time of a heap dump's reading goes: `heap_phases FILE`.

use std::cell::RefCell;
use std::fs::File;
use std::io::{Read, Write as _};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;
use std::time::Instant;

use plimsoll_read::graph::watch::Phase;
use plimsoll_read::heap_dump::report::report;
use plimsoll_read::heap_dump::{HeapDumpError, Options, Source, read};

fn main() -> Result<(), HeapDumpError> {
    let file = std::env::args().nth(1).unwrap_or_default();
    let began = Instant::now();
    let last = RefCell::new(("open".to_owned(), began, began));
    let watch = |phase: Phase, _, _| {
        let (name, since, stepped) = last.replace((phase.to_string(), Instant::now(), Instant::now()));
        if name == phase.to_string() {
            last.replace((name, since, Instant::now()));
        } else {
            say(&name, (stepped - since).as_secs_f64());
            say("  (then)", stepped.elapsed().as_secs_f64());
        }
        ControlFlow::Continue(())
    };
    let source = Dump(File::open(&file).map_err(HeapDumpError::Io)?, file);
    let heap = read(&source, Options::default(), &watch)?;
    let said = report(&heap, &source, &watch)?;
    let (name, since, _) = last.into_inner();
    say(&name, since.elapsed().as_secs_f64());
    say("all", began.elapsed().as_secs_f64());
    let per = |bytes: usize| bytes as f64 / f64::from(heap.objects());
    let _closed = writeln!(
        std::io::stdout(),
        "{} objects, {} references, {} suspects; tree {:.2} B, sizes {:.2} B an object; highest {}",
        heap.objects(),
        heap.references,
        said.suspects.len(),
        per(heap.tree().bytes()),
        per(heap.retained().bytes()),
        status("VmHWM"),
    );
    Ok(())
}

struct Dump(File, String);

impl Source for Dump {
    fn open(&self) -> std::io::Result<Box<dyn Read + Send + '_>> {
        Ok(Box::new(File::open(&self.1)?))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read_at(buffer, offset)
    }
}

fn status(key: &str) -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix(key)).unwrap_or_default();
    line.trim_start_matches(':').trim().to_owned()
}

fn say(what: &str, seconds: f64) {
    let _closed = writeln!(std::io::stdout(), "{what:<32} {seconds:>7.3} s  {:>12}", status("VmRSS"));
}
