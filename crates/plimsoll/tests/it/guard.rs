//! The growth test on real programs. What it decides on simulated runs is tested in core.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::rig::{Cage, Climber, MIB, cage};
use crate::{on_path, plimsoll, plimsoll_command, skipped, stderr, stdout, tools};

/// A program of Python that speaks the marker protocol; `work` is one iteration.
fn speaker(folder: &Path, work: &str) -> String {
    let text = format!(
        "import gc, os, sys, threading\nkept, cache, n = [], {{}}, 0\nwhile True:\n    for _ in range(500):\n        n += 1\n        {work}\n    gc.collect()\n    print(f'PLIMSOLL ROUND iterations=500 blocks={{sys.getallocatedblocks()}}', flush=True)\n    if sys.stdin.readline().strip() != 'next': break\n"
    );
    let path = folder.join("program.py");
    fs::write(&path, text).expect("a program");
    path.display().to_string()
}

fn has(tool: &str) -> bool {
    Command::new(tool).arg("--version").output().is_ok_and(|o| o.status.success())
}

fn guard(args: &[&str]) -> (Output, Value) {
    let o = plimsoll_command(&["guard", "run", "-o", "json"]).args(args).output().expect("the binary runs");
    let document = serde_json::from_str(&stdout(&o)).unwrap_or(Value::Null);
    (o, document)
}

fn metric<'a>(document: &'a Value, name: &str) -> &'a Value {
    let all = document["metrics"].as_array().expect("metrics");
    all.iter().find(|m| m["name"] == name).unwrap_or(&Value::Null)
}

