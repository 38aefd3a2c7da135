//! Secrets in dumps written by hand: found once, and where they are held.

use super::*;
use crate::hprof::open::IdSize;
use crate::hprof::visitor::Type;
use crate::hprof::write::{ClassSpec, Heap, Writer};

const STRING: u64 = 0x100;
const CONFIG: u64 = 0x108;
const NODE: u64 = 0x110;

fn bytes(text: &str) -> Vec<u64> {
    text.bytes().map(u64::from).collect()
}

/// A string and its characters; identifiers of both follow each other.
fn string(heap: Heap, id: u64, text: &str) -> Heap {
    heap.instance(id, STRING, &[(Type::Object, id + 8)]).primitive_array(id + 8, Type::Byte, &bytes(text))
}

fn dump(literal: &str, heap: impl FnOnce(Heap) -> Heap) -> Vec<u8> {
    let mut w = Writer::new(Vec::new(), "1.0.2", IdSize::Eight, 0).unwrap();
    let names = [
        "java/lang/String",
        "app/Config",
        "java/util/HashMap$Node",
        "value",
        "password",
        "url",
        "key",
        "apiToken",
    ];
    for (id, name) in (1..).zip(names) {
        w.text(id, name).unwrap();
    }
    w.text(50, literal).unwrap();
    for (serial, class) in (1..).zip([STRING, CONFIG, NODE]) {
        w.load_class(serial, class, u64::from(serial)).unwrap();
    }
    let class = |id, fields| ClassSpec { id, fields, ..ClassSpec::default() };
    let statics = &[(8, Type::Object, 0x900)];
    let classes = Heap::new(IdSize::Eight)
        .class(&class(STRING, &[(4, Type::Object)]))
        .class(&ClassSpec { statics, ..class(CONFIG, &[(6, Type::Object), (5, Type::Object)]) })
        .class(&class(NODE, &[(7, Type::Object), (4, Type::Object)]));
    w.segment(&heap(classes)).unwrap();
    w.end().unwrap();
    w.into_inner()
}

fn found(dump: &[u8]) -> Vec<(Kind, String, u64)> {
    let report = secrets_in_dump(|| Ok(dump), Limits::default()).expect("a dump");
    assert_eq!(report.lost, 0);
    report.findings.into_iter().map(|f| (f.kind, f.place, f.count)).collect()
}

#[test]
fn fields_and_keys_give_their_names() {
    // What refers to a string comes before it, and behind it.
    let dump = dump("nothing", |heap| {
        let heap = heap.instance(0x500, NODE, &[(Type::Object, 0x600), (Type::Object, 0x620)]);
        let heap = string(heap, 0x600, "db.password");
        let heap = string(heap, 0x620, "hunter2-not-real");
        let heap = string(heap, 0x640, "jdbc:x://u:hunter2@host/");
        let heap = string(heap, 0x660, "hunter3-not-real");
        let heap = string(heap, 0x900, "9f31c0deab12d00d4711");
        heap.instance(0x700, CONFIG, &[(Type::Object, 0x640), (Type::Object, 0x660)])
    });
    let mut all = found(&dump);
    all.sort();
    assert_eq!(
        all,
        [
            (Kind::PasswordInUrl, "app.Config.url".to_owned(), 1),
            (Kind::Named, "app.Config.apiToken".to_owned(), 1),
            (Kind::Named, "app.Config.password".to_owned(), 1),
            (Kind::Named, "java.util.HashMap$Node under the key \"db.password\"".to_owned(), 1),
        ]
    );
}

#[test]
fn long_numbers_are_no_cards_where_other_numbers_are_meant() {
    let number = "4111111111111111";
    let dump = dump("nothing", |heap| {
        let fields = [(Type::Object, 0x640), (Type::Object, 0)];
        string(heap, 0x640, number).instance(0x700, CONFIG, &fields).primitive_array(
            0x800,
            Type::Byte,
            &bytes(number),
        )
    });
    let mut all = found(&dump);
    all.sort();
    let places: Vec<&str> = all.iter().map(|(_, place, _)| place.as_str()).collect();
    assert_eq!(places, ["(in a byte[])", "app.Config.url"]);
    let secret = |kind| Secret { kind, confidence: Confidence::Possible, example: String::new() };
    assert!(secret(Kind::CardNumber).is_chance("app.Span.traceId"));
    assert!(!secret(Kind::CardNumber).is_chance("app.Order.payment"));
    assert!(!secret(Kind::Named).is_chance("app.Span.traceId"));
}

#[test]
fn arrays_without_a_string_and_texts_outside() {
    let url = "https://u:hunter2@host";
    let dump = dump(url, |heap| {
        let wide: Vec<u64> = url.encode_utf16().map(u64::from).collect();
        let le: Vec<u64> = url.encode_utf16().flat_map(u16::to_le_bytes).map(u64::from).collect();
        let secret = bytes("hunter2-not-real");
        heap.primitive_array(0x500, Type::Char, &wide)
            .primitive_array(0x508, Type::Byte, &le)
            .primitive_array(0x510, Type::Char, &secret)
            .instance(0x518, CONFIG, &[(Type::Object, 0x508), (Type::Object, 0x510)])
    });
    let mut all = found(&dump);
    all.sort();
    assert_eq!(
        all,
        [
            (Kind::PasswordInUrl, "(in a char[])".to_owned(), 1),
            (Kind::PasswordInUrl, "(text outside the heap)".to_owned(), 1),
            (Kind::PasswordInUrl, "app.Config.url".to_owned(), 1),
            (Kind::Named, "app.Config.password".to_owned(), 1),
        ]
    );
}

#[test]
fn a_secret_at_the_border_of_pieces_is_found_once() {
    let mut text = vec![u64::from(b'.'); 9 << 20];
    let url = bytes(" https://u:hunter2-not-real@host ");
    // Pieces end somewhere behind a multiple of the buffer: secrets are all around.
    for at in ((4 << 20) - 400..(4 << 20) + 400).step_by(40) {
        text[at..at + url.len()].copy_from_slice(&url);
    }
    let dump = dump("nothing", |heap| heap.primitive_array(0x500, Type::Byte, &text));
    assert_eq!(found(&dump), [(Kind::PasswordInUrl, "(in a byte[])".to_owned(), 20)]);
}

#[test]
fn nothing_in_nothing() {
    assert_eq!(found(&dump("nothing", |heap| heap)), []);
    let error = secrets_in_dump(|| Ok(&b"PK\x03\x04"[..]), Limits::default());
    assert!(matches!(error, Err(SecretsError::Open(_))));
    let error = secrets_in_dump(|| Err::<&[u8], _>(io::Error::other("gone")), Limits::default());
    assert!(matches!(error, Err(SecretsError::Io(_))));
}
