//! The kernel's log: which processes the kernel killed for want of memory, and why.
//!
//! Reads `/dev/kmsg` records, `dmesg` output and journals alike. One kill is a run of lines: who asked, usage
//! and limit, the choice (`oom-kill:`), and the kill itself. A log that begins or ends within a run is normal.

use std::collections::VecDeque;

/// How tight it was where the kernel killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// A memory control group was at its limit.
    Group,
    /// The whole machine was out of memory.
    Machine,
    /// The NUMA nodes allowed to the task were full, others were not.
    Nodes,
}

/// One process killed by the kernel.
#[derive(Debug, Clone, PartialEq)]
pub struct OomKill {
    /// Seconds since boot, when the line carries a time.
    pub at: Option<f64>,
    /// The victim, in the kernel's own pid namespace.
    pub pid: i32,
    /// Name of the victim (`comm`).
    pub name: String,
    /// What ran out; none when the log does not say.
    pub scope: Option<Scope>,
    /// The control group at its limit.
    pub limit_group: Option<String>,
    /// The control group of the victim.
    pub victim_group: Option<String>,
    /// Who asked for the page that could not be had (`comm`).
    pub invoked_by: Option<String>,
    /// Usage of the group at its limit, bytes.
    pub usage: Option<u64>,
    /// Limit of that group, bytes.
    pub limit: Option<u64>,
    /// Resident anonymous memory of the victim, bytes.
    pub anon: Option<u64>,
    /// Resident file mappings of the victim, bytes.
    pub file: Option<u64>,
    /// Resident shared memory of the victim, bytes.
    pub shmem: Option<u64>,
    /// Page tables of the victim, bytes.
    pub page_tables: Option<u64>,
    /// `oom_score_adj` of the victim.
    pub score_adj: Option<i32>,
}

/// What a whole log says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct KernelLog {
    /// Kills in the order of the log, the newest [`KILLS_KEPT`].
    pub kills: Vec<OomKill>,
    /// What was left out or incomplete.
    pub warnings: Vec<String>,
}

/// Kills kept of one log.
pub const KILLS_KEPT: usize = 1000;
/// Bytes looked at of one line: the kernel writes less.
const LONGEST_LINE: usize = 4096;

/// Reads a whole log.
pub fn read(bytes: &[u8]) -> KernelLog {
    let mut reader = Reader::default();
    let mut kills = VecDeque::new();
    let mut warnings = Vec::new();
    let mut lost = 0usize;
    let mut keep = |kill: OomKill| {
        if kills.len() == KILLS_KEPT {
            kills.pop_front();
            lost += 1;
        }
        kills.push_back(kill);
    };
    for line in bytes.split(|b| *b == b'\n') {
        reader.line(line).into_iter().for_each(&mut keep);
    }
    if let Some(kill) = reader.finish() {
        keep(kill);
        warnings.push("the log ends before the last kill is told in full".to_owned());
    }
    if lost > 0 {
        warnings.push(format!("{lost} older kills are left out"));
    }
    KernelLog { kills: kills.into(), warnings }
}

/// What the lines before a kill said.
#[derive(Debug, Clone, Default)]
struct Story {
    at: Option<f64>,
    invoked_by: Option<String>,
    usage: Option<u64>,
    limit: Option<u64>,
    scope: Option<Scope>,
    limit_group: Option<String>,
    victim_group: Option<String>,
    /// The victim that was chosen and whose kill is not told yet.
    chosen: Option<(i32, String)>,
}

/// Reads a log line by line, as a live tail does.
#[derive(Debug, Default)]
pub struct Reader {
    story: Story,
}