#[test]
fn a_program_that_speaks_is_told_growing_or_flat() {
    if !has("python3") {
        return skipped("a_program_that_speaks_is_told_growing_or_flat", "python3 is not installed");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let junit = folder.path().join("guard.xml").display().to_string();
    let leaking = speaker(folder.path(), "kept.append('key-%d' % n)");
    let (o, document) = guard(&["--junit", &junit, "--", "python3", &leaking]);
    assert_eq!(o.status.code(), Some(1), "{document} {}", stderr(&o));
    assert_eq!(metric(&document, "blocks")["verdict"], "growing", "{document}");
    let slope = metric(&document, "blocks")["slopePerIteration"]["value"].as_f64().expect("a slope");
    assert!((0.9..1.1).contains(&slope), "a block for each iteration: {slope}");
    assert_eq!(metric(&document, "threads")["verdict"], "flat", "{document}");
    assert!(fs::read_to_string(&junit).expect("written").contains("<failure type=\"growing\""));
    let clean = speaker(folder.path(), "cache[n % 100] = 'key-%d' % n");
    let (o, document) = guard(&["--", "python3", &clean]);
    assert_eq!((o.status.code(), &document["outcome"]), (Some(0), &Value::from("flat")), "{document}");
}

#[test]
fn descriptors_that_pile_up_are_seen_without_any_memory_that_grows() {
    if !has("python3") {
        return skipped("descriptors_that_pile_up_are_seen", "python3 is not installed");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let program = speaker(folder.path(), "n % 100 or kept.append(os.open('/dev/null', 0))");
    let (o, document) = guard(&["--", "python3", &program]);
    assert_eq!(metric(&document, "fds")["verdict"], "growing", "{document} {}", stderr(&o));
    assert_eq!(o.status.code(), Some(1));
}

#[test]
fn a_program_that_dies_or_does_not_speak_proves_nothing() {
    if !has("python3") {
        return skipped("a_program_that_dies_or_does_not_speak_proves_nothing", "python3 is not installed");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let dies = speaker(folder.path(), "n < 2000 or os._exit(7)");
    for (command, why) in [
        (vec!["python3", &dies], "exit status: 7"),
        (vec!["true"], "does not speak the marker protocol"),
        (vec!["echo", "PLIMSOLL ROUND iterations=none"], "a line of the protocol is wrong"),
    ] {
        let (o, document) = guard(&[&["--"], command.as_slice()].concat());
        assert_eq!(
            (o.status.code(), &document["outcome"]),
            (Some(3), &Value::from("withdrawn")),
            "{document}"
        );
        assert!(
            document["phases"][0]["withdrawn"][0].as_str().is_some_and(|w| w.contains(why)),
            "{document}"
        );
    }
    assert_eq!(plimsoll(&["guard", "run", "--", "/no/such/program"]).status.code(), Some(126));
    assert_eq!(plimsoll(&["guard", "run", "--tolerance", "0", "--", "true"]).status.code(), Some(2));
}

/// A program of `drills/guard`, built where its language is compiled; `None` where its tools are missing.
fn shop(test: &str, folder: &Path, language: &str) -> Option<Vec<String>> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../drills/guard");
    let source = |name: &str| sources.join(name).display().to_string();
    let program = folder.join("shop").display().to_string();
    let (tool, build, run): (&str, Vec<String>, Vec<String>) = match language {
        "go" => ("go", vec!["build".into(), "-o".into(), program.clone(), source("shop.go")], vec![program]),
        "c" => (
            "cc",
            vec![
                "-O1".into(),
                "-fno-builtin".into(),
                "-o".into(),
                program.clone(),
                source("shop.c"),
                "-lm".into(),
            ],
            vec![program],
        ),
        "java" => {
            let classes = folder.display().to_string();
            let run = ["java", "-XX:+UseSerialGC", "-Xmx128m", "-cp", &classes, "Shop"].map(str::to_owned);
            ("javac", vec!["-d".into(), classes, source("Shop.java")], run.to_vec())
        }
        _ => ("node", vec!["--version".into()], vec!["node".into(), source("shop.js")]),
    };
    let built = Command::new(tool).args(&build).env("GO111MODULE", "off").output();
    match built {
        Ok(o) if o.status.success() => Some(run),
        Ok(o) => panic!("{}", String::from_utf8_lossy(&o.stderr)),
        Err(_) => {
            skipped(test, &format!("{tool} is not installed"));
            None
        }
    }
}

/// A port that was free a moment ago.
fn port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port().to_string()
}

/// Tests a service of `drills/guard` over HTTP.
fn serve(shop: &[String], mode: &str, options: &[&str]) -> (Output, Value) {
    let port = port();
    let request = format!("GET http://127.0.0.1:{port}/u/{{i}}");
    let mut args = vec!["--http", &request];
    args.extend(options);
    args.push("--");
    args.extend(shop.iter().map(String::as_str));
    args.extend([mode, &port]);
    guard(&args)
}

#[test]
fn a_program_is_ended_with_us_even_when_we_are_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let told = folder.path().join("pid");
    let line = format!("echo $$ > {}.new; mv {0}.new {0}; exec sleep 600", told.display());
    let mut ours =
        plimsoll_command(&["guard", "run", "--", "sh", "-c", &line]).spawn().expect("the binary runs");
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let await_that = |what: &dyn Fn() -> bool| {
        while !what() {
            assert!(std::time::Instant::now() < until, "it never came");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    };
    await_that(&|| told.exists());
    let pid = fs::read_to_string(&told).expect("a pid");
    ours.kill().expect("killed");
    ours.wait().expect("reaped");
    // Whoever reaps it may let it wait as a zombie.
    let stat = format!("/proc/{}/stat", pid.trim());
    await_that(&|| fs::read_to_string(&stat).map_or(true, |text| text.contains(") Z ")));
}

#[test]
fn a_filter_of_c_leaks_what_it_leaks() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(shop) = shop("a_filter_of_c_leaks_what_it_leaks", folder.path(), "c") else { return };
    for (mode, outcome, slope) in [("heap", "growing", 48.0), ("clean", "flat", 0.0)] {
        let (o, document) = guard(&["--stdin", "{hex}", "--round", "500", "--", &shop[0], mode]);
        assert_eq!(document["outcome"], outcome, "{document} {}", stderr(&o));
        let heap = &metric(&document, "heap")["slopePerIteration"]["value"];
        assert!((heap.as_f64().expect("a slope") - slope).abs() < 1.0, "chunks of 48 B: {heap}");
    }
}

#[test]
fn a_service_of_go_piles_up_goroutines_and_nothing_else() {
    let test = "a_service_of_go_piles_up_goroutines_and_nothing_else";
    let folder = tempfile::tempdir().expect("a folder");
    let Some(shop) = shop(test, folder.path(), "go") else { return };
    let (o, document) = serve(&shop, "goroutines", &["--round", "500", "--tolerance", "1KiB"]);
    assert_eq!(o.status.code(), Some(1), "{document} {}", stderr(&o));
    assert_eq!(metric(&document, "goroutines")["verdict"], "growing", "{document}");
    assert_eq!(metric(&document, "heap")["verdict"], "flat", "{document}");
    let culprits = document["phases"][0]["culprits"].to_string();
    assert!(culprits.contains("main.waitForever"), "{culprits}");
}

