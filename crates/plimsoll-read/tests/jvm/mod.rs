//! Java programs that write dumps of themselves, with every JDK of this machine.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program with one leak: a static map that grows by every request, beside a session cache that is bounded, users that
/// are shared, and threads that wait.
const LEAK: &str = r#"import java.lang.management.*; import java.util.*; import java.util.concurrent.*;
public class Leak {
    static final class Metric { long count; long[] buckets = new long[16]; String user; List<String> traces = new ArrayList<>(2); }
    static final class Registry { static final ConcurrentHashMap<String, Metric> BY_URL = new ConcurrentHashMap<>(); }
    static final class Sessions extends LinkedHashMap<String, byte[]> {
        final int cap;
        Sessions(int cap) { super(16, 0.75f, true); this.cap = cap; }
        @Override protected boolean removeEldestEntry(Map.Entry<String, byte[]> e) { return size() > cap; }
    }
    static final Sessions SESSIONS = new Sessions(500);
    static final String[] USERS = new String[1000];
    public static void main(String[] args) throws Exception {
        int requests = Integer.parseInt(args[0]);
        SplittableRandom random = new SplittableRandom(7);
        for (int i = 0; i < USERS.length; i++) USERS[i] = "user-" + i;
        CountDownLatch never = new CountDownLatch(1);
        for (int i = 0; i < 4; i++) {
            Thread worker = new Thread(() -> { byte[] buffer = new byte[8192]; try { never.await(); } catch (InterruptedException e) { buffer[0] = 1; } }, "worker-" + i);
            worker.setDaemon(true);
            worker.start();
        }
        for (int i = 0; i < requests; i++) {
            String trace = Long.toHexString(random.nextLong() | 0x1000000000000000L);
            Metric metric = Registry.BY_URL.computeIfAbsent("/users/" + random.nextInt(5_000_000) + "/orders?trace=" + trace, k -> new Metric());
            metric.count++;
            metric.user = USERS[random.nextInt(USERS.length)];
            metric.traces.add(trace);
            if (i % 8 == 0) SESSIONS.put("s-" + random.nextInt(1_000_000), new byte[64 + random.nextInt(512)]);
        }
        System.gc();
        ManagementFactory.newPlatformMXBeanProxy(ManagementFactory.getPlatformMBeanServer(), "com.sun.management:type=HotSpotDiagnostic", com.sun.management.HotSpotDiagnosticMXBean.class).dumpHeap(args[1], true);
    }
}"#;

/// A folder that goes away with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("plimsoll-jvm-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Folder(path)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// A JDK of this machine.
pub(crate) struct Jdk {
    home: PathBuf,
    /// Such as 17.
    pub(crate) version: u32,
}

/// Every JDK here, oldest first; where the checks run there must be one.
pub(crate) fn jdks() -> Vec<Jdk> {
    let installed = std::fs::read_dir("/usr/lib/jvm").into_iter().flatten().flatten();
    let mut homes: Vec<PathBuf> = installed.filter_map(|e| e.path().canonicalize().ok()).collect();
    homes.extend(std::env::var_os("JAVA_HOME").and_then(|home| PathBuf::from(home).canonicalize().ok()));
    homes.retain(|h| ["java", "javac"].iter().all(|tool| h.join("bin").join(tool).is_file()));
    homes.sort();
    homes.dedup();
    let mut all: Vec<Jdk> =
        homes.into_iter().filter_map(|home| Some(Jdk { version: version(&home)?, home })).collect();
    all.sort_by_key(|jdk| jdk.version);
    all.dedup_by_key(|jdk| jdk.version);
    if all.is_empty() {
        assert!(std::env::var_os("CI").is_none(), "CI has no JDK");
        eprintln!("SKIPPED: this machine has no JDK");
    }
    all
}

fn version(home: &Path) -> Option<u32> {
    let out = Command::new(home.join("bin/java")).arg("-version").output().ok()?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    let number = said.split('"').nth(1)?;
    let mut parts = number.split(['.', '-', '+']).map_while(|part| part.parse().ok());
    // Before 9 it is 1.8.
    match (parts.next()?, parts.next()) {
        (1, Some(minor)) => Some(minor),
        (major, _) => Some(major),
    }
}

impl Jdk {
    /// The dump of the leaking program after so many requests, with a collector such as `Serial`; nothing where this JVM
    /// does not have it.
    pub(crate) fn leak(&self, folder: &Folder, collector: &str, requests: u32) -> Option<Vec<u8>> {
        let source = folder.file("Leak.java");
        std::fs::write(&source, LEAK).expect("the source is written");
        self.dump(folder, &[source], "Leak", &["-Xmx256m", &format!("-XX:+Use{collector}GC")], |to| {
            vec![requests.to_string(), to]
        })
    }

    /// The dump that a program writes; `arguments` are made from the name of the file to write.
    pub(crate) fn dump(
        &self,
        folder: &Folder,
        sources: &[PathBuf],
        main: &str,
        flags: &[&str],
        arguments: impl Fn(String) -> Vec<String>,
    ) -> Option<Vec<u8>> {
        let classes = folder.file(&format!("classes-{}", self.version));
        let javac = Command::new(self.home.join("bin/javac")).arg("-d").arg(&classes).args(sources).output();
        let javac = javac.expect("javac starts");
        assert!(javac.status.success(), "{}", String::from_utf8_lossy(&javac.stderr));
        let to = folder.file("heap.hprof");
        std::fs::remove_file(&to).ok();
        let mut java = Command::new(self.home.join("bin/java"));
        java.args(flags).arg("-cp").arg(&classes).arg(main).args(arguments(to.display().to_string()));
        let out = java.stdin(Stdio::null()).output().expect("java starts");
        let said = String::from_utf8_lossy(&out.stderr).into_owned() + &String::from_utf8_lossy(&out.stdout);
        if said.contains("not supported") || said.contains("Unrecognized VM option") {
            eprintln!("SKIPPED: JDK {} with {flags:?}: {said}", self.version);
            return None;
        }
        assert!(out.status.success(), "{java:?}: {said}");
        Some(std::fs::read(&to).expect("the dump"))
    }
}
