//! What the kernel prints before it kills: the table of processes, and what the control group held.

use plimsoll_core::death::{Held, Task};

/// Rows taken of one table: the kernel prints every process there is.
const ROWS: usize = 100_000;
/// Processes kept of a kill, the largest.
const KEPT: usize = 32;
/// Bytes of a page, unless the log itself shows another.
const PAGE: u64 = 4096;

/// The lines of one report, as they come.
#[derive(Debug, Clone, Default)]
pub(super) struct Report {
    /// Columns of the table, in order, when its head was seen.
    columns: Vec<String>,
    tasks: Vec<Task>,
    held: Held,
    in_group: bool,
}

impl Report {
    /// Takes in a line of the report; whether it was one.
    pub(super) fn line(&mut self, message: &str) -> bool {
        if message.starts_with("Memory cgroup stats for ") {
            self.in_group = true;
            // Kernels before 5.2 put all of it on one line: `cache:0KB rss:4KB …`, the group itself first.
            if self.held == Held::default() {
                message.split(' ').for_each(|pair| self.old_pair(pair));
            }
            return true;
        }
        if let Some(row) = message.strip_prefix('[').and_then(|m| m.split_once(']')) {
            self.row(row.0, row.1);
            return true;
        }
        if let Some((key, value)) = message.split_once(' ').filter(|_| self.in_group)
            && let Ok(bytes) = value.trim().parse()
        {
            self.pair(key, bytes);
            return true;
        }
        if let Some(kernel) = message.strip_prefix("kmem: usage ").and_then(super::kib) {
            self.held.kernel.get_or_insert(kernel);
        }
        false
    }

    /// A row of the table, or its head: `[  pid  ]   uid  tgid total_vm      rss … name`.
    fn row(&mut self, pid: &str, rest: &str) {
        if pid.trim() == "pid" {
            self.columns = rest.split_whitespace().map(str::to_owned).collect();
            return;
        }
        let Some(pid) = super::process_id(pid.trim()).filter(|_| self.tasks.len() < ROWS) else { return };
        let mut task = Task { pid, ..Task::default() };
        let mut rest = rest.trim_start();
        for column in &self.columns {
            if column == "name" {
                break;
            }
            let (cell, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            rest = after.trim_start();
            let number = || cell.parse().unwrap_or(0);
            match column.as_str() {
                "total_vm" => task.virtual_pages = number(),
                "rss" => task.resident_pages = number(),
                "swapents" => task.swapped_pages = number(),
                "oom_score_adj" => task.score_adj = cell.parse().unwrap_or(0),
                _ => {}
            }
        }
        if !self.columns.is_empty() {
            task.name = rest.trim_end().to_owned();
            self.tasks.push(task);
        }
    }

    fn pair(&mut self, key: &str, bytes: u64) {
        let held = &mut self.held;
        let slot = match key {
            "anon" | "rss" => &mut held.anon,
            "file" | "cache" => &mut held.file,
            "shmem" => &mut held.shmem,
            "kernel" => {
                held.kernel = Some(bytes);
                return;
            }
            _ => return,
        };
        slot.get_or_insert(bytes);
    }

    /// `cache:0KB`, and the group's path before the first.
    fn old_pair(&mut self, pair: &str) {
        let pair = pair.rsplit_once(": ").map_or(pair, |(_, p)| p);
        if let Some((key, value)) = pair.rsplit_once(':')
            && let Some(kib) = value.strip_suffix("KB").and_then(|n| n.parse::<u64>().ok())
        {
            self.pair(key, kib.saturating_mul(1024));
        }
    }

    pub(super) fn held(&self) -> Held {
        self.held
    }

    /// The largest processes, those of the victim and of the lowest pid always among them.
    pub(super) fn tasks(&self, victim: i32) -> Vec<Task> {
        let mut tasks = self.tasks.clone();
        let first = tasks.iter().map(|t| t.pid).min();
        tasks.sort_by_key(|t| (std::cmp::Reverse(t.resident_pages), t.pid));
        let is_kept = |at: usize, t: &Task| at < KEPT || t.pid == victim || Some(t.pid) == first;
        tasks.into_iter().enumerate().filter(|(at, t)| is_kept(*at, t)).map(|(_, t)| t).collect()
    }

    /// Bytes of a page: the victim's size is told in both units.
    pub(super) fn page(&self, victim: i32, virtual_bytes: Option<u64>) -> u64 {
        let pages = self.tasks.iter().find(|t| t.pid == victim).map(|t| t.virtual_pages);
        let size = virtual_bytes.zip(pages).and_then(|(bytes, pages)| bytes.checked_div(pages));
        size.filter(|s| s.is_power_of_two() && (PAGE..=1 << 20).contains(s)).unwrap_or(PAGE)
    }
}