#[test]
fn a_service_of_node_is_collected_through_its_inspector() {
    let test = "a_service_of_node_is_collected_through_its_inspector";
    let folder = tempfile::tempdir().expect("a folder");
    let Some(shop) = shop(test, folder.path(), "node") else { return };
    let (o, document) = serve(&shop, "heap", &["--rounds", "128"]);
    assert_eq!(metric(&document, "heap")["verdict"], "growing", "{document} {}", stderr(&o));
    assert_eq!(metric(&document, "threads")["verdict"], "flat", "{document}");
}

#[test]
fn keys_that_never_come_again_are_told_from_calls_that_leak_and_the_class_is_named() {
    let test = "keys_that_never_come_again_are_told_from_calls_that_leak_and_the_class_is_named";
    let folder = tempfile::tempdir().expect("a folder");
    let Some(shop) = shop(test, folder.path(), "java") else { return };
    let options = ["--keys", "both", "--pool", "200", "--round", "400", "--rounds", "32"];
    let (o, document) = serve(&shop, "keys", &options);
    assert_eq!(o.status.code(), Some(1), "{document} {}", stderr(&o));
    assert_eq!(document["keys"]["finding"], "unbounded-keys", "{document}");
    let culprits = document["phases"][1]["culprits"].to_string();
    assert!(culprits.contains("ConcurrentHashMap$Node"), "{culprits}");
}

#[test]
fn a_load_that_does_not_land_withdraws_the_verdict() {
    let test = "a_load_that_does_not_land_withdraws_the_verdict";
    if !has("python3") {
        return skipped(test, "python3 is not installed");
    }
    // Every tenth command fails.
    let target = std::process::id().to_string();
    let line = "test {n%10} != 3";
    let (o, document) = guard(&["--command", line, "--target", &target, "--round", "20"]);
    assert_eq!((o.status.code(), &document["outcome"]), (Some(3), &Value::from("withdrawn")), "{document}");
    assert!(document["phases"][0]["withdrawn"][0].as_str().is_some_and(|w| w.contains("did not land")));
    let (o, _) = guard(&["--http", "http://127.0.0.1:1/"]);
    assert_eq!(o.status.code(), Some(3));
    for wrong in [["--http", "https://h/"], ["--http", "http://h/{what}"], ["--command", "x {"]] {
        let (o, _) = guard(&[wrong[0], wrong[1], "--target", &target]);
        assert_eq!(o.status.code(), Some(2), "{wrong:?}");
    }
}

/// Writes the template of a language, puts `work` into it, and runs it as its project would; `None` without the tools.
fn template(language: &str, file: &str, work: (&str, &str), test: &[&str]) -> Option<Output> {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path().display().to_string();
    let o = plimsoll(&["guard", "init", "--lang", language, "--folder", &at]);
    assert_eq!(o.status.code(), Some(0), "{}", stderr(&o));
    assert_eq!(plimsoll(&["guard", "init", "--lang", language, "--folder", &at]).status.code(), Some(2));
    let path = folder.path().join(file);
    let text = fs::read_to_string(&path).expect("a template");
    assert!(text.contains(work.0), "{text}");
    fs::write(&path, text.replace(work.0, work.1)).expect("written");
    let own = Path::new(env!("CARGO_BIN_EXE_plimsoll")).parent().expect("a folder");
    let search = std::env::var_os("PATH").unwrap_or_default();
    let search = std::env::join_paths(std::iter::once(own.to_owned()).chain(std::env::split_paths(&search)));
    Command::new(test[0])
        .args(&test[1..])
        .current_dir(folder.path())
        .env("PATH", search.expect("a path"))
        .env("GO111MODULE", "off")
        .output()
        .ok()
}

/// Each template passes with a clean program and fails with a leaking one.
fn template_tells(language: &str, file: &str, mark: &str, (clean, leak): (&str, &str), test: &[&str]) {
    for (work, passes) in [(clean, true), (leak, false)] {
        let Some(o) = template(language, file, (mark, work), test) else {
            return skipped(file, &format!("{} is not installed", test[0]));
        };
        let said = stdout(&o) + &stderr(&o);
        assert_eq!(o.status.success(), passes, "{work}: {said}");
        assert!(passes || said.contains("GROWING"), "{said}");
    }
}

