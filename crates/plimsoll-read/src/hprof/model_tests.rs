//! Names, hierarchies and sizes of described dumps.

use super::layout::Layouts;
use super::model::{ClassCache, Limits, Model, java_name};
use super::open::{IdSize, open};
use super::shallow::{Histogram, Row, Sizes};
use super::visitor::{Frame, Root, RootKind, Type};
use super::warnings::Fault;
use super::write::{ClassSpec, Heap, Writer};

type Out = Writer<Vec<u8>>;

fn writer(size: IdSize) -> Out {
    Writer::new(Vec::new(), "1.0.2", size, 0).unwrap()
}

fn scan_with(w: Out, limits: Limits) -> (Model, Histogram) {
    let bytes = w.into_inner();
    let dump = open(bytes.as_slice()).unwrap();
    let size = dump.header().id_size;
    let mut both = (Model::new(size, limits), Histogram::new(size));
    dump.scan(&mut both);
    both
}

fn scan(w: Out) -> (Model, Histogram) {
    scan_with(w, Limits::default())
}

/// Class `id` under `superclass`, with fields of these types.
fn class(heap: Heap, id: u64, superclass: u64, fields: &[Type]) -> Heap {
    let fields: Vec<_> = fields.iter().map(|ty| (1, *ty)).collect();
    heap.class(&ClassSpec { id, superclass, fields: &fields, ..ClassSpec::default() })
}

fn name(w: &mut Out, class: u64, text: &str) {
    w.text(class + 1000, text).unwrap();
    w.load_class(class as u32, class, class + 1000).unwrap();
}

/// Object, Base with (reference, int), Derived with (byte, reference).
fn family(heap: Heap) -> Heap {
    let heap = class(heap, 0x10, 0, &[]);
    let heap = class(heap, 0x20, 0x10, &[Type::Object, Type::Int]);
    class(heap, 0x30, 0x20, &[Type::Byte, Type::Object])
}

#[test]
fn references_of_the_class_come_before_those_of_its_superclass() {
    for (size, offsets, bytes) in [(IdSize::Four, [1, 5], 13), (IdSize::Eight, [1, 9], 21)] {
        let mut w = writer(size);
        w.segment(&family(Heap::new(size))).unwrap();
        let (model, _) = scan(w);
        let layouts = Layouts::of(&model);
        let derived = model.index(0x30).unwrap();
        let layout = layouts.get(derived).unwrap();
        assert_eq!(*layout.references, offsets);
        assert_eq!((layout.bytes, layout.complete), (bytes, true));
        assert_eq!(layouts.ancestry(derived).collect::<Vec<_>>(), [2, 1, 0]);
        assert_eq!(layouts.warnings().count(), 0);
        let fields = [&[9][..], &[0; 16], &[1; 4], &[0; 40]].concat();
        let mut seen = Vec::new();
        layout.for_each_reference(&fields[..6], size, |id| seen.push(id));
        assert_eq!(seen.len(), usize::from(size == IdSize::Four), "what is cut off is not made up");
    }
}

#[test]
fn records_may_come_in_any_order() {
    let size = IdSize::Eight;
    let mut forward = writer(size);
    name(&mut forward, 0x30, "a/Derived");
    forward.segment(&family(Heap::new(size)).instance(0x90, 0x30, &[(Type::Byte, 0)])).unwrap();
    let mut backward = writer(size);
    let heap = Heap::new(size).instance(0x90, 0x30, &[(Type::Byte, 0)]);
    let heap = class(heap, 0x30, 0x20, &[Type::Byte, Type::Object]);
    let heap = class(heap, 0x20, 0x10, &[Type::Object, Type::Int]);
    backward.segment(&class(heap, 0x10, 0, &[])).unwrap();
    backward.load_class(1, 0x30, 7).unwrap();
    backward.text(7, "a/Derived").unwrap();
    let tell = |w: Out| {
        let (model, histogram) = scan(w);
        let layouts = Layouts::of(&model);
        assert_eq!(layouts.warnings().count() + model.warnings().count(), 0);
        histogram.rows(&model, &layouts)
    };
    let rows = tell(forward);
    assert_eq!(rows, tell(backward));
    // Without evidence references are wide: 16 of header, 8 + 4 aligned to 16, 1 + 8 aligned to 16.
    let row = Row { class: "a.Derived".to_owned(), id: 0x30, instances: 1, bytes: 48 };
    assert!(rows.contains(&row), "{rows:?}");
}

