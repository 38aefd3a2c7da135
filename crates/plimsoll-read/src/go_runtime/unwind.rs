//! From the words of a stack to functions and lines, as Go's own traceback does it: each function's frame has the size
//! that the line table tells for the place where it stands.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::elf::Executable;
use super::globals::Module;
use super::layout::Layout;
use super::line_table::{Function, LineTable, Logical};
use crate::core_file::u64_at;
use crate::goroutines::Frame;
use crate::reading::clip;

/// Compiled functions of one stack.
const DEEPEST: usize = 4096;
/// Frames that a dump shows of a deep stack.
const INNERMOST: usize = 50;
const OUTERMOST: usize = 50;
/// Places that are remembered.
const PLACES: usize = 1 << 17;
/// Bytes that a name keeps.
const NAME: usize = 512;
/// Flags of a function: nothing called it; it moves the stack pointer in ways that the table does not tell.
const TOP: u8 = 1;
const MOVES_STACK: u8 = 2;
/// Functions into which a signal makes the program jump: what they return to was interrupted, it did not call.
const INTERRUPTS: &[&str] = &["runtime.asyncPreempt", "runtime.sigpanic", "runtime.debugCallV2"];
/// It moves the stack pointer, but what the table tells of it is right.
const FROM_C: &str = "runtime.cgocallback";

/// A place in the code, and what there is to know of it.
#[derive(Debug)]
struct Place {
    /// To the address to return to, bytes; none where it cannot be told.
    frame: Option<u32>,
    top: bool,
    interrupts: bool,
    moves_stack: bool,
    /// What a dump shows of it, the innermost first.
    frames: Vec<Frame>,
    hash: u64,
}

/// A stack as numbers of places.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Chain {
    places: Vec<u32>,
    /// Whether it was followed to its end.
    pub(super) whole: bool,
}

/// The functions of one program.
pub(super) struct Unwinder {
    executable: Executable,
    lines: LineTable,
    module: Module,
    bias: u64,
    wrapper: u8,
    places: Vec<Place>,
    by_address: HashMap<(u64, bool), u32>,
    starts: HashMap<u64, String>,
    creators: HashMap<u64, Option<Frame>>,
}

impl Unwinder {
    pub(super) fn new(
        executable: Executable,
        lines: LineTable,
        module: Module,
        bias: u64,
        layout: &Layout,
    ) -> Self {
        let (places, wrapper) = (Vec::new(), layout.wrapper);
        let (by_address, starts, creators) = (HashMap::new(), HashMap::new(), HashMap::new());
        Unwinder { executable, lines, module, bias, wrapper, places, by_address, starts, creators }
    }

    /// Follows a stack from where it stopped; `stack` are its bytes from its pointer on.
    pub(super) fn chain(&mut self, pc: u64, stack: &[u8]) -> Chain {
        let (mut pc, mut at, mut interrupted) = (pc, 0_usize, false);
        let mut chain = Chain::default();
        while chain.places.len() < DEEPEST {
            let number = self.place(pc, interrupted);
            let first = chain.places.is_empty();
            chain.places.push(number);
            let Some(place) = self.places.get(number as usize) else { break };
            if place.top {
                chain.whole = true;
                break;
            }
            if place.moves_stack && !first {
                break;
            }
            let back = place.frame.and_then(|f| at.checked_add(f as usize));
            let Some((back, next)) = back.and_then(|b| Some((b, u64_at(stack, b)?))) else { break };
            interrupted = place.interrupts;
            (pc, at) = (next, back + 8);
        }
        chain
    }

    /// What a chain shows: the same for chains that stand at the same lines.
    pub(super) fn hash(&self, chain: &Chain) -> u64 {
        let mut hash = DefaultHasher::new();
        for p in chain.places.iter().filter_map(|p| self.places.get(*p as usize)) {
            hash.write_u64(p.hash);
        }
        hash.write_u8(u8::from(chain.whole));
        hash.finish()
    }

    /// The frames of a chain, the innermost first; `...` for those that are left out of the middle, as Go does, and
    /// where it was not followed further.
    pub(super) fn frames(&self, chain: &Chain) -> Vec<Frame> {
        let left_out = || Frame { function: "...".to_owned(), location: String::new() };
        let places = chain.places.iter().filter_map(|p| self.places.get(*p as usize));
        let all: Vec<&Frame> = places.flat_map(|p| p.frames.iter()).collect();
        let mut out: Vec<Frame> = all.iter().take(INNERMOST).copied().cloned().collect();
        let rest = all.get(INNERMOST..).unwrap_or_default();
        if rest.len() > OUTERMOST {
            out.push(left_out());
        }
        out.extend(rest.iter().skip(rest.len().saturating_sub(OUTERMOST)).copied().cloned());
        if !chain.whole {
            out.push(left_out());
        }
        out
    }

