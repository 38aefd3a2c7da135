//! Dumps of a real JVM: the histogram of reachable objects equals the reference analyser's to the byte, and the
//! same dump says the same packed, or through a pipe while it is being written.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use plimsoll_read::hprof::layout::Layouts;
use plimsoll_read::hprof::model::{Limits, Model};
use plimsoll_read::hprof::open::{Dump, Packing, open};
use plimsoll_read::hprof::records::Summary;
use plimsoll_read::hprof::shallow::{Histogram, Sizes};
use plimsoll_read::hprof::visitor::*;

/// Objects with what keeps them and what they keep: small dumps only.
#[derive(Default)]
struct Graph {
    roots: Vec<u64>,
    /// Stack-local references, with their thread.
    objects: HashMap<u64, Node>,
}

struct Node {
    class: Kind,
    refs: Vec<u64>,
}

#[derive(Clone, Copy)]
enum Kind {
    Class,
    Instance(u64),
    Objects(u64, u32),
    Numbers(Type, u32),
}

/// The second pass: classes are known, so references can be told from numbers.
struct Edges<'m> {
    graph: Graph,
    model: &'m Model,
    layouts: &'m Layouts,
}

impl Visitor for Edges<'_> {
    fn root(&mut self, root: &Root) {
        self.graph.roots.push(root.id);
    }

    fn class(&mut self, c: &Class<'_>) {
        let statics = c.statics().filter(|s| s.ty == Type::Object).map(|s| s.value);
        let refs = statics.chain([c.superclass, c.loader]).collect();
        self.graph.objects.insert(c.id, Node { class: Kind::Class, refs });
    }

    fn instance(&mut self, i: &Instance<'_>) {
        let mut refs = vec![i.class];
        let layout = self.model.index(i.class).and_then(|index| self.layouts.get(index)).expect("a known class");
        assert_eq!(layout.bytes as usize, i.fields.len(), "the layout of {:?}", self.model.class_name(i.class));
        layout.for_each_reference(i.fields, self.model.id_size(), |id| refs.push(id));
        self.graph.objects.insert(i.id, Node { class: Kind::Instance(i.class), refs });
    }

    fn object_array(&mut self, a: &ObjectArray) {
        let node = Node { class: Kind::Objects(a.class, a.length), refs: vec![a.class] };
        self.graph.objects.insert(a.id, node);
    }

    fn references(&mut self, a: &ObjectArray, _first: u64, ids: Ids<'_>) {
        let node = self.graph.objects.get_mut(&a.id).expect("the array began");
        ids.for_each(|id| node.refs.push(id));
    }

    fn primitive_array(&mut self, a: &PrimitiveArray) {
        self.graph.objects.insert(a.id, Node { class: Kind::Numbers(a.ty, a.length), refs: Vec::new() });
    }
}

impl Graph {
    /// Instances and bytes by class, of what the roots reach.
    fn reachable(&self, model: &Model, layouts: &Layouts, sizes: Sizes) -> BTreeMap<String, (u64, u64)> {
        let mut seen: HashMap<u64, ()> = HashMap::new();
        let mut todo = self.roots.clone();
        let mut rows: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        while let Some(id) = todo.pop() {
            let Some(node) = self.objects.get(&id) else { continue };
            if seen.insert(id, ()).is_some() {
                continue;
            }
            todo.extend(&node.refs);
            let name = |class| model.class_name(class).expect("a name");
            let (class, bytes) = match node.class {
                Kind::Class => {
                    ("java.lang.Class".to_owned(), sizes.class_object(model.class_of(id).expect("a class")))
                }
                Kind::Instance(class) => {
                    (name(class), sizes.instance(model, layouts, model.index(class).expect("a class")))
                }
                Kind::Objects(class, length) => (name(class), sizes.object_array(length)),
                Kind::Numbers(ty, length) => (format!("{}[]", ty.name()), sizes.primitive_array(ty, length)),
            };
            let row = rows.entry(class).or_default();
            row.0 += 1;
            row.1 += bytes;
        }
        rows
    }
}

