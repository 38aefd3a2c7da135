//! A raw copy of a process: what it has in memory of its own, as an ELF core that debuggers and `plimsoll read` take.
//!
//! The process stands still while it is copied, by the kernel's freezer: no signal is sent, no debugger attaches, and
//! nothing of its memory or its limit is used. It goes on whatever happens to us (see [`freeze`]).

mod elf;
pub(crate) mod freeze;
mod pages;

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::store::Draft;
use super::{CaptureError, Folder, Order};
use freeze::Frozen;
use pages::{Area, Run};

/// Longest time that a process is kept frozen; then the copy is cut.
const LONGEST: Duration = Duration::from_secs(120);
/// Bytes that are copied at once.
const PIECE: usize = 1 << 20;

pub(super) fn take(order: &Order<'_>, folder: &mut Folder) -> Result<(), CaptureError> {
    let process = order.world.proc_root.join(order.target.pid.to_string());
    elf::is_known(&process).map_err(CaptureError::NoDoor)?;
    let mut draft = folder.begin("core")?;
    let taken = copy_frozen(order, &process, &mut draft);
    let cut = match taken {
        Ok(cut) => cut,
        Err(e) if draft.bytes() == 0 => {
            draft.discard();
            return Err(e);
        }
        Err(e) => Some(super::chain(&e)),
    };
    // It runs again: the disk may take its time now.
    folder.end(draft, cut)
}

/// Freezes, copies, thaws; why it is not whole, when it is not.
fn copy_frozen(order: &Order<'_>, process: &Path, draft: &mut Draft) -> Result<Option<String>, CaptureError> {
    let memory = open(&process.join("mem"))?;
    let page_map = open(&process.join("pagemap"))?;
    let frozen = Frozen::freeze(order.world, order.target.pid, LONGEST).map_err(CaptureError::NoDoor)?;
    let began = Instant::now();
    let maps = process.join("maps");
    let text = fs::read_to_string(&maps).map_err(|e| CaptureError::file(&maps, e))?;
    let areas: Vec<Area> = text.lines().filter_map(Area::read).collect();
    let runs = pages::runs(&areas, &page_map, elf::MOST).map_err(|e| CaptureError::file(&maps, e))?;
    draft.write(&elf::head(process, order.target.pid, &areas, &runs))?;
    let cut = copy(order, &memory, &runs, draft, began)?;
    frozen.thaw().map_err(CaptureError::NoDoor)?;
    Ok(cut)
}

fn copy(
    order: &Order<'_>,
    memory: &File,
    runs: &[Run],
    draft: &mut Draft,
    began: Instant,
) -> Result<Option<String>, CaptureError> {
    let mut buffer = vec![0; PIECE];
    let mut lost = 0_u64;
    for run in runs {
        let mut at = run.start;
        while at < run.end {
            if order.stop.load(Ordering::Relaxed) {
                return Ok(Some(CaptureError::Stopped.to_string()));
            }
            if began.elapsed() > LONGEST {
                return Ok(Some(format!("it was frozen for {} s: longer is not risked", LONGEST.as_secs())));
            }
            let size = PIECE.min(usize::try_from(run.end - at).unwrap_or(PIECE));
            let piece = &mut buffer[..size];
            // Pages that lie between two that are there may not be readable.
            let have = memory.read_at(piece, at).unwrap_or(0);
            piece[have..].fill(0);
            lost += if have == 0 { size as u64 } else { 0 };
            draft.write(piece)?;
            at += size as u64;
        }
    }
    let whole: u64 = runs.iter().map(|r| r.end - r.start).sum();
    Ok((lost > 0).then(|| format!("{lost} of {whole} bytes could not be read: is it still there?")))
}

fn open(path: &Path) -> Result<File, CaptureError> {
    File::open(path).map_err(|e| CaptureError::file(path, e))
}
