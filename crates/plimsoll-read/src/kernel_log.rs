//! OOM kills in the kernel log, from `/dev/kmsg` records or from `dmesg` text.

/// One OOM kill as the kernel tells it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OomKill {
    /// The process that was killed.
    pub pid: i32,
    /// Its short name.
    pub name: String,
    /// The control group whose limit was hit; `None` when the machine itself ran out.
    pub limit_group: Option<String>,
    /// The control group of the process.
    pub task_group: Option<String>,
    /// Resident anonymous bytes at the end, when the line says them.
    pub anon_bytes: Option<u64>,
}

/// Reads one line: `oom-kill:constraint=…` (which limit) or `… Killed process …` (who, how large).
pub fn line(text: &str) -> Option<OomKill> {
    match text.find("oom-kill:constraint=") {
        Some(at) => constraint(text.get(at..)?),
        None => killed(text.get(text.find("Killed process ")?..)?),
    }
}

/// `oom-kill:constraint=CONSTRAINT_MEMCG,…,oom_memcg=/a,task_memcg=/a/b,task=java,pid=7,uid=0`
fn constraint(text: &str) -> Option<OomKill> {
    let get = |key: &str| text.trim_end().split(',').find_map(|p| p.strip_prefix(key)?.strip_prefix('='));
    let owned = |key: &str| get(key).map(str::to_owned);
    Some(OomKill {
        pid: get("pid")?.parse().ok()?,
        name: owned("task")?,
        limit_group: owned("oom_memcg"),
        task_group: owned("task_memcg"),
        anon_bytes: None,
    })
}

/// `Killed process 7 (java) total-vm:1kB, anon-rss:2kB, …`
fn killed(text: &str) -> Option<OomKill> {
    let rest = text.strip_prefix("Killed process ")?;
    let (pid, rest) = rest.split_once(" (")?;
    let (name, sizes) = rest.split_once(')')?;
    let anon = sizes.split("anon-rss:").nth(1).and_then(|s| s.split("kB").next()?.trim().parse::<u64>().ok());
    Some(OomKill {
        pid: pid.trim_end_matches(',').parse().ok()?,
        name: name.to_owned(),
        anon_bytes: anon.map(|k| k.saturating_mul(1024)),
        ..OomKill::default()
    })
}

impl OomKill {
    /// The kill in words.
    pub fn in_words(&self) -> String {
        let why = match (&self.limit_group, self.anon_bytes) {
            (Some(group), _) => format!("limit of the control group {group}"),
            (None, Some(anon)) => format!("it held {}", plimsoll_core::units::bytes(anon as f64)),
            (None, None) => "the machine ran out of memory".to_owned(),
        };
        format!("the kernel killed {} (pid {}): {why}", self.name, self.pid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONSTRAINT: &str = "6,900,1234,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a,task_memcg=/a/b,task=java,pid=77,uid=0\n";
    const KILLED: &str = "[12.5] Memory cgroup out of memory: Killed process 77 (java (x) total-vm:900kB, anon-rss:512kB, file-rss:1kB, shmem-rss:0kB, UID:0";

    #[test]
    fn which_limit_and_who() {
        let kill = line(CONSTRAINT).expect("a kill");
        assert_eq!((kill.pid, kill.name.as_str(), kill.limit_group.as_deref()), (77, "java", Some("/a")));
        assert_eq!(kill.in_words(), "the kernel killed java (pid 77): limit of the control group /a");
        let who = line(KILLED).expect("a kill");
        assert_eq!((who.pid, who.anon_bytes), (77, Some(512 * 1024)));
        assert_eq!(line("usb 1-1: new device"), None);
    }

    #[test]
    fn every_cut_is_survived() {
        for text in [CONSTRAINT, KILLED] {
            for i in 0..text.len() {
                let _read = line(&text[..i]);
            }
        }
    }
}