impl Reader {
    /// Takes in one line; the kill, when the line completes one.
    pub fn line(&mut self, line: &[u8]) -> Option<OomKill> {
        let line = String::from_utf8_lossy(line.get(..LONGEST_LINE).unwrap_or(line));
        let (at, message) = strip(line.trim_end())?;
        if let Some((who, _)) = message.split_once(" invoked oom-killer:") {
            let unfinished = self.finish();
            self.story = Story { at, invoked_by: Some(who.to_owned()), ..Story::default() };
            return unfinished;
        }
        if let Some(rest) = message.strip_prefix("memory: usage ") {
            self.story.usage = kib(rest);
            self.story.limit = rest.split_once("limit ").and_then(|(_, r)| kib(r));
        } else if let Some(rest) = message.strip_prefix("oom-kill:") {
            let unfinished = self.finish();
            self.choice(rest, at);
            return unfinished;
        } else if let Some(rest) = message.strip_prefix("Task in ") {
            self.old_choice(rest);
        } else if let Some((before, rest)) = message.split_once("Killed process ") {
            return self.kill(before, rest, at);
        }
        None
    }

    /// The kill that was announced and not told in full, at the end of a log.
    pub fn finish(&mut self) -> Option<OomKill> {
        let (pid, name) = self.story.chosen.take()?;
        Some(self.told(pid, name, self.story.at))
    }

    /// `constraint=CONSTRAINT_MEMCG,…,oom_memcg=/a,task_memcg=/a/b,task=java,pid=7,uid=0`.
    fn choice(&mut self, rest: &str, at: Option<f64>) {
        let s = &mut self.story;
        s.at = at.or(s.at);
        s.scope = rest.strip_prefix("constraint=").and_then(|r| match r.split(',').next() {
            Some("CONSTRAINT_MEMCG") => Some(Scope::Group),
            Some("CONSTRAINT_NONE") => Some(Scope::Machine),
            Some("CONSTRAINT_CPUSET" | "CONSTRAINT_MEMORY_POLICY") => Some(Scope::Nodes),
            _ => None,
        });
        // A group's or task's name may hold commas: the keys that the kernel wrote are the outermost ones.
        let Some((head, tail)) = rest.rsplit_once(",pid=") else { return };
        let Some((head, name)) = head.rsplit_once(",task=") else { return };
        if let Some((before, victim)) = head.split_once("task_memcg=") {
            s.victim_group = Some(victim.to_owned());
            let limit = before.split_once("oom_memcg=").map(|(_, g)| g.trim_end_matches(',').to_owned());
            s.limit_group = limit;
        }
        let pid = tail.split(',').next().and_then(process_id);
        s.chosen = pid.map(|p| (p, name.to_owned()));
    }

    /// Kernels before 5.0: `Task in /a/b killed as a result of limit of /a`.
    fn old_choice(&mut self, rest: &str) {
        if let Some((victim, limit)) = rest.split_once(" killed as a result of limit of ") {
            self.story.scope = Some(Scope::Group);
            self.story.victim_group = Some(victim.to_owned());
            self.story.limit_group = Some(limit.to_owned());
        }
    }

    /// `7 (java) total-vm:1kB, anon-rss:1kB, …` behind `Memory cgroup out of memory: Killed process `.
    fn kill(&mut self, before: &str, rest: &str, at: Option<f64>) -> Option<OomKill> {
        // The name may hold brackets, blanks and anything else: what follows it does not.
        let end = rest.rfind(") total-vm:").or_else(|| rest.rfind("), ")).or_else(|| rest.rfind(')'))?;
        let (pid, name) = rest.get(..end)?.split_once(" (")?;
        let pid = process_id(pid)?;
        if self.story.chosen.as_ref().is_some_and(|(chosen, _)| *chosen == pid) {
            self.story.chosen = None;
        }
        let sizes = rest.get(end..)?;
        let size = |key: &str| sizes.split_once(key).and_then(|(_, r)| kib(r));
        let scope = match before.trim_end() {
            "Memory cgroup out of memory:" => Some(Scope::Group),
            "Out of memory:" => Some(Scope::Machine),
            _ => None,
        };
        let told = self.told(pid, name.to_owned(), at.or(self.story.at));
        Some(OomKill {
            scope: told.scope.or(scope),
            anon: size("anon-rss:"),
            file: size("file-rss:"),
            shmem: size("shmem-rss:"),
            page_tables: size("pgtables:"),
            score_adj: sizes.rsplit_once("oom_score_adj:").and_then(|(_, n)| n.trim().parse().ok()),
            ..told
        })
    }

