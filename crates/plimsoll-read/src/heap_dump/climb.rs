//! From an object up to what owns it: the first static field, thread or JNI reference, and never a class loader.

use super::fetch::{Referrer, Via};
use super::roots::Roots;
use super::view::View;
use crate::graph::dominators::Holder;
use crate::hprof::model::Model;
use crate::hprof::visitor::RootKind;

/// Steps up at most.
const MOST: usize = 64;
/// Holders looked at when asking whether one object holds another.
const HOLDERS: usize = 256;

/// What owns an object in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// A static field: class and field.
    Static(String, String),
    /// A thread: its name, and the frame or the thread-local that holds on.
    Thread(String, Option<String>),
    /// A root of another kind.
    Root(RootKind),
    /// It could not be found, and why.
    Unknown(&'static str),
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Owner::Static(class, field) => write!(f, "{class}.{field}"),
            Owner::Thread(name, None) => write!(f, "thread \"{name}\""),
            Owner::Thread(name, Some(at)) => write!(f, "thread \"{name}\", {at}"),
            Owner::Root(kind) => f.write_str(root_name(*kind)),
            Owner::Unknown(why) => write!(f, "unknown owner ({why})"),
        }
    }
}

/// A kind of root in words.
pub(super) fn root_name(kind: RootKind) -> &'static str {
    match kind {
        RootKind::JniGlobal => "JNI global reference",
        RootKind::JniLocal => "JNI local reference",
        RootKind::JavaFrame => "stack of a thread",
        RootKind::NativeStack => "native stack",
        RootKind::StickyClass => "system class",
        RootKind::ThreadBlock => "thread block",
        RootKind::MonitorUsed => "monitor in use",
        RootKind::ThreadObject => "thread",
        RootKind::InternedString => "interned string",
        RootKind::Finalizing => "waiting to be finalized",
        RootKind::Debugger => "debugger",
        RootKind::ReferenceCleanup => "reference clean-up",
        RootKind::VmInternal => "virtual machine",
        RootKind::JniMonitor => "JNI monitor",
        RootKind::Unreachable | RootKind::Unknown => "root of unknown kind",
    }
}

/// One object on the way down from the owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its number.
    pub object: u32,
    /// What it is.
    pub label: String,
    /// How the step above refers to it: `Class.field`, `[17]`, empty at the top.
    pub via: String,
}

/// The way from the owner down to an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// What owns it.
    pub owner: Owner,
    /// The owner's object first, the object itself last.
    pub steps: Vec<Step>,
}

/// Climbs. While the way is not known it is as long as it is known; the view notes what is missing.
pub(super) fn climb(view: &View<'_>, object: u32) -> Path {
    let mut up = Vec::new();
    let mut at = object;
    let owner = loop {
        match owner_of(view, at, &up) {
            Some(owner) => break owner,
            None if up.len() >= MOST => break Owner::Unknown("the way up is too long"),
            None => {}
        }
        let Some(address) = view.heap.address_of(at) else { break Owner::Unknown("no such object") };
        match direct(view, at, address, &up) {
            Direct::Yes(referrer, from) => {
                up.push((at, view.via(&referrer)));
                at = from;
                continue;
            }
            Direct::NotRead => break Owner::Unknown("not read yet"),
            Direct::No => {}
        }
        let Some(referrers) = view.referrers(address) else { break Owner::Unknown("not read yet") };
        let Some((referrer, from)) = best(view, at, referrers, &up) else {
            break match view.heap.roots {
                Roots::Guessed => Owner::Unknown("nothing in what is left of the dump refers to it"),
                Roots::Told { .. } => Owner::Unknown("nothing refers to it"),
            };
        };
        up.push((at, view.via(&referrer)));
        at = from;
    };
    let mut steps = vec![Step { object: at, label: view.heap.label(at), via: String::new() }];
    steps.extend(up.into_iter().rev().map(|(object, via)| Step {
        object,
        label: view.heap.label(object),
        via,
    }));
    Path { owner, steps }
}

/// Whether the way ends here.
fn owner_of(view: &View<'_>, at: u32, up: &[(u32, String)]) -> Option<Owner> {
    let heap = view.heap;
    let address = heap.address_of(at)?;
    if heap.model.class_of(address).is_some() {
        // A class is reached by one of its static fields; itself it is what a suspect may be.
        return Some(match up.last().and_then(|(_, via)| via.rsplit_once('.')) {
            Some((class, field)) => Owner::Static(class.to_owned(), field.to_owned()),
            None => Owner::Static(heap.label(at), "<class>".to_owned()),
        });
    }
    if let Some(local) = heap.roots.local(at) {
        let frame = frame_name(&heap.model, local.serial, local.frame)
            .map(|frame| format!("local variable in {frame}"));
        return Some(Owner::Thread(thread_name(view, local.thread), frame));
    }
    if heap.is_thread(at) {
        let via = up.last().map(|(_, via)| via.rsplit('.').next().unwrap_or(via).to_owned());
        let what = via.map(|field| match field.as_str() {
            "threadLocals" | "inheritableThreadLocals" => "thread-local variable".to_owned(),
            _ => format!("field {field}"),
        });
        return Some(Owner::Thread(thread_name(view, at), what));
    }
    match heap.roots.rooted(at)?.kind {
        RootKind::StickyClass | RootKind::ThreadObject => None,
        kind => Some(Owner::Root(kind)),
    }
}