    /// The name of the function that a goroutine began with.
    pub(super) fn start(&mut self, pc: u64) -> &str {
        if self.starts.len() > PLACES {
            self.starts.clear();
        }
        if !self.starts.contains_key(&pc) {
            let name = self.function(pc).map(|(f, _)| self.lines.name(&f)).unwrap_or_default();
            self.starts.insert(pc, name);
        }
        self.starts.get(&pc).map_or("", String::as_str)
    }

    /// Who started a goroutine: the function as it was compiled, as Go's own dumps have it.
    pub(super) fn creator(&mut self, pc: u64) -> Option<Frame> {
        if let Some(known) = self.creators.get(&pc) {
            return known.clone();
        }
        let found = self.function(pc).and_then(|(f, code)| {
            let function = self.lines.name(&f);
            let call = if code > f.entry { code - 1 } else { code };
            shows(&function).then(|| frame(&function, &self.lines.location(&f, call)))
        });
        if self.creators.len() < PLACES {
            self.creators.insert(pc, found.clone());
        }
        found
    }

    /// The innermost function at an address to return to, as it was written.
    pub(super) fn innermost(&mut self, pc: u64) -> Option<Frame> {
        let (f, code) = self.function(pc)?;
        let call = if code > f.entry { code - 1 } else { code };
        self.logical(&f, call).first().map(|l| frame(&l.function, &l.location))
    }

    fn function(&self, pc: u64) -> Option<(Function, u32)> {
        let inside = pc >= self.module.text && pc < self.module.text_end;
        let code = inside.then(|| u32::try_from(pc - self.module.text).ok()).flatten()?;
        Some((self.lines.function(code)?, code))
    }

    fn logical(&self, f: &Function, code: u32) -> Vec<Logical> {
        let data = self.module.function_data.wrapping_sub(self.bias);
        let at = |offset: u64, size| self.executable.at(data.wrapping_add(offset), size);
        self.lines.logical(f, code, &at).into_iter().map(|(_, l)| l).collect()
    }

    fn place(&mut self, pc: u64, interrupted: bool) -> u32 {
        if let Some(known) = self.by_address.get(&(pc, interrupted)) {
            return *known;
        }
        let place = self.look_up(pc, interrupted);
        if self.places.len() >= PLACES {
            // A hostile program only: every further place is the last one, and shows as such.
            return (PLACES - 1) as u32;
        }
        let number = self.places.len() as u32;
        self.places.push(place);
        self.by_address.insert((pc, interrupted), number);
        number
    }

    fn look_up(&self, pc: u64, interrupted: bool) -> Place {
        let Some((f, code)) = self.function(pc) else {
            return Place {
                frame: None,
                top: false,
                interrupts: false,
                moves_stack: false,
                frames: Vec::new(),
                hash: 0,
            };
        };
        // What called stands before the address to return to; what was interrupted, or never ran, stands there.
        let stands = if interrupted || code == f.entry { code } else { code - 1 };
        let visible = |l: &Logical| l.id != self.wrapper && shows(&l.function);
        let frames: Vec<Frame> = self
            .logical(&f, stands)
            .into_iter()
            .filter(visible)
            .map(|l| frame(&l.function, &l.location))
            .collect();
        let name = self.lines.name(&f);
        let mut hash = DefaultHasher::new();
        frames.hash(&mut hash);
        Place {
            frame: self.lines.frame(&f, code),
            top: f.flags & TOP != 0,
            interrupts: INTERRUPTS.contains(&name.as_str()),
            moves_stack: f.flags & MOVES_STACK != 0 && name != FROM_C,
            hash: hash.finish(),
            frames,
        }
    }
}

/// Whether Go's own dumps show a function: not the runtime's own, but those that programs call.
fn shows(function: &str) -> bool {
    match function.strip_prefix("runtime.") {
        None => function.contains('.'),
        Some("runFinalizers" | "runfinq" | "runCleanups" | "gopanic") => true,
        Some(rest) => rest.starts_with(|c: char| c.is_ascii_uppercase()),
    }
}

fn frame(function: &str, location: &str) -> Frame {
    // What programs call it, and Go's dumps print.
    let function = if function == "runtime.gopanic" { "panic" } else { function };
    Frame { function: clip(function, NAME), location: clip(location, NAME) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dump_shows() {
        for (function, is) in [
            ("main.main", true),
            ("runtime.gopark", false),
            ("runtime.Gosched", true),
            ("runtime.runCleanups", true),
            ("_cgoexp_1", false),
            ("runtime/pprof.writeHeap", true),
        ] {
            assert_eq!(shows(function), is, "{function}");
        }
    }
}