#[test]
fn a_class_that_is_its_own_ancestor_is_told() {
    let heap = class(Heap::new(IdSize::Four), 0x10, 0x10, &[Type::Object]);
    let heap = class(heap, 0x20, 0x30, &[Type::Int, Type::Object]);
    let heap = class(heap, 0x30, 0x40, &[Type::Object]);
    let heap = class(heap, 0x40, 0x20, &[]);
    let heap = class(heap, 0x50, 0x40, &[Type::Object]);
    let mut w = writer(IdSize::Four);
    w.segment(&heap).unwrap();
    let (model, _) = scan(w);
    let layouts = Layouts::of(&model);
    let faults: Vec<_> = layouts.warnings().kept().iter().map(|w| w.fault).collect();
    let cyclic = |class| Fault::CyclicHierarchy { class };
    assert_eq!(faults, [cyclic(0x10), cyclic(0x20), cyclic(0x30), cyclic(0x40), cyclic(0x50)]);
    let layout = layouts.get(model.index(0x20).unwrap()).unwrap();
    assert_eq!(*layout.references, [4], "its own fields are known");
    assert!(!layout.complete);
    assert!(Sizes::new(IdSize::Four, false).instance(&model, &layouts, 0) > 0);
}

#[test]
fn a_missing_superclass_is_told_once_and_costs_its_fields_only() {
    let heap = class(Heap::new(IdSize::Four), 0x20, 0x99, &[Type::Object]);
    let heap = class(heap, 0x30, 0x20, &[Type::Object]);
    let mut w = writer(IdSize::Four);
    w.segment(&heap).unwrap();
    let (model, _) = scan(w);
    let layouts = Layouts::of(&model);
    let faults: Vec<_> = layouts.warnings().kept().iter().map(|w| w.fault).collect();
    assert_eq!(faults, [Fault::MissingSuperclass { class: 0x20, superclass: 0x99 }]);
    let layout = layouts.get(1).unwrap();
    assert_eq!((&*layout.references, layout.complete), (&[0, 4][..], false));
}

#[test]
fn a_very_deep_hierarchy_ends() {
    let heap = (1..6000).fold(Heap::new(IdSize::Four), |h, i| class(h, i, i - 1, &[Type::Object]));
    let mut w = writer(IdSize::Four);
    w.segment(&heap).unwrap();
    let (model, _) = scan(w);
    let layouts = Layouts::of(&model);
    assert_eq!(layouts.get(99).unwrap().references.len(), 100);
    let last = layouts.get(5998).unwrap();
    assert_eq!((last.references.len(), last.complete), (1, false));
    assert_eq!(layouts.warnings().kept()[0].fault, Fault::HierarchyTooLarge { class: 1025 });
}

#[test]
fn the_same_identifier_twice_is_told_and_the_first_one_counts() {
    let mut w = writer(IdSize::Eight);
    w.text(1, "first").unwrap();
    w.text(1, "first").unwrap();
    w.text(1, "second").unwrap();
    w.load_class(1, 0x20, 1).unwrap();
    w.load_class(2, 0x20, 3).unwrap();
    let heap = class(Heap::new(IdSize::Eight), 0x20, 0, &[]);
    w.segment(&class(heap, 0x20, 0, &[Type::Int])).unwrap();
    let (model, _) = scan(w);
    assert_eq!(model.class_name(0x20).as_deref(), Some("first"));
    assert!(model.class_of(0x20).unwrap().fields.is_empty());
    let faults: Vec<_> = model.warnings().kept().iter().map(|w| w.fault).collect();
    assert_eq!(
        faults,
        [Fault::Duplicate { id: 1 }, Fault::Duplicate { id: 0x20 }, Fault::Duplicate { id: 0x20 }]
    );
}

#[test]
fn names_that_are_not_in_the_dump_are_not_made_up() {
    let mut w = writer(IdSize::Eight);
    w.load_class(1, 0x20, 77).unwrap();
    let heap = class(Heap::new(IdSize::Eight), 0x20, 0, &[]);
    w.segment(&heap.instance(0x90, 0x20, &[]).instance(0x98, 0x21, &[])).unwrap();
    let (model, histogram) = scan(w);
    assert_eq!(model.class_name(0x20), None);
    let rows = histogram.rows(&model, &Layouts::of(&model));
    let names: Vec<_> = rows.iter().map(|r| (r.class.as_str(), r.instances, r.bytes)).collect();
    assert_eq!(names, [("class 0x20", 1, 16), ("class 0x21", 1, 0), ("java.lang.Class", 1, 0)]);
}