#[test]
fn the_template_of_go_tells_a_leak() {
    let leak = "growthKept = append(growthKept, make([]byte, 48))\n}\n\nvar growthKept = make([][]byte, 0, 1<<20)\n\nfunc init() {";
    let work = ("_ = make([]byte, 48)", leak);
    template_tells(
        "go",
        "growth_test.go",
        "_ = n // your work here",
        work,
        &["go", "test", "growth_test.go"],
    );
}

#[test]
fn the_template_of_java_tells_a_leak() {
    let test = "guard::the_template_of_java_tells_a_leak";
    let jars = tools().join("junit");
    if !jars.join("ready").exists() || !on_path("javac") {
        return skipped(test, "there is no JUnit 5 or no JDK: scripts/setup");
    }
    let work = (
        "String.valueOf(n);",
        "KEPT.add(new byte[48]);\n    }\n    static final java.util.List<byte[]> KEPT = new java.util.ArrayList<>(1 << 20);\n    static {",
    );
    let line = format!(
        "javac -cp '{0}/*' -d . GrowthTest.java && java -cp '{0}/*:.' org.junit.platform.console.ConsoleLauncher --disable-banner --select-class GrowthTest",
        jars.display()
    );
    template_tells("java", "GrowthTest.java", "// your work here", work, &["sh", "-c", &line]);
}

/// What the template of .NET takes from xUnit, and what Mono does not have; the rest goes on to Mono.
const STAND_IN: &str = "
namespace Xunit {
    public class FactAttribute : System.Attribute { }
    public static class Assert {
        public static void True(bool holds, string said) { if (!holds) throw new System.Exception(said); }
    }
}
public static class GC {
    public struct Info { public long TotalCommittedBytes; }
    public static void Collect() { System.GC.Collect(); }
    public static void WaitForPendingFinalizers() { System.GC.WaitForPendingFinalizers(); }
    public static long GetTotalMemory(bool forceFullCollection) { return System.GC.GetTotalMemory(forceFullCollection); }
    public static Info GetGCMemoryInfo() { return new Info { TotalCommittedBytes = System.GC.GetTotalMemory(false) }; }
}
";

/// Under Mono, as no .NET is to be had: the language, the protocol and the verdict, not .NET's own collector.
#[test]
fn the_template_of_dotnet_tells_a_leak_under_mono() {
    if !on_path("mcs") || !on_path("mono") {
        let why = "there is no Mono: scripts/setup";
        return skipped("guard::the_template_of_dotnet_tells_a_leak_under_mono", why);
    }
    let leak = "Kept.Add(new byte[48]); } static System.Collections.Generic.List<byte[]> Kept = new System.Collections.Generic.List<byte[]>(1 << 20); static void Nothing() {";
    let files = [
        ("StandIn.cs", STAND_IN),
        ("Runner.cs", "static class Runner { static void Main() { new GrowthTest().Growth(); } }"),
        ("dotnet", "#!/bin/sh\nexec mono \"$@\"\n"),
    ];
    let write = files.map(|(name, text)| format!("cat > {name} <<'END'\n{text}\nEND\n")).concat();
    let line = write
        + "chmod +x dotnet && mcs -out:GrowthTest.exe GrowthTest.cs StandIn.cs && mcs -r:GrowthTest.exe Runner.cs && PATH=$PWD:$PATH mono Runner.exe";
    template_tells(
        "dotnet",
        "GrowthTest.cs",
        "// your work here",
        ("n.ToString();", leak),
        &["sh", "-c", &line],
    );
}

#[test]
fn the_template_of_python_tells_a_leak() {
    let work = ("str(n)", "iteration.__dict__.setdefault('kept', []).append(f'key-{n}')");
    // The test without pytest: what pytest would call.
    let call = ["python3", "-c", "import test_growth; test_growth.test_growth()"];
    template_tells("python", "test_growth.py", "pass  # your work here", work, &call);
}

#[test]
fn the_template_of_node_tells_a_leak() {
    let work = ("String(n);", "(globalThis.kept ??= []).push({ n });");
    template_tells(
        "node",
        "growth.test.js",
        "// your work here",
        work,
        &["node", "--test", "growth.test.js"],
    );
}

#[test]
fn the_template_of_rust_tells_a_leak() {
    let work = ("drop(vec![1_u8; 48]);", "std::mem::forget(vec![1_u8; 48]);");
    let shell = "rustc --edition 2024 --test -o growth growth.rs && ./growth";
    template_tells("rust", "growth.rs", "let _ = n; // your work here", work, &["sh", "-c", shell]);
}

