//! Keys as services make them.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::*;

fn report(keys: impl IntoIterator<Item = String>) -> KeyReport {
    let mut all = Keys::default();
    keys.into_iter().for_each(|key| all.push(&key));
    all.finish()
}

fn rng() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(42)
}

/// The keys of a metrics registry by full URL: eight templates in known shares.
fn urls(count: u32) -> (Vec<String>, Vec<(&'static str, u64)>) {
    let mut rng = rng();
    let mut counts = [0u64; 8];
    let keys = (0..count)
        .map(|_| {
            let draw = rng.random_range(0..100);
            let n = rng.random_range(0..5_000_000);
            let hex = format!("{:016x}", rng.random::<u64>() | 0x1000_0000_0000_0000);
            let (at, key) = match draw {
                0..40 => {
                    let (page, sort) = (rng.random_range(0..50), if rng.random() { "asc" } else { "desc" });
                    (0, format!("/users/{n}/orders?page={page}&sort={sort}&trace={hex}"))
                }
                40..55 => (1, format!("/users/{n}/profile?trace={hex}")),
                55..70 => (2, format!("/api/v1/products/{n}?trace={hex}")),
                70..78 => (3, format!("/api/v1/products/{n}/reviews?trace={hex}")),
                78..90 => (4, format!("/search?q=term{}&session={hex}", rng.random_range(0..1_000_000))),
                90..95 => (5, format!("/cart/{n}/items?trace={hex}")),
                95..97 => (6, format!("/static/img/{:x}.png", rng.random::<u32>())),
                _ => (7, format!("/api/v2/quotes/{n}?trace={hex}")),
            };
            counts[at] += 1;
            key
        })
        .collect();
    let texts = [
        "/users/{number}/orders?page={number}&sort={asc|desc}&trace={hex16}",
        "/users/{number}/profile?trace={hex16}",
        "/api/v1/products/{number}?trace={hex16}",
        "/api/v1/products/{number}/reviews?trace={hex16}",
        "/search?q=term{number}&session={hex16}",
        "/cart/{number}/items?trace={hex16}",
        "/static/img/{hex}.png",
        "/api/v2/quotes/{number}?trace={hex16}",
    ];
    (keys, texts.into_iter().zip(counts).collect())
}

#[test]
fn the_eight_templates_of_the_war_story_are_found_with_exact_counts() {
    let (keys, mut truth) = urls(60_000);
    let said = report(keys);
    truth.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let found: Vec<(&str, u64)> = said.templates.iter().map(|t| (t.text.as_str(), t.count)).collect();
    assert_eq!(found, truth);
    let carrier = said.carrier.unwrap();
    assert_eq!(carrier.slot, "trace");
    assert!((carrier.share - 0.86).abs() < 0.02 && carrier.unique > 0.95, "{carrier:?}");
    assert_eq!(carrier.normal_keys, 8);
    assert_eq!(said.templates[0].normal, "/users/{id}/orders");
    assert!((said.distinct as f64 / 60_000.0 - 1.0).abs() < 0.1, "{}", said.distinct);
}

#[test]
fn the_order_of_keys_does_not_matter() {
    let (mut keys, _) = urls(5000);
    let forward = report(keys.clone());
    keys.reverse();
    let back = report(keys);
    let counts = |r: &KeyReport| r.templates.iter().map(|t| (t.text.clone(), t.count)).collect::<Vec<_>>();
    assert_eq!(counts(&forward), counts(&back));
    assert_eq!(forward.carrier, back.carrier);
}

#[test]
fn other_makes_of_keys_have_their_templates() {
    let mut rng = rng();
    let mut of = |make: &dyn Fn(&mut ChaCha8Rng) -> String| report((0..3000).map(|_| make(&mut rng)));
    let first = |r: KeyReport| (r.templates[0].text.clone(), r.templates.len(), r.carrier.map(|c| c.slot));

    let sessions =
        of(&|r| format!("user:{}:session:{:032x}", r.random_range(0..100_000), r.random::<u128>()));
    assert_eq!(first(sessions), ("user:{number}:session:{hex32}".into(), 1, Some("session".into())));
    let uuids = of(&|r| {
        let x: u128 = r.random();
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            x as u32,
            x >> 32 & 0xffff,
            x >> 48 & 0xffff,
            x >> 64 & 0xffff,
            x >> 80
        )
    });
    assert_eq!(first(uuids), ("{uuid}".into(), 1, Some("the key itself".into())));
    let numbers = of(&|r| r.random::<u32>().to_string());
    assert_eq!(first(numbers), ("{number}".into(), 1, Some("the key itself".into())));
    let sql = of(&|r| format!("select * from orders where id = {}", r.random::<u32>()));
    assert_eq!(first(sql).0, "select * from orders where id = {number}");
    let names = of(&|r| {
        let name: String = (0..8).map(|_| char::from(b'g' + r.random_range(0..16u8))).collect();
        format!("tenant.acme.user.{name}")
    });
    assert_eq!(first(names), ("tenant.acme.user.{word}".into(), 1, Some("after user".into())));
}