/// The name of a thread: a String, or characters in old versions.
pub(super) fn thread_name(view: &View<'_>, thread: u32) -> String {
    let name = view.heap.address_of(thread).and_then(|address| view.reference(address, "name"));
    name.and_then(|name| view.string(name)).unwrap_or_else(|| "?".to_owned())
}

/// A frame of a thread's stack as `Class.method(File:line)`.
pub(super) fn frame_name(model: &Model, thread: u32, number: u32) -> Option<String> {
    let stack = model.stack(model.thread(thread)?.stack)?;
    let frame = model.frame_of(*stack.frames.get(number as usize)?)?;
    let class = model.class_with_serial(frame.class_serial).and_then(|id| model.class_name(id));
    let method = model.string(frame.method).unwrap_or_else(|| "?".to_owned());
    let source = model.string(frame.source).unwrap_or_else(|| "?".to_owned());
    let line = if frame.line > 0 { format!(":{}", frame.line) } else { String::new() };
    Some(format!("{}.{method}({source}{line})", class.unwrap_or_else(|| "?".to_owned())))
}

/// Whether the object that holds another one alone refers to it itself.
enum Direct {
    Yes(Referrer, u32),
    No,
    /// What it refers to has not been read.
    NotRead,
}

/// Looks for the holder's own reference. That is read in place; to know everyone who refers to an object takes a
/// reading of the whole dump.
fn direct(view: &View<'_>, at: u32, address: u64, up: &[(u32, String)]) -> Direct {
    let heap = view.heap;
    let mut holders = heap.tree.holders_of(at);
    let Some(holder) = holders.next() else { return Direct::No };
    holders.take(MOST).filter_map(|above| heap.address_of(above)).for_each(|above| view.wish(above));
    if up.iter().any(|(seen, _)| *seen == holder) {
        return Direct::No;
    }
    let Some(above) = heap.address_of(holder) else { return Direct::No };
    if !view.is_known(above) {
        view.wish(above);
        return Direct::NotRead;
    }
    match view.reference_between(above, address) {
        Some(referrer) if !is_weak(view, &referrer, holder) && link_rank(&view.via(&referrer)) < 4 => {
            Direct::Yes(referrer, holder)
        }
        _ => Direct::No,
    }
}

/// Of those who refer to an object, the one that explains best why it is alive.
fn best(view: &View<'_>, at: u32, referrers: &[Referrer], up: &[(u32, String)]) -> Option<(Referrer, u32)> {
    let (heap, tree) = (view.heap, view.heap.tree());
    let holder = match tree.holder(at) {
        Holder::Object(holder) => Some(holder),
        Holder::Roots | Holder::Nothing => None,
    };
    let rank = |referrer: &Referrer, from: u32| {
        let weak = is_weak(view, referrer, from);
        match referrer.via {
            Via::Static(_) => 0,
            _ if weak => 5,
            _ if heap.class_index(from) == heap.class_index(at) => link_rank(&view.via(referrer)),
            _ if Some(from) == holder => 1,
            _ => 2,
        }
    };
    referrers
        .iter()
        .filter_map(|referrer| Some((*referrer, view.heap.object_at(referrer.from)?)))
        .filter(|(_, from)| tree.is_reached(*from) && *from != at)
        .filter(|(_, from)| !up.iter().any(|(seen, _)| seen == from))
        .filter(|(_, from)| !tree.holders_of(*from).take(HOLDERS).any(|holder| holder == at))
        .min_by_key(|(referrer, from)| rank(referrer, *from))
}

/// An entry that refers to its like: the bucket's chain leads to the table, the order of entries only to another entry.
fn link_rank(via: &str) -> u32 {
    if via.ends_with(".before") || via.ends_with(".after") || via.ends_with(".prev") { 4 } else { 3 }
}

/// A reference that does not keep its target alive.
fn is_weak(view: &View<'_>, referrer: &Referrer, from: u32) -> bool {
    matches!(referrer.via, Via::Field(_))
        && view.heap.descends_from(view.heap.class_index(from), "java.lang.ref.Reference")
        && view.via(referrer).ends_with(".referent")
}
