//! Artifacts of a Go program that are read out of its memory: it needs no endpoint, and notices nothing.

use std::sync::atomic::Ordering;
use std::time::Instant;

use plimsoll_read::go_runtime::{Program, Refusal};

use super::{CaptureError, Folder, Order};
use crate::step::go_memory::{self, now};

pub(super) fn take(order: &Order<'_>, folder: &mut Folder) -> Result<(), CaptureError> {
    let mut program = go_memory::open(order.world, order.target.pid).map_err(CaptureError::GoMemory)?;
    if order.id == "stacks" {
        return stacks(order, &mut program, folder);
    }
    sites(&mut program, "sites-1.txt", folder)?;
    super::second(order, || sites(&mut program, "sites-2.txt", folder))
}

fn stacks(order: &Order<'_>, program: &mut Program, folder: &mut Folder) -> Result<(), CaptureError> {
    let began = Instant::now();
    let seen = program.goroutines(now(), || !order.stop.load(Ordering::Relaxed)).map_err(refused)?;
    let text = seen.to_text(program.version());
    folder.keep_as("goroutines-outside.txt", began, text.as_bytes(), seen.truncated)
}

fn sites(program: &mut Program, name: &str, folder: &mut Folder) -> Result<(), CaptureError> {
    let began = Instant::now();
    let text = program.memory_profile().map_err(refused)?;
    folder.keep(name, began, text.as_bytes())
}

fn refused(e: Refusal) -> CaptureError {
    CaptureError::GoMemory(e.into())
}