#[test]
fn keys_that_come_back_carry_nothing() {
    let said = report((0..10_000).map(|i| format!("feature.flag.{}", i % 40)));
    assert_eq!(said.distinct, 40);
    assert_eq!(said.carrier, None);
    let classes = report((0..200).map(|i| format!("com.example.Service{}", ["Alpha", "Beta"][i % 2])));
    let texts: Vec<(&str, u64)> = classes.templates.iter().map(|t| (t.text.as_str(), t.count)).collect();
    assert_eq!((texts, classes.carrier), (vec![("{word}.{word}.{word}", 200)], None));
    assert_eq!(report(std::iter::empty()).templates, []);
    let few = report((0..5).map(|i| format!("/x/{i}")));
    assert_eq!(few.carrier, None, "five keys say nothing");
}

#[test]
fn hostile_keys_stay_within_bounds() {
    let mut rng = rng();
    let mut keys = Keys::default();
    for _ in 0..30_000 {
        let length = rng.random_range(0..60);
        let key: String =
            (0..length).map(|_| char::from_u32(rng.random_range(1..0x2fff)).unwrap_or('\u{1}')).collect();
        keys.push(&key);
        assert!(keys.shapes.len() <= SHAPES);
    }
    let said = keys.finish();
    let counted: u64 = said.templates.iter().map(|t| t.count).sum();
    assert_eq!(counted + said.others, 30_000);
}

#[test]
fn hex_digits_that_are_all_letters_or_all_digits_are_hex_digits() {
    let keys = ["9f3a77c2", "deadbeef", "12345678", "abadcafe", "0badf00d"];
    let of = |order: &[usize]| report(order.iter().map(|at| format!("/a?trace={}", keys[*at]))).templates;
    for order in [[0, 1, 2, 3, 4], [1, 3, 2, 0, 4], [2, 1, 0, 4, 3]] {
        let templates = of(&order);
        assert_eq!((templates.len(), templates[0].text.as_str()), (1, "/a?trace={hex8}"), "{order:?}");
    }
    let words = report(["asc", "12", "desc"].iter().map(|w| format!("/a?sort={w}")));
    assert_eq!(words.templates[0].text, "/a?sort={token}");
}

/// A key may be a secret; what hundreds of them have in common hardly is, unless its name says so.
#[test]
fn no_template_is_a_key() {
    let single = [
        "hunter2-not-real",
        "db.password",
        "/reset?user=zoe&token=9f3a77c2",
        "4539 1488 0343 6467",
        "alice@shop.example",
        "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
    ];
    let many = (0..600).map(|i| {
        let sort = ["asc", "desc"][i % 2];
        format!("/v1/api?apikey=Zk3mQ9x1LpW77aBc&account=4711471147&password=secrecy&sort={sort}&user={i}")
    });
    let mut all = Keys::hiding(|name| name == "password");
    single.into_iter().map(str::to_owned).chain(many).for_each(|key| all.push(&key));
    let said = all.finish();
    let texts: Vec<&str> = said.templates.iter().map(|t| t.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "/v1/api?apikey={token}&account={number}&password={word}&sort={asc|desc}&user={number}",
            "/{word}?{word}={word}&{word}={hex8}",
            "{number} {number} {number} {number}",
            "{uuid}",
            "{word}.{word}",
            "{word}@{word}.{word}",
            "{word}{number}-{word}-{word}",
        ]
    );
    assert_eq!(said.templates.iter().map(|t| t.count).sum::<u64>(), 606);
    let carrier = said.carrier.expect("one parameter makes them so many");
    assert_eq!((carrier.slot.as_str(), carrier.normal_keys), ("user", 7));
    let mut named = Keys::hiding(|name| name == "token");
    (0..100).for_each(|i| named.push(&format!("user:{i}:token:secrecy")));
    let template = named.finish().templates.remove(0);
    assert_eq!((&*template.text, &*template.normal), ("user:{number}:token:{word}", "user:{id}:token:{id}"));
}

#[test]
fn a_slot_without_a_name_is_told_by_its_place() {
    let of = |key: &str| {
        let carrier = report((0..100).map(|i| format!("{key}{i}"))).carrier.expect("all are different");
        carrier.in_words()
    };
    assert_eq!(of("/users/17?trace="), "`trace`");
    assert_eq!(of("/users/"), "what comes after `users`");
    assert_eq!(of(""), "the key itself");
}
