//! Where the search for what is alive begins: the roots of a dump, what the stacks of threads hold, and what stands in
//! for roots in a dump that has lost its own.

use std::collections::HashMap;

use crate::graph::address::AddressRank;
use crate::graph::edges::Graph;
use crate::graph::marks::Marks;
use crate::hprof::model::Model;
use crate::hprof::visitor::{Root, RootKind};

/// Roots from which on those that are repeated are left out.
const MANY: usize = 1 << 16;

/// Where the search for what is alive begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Roots {
    /// At the dump's own roots.
    Told {
        /// What makes each of them a root, by object number.
        held: HashMap<u32, RootedBy>,
        /// What the stacks of threads hold, by object number. These are held by the thread, and no roots.
        locals: HashMap<u32, Local>,
    },
    /// The dump has no thread among its roots (it was cut: a JVM may write them last). All classes, and whatever nobody
    /// refers to, stand in for them: what is told of such a heap is a guess.
    Guessed,
}

impl Roots {
    /// What makes this object a root, if it is a told one.
    pub fn rooted(&self, object: u32) -> Option<RootedBy> {
        match self {
            Roots::Told { held, .. } => held.get(&object).copied(),
            Roots::Guessed => None,
        }
    }

    /// The stack frame that holds this object, if one does.
    pub fn local(&self, object: u32) -> Option<Local> {
        match self {
            Roots::Told { locals, .. } => locals.get(&object).copied(),
            Roots::Guessed => None,
        }
    }
}

/// Why an object is a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootedBy {
    /// The first kind told.
    pub kind: RootKind,
    /// Serial number of the thread, 0 where none is told.
    pub thread: u32,
}

/// What a thread's stack holds an object by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Local {
    /// The thread's object.
    pub thread: u32,
    /// Serial number of the thread.
    pub serial: u32,
    /// Which frame of its stack, from the top; `u32::MAX` for none.
    pub frame: u32,
}

/// Keeps a root, unless it says again what is kept: a dump has no more different ones than objects and stacks, but may
/// repeat them without end.
pub(super) fn keep(roots: &mut Vec<Root>, root: &Root) {
    if roots.len() == roots.capacity() && roots.len() >= MANY {
        let thread = |root: &Root| if is_local(root.kind) { root.thread } else { 0 };
        let what =
            |root: &Root| (root.id, is_local(root.kind), root.kind == RootKind::ThreadObject, thread(root));
        roots.sort_unstable_by_key(|root| (what(root), root.at));
        roots.dedup_by_key(|root| what(root));
        roots.sort_unstable_by_key(|root| root.at);
        // Few were repeated: room for as many again, or this would be done for each.
        if roots.len() > roots.capacity() / 2 {
            roots.reserve(roots.len());
        }
    }
    roots.push(*root);
}

/// Roots by number, and what threads' stacks hold.
#[derive(Debug, Default)]
pub(super) struct Start {
    held: HashMap<u32, RootedBy>,
    /// In the order of the dump.
    order: Vec<u32>,
    /// What its stack holds, by the thread's object.
    stacks: HashMap<u32, Vec<u32>>,
    /// The first frame that holds it, by object.
    locals: HashMap<u32, Local>,
    has_thread: bool,
}

impl Start {
    pub(super) fn of(model: &Model, addresses: &AddressRank, roots: &[Root]) -> Start {
        let mut start = Start::default();
        let threads: HashMap<u32, u32> = model
            .threads()
            .into_iter()
            .filter_map(|(serial, thread)| Some((serial, addresses.index_of(thread.object)?)))
            .collect();
        for root in roots {
            start.has_thread |= root.kind == RootKind::ThreadObject;
            if root.kind == RootKind::Unreachable {
                continue;
            }
            let Some(object) = addresses.index_of(root.id) else { continue };
            let thread = threads.get(&root.thread).filter(|thread| is_local(root.kind) && **thread != object);
            match thread {
                Some(thread) => start.add_local(*thread, object, root),
                None => start.add(object, RootedBy { kind: root.kind, thread: root.thread }),
            }
        }
        start
    }

    fn add_local(&mut self, thread: u32, object: u32, root: &Root) {
        self.stacks.entry(thread).or_default().push(object);
        let local = Local { thread, serial: root.thread, frame: root.frame };
        self.locals.entry(object).or_insert(local);
    }

    fn add(&mut self, object: u32, held: RootedBy) {
        let order = &mut self.order;
        self.held.entry(object).or_insert_with(|| {
            order.push(object);
            held
        });
    }

    /// Whether an object is a root.
    pub(super) fn has(&self, object: u32) -> bool {
        self.held.contains_key(&object)
    }

    /// Threads whose stacks hold anything, and what.
    pub(super) fn stacks(&self) -> &HashMap<u32, Vec<u32>> {
        &self.stacks
    }

    /// The roots to begin at. Of a dump that was cut, what nobody refers to is one as well: what refers to it may be
    /// in the part that is gone.
    pub(super) fn settle(
        self,
        model: &Model,
        addresses: &AddressRank,
        graph: &Graph,
        is_complete: bool,
    ) -> (Roots, Vec<u32>) {
        let Start { held, locals, order: mut first, has_thread, .. } = self;
        if !has_thread {
            first.extend(model.classes().iter().filter_map(|c| addresses.index_of(c.id)));
        }
        if !has_thread || !is_complete {
            let mut referred = Marks::new(graph.objects());
            for source in 0..graph.objects() {
                graph.targets(source).for_each(|target| referred.set(target));
            }
            first.extend((0..graph.objects()).filter(|object| !referred.has(*object)));
        }
        (if has_thread { Roots::Told { held, locals } } else { Roots::Guessed }, first)
    }
}

/// References from the stack of a thread.
fn is_local(kind: RootKind) -> bool {
    matches!(kind, RootKind::JniLocal | RootKind::JavaFrame | RootKind::NativeStack | RootKind::ThreadBlock)
}