#[test]
fn memory_is_bounded_by_what_was_given() {
    let mut w = writer(IdSize::Eight);
    for i in 0..10_000 {
        w.text(i, &"n".repeat(10_000)).unwrap();
    }
    let heap = (1..10_000).fold(Heap::new(IdSize::Eight), |h, i| class(h, i * 8, 0, &[Type::Int; 40]));
    w.segment(&heap).unwrap();
    let (model, _) = scan_with(w, Limits { memory: 1 << 20, name: 100 });
    assert!(model.memory() <= 1 << 20);
    assert_eq!(model.text(0).unwrap().len(), 100);
    assert!(model.text(9_999).is_none(), "the last one does not fit");
    assert!(model.classes().len() < 1000);
    let faults: Vec<_> = model.warnings().kept().iter().map(|w| w.fault).collect();
    assert_eq!(faults, [Fault::BudgetSpent]);
}

#[test]
fn stacks_and_threads_are_found_from_a_root() {
    let mut w = writer(IdSize::Eight);
    w.text(1, "park").unwrap();
    w.load_class(5, 0x20, 2).unwrap();
    w.frame(&Frame { id: 0x70, method: 1, signature: 0, source: 0, class_serial: 5, line: 12 }).unwrap();
    w.trace(3, 7, &[0x70, 0x71]).unwrap();
    let thread = Root { at: 0, kind: RootKind::ThreadObject, id: 0x50, thread: 7, frame: 3 };
    let local = Root { kind: RootKind::JavaFrame, id: 0x58, ..thread };
    w.segment(&Heap::new(IdSize::Eight).root(&local).root(&thread)).unwrap();
    let (model, _) = scan(w);
    let thread = model.thread(7).unwrap();
    assert_eq!(thread.object, 0x50);
    let stack = model.stack(thread.stack).unwrap();
    assert_eq!((stack.thread, &*stack.frames), (7, &[0x70, 0x71][..]));
    let frame = model.frame_of(0x70).unwrap();
    assert_eq!((model.string(frame.method).unwrap().as_str(), frame.line), ("park", 12));
    assert_eq!(model.class_with_serial(frame.class_serial), Some(0x20));
    assert_eq!(model.threads().len(), 1);
}

#[test]
fn names_are_written_as_java_does() {
    for (raw, name) in [
        ("java/lang/String", "java.lang.String"),
        ("[Ljava/util/Map$Entry;", "java.util.Map$Entry[]"),
        ("[[I", "int[][]"),
        ("Z", "Z"),
        ("int[]", "int[]"),
        ("App$$Lambda$14/0x0000000800c03000", "App$$Lambda$14/0x0000000800c03000"),
        ("a/b/App$$Lambda/0x1", "a.b.App$$Lambda/0x1"),
        ("", ""),
    ] {
        assert_eq!(java_name(raw.as_bytes()), name);
    }
    assert_eq!(java_name(&[b'['; 100_000]).len(), 510);
}

#[test]
fn references_are_narrow_when_an_array_has_no_room_for_wide_ones() {
    let tell = |next: u64, size| {
        let mut w = writer(size);
        name(&mut w, 0x20, "[Ljava/lang/Object;");
        let heap = Heap::new(size).object_array(0x1000, 0x20, &[0; 10]);
        w.segment(&heap.primitive_array(next, Type::Long, &[0; 3])).unwrap();
        let (model, histogram) = scan(w);
        let rows = histogram.rows(&model, &Layouts::of(&model));
        (histogram.sizes().reference, rows.iter().map(|r| r.bytes).collect::<Vec<_>>())
    };
    // 12 + 4 + 10 * 4 = 56 = 0x38 bytes; wide: 16 + 4 + 10 * 8 = 100, aligned 104 = 0x68.
    assert_eq!(tell(0x1038, IdSize::Eight), (4, vec![56, 40]));
    assert_eq!(tell(0x1068, IdSize::Eight), (8, vec![104, 48]));
    assert_eq!(tell(0x0ff0, IdSize::Eight), (8, vec![104, 48]), "an object before it proves nothing");
    assert_eq!(tell(0x2000, IdSize::Four), (4, vec![56, 40]));
}

#[test]
fn the_cache_of_classes_never_answers_for_another_class() {
    let mut cache = ClassCache::default();
    let ids: Vec<u64> = (0..5000).map(|i| i * 8 % 24_000 + i % 8).chain([0, 1, 8, 9, u64::MAX]).collect();
    for id in ids.iter().chain(&ids) {
        let own = (*id as u32) ^ 0x55;
        let mut missed = false;
        let first = cache.get(*id, || {
            missed = true;
            own
        });
        assert_eq!(first, own, "class {id}, missed: {missed}");
        assert_eq!(cache.get(*id, || 0), own, "asked again at once");
    }
}