/// A test of a Rust project that counts what it holds; `WORK` is one iteration.
const COUNTED: &str = "
#[global_allocator]
static ALLOCATOR: plimsoll_guard::Counting = plimsoll_guard::Counting::system();

#[test]
fn growth() {
    plimsoll_guard::growth_test(\"growth\", 1000, |n| { let text = n.to_string(); WORK });
}
";

#[test]
fn the_crate_for_rust_counts_what_a_program_holds_to_the_byte() {
    if !on_path("rustc") {
        return skipped("guard::the_crate_for_rust_counts_what_a_program_holds", "there is no rustc");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let rustc = |args: &[&str]| {
        let o =
            Command::new("rustc").args(["--edition", "2024"]).args(args).current_dir(folder.path()).output();
        let o = o.expect("rustc runs");
        assert!(o.status.success(), "{}", stderr(&o));
    };
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plimsoll-guard/src/lib.rs");
    rustc(&["--crate-type", "rlib", "--crate-name", "plimsoll_guard", library.to_str().expect("text")]);
    for (work, passes) in
        [("drop(text);", true), ("std::mem::forget([text, \"1234567890\".repeat(4)]);", false)]
    {
        fs::write(folder.path().join("growth.rs"), COUNTED.replace("WORK", work)).expect("written");
        rustc(&["--test", "--extern", "plimsoll_guard=libplimsoll_guard.rlib", "-o", "growth", "growth.rs"]);
        let mut test = Command::new(folder.path().join("growth"));
        let o = test.env("PLIMSOLL", env!("CARGO_BIN_EXE_plimsoll")).output().expect("it runs");
        let said = stdout(&o) + &stderr(&o);
        assert_eq!(o.status.success(), passes, "{work}: {said}");
        assert!(passes || said.contains("GROWING") && said.contains("heap"), "{said}");
    }
    let (_, document) = guard(&[
        "--",
        &folder.path().join("growth").display().to_string(),
        "growth",
        "--exact",
        "--nocapture",
    ]);
    let slope = metric(&document, "heap")["slopePerIteration"]["value"].as_f64().expect("a slope");
    assert!((43.0..48.0).contains(&slope), "four or five digits, and 40 letters: {slope} B");
}

#[test]
fn two_settings_are_compared_under_the_same_work() {
    if !on_path("python3") {
        return skipped("guard::two_settings_are_compared_under_the_same_work", "there is no python3");
    }
    // A leak that a variable switches off; what is told is the difference.
    let line = |leak: &str| {
        format!(
            "LEAK={leak} python3 -u -c '
import os, sys
n = 0
while True:
    n += 1000
    held = 1000000 + n * int(os.environ[\"LEAK\"])
    print(\"PLIMSOLL ROUND iterations=1000 heap=%d\" % held)
    if sys.stdin.readline().strip() != \"next\": break
'"
        )
    };
    let (leak, flat) = (line("48"), line("0"));
    let compare = |a: &str, b: &str, more: &[&str]| {
        plimsoll(&[&["guard", "compare", "--a", a, "--b", b], more].concat())
    };
    let better = compare(&leak, &flat, &["-o", "json"]);
    let document: Value = serde_json::from_slice(&better.stdout).expect("a document");
    let heap =
        document["differences"].as_array().expect("all").iter().find(|d| d["name"] == "heap").expect("heap");
    assert_eq!(heap["change"], "less", "{document:#}");
    let slope = heap["slopePerIteration"]["value"].as_f64().expect("known");
    assert!((slope + 48.0).abs() < 0.5, "{heap:#}");
    let worse = compare(&flat, &leak, &[]);
    let screen = stdout(&worse);
    assert_eq!(worse.status.code(), Some(1), "{screen}");
    assert!(screen.contains("B grows more") && screen.contains("NEXT"), "{screen}");
    assert_eq!(compare(&flat, "no-such-program-at-all", &[]).status.code(), Some(3));
    let alone = plimsoll(&["guard", "run", "--stdin", "{i}"]);
    assert_eq!(alone.status.code(), Some(2), "a line needs whom to write it to");
}

#[test]
fn an_access_log_becomes_a_load_that_can_be_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("access.log");
    let line = |n: u32| {
        format!(
            "10.9.8.7 - bob [t] \"GET /users/{}?page={} HTTP/1.1\" 200 5 \"-\" \"curl\"\n",
            800_000 + n,
            n % 7
        )
    };
    fs::write(&log, (0..500).map(line).collect::<String>()).expect("written");
    let path = log.display().to_string();
    let o = plimsoll(&["guard", "keys", &path]);
    let text = stdout(&o);
    assert_eq!(o.status.code(), Some(0), "{text}{}", stderr(&o));
    assert!(text.contains("GET /users/{i}?page={n%7}") && !text.contains("800"), "{text}");
    assert!(text.contains("NEXT       plimsoll guard run --http 'GET http://127.0.0.1:8080/users/{i}?page={n%7}' --keys both"), "{text}");
    let o = plimsoll(&["guard", "keys", &path, "--base", "http://127.0.0.1:1", "-o", "json"]);
    let document: Value = serde_json::from_str(&stdout(&o)).expect("a document");
    let load = document["generators"][0]["load"].as_str().expect("a load");
    let request = load.strip_prefix("--http '").and_then(|l| l.strip_suffix('\'')).expect("a request");
    // Nobody listens there; but the request is one.
    assert_eq!(guard(&["--http", request]).0.status.code(), Some(3));
    fs::write(&log, "nothing\n").expect("written");
    assert_eq!(plimsoll(&["guard", "keys", &path]).status.code(), Some(3));
}

#[test]
fn a_process_that_ends_within_the_run_withdraws_the_verdict() {
    let test = "guard::a_process_that_ends_within_the_run_withdraws_the_verdict";
    if !has("python3") {
        return skipped(test, "python3 is not installed");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut target = Climber::start(folder.path(), &[], "restarted");
    let pid = target.child.id().to_string();
    let line = format!("test {{i}} != 90 || kill -9 {pid}");
    let (o, document) = guard(&["--command", &line, "--target", &pid, "--first", "0", "--round", "20"]);
    assert_eq!((o.status.code(), &document["outcome"]), (Some(3), &Value::from("withdrawn")), "{document}");
    let why = document["phases"][0]["withdrawn"][0].as_str().expect("a reason");
    assert!(why.contains("ended or was restarted"), "{why}");
    assert!(!target.lives());
}

#[test]
fn a_ceiling_that_is_hit_withdraws_the_verdict() {
    let test = "guard::a_ceiling_that_is_hit_withdraws_the_verdict";
    let Some(cage) = cage(test, "ceiling", 80 * MIB) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    // It holds 48 MiB and then 1.5 more after each round; from 76 MiB on the ceiling is near.
    let program = speaker(folder.path(), "n % 500 or kept.append(b'x' * (1536 << 10))");
    let line = format!("echo $$ > {}/cgroup.procs; exec python3 {program}", cage.0.display());
    let text = fs::read_to_string(&program)
        .expect("a program")
        .replace("n = [], {}, 0", "n = [b'x' * (48 << 20)], {}, 0");
    fs::write(&program, text).expect("written");
    let (o, document) = guard(&["--tolerance", "1MiB", "--", "sh", "-c", &line]);
    assert_eq!(
        (o.status.code(), &document["outcome"]),
        (Some(3), &Value::from("withdrawn")),
        "{document}{}",
        stderr(&o)
    );
    let why = document["phases"][0]["withdrawn"][0].as_str().expect("a reason");
    assert!(why.starts_with("a ceiling was hit: the control group is full to"), "{why}");
}

#[test]
fn a_container_is_a_target() {
    let test = "guard::a_container_is_a_target";
    let Some(outer) = cage(test, "engine", 400 * MIB) else { return };
    let id = "3f2a9c0d11aa22bb33cc44dd55ee66ff77889900aabbccddeeff001122334455";
    let inner = Cage::within(&outer, &format!("docker-{id}.scope"), 200 * MIB);
    let folder = tempfile::tempdir().expect("a folder");
    let target = Climber::start(folder.path(), &[inner.0.as_path()], "contained");
    let wanted = format!("container:{}", &id[..8]);
    let (o, document) =
        guard(&["--command", "true {i}", "--target", &wanted, "--round", "20", "--rounds", "16"]);
    assert_eq!(document["target"]["pid"], target.child.id(), "{document}{}", stderr(&o));
    // In a group of its own, its anonymous memory is judged, too.
    assert_ne!(metric(&document, "cgroup-anon")["verdict"], Value::Null, "{document}");
    let (o, _) = guard(&["--command", "true {i}", "--target", "container:ffff00001111"]);
    assert_eq!(o.status.code(), Some(3));
    assert!(stderr(&o).contains("engines are not asked for names"), "{}", stderr(&o));
}
