//! Searches over real repositories and real programs. What the search decides is tested in core, on simulated runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::{plimsoll_command, rig, skipped, stderr, stdout};

/// A repository that is gone in the end.
struct Repo {
    folder: tempfile::TempDir,
}

impl Repo {
    /// One without a commit; `None` without git.
    fn new(test: &str) -> Option<Repo> {
        if !crate::on_path("git") {
            skipped(test, "git is not installed");
            return None;
        }
        let repo = Repo { folder: tempfile::tempdir().expect("a folder") };
        repo.git(&["init", "--quiet", "--initial-branch", "main"]);
        Some(repo)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn git(&self, args: &[&str]) -> String {
        let mut git = Command::new("git");
        git.arg("-C")
            .arg(self.path())
            .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
            .args(args);
        let out = git.env_remove("GIT_DIR").output().expect("git runs");
        assert!(out.status.success(), "git {args:?}: {}", stderr(&out));
        stdout(&out).trim().to_owned()
    }

    fn commit(&self, title: &str, files: &[(&str, &str)]) -> String {
        for (name, text) in files {
            fs::write(self.path().join(name), text).expect("written");
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", title]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// What must not change: where HEAD is, what differs from it, branches and worktrees.
    fn state(&self) -> [String; 4] {
        ["symbolic-ref HEAD", "status --porcelain", "show-ref", "worktree list"]
            .map(|line| self.git(&line.split(' ').collect::<Vec<_>>()))
    }

    fn bisect(&self, args: &[&str]) -> Command {
        let mut command = plimsoll_command(&["bisect"]);
        command.args(args).current_dir(self.path());
        command
    }

    fn searched(&self, args: &[&str]) -> (Output, Value) {
        // What comes behind -- belongs to the command.
        let mut command = plimsoll_command(&["bisect", "-o", "json"]);
        let out = command.args(args).current_dir(self.path()).output().expect("the binary runs");
        let document = serde_json::from_str(&stdout(&out)).unwrap_or(Value::Null);
        (out, document)
    }
}

/// A service that speaks the marker protocol; `work` is one iteration.
fn service(work: &str) -> String {
    format!(
        "import gc, sys\nkept, cache, n = [], {{}}, 0\nwhile True:\n    for _ in range(300):\n        n += 1\n        {work}\n    gc.collect()\n    print(f'PLIMSOLL ROUND iterations=300 blocks={{sys.getallocatedblocks()}}', flush=True)\n    if sys.stdin.readline().strip() != 'next': break\n"
    )
}

/// Thirty commits with a branch that is merged; number 13 leaks, number 20 does not build.
fn leaking(repo: &Repo) -> (String, String) {
    let clean = service("cache[n % 100] = 'key-%d' % n");
    let leak = service("cache[n % 100] = 'key-%d' % n; kept.append('user-%d' % n)");
    let first = repo.commit("first", &[("service.py", &clean)]);
    let mut culprit = String::new();
    for n in 1..=30 {
        let log = (format!("log{n}"), format!("change {n}"));
        let text = match n {
            20 => "this is not Python\n",
            n if n >= 13 => &leak,
            _ => &clean,
        };
        match n {
            8 => drop(repo.git(&["checkout", "--quiet", "-b", "side", "HEAD~3"])),
            12 => drop(repo.git(&["checkout", "--quiet", "main"])),
            _ => {}
        }
        if n == 16 {
            repo.git(&["merge", "--quiet", "--no-edit", "side"]);
        }
        let id = repo.commit(&format!("change {n}"), &[("service.py", text), (&log.0, &log.1)]);
        if n == 13 {
            culprit = id;
        }
    }
    (first, culprit)
}

#[test]
fn the_commit_that_leaks_is_found_in_a_real_repository() {
    let test = "the_commit_that_leaks_is_found_in_a_real_repository";
    let Some(repo) = Repo::new(test) else { return };
    if !crate::on_path("python3") {
        return skipped(test, "python3 is not installed");
    }
    let (first, culprit) = leaking(&repo);
    fs::write(repo.path().join("log30"), "not committed yet").expect("written");
    let before = repo.state();
    let own = env!("CARGO_BIN_EXE_plimsoll");
    let build = "python3 -c 'import ast; ast.parse(open(\"service.py\").read())'";
    let args = ["commits", "--good", &first, "--build", build];
    let command = ["--", own, "guard", "run", "--rounds", "16", "--", "python3", "service.py"];
    // It is interrupted after three runs, and goes on.
    let all = [&args[..], &["--most-runs", "3"], &command].concat();
    let (out, document) = repo.searched(&all);
    assert_eq!(
        (out.status.code(), &document["outcome"]),
        (Some(3), &"too-many-runs".into()),
        "{}",
        stderr(&out)
    );
    let (out, document) = repo.searched(&[&args[..], &command].concat());
    assert_eq!(out.status.code(), Some(1), "{document:#} {}", stderr(&out));
    assert!(stderr(&out).contains("goes on behind 3 runs"), "{}", stderr(&out));
    assert_eq!(document["changes"][0]["id"], culprit.as_str(), "{document:#}");
    assert_eq!(
        (&document["changes"][0]["title"], &document["metric"]),
        (&"change 13".into(), &"blocks".into())
    );
    let with = document["levels"]["with"]["p50"].as_f64().expect("measured");
    assert!((0.9..1.1).contains(&with), "a block for each iteration: {document:#}");
    let runs = document["runs"].as_array().expect("runs").len();
    assert!(runs <= 11, "{runs} runs: {document:#}");
    assert!(document["notes"].to_string().contains("in no commit"), "{document:#}");
    assert_eq!(repo.state(), before, "the checkout is as it was");
    // The log alone says the same.
    let log = document["log"].as_str().expect("a log").to_owned();
    let (out, again) = repo.searched(&["replay", &log]);
    assert_eq!(
        (out.status.code(), &again["changes"], &again["runs"]),
        (Some(1), &document["changes"], &document["runs"])
    );
    let screen = stdout(&repo.bisect(&["replay", &log]).output().expect("the binary runs"));
    for words in
        ["CULPRIT", "change 13", "SLOPE      blocks per iteration", "HOW SURE", "NEXT       git show"]
    {
        assert!(screen.contains(words), "no {words:?}:\n{screen}");
    }
}

/// A history whose commits hold a number each, from 0 on.
fn numbered(repo: &Repo, count: usize) -> Vec<String> {
    (0..count).map(|n| repo.commit(&format!("number {n}"), &[("number", &n.to_string())])).collect()
}

#[test]
fn exit_codes_count_and_what_hangs_or_cannot_run_tells_nothing() {
    let Some(repo) = Repo::new("exit_codes_count_and_what_hangs_or_cannot_run_tells_nothing") else { return };
    let ids = numbered(&repo, 13);
    // Bad from 9 on; 5 hangs, 7 asks to be left out, 8 is ended by a signal, 10 is not found.
    let script = "case $(cat number) in 5) sleep 600;; 7) exit 125;; 8) kill -9 $$;; 10) exit 127;; esac; test $(cat number) -lt 9";
    let (out, document) = repo.searched(&[
        "commits",
        "--good",
        &ids[0],
        "--timeout",
        "1s",
        "--error",
        "0.01",
        "--",
        "sh",
        "-c",
        script,
    ]);
    assert_eq!(out.status.code(), Some(1), "{document:#} {}", stderr(&out));
    let mut found: Vec<&str> =
        document["changes"].as_array().expect("changes").iter().filter_map(|c| c["title"].as_str()).collect();
    found.sort_unstable();
    // Nothing tells 7, 8 and 9 apart.
    assert_eq!(found, ["number 7", "number 8", "number 9"], "{document:#}");
    let told: Vec<&str> =
        document["runs"].as_array().expect("runs").iter().filter_map(|r| r["nothing"].as_str()).collect();
    assert!(told.iter().any(|why| why.contains("exit code 125")), "{told:?}");
    assert!(told.iter().any(|why| why.contains("signal 9")), "{told:?}");
    // Along the way or not: a good version that hangs cannot be measured, and is not called good.
    let (out, document) =
        repo.searched(&["commits", "--good", &ids[5], "--timeout", "1s", "--", "sh", "-c", script]);
    assert_eq!((out.status.code(), &document["outcome"]), (Some(3), &"end-tells-nothing".into()));
    assert!(document["next"].as_str().expect("words").contains("took over 1 s"), "{document:#}");
}

/// A build that hangs leaves its version out, and what it started is ended.
#[test]
fn a_build_that_hangs_leaves_its_version_out() {
    let Some(repo) = Repo::new("a_build_that_hangs_leaves_its_version_out") else { return };
    let ids = numbered(&repo, 9);
    let build = "case $(cat number) in 4) sleep 600;; esac";
    let line = [
        "--timeout",
        "1s",
        "--error",
        "0.01",
        "--build",
        build,
        "--",
        "sh",
        "-c",
        "test $(cat number) -lt 6",
    ];
    let (out, document) = repo.searched(&[&["commits", "--good", &ids[0]], &line[..]].concat());
    assert_eq!(out.status.code(), Some(1), "{document:#} {}", stderr(&out));
    assert_eq!(document["changes"][0]["title"], "number 6", "{document:#}");
    let (out, document) = repo.searched(&[&["commits", "--good", &ids[4]], &line[..]].concat());
    assert_eq!(out.status.code(), Some(3), "{document:#} {}", stderr(&out));
}

/// A temporary folder within the checkout, and a command that removes what makes the worktree one: git would find the checkout
/// around it, and clean that.
#[test]
fn a_command_that_breaks_the_worktree_leaves_the_checkout_as_it_is() {
    let Some(repo) = Repo::new("a_command_that_breaks_the_worktree_leaves_the_checkout_as_it_is") else {
        return;
    };
    let commits = numbered(&repo, 6);
    fs::write(repo.path().join("precious"), "of nobody but the user").expect("written");
    fs::create_dir(repo.path().join("tmp")).expect("a folder");
    let before = repo.state();
    let (good, bad) = (&commits[0], &commits[5]);
    let mut search = repo.bisect(&["commits", "--good", good, "--bad", bad]);
    search.args(["--", "sh", "-c", "rm -rf .git; test $(cat number) -lt 3"]);
    let out = search.env("TMPDIR", repo.path().join("tmp")).output().expect("the binary runs");
    let said = stdout(&out) + &stderr(&out);
    assert!(repo.path().join("precious").exists(), "{said}");
    assert_eq!(fs::read_dir(repo.path().join("tmp")).expect("there").count(), 0, "{said}");
    assert_eq!(repo.state(), before, "{said}");
    assert!(said.contains("number 3"), "{said}");
}

#[test]
fn no_difference_is_said_and_no_commit_is_accused() {
    let Some(repo) = Repo::new("no_difference_is_said_and_no_commit_is_accused") else { return };
    let ids = numbered(&repo, 9);
    for script in ["exit 0", "exit 1"] {
        let (out, document) = repo.searched(&["commits", "--good", &ids[0], "--", "sh", "-c", script]);
        assert_eq!(
            (out.status.code(), &document["outcome"]),
            (Some(3), &"no-difference".into()),
            "{document:#}"
        );
    }
}

#[test]
fn branches_shallow_clones_and_mistakes_are_told() {
    let Some(repo) = Repo::new("branches_shallow_clones_and_mistakes_are_told") else { return };
    let ids = numbered(&repo, 12);
    let measure = ["--error", "0.01", "--", "sh", "-c", "test $(cat number) -lt 7"];
    // The good one lies on another branch.
    repo.git(&["checkout", "--quiet", "-b", "other", &ids[4]]);
    let other = repo.commit("on another branch", &[]);
    repo.git(&["checkout", "--quiet", "main"]);
    let (_, document) = repo.searched(&[&["commits", "--good", &other], &measure[..]].concat());
    assert_eq!(document["changes"][0]["id"], ids[7].as_str(), "{document:#}");
    assert!(document["notes"].to_string().contains("their common commit"), "{document:#}");
    // A clone without the commit in common.
    let clone = tempfile::tempdir().expect("a folder");
    let url = format!("file://{}", repo.path().display());
    let at = clone.path().join("clone").display().to_string();
    repo.git(&["clone", "--quiet", "--depth", "3", "--no-single-branch", &url, &at]);
    let clone = |args: &[&str]| {
        plimsoll_command(&["bisect", "commits"])
            .args(args)
            .args(measure)
            .current_dir(&at)
            .output()
            .expect("it runs")
    };
    let out = clone(&["--good", &ids[2]]);
    assert!(out.status.code() == Some(2) && stderr(&out).contains("shallow"), "{}", stderr(&out));
    let out = clone(&["--good", "origin/other"]);
    assert!(out.status.code() == Some(2) && stderr(&out).contains("--unshallow"), "{}", stderr(&out));
    for (args, words) in [
        (vec!["--good", "v9"], "names no commit"),
        (vec!["--good=--all"], "names no commit"),
        (vec!["--good", "main", "--bad", &ids[2]], "the right way round"),
        (vec!["--good", &ids[0], "--repository", "/"], "--repository"),
        (vec!["--good", &ids[0], "--sure", "1"], "no share"),
    ] {
        let out = repo.bisect(&["commits"]).args(&args).args(measure).output().expect("it runs");
        assert!(
            matches!(out.status.code(), Some(2 | 3)) && stderr(&out).contains(words),
            "{args:?}: {}",
            stderr(&out)
        );
    }
}

#[test]
fn a_search_that_is_killed_leaves_no_worktree_and_goes_on() {
    let Some(repo) = Repo::new("a_search_that_is_killed_leaves_no_worktree_and_goes_on") else { return };
    let ids = numbered(&repo, 8);
    let before = repo.state();
    let told = repo.path().join(".git/where");
    // The third run waits until it is no longer told to.
    let script = format!(
        "echo x >> {0}.runs; if [ $(wc -l < {0}.runs) = 3 ]; then pwd > {0}.new; mv {0}.new {0}; sleep 600; fi; test $(cat number) -lt 4",
        told.display()
    );
    let args = ["commits", "--good", &ids[0], "--error", "0.01", "--", "sh", "-c", &script];
    let mut ours = repo.bisect(&args).spawn().expect("it runs");
    rig::until("the third run", || told.exists());
    let worktree = PathBuf::from(fs::read_to_string(&told).expect("a folder").trim());
    assert!(worktree.join("number").exists() && !worktree.starts_with(repo.path()));
    ours.kill().expect("killed");
    ours.wait().expect("reaped");
    rig::until("the worktree's end", || !worktree.exists() && repo.state() == before);
    let (out, document) = repo.searched(&args);
    assert!(stderr(&out).contains("goes on behind 2 runs"), "{}", stderr(&out));
    assert_eq!(document["changes"][0]["id"], ids[4].as_str(), "{document:#}");
}

#[test]
fn a_canary_of_ten_minutes_sees_no_slow_leak() {
    let ask = |more: &[&str]| {
        let fixed = ["canary", "-o", "json", "--noise", "20MiB", "--headroom", "1200MiB"];
        plimsoll_command(&[&fixed, more].concat()).output().expect("it runs")
    };
    let out = ask(&["--gone-in", "24h", "--for", "10m"]);
    assert_eq!(out.status.code(), Some(3), "{}", stderr(&out));
    let out = ask(&["--gone-in", "24h", "--for", "8h"]);
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    let document: Value = serde_json::from_str(&stdout(&out)).expect("a document");
    // 1 % of 2 GiB of noise, 60 % of it in a day: 3.2 hours, and one of warm-up.
    let hours = document["sizes"][0]["seconds"].as_f64().expect("known") / 3600.0;
    assert!((4.0..4.5).contains(&hours), "{document:#}");
    assert_eq!(ask(&["--gone-in", "0s"]).status.code(), Some(2));
    // One replica beside nine: two slopes of variances 1 and 1/9; and rarer errors take longer.
    let seconds = |more: &[&str]| {
        let out = ask(&[&["--gone-in", "24h", "--replicas", "1", "--warm-up", "0s"], more].concat());
        let document: Value = serde_json::from_str(&stdout(&out)).expect("a document");
        assert_eq!(document["sizes"].as_array().map(Vec::len), Some(1), "{document:#}");
        document["sizes"][0]["seconds"].as_f64().expect("known")
    };
    let ratio = seconds(&["--baseline-replicas", "9"]) / seconds(&[]);
    assert!((ratio - (10.0_f64 / 18.0).cbrt()).abs() < 1e-6, "{ratio}");
    assert!(seconds(&["--false-alarms", "0.001"]) > 1.2 * seconds(&["--false-alarms", "0.05"]));
    assert!(seconds(&["--seen", "0.99"]) > 1.1 * seconds(&[]));
    assert_eq!(ask(&["--gone-in", "24h", "--seen", "1"]).status.code(), Some(2));
    // Three hours do for thirty replicas; asked about one, they are too short.
    let planned = |more: &[&str]| ask(&[&["--gone-in", "24h", "--for", "3h"], more].concat()).status.code();
    assert_eq!((planned(&[]), planned(&["--replicas", "1,30"])), (Some(0), Some(3)));
}

#[test]
fn releases_are_searched_by_their_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log.jsonl").display().to_string();
    let versions = "1.0,1.1,1.2,1.3,1.4,1.5";
    let args = ["releases", "--versions", versions, "--log", &log, "--error", "0.01", "--"];
    let run = |more: &[&str]| {
        plimsoll_command(&["bisect", "-o", "json"]).args(args).args(more).output().expect("it runs")
    };
    let out = run(&["sh", "-c", "case {version} in 1.[0-2]) exit 0;; *) exit 1;; esac"]);
    let document: Value = serde_json::from_slice(&out.stdout).unwrap_or(Value::Null);
    assert_eq!(
        (out.status.code(), &document["changes"][0]["id"]),
        (Some(1), &"1.3".into()),
        "{}",
        stderr(&out)
    );
    // Another command is another search.
    let out = run(&["true"]);
    assert!(out.status.code() == Some(2) && stderr(&out).contains("another search"), "{}", stderr(&out));
    for wrong in ["1.0", "1.0,1.0"] {
        let out = plimsoll_command(&["bisect", "releases", "--versions", wrong, "--", "true"])
            .output()
            .expect("it runs");
        assert_eq!(out.status.code(), Some(2), "{wrong}");
    }
}

/// Binaries that are there already: real programs, each measured by the growth test; one cannot be run.
#[test]
fn the_release_whose_binary_leaks_is_found_by_running_the_binaries() {
    let test = "bisect::the_release_whose_binary_leaks_is_found_by_running_the_binaries";
    if !crate::on_path("cc") {
        return skipped(test, "there is no C compiler");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    // A round is 1,000 calls, of which each keeps 200 bytes from 1.5 on.
    let source = "#include <malloc.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\nint main(void) { char line[64]; static void *ring[64]; do { for (int i = 0; i < 1000; i++) { free(ring[i % 64]); ring[i % 64] = malloc(500); if (LEAKS) memset(malloc(200), 1, 200); } struct mallinfo2 m = mallinfo2(); printf(\"PLIMSOLL ROUND iterations=1000 heap_bytes=%zu\\n\", m.uordblks + m.hblkhd); fflush(stdout); } while (fgets(line, sizeof line, stdin) && !strncmp(line, \"next\", 4)); }\n";
    fs::write(path("app.c"), source).expect("written");
    let versions: Vec<String> = (0..10).map(|n| format!("1.{n}")).collect();
    for (n, version) in versions.iter().enumerate() {
        let leaks = format!("-DLEAKS={}", u8::from(n >= 5));
        let built = Command::new("cc")
            .args(["-O1", &leaks, "-o", &path(&format!("app-{version}")), &path("app.c")])
            .status()
            .expect("it runs");
        assert!(built.success());
    }
    fs::write(path("app-1.6"), "no program").expect("written");
    let own = env!("CARGO_BIN_EXE_plimsoll");
    let program = path("app-{version}");
    let out = plimsoll_command(&["bisect", "releases", "-o", "json", "--versions", &versions.join(",")])
        .args(["--log", &path("log.jsonl"), "--", own, "guard", "run", "--rounds", "16", "--", &program])
        .output()
        .expect("it runs");
    let document: Value = serde_json::from_slice(&out.stdout).unwrap_or(Value::Null);
    assert_eq!(
        (out.status.code(), &document["changes"][0]["id"], &document["metric"]),
        (Some(1), &"1.5".into(), &"heap".into()),
        "{document:#} {}",
        stderr(&out)
    );
    assert!(!stderr(&out).contains("1.6 is bad"), "what cannot be run is no verdict: {}", stderr(&out));
    let with = document["levels"]["with"]["p50"].as_f64().expect("measured");
    assert!((190.0..230.0).contains(&with), "200 bytes a call, and what the allocator adds: {document:#}");
}

#[test]
fn commits_that_add_what_holds_memory_are_told_first() {
    let Some(repo) = Repo::new("bisect::commits_that_add_what_holds_memory_are_told_first") else { return };
    let good = repo.commit("first", &[("a.go", "package a\n"), ("b.py", "def f():\n    pass\n")]);
    repo.commit("a word", &[("README.md", "var seen = map[string]int{}\n")]);
    let culprit =
        repo.commit("remember what was seen", &[("a.go", "package a\n\nvar seen = map[string]int{}\n")]);
    let named = repo.commit("a helper", &[("b.py", "def f():\n    Sessions.keep(1)\n")]);
    let (out, document) = repo.searched(&["suspects", "--good", &good]);
    assert_eq!(out.status.code(), Some(1), "{}", stderr(&out));
    assert_eq!((&document["commits"], document["suspects"].as_array().map(Vec::len)), (&3.into(), Some(1)));
    let first = &document["suspects"][0];
    assert_eq!((&first["id"], &first["findings"][0]["line"]), (&culprit.into(), &3.into()), "{first:#}");
    let (_, document) = repo.searched(&["suspects", "--good", &good, "--name", "shop.Sessions"]);
    assert_eq!(document["suspects"][0]["id"], named, "{document:#}");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let reading = folder.path().join("reading.json");
    fs::write(&reading, r#"{"kind":"Reading","suspects":[{"owner":"shop.Sessions.byUser"}]}"#)
        .expect("written");
    let evidence = ["suspects", "--good", &good, "--evidence", reading.to_str().expect("text")];
    let (_, document) = repo.searched(&evidence);
    assert_eq!(document["suspects"][0]["id"], named, "{document:#}");
    // The artifact itself does as well.
    let raw = folder.path().join("goroutines.txt");
    let text = "goroutine profile: total 900\n900 @ 0x1 0x2\n#\t0x1\tshop.Sessions+0x1d\t/shop/a.go:3\n#\t0x2\tmain.main+0x1\t/shop/b.go:4\n\n";
    fs::write(&raw, text).expect("written");
    let (_, document) =
        repo.searched(&["suspects", "--good", &good, "--evidence", raw.to_str().expect("text")]);
    assert_eq!(document["suspects"][0]["id"], named, "{document:#}");
    fs::write(&reading, "<html>").expect("written");
    assert_eq!(repo.searched(&evidence).0.status.code(), Some(2));
    let out = repo.bisect(&["suspects", "--good", &good]).output().expect("it runs");
    assert!(stdout(&out).contains("a collection in static scope  a.go:3"), "{}", stdout(&out));
    let (out, _) = repo.searched(&["suspects", "--good", "nothing"]);
    assert_eq!(out.status.code(), Some(2), "{}", stderr(&out));
    let (out, _) = repo.searched(&["suspects", "--good", "HEAD"]);
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
}

#[test]
fn along_first_parents_a_merge_is_told_with_all_that_it_brings() {
    let Some(repo) = Repo::new("bisect::along_first_parents_a_merge_is_told_with_all_that_it_brings") else {
        return;
    };
    let good = repo.commit("first", &[("a.go", "package a\n")]);
    repo.git(&["checkout", "--quiet", "-b", "side"]);
    let brought = repo.commit(
        "remember",
        &[("b.go", "package a\n\nvar (\n\tlimit = 5\n\tseen =\n\t\tmap[string]int{}\n)\n")],
    );
    repo.git(&["checkout", "--quiet", "main"]);
    repo.commit("a word", &[("README.md", "words\n")]);
    repo.git(&["merge", "--quiet", "--no-edit", "side"]);
    let merge = repo.git(&["rev-parse", "HEAD"]).trim().to_owned();
    let told = |more: &[&str]| {
        let (_, document) = repo.searched(&[&["suspects", "--good", &good], more].concat());
        let first = &document["suspects"][0];
        (document["commits"].clone(), first["id"].clone(), first["findings"][0]["line"].clone())
    };
    assert_eq!(told(&[]), (2.into(), brought.into(), 5.into()));
    assert_eq!(told(&["--first-parent"]), (2.into(), merge.clone().into(), 5.into()));
    let command = ["commits", "--good", &good, "--first-parent", "--", "sh", "-c", "! grep -q seen b.go"];
    let (out, document) = repo.searched(&command);
    assert_eq!(document["changes"][0]["id"], merge, "{}", stderr(&out));
    assert!(document["notes"].to_string().contains("1 commits weigh more beforehand"), "{document:#}");
}

#[test]
fn commits_that_add_what_holds_memory_are_run_sooner() {
    let Some(repo) = Repo::new("bisect::commits_that_add_what_holds_memory_are_run_sooner") else { return };
    let good = repo.commit("first", &[("a.go", "package a\n")]);
    let mut culprit = String::new();
    for n in 1..=60 {
        let log = (format!("log{n}"), format!("change {n}"));
        let leaks = if n == 7 { "package a\n\nvar seen = map[string]int{}\n" } else { "" };
        let files = [(log.0.as_str(), log.1.as_str()), ("a.go", leaks)];
        let id = repo.commit(&format!("change {n}"), if n == 7 { &files } else { &files[..1] });
        if n == 7 {
            culprit = id;
        }
    }
    let runs = |prior: &[&str]| {
        let command = ["--fresh", "--error", "0.01", "--", "sh", "-c", "! grep -q seen a.go"];
        let (out, document) = repo.searched(&[&["commits", "--good", &good], prior, &command].concat());
        assert_eq!(out.status.code(), Some(1), "{}", stderr(&out));
        assert_eq!(document["changes"][0]["id"], culprit, "{document:#}");
        (document["runs"].as_array().map_or(0, Vec::len), document["notes"].to_string())
    };
    let (with, told) = runs(&[]);
    let (without, silent) = runs(&["--no-prior"]);
    assert!(told.contains("1 commits weigh more beforehand") && !silent.contains("weigh more"), "{told}");
    assert!(with < without, "{with} runs instead of {without}");
}