/// What one scan of a dump says.
struct Reading {
    model: Model,
    histogram: Histogram,
    summary: Summary,
}

impl Reading {
    fn of(dump: Dump<'_>) -> Reading {
        let size = dump.header().id_size;
        let mut both = (Model::new(size, Limits::default()), Histogram::new(size));
        let summary = dump.scan(&mut both);
        Reading { model: both.0, histogram: both.1, summary }
    }

    fn assert_sound(&self) {
        assert_eq!(self.summary.truncation(), None);
        assert_eq!(self.summary.warnings.kept(), []);
        assert_eq!(self.model.warnings().kept(), []);
        assert!(self.summary.end_marker);
        assert!(self.summary.counts.threads > 0, "no thread among the roots");
    }

    fn rows(&self) -> BTreeMap<String, (u64, u64)> {
        let layouts = Layouts::of(&self.model);
        assert_eq!(layouts.warnings().kept(), []);
        let rows = self.histogram.rows(&self.model, &layouts);
        rows.into_iter().map(|r| (format!("{} {:x}", r.class, r.id), (r.instances, r.bytes))).collect()
    }
}

/// A folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("plimsoll-hprof-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Folder(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// Whether the machine has these programs; where it must (CI) a missing one is a failure.
fn has(programs: &[&str]) -> bool {
    let missing = programs.iter().find(|p| {
        Command::new(p).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err()
    });
    if let Some(name) = missing {
        assert!(std::env::var_os("CI").is_none(), "CI has no {name}");
        eprintln!("SKIPPED: this machine has no {name}");
    }
    missing.is_none()
}

fn run(command: &mut Command) {
    let out = command.output().expect("the program starts");
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
}

fn file(path: &Path) -> impl Read + Send {
    std::fs::File::open(path).expect("the dump is there")
}

/// The oracle's program, with its recipe's flags.
fn tiny(folder: &Folder, sources: &Path) -> PathBuf {
    let classes = folder.file("classes");
    let source = |name: &str| sources.join(name);
    run(Command::new("javac").arg("-d").arg(&classes).arg(source("Tiny.java")).arg(source("Common.java")));
    let dump = folder.file("tiny.hprof");
    let mut java = Command::new("java");
    run(java.args(["-Xmx256m", "-XX:+UseSerialGC", "-cp"]).arg(&classes).arg("Tiny").arg(&dump));
    dump
}

#[test]
fn sizes_of_reachable_objects_equal_the_reference() {
    let oracles = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/oracles");
    let Ok(oracle) = std::fs::read_to_string(oracles.join("heap-tiny.json")) else {
        eprintln!("SKIPPED: the reference figures are not beside the repository ({})", oracles.display());
        return;
    };
    if !has(&["java", "javac"]) {
        return;
    }
    let oracle: serde_json::Value = serde_json::from_str(&oracle).expect("JSON");
    let folder = Folder::new("tiny");
    let dump = tiny(&folder, &oracles.join("gen"));
    let first = Reading::of(open(file(&dump)).expect("a dump"));
    first.assert_sound();
    let layouts = Layouts::of(&first.model);
    let mut edges = Edges { graph: Graph::default(), model: &first.model, layouts: &layouts };
    open(file(&dump)).expect("a dump").scan(&mut edges);
    let rows = edges.graph.reachable(&first.model, &layouts, first.histogram.sizes());
    let instances: u64 = rows.values().map(|r| r.0).sum();
    // The reference counts one object that it made up.
    assert_eq!(Some(instances + 1), oracle["overview"]["reachable_objects"].as_u64());
    for row in oracle["histogram_top30"].as_array().expect("rows") {
        let class = row["cls"].as_str().expect("a class");
        let wanted = (row["instances"].as_u64().expect("n"), row["shallow_bytes"].as_u64().expect("n"));
        assert_eq!(rows.get(class), Some(&wanted), "{class}");
    }
}
