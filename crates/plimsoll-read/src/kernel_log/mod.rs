//! The kernel's log: which processes the kernel killed for want of memory, and why.
//!
//! Reads `/dev/kmsg` records, `dmesg` output and journals alike. One kill is a run of lines: who asked, usage
//! and limit, what the group held, the table of processes, the choice (`oom-kill:`), and the kill itself. A log that
//! begins or ends within a run is normal.

mod line;
mod table;

use std::collections::VecDeque;

use plimsoll_core::death::Moment;
pub use plimsoll_core::death::{Kill as OomKill, Scope};

use line::{Line, strip};
use table::Report;

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
    when: Option<Moment>,
    report: Report,
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
        self.text(&line)
    }

    /// As [`Reader::line`], of text.
    pub fn text(&mut self, line: &str) -> Option<OomKill> {
        let line = strip(line.trim_end())?;
        let message = line.message;
        if let Some((who, _)) = message.split_once(" invoked oom-killer:") {
            let unfinished = self.finish();
            let (at, when) = (line.at, line.when);
            self.story = Story { at, when, invoked_by: Some(who.to_owned()), ..Story::default() };
            return unfinished;
        }
        if let Some(rest) = message.strip_prefix("memory: usage ") {
            self.story.usage = kib(rest);
            self.story.limit = rest.split_once("limit ").and_then(|(_, r)| kib(r));
        } else if let Some(rest) = message.strip_prefix("oom-kill:") {
            let unfinished = self.finish();
            self.choice(rest, &line);
            return unfinished;
        } else if let Some(rest) = message.strip_prefix("Task in ") {
            self.old_choice(rest);
        } else if let Some((before, rest)) = message.split_once("Killed process ") {
            return self.kill(before, rest, &line);
        } else if self.story.invoked_by.is_some() {
            self.story.report.line(message);
        }
        None
    }

    /// The kill that was announced and not told in full, at the end of a log.
    pub fn finish(&mut self) -> Option<OomKill> {
        let (pid, name) = self.story.chosen.take()?;
        Some(self.told(pid, name, &Line::default()))
    }

    /// `constraint=CONSTRAINT_MEMCG,…,oom_memcg=/a,task_memcg=/a/b,task=java,pid=7,uid=0`.
    fn choice(&mut self, rest: &str, line: &Line<'_>) {
        let s = &mut self.story;
        s.at = line.at.or(s.at);
        s.when = line.when.clone().or_else(|| s.when.take());
        s.scope = rest.strip_prefix("constraint=").and_then(|r| scope(r.split(',').next()?));
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
    fn kill(&mut self, before: &str, rest: &str, line: &Line<'_>) -> Option<OomKill> {
        // The name may hold brackets, blanks and anything else: what follows it does not.
        let end = rest.rfind(") total-vm:").or_else(|| rest.rfind("), ")).or_else(|| rest.rfind(')'))?;
        let (pid, name) = rest.get(..end)?.split_once(" (")?;
        let pid = process_id(pid)?;
        if self.story.chosen.as_ref().is_some_and(|(chosen, _)| *chosen == pid) {
            self.story.chosen = None;
        }
        let sizes = rest.get(end..)?;
        let size = |key: &str| sizes.split_once(key).and_then(|(_, r)| kib(r));
        let before = before.trim_end();
        // An event of a cluster has its own words before the kernel's.
        let scope = match () {
            () if before.ends_with("Memory cgroup out of memory:") => Some(Scope::Group),
            () if before.ends_with("Out of memory:") => Some(Scope::Machine),
            () => None,
        };
        let told = self.told(pid, name.to_owned(), line);
        Some(OomKill {
            scope: told.scope.or(scope),
            page: self.story.report.page(pid, size("total-vm:")),
            anon: size("anon-rss:"),
            file: size("file-rss:"),
            shmem: size("shmem-rss:"),
            page_tables: size("pgtables:"),
            score_adj: sizes.rsplit_once("oom_score_adj:").and_then(|(_, n)| n.trim().parse().ok()),
            ..told
        })
    }

    /// A kill with what the lines before it said. A group that is killed as a whole has several of them.
    fn told(&self, pid: i32, name: String, line: &Line<'_>) -> OomKill {
        let s = &self.story;
        OomKill {
            at: line.at.or(s.at),
            when: line.when.clone().or_else(|| s.when.clone()),
            pid,
            name,
            scope: s.scope,
            limit_group: s.limit_group.clone(),
            victim_group: s.victim_group.clone(),
            invoked_by: s.invoked_by.clone(),
            usage: s.usage,
            limit: s.limit,
            held: s.report.held(),
            tasks: s.report.tasks(pid),
            page: s.report.page(pid, None),
            ..OomKill::default()
        }
    }
}