    /// A kill with what the lines before it said. A group that is killed as a whole has several of them.
    fn told(&self, pid: i32, name: String, at: Option<f64>) -> OomKill {
        let s = &self.story;
        OomKill {
            at,
            pid,
            name,
            scope: s.scope,
            limit_group: s.limit_group.clone(),
            victim_group: s.victim_group.clone(),
            invoked_by: s.invoked_by.clone(),
            usage: s.usage,
            limit: s.limit,
            anon: None,
            file: None,
            shmem: None,
            page_tables: None,
            score_adj: None,
        }
    }
}

/// The number before `kB`, in bytes.
fn kib(text: &str) -> Option<u64> {
    text.get(..text.find("kB")?)?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Time since boot and message of a line of `/dev/kmsg`, `dmesg` or a journal. None for what the kernel did
/// not write: a program that may write to the log could tell of kills that never were.
fn strip(line: &str) -> Option<(Option<f64>, &str)> {
    if let Some((head, message)) = line.split_once(';')
        && let Some((priority, time)) = record_head(head)
    {
        return (priority >> 3 == 0).then_some((Some(time), message));
    }
    let line = match line.split_once(" kernel: ") {
        Some((_, message)) => message,
        None => line,
    };
    // `dmesg -r` puts the priority first.
    let line = line.strip_prefix('<').and_then(|l| l.split_once('>')).map_or(line, |(_, l)| l);
    let stamped = line.strip_prefix('[').and_then(|l| l.split_once("] "));
    match stamped {
        Some((time, message)) => Some((time.trim().parse().ok(), message)),
        None => Some((None, line)),
    }
}

/// `priority,sequence,microseconds,flags` of a `/dev/kmsg` record.
fn record_head(head: &str) -> Option<(u64, f64)> {
    let mut parts = head.split(',');
    let priority = parts.next()?.parse().ok()?;
    let _sequence: u64 = parts.next()?.parse().ok()?;
    let micros: u64 = parts.next()?.parse().ok()?;
    Some((priority, micros as f64 / 1e6))
}

/// A process id; none is below one.
fn process_id(text: &str) -> Option<i32> {
    text.parse().ok().filter(|pid| *pid > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DMESG: &str = "\
[ 3305.256346] drill invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0
[ 3305.267439] memory: usage 196608kB, limit 196608kB, failcnt 97
[ 3305.267457] Memory cgroup stats for /drill-1:
[ 3305.267500] [  18033]     0 18033    50971    49484    49008      476         0   458752        0             0 drill
[ 3305.267560] oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/drill-1,task_memcg=/drill-1/in,task=drill,pid=18033,uid=0
[ 3305.267570] Memory cgroup out of memory: Killed process 18033 (drill) total-vm:203884kB, anon-rss:196032kB, file-rss:1904kB, shmem-rss:0kB, UID:0 pgtables:448kB oom_score_adj:-7
";

    fn one(text: &str) -> OomKill {
        let mut log = read(text.as_bytes());
        assert_eq!(log.kills.len(), 1, "{log:?}");
        log.kills.remove(0)
    }

    #[test]
    fn a_kill_in_a_group_is_told_in_full() {
        let k = one(DMESG);
        assert_eq!((k.pid, k.name.as_str(), k.scope), (18033, "drill", Some(Scope::Group)));
        assert_eq!(k.limit_group.as_deref(), Some("/drill-1"));
        assert_eq!(k.victim_group.as_deref(), Some("/drill-1/in"));
        assert_eq!((k.usage, k.limit), (Some(196608 << 10), Some(196608 << 10)));
        assert_eq!((k.anon, k.file, k.shmem), (Some(196032 << 10), Some(1904 << 10), Some(0)));
        assert_eq!((k.page_tables, k.score_adj), (Some(448 << 10), Some(-7)));
        assert_eq!((k.at, k.invoked_by.as_deref()), (Some(3305.26757), Some("drill")));
    }

    #[test]
    fn records_of_kmsg_and_lines_of_a_journal_say_the_same() {
        let plain = one(DMESG);
        let record = |l: &str| format!("4,12,3305267570,-;{}\n SUBSYSTEM=memory", &l[15..]);
        let kmsg: Vec<String> = DMESG.lines().map(record).collect();
        assert_eq!(one(&kmsg.join("\n")), plain);
        let journal: Vec<String> =
            DMESG.lines().map(|l| format!("Nov 23 11:00:00 host kernel: {}", &l[15..])).collect();
        assert_eq!(one(&journal.join("\n")), OomKill { at: None, ..plain });
    }

    #[test]
    fn what_a_program_wrote_into_the_log_is_no_kill() {
        let forged = "12,5,100,-;Memory cgroup out of memory: Killed process 1 (init) total-vm:1kB";
        assert!(read(forged.as_bytes()).kills.is_empty());
    }

    #[test]
    fn the_whole_machine_and_older_kernels() {
        let k = one(
            "[1.0] oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/a,task=x,pid=9,uid=0\n\
             [1.1] Out of memory: Killed process 9 (x) total-vm:8kB, anon-rss:4kB, file-rss:0kB, shmem-rss:0kB\n",
        );
        assert_eq!((k.scope, k.limit_group, k.anon), (Some(Scope::Machine), None, Some(4096)));
        let k = one("[1.0] Task in /docker/c killed as a result of limit of /docker\n\
             [1.0] memory: usage 100kB, limit 100kB, failcnt 3\n\
             [1.1] Memory cgroup out of memory: Kill process 9 (x) score 1000 or sacrifice child\n\
             [1.2] Killed process 9 (x) total-vm:8kB, anon-rss:4kB, file-rss:0kB, shmem-rss:0kB\n");
        assert_eq!((k.scope, k.limit_group.as_deref()), (Some(Scope::Group), Some("/docker")));
    }

    #[test]
    fn a_group_that_dies_as_a_whole_names_every_victim() {
        let more = "[3305.3] Tasks in /drill-1 are going to be killed due to memory.oom.group set\n\
             [3305.4] Memory cgroup out of memory: Killed process 18034 (side) total-vm:8kB, anon-rss:4kB\n";
        let log = read(format!("{DMESG}{more}").as_bytes());
        assert_eq!(log.kills.iter().map(|k| k.pid).collect::<Vec<_>>(), [18033, 18034]);
        assert_eq!(log.kills[1].limit_group.as_deref(), Some("/drill-1"));
    }

    #[test]
    fn hostile_names_do_not_shift_the_numbers() {
        let k = one(
            "oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg=/a,b,task_memcg=/a,b/c,task=x,pid=1,y,pid=77,uid=0\n\
             Memory cgroup out of memory: Killed process 77 (x) (y), z) total-vm:8kB, anon-rss:4kB\n",
        );
        assert_eq!((k.pid, k.name.as_str()), (77, "x) (y), z"));
        assert_eq!((k.limit_group.as_deref(), k.victim_group.as_deref()), (Some("/a,b"), Some("/a,b/c")));
    }

    #[test]
    fn every_cut_is_read_and_an_announced_kill_counts() {
        for end in 0..DMESG.len() {
            let log = read(&DMESG.as_bytes()[..end]);
            assert!(log.kills.len() <= 1);
        }
        let cut = DMESG.find("Memory cgroup out of").expect("is there");
        let log = read(&DMESG.as_bytes()[..cut]);
        assert_eq!((log.kills[0].pid, log.kills[0].anon, log.warnings.len()), (18033, None, 1));
    }

    #[test]
    fn a_pid_that_is_none_is_no_kill() {
        let text = "Memory cgroup out of memory: Killed process -4 (java) total-vm:900kB, anon-rss:512kB\n";
        assert!(read(text.as_bytes()).kills.is_empty());
        assert_eq!(read(text.replace("-4", "4").as_bytes()).kills.len(), 1);
    }

    #[test]
    fn a_flood_keeps_the_newest() {
        let line = |i: usize| format!("Out of memory: Killed process {i} (x) total-vm:1kB\n");
        let text: String = (1..=KILLS_KEPT + 3).map(line).collect();
        let log = read(text.as_bytes());
        assert_eq!((log.kills.len(), log.kills[0].pid), (KILLS_KEPT, 4));
        assert!(log.warnings[0].contains("3 older"));
    }
}