/// The number before `kB`, in bytes.
fn kib(text: &str) -> Option<u64> {
    text.get(..text.find("kB")?)?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// A process id; none is below one.
fn process_id(text: &str) -> Option<i32> {
    text.parse().ok().filter(|pid| *pid > 0)
}

/// What ran out, by the kernel's name for it.
pub(crate) fn scope(constraint: &str) -> Option<Scope> {
    match constraint {
        "CONSTRAINT_MEMCG" => Some(Scope::Group),
        "CONSTRAINT_NONE" => Some(Scope::Machine),
        "CONSTRAINT_CPUSET" | "CONSTRAINT_MEMORY_POLICY" => Some(Scope::Nodes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_core::death::Held;

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
    fn the_table_and_what_the_group_held_are_read() {
        let text = "\
[ 1.0] java invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0
[ 1.1] memory: usage 524288kB, limit 524288kB, failcnt 97
[ 1.1] Memory cgroup stats for /a:
[ 1.1] anon 314572800
[ 1.1] file 209715200
[ 1.1] kernel 4194304
[ 1.1] shmem 209715200
[ 1.2] Tasks state (memory values in pages):
[ 1.2] [  pid  ]   uid  tgid total_vm      rss rss_anon rss_file rss_shmem pgtables_bytes swapents oom_score_adj name
[ 1.2] [     10]     0    10      200       50       50        0         0    45056        7          -997 pause
[ 1.2] [     12]     0    12   131072    76800    76800        0         0   458752        0             5 my java
[ 1.3] oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a,task_memcg=/a,task=my java,pid=12,uid=0
[ 1.3] Memory cgroup out of memory: Killed process 12 (my java) total-vm:524288kB, anon-rss:307200kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:448kB oom_score_adj:5
";
        let k = one(text);
        let held = Held {
            anon: Some(300 << 20),
            file: Some(200 << 20),
            shmem: Some(200 << 20),
            kernel: Some(4 << 20),
        };
        assert_eq!((k.held, k.page), (held, 4096));
        let rows: Vec<_> =
            k.tasks.iter().map(|t| (t.pid, t.name.as_str(), t.resident_pages, t.score_adj)).collect();
        assert_eq!(rows, [(12, "my java", 76800, 5), (10, "pause", 50, -997)]);
        assert_eq!(k.tasks[1].swapped_pages, 7);
        let large = text.replace("total-vm:524288kB", "total-vm:8388608kB");
        assert_eq!(one(&large).page, 65536);
    }

    #[test]
    fn an_old_kernels_group_is_read_from_one_line() {
        let k = one("[1.0] x invoked oom-killer: gfp_mask=0x50, order=0, oom_score_adj=0\n\
             [1.0] Memory cgroup stats for /docker/c: cache:100KB rss:200KB rss_huge:0KB shmem:40KB mapped_file:0KB\n\
             [1.0] [ pid ]   uid  tgid total_vm      rss nr_ptes nr_pmds swapents oom_score_adj name\n\
             [1.0] [ 9]     0     9     4000       50       5       3        0             0 x\n\
             [1.1] Killed process 9 (x) total-vm:16000kB, anon-rss:4kB, file-rss:0kB, shmem-rss:0kB\n");
        assert_eq!(
            (k.held.anon, k.held.file, k.held.shmem),
            (Some(200 << 10), Some(100 << 10), Some(40 << 10))
        );
        assert_eq!((k.tasks[0].pid, k.tasks[0].resident_pages), (9, 50));
    }

    #[test]
    fn records_of_kmsg_and_lines_of_a_journal_say_the_same() {
        let plain = one(DMESG);
        let record = |l: &str| format!("4,12,3305267570,-;{}\n SUBSYSTEM=memory", &l[15..]);
        let kmsg: Vec<String> = DMESG.lines().map(record).collect();
        assert_eq!(one(&kmsg.join("\n")), plain);
        let journal: Vec<String> =
            DMESG.lines().map(|l| format!("Nov 23 11:00:00 host kernel: {}", &l[15..])).collect();
        let told = one(&journal.join("\n"));
        assert_eq!(told.when.as_ref().expect("a time").said, "Nov 23 11:00:00");
        assert_eq!(told, OomKill { at: None, when: told.when.clone(), ..plain });
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
