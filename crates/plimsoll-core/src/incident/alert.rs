//! Alerts of a monitoring system: which of the watched workloads is meant, and what is written of it.

use std::collections::BTreeMap;

/// One alert that came in.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Alert {
    /// Whether it fires; else it is over.
    pub fires: bool,
    /// Labels, `alertname` among them.
    pub labels: BTreeMap<String, String>,
    /// In words: `summary` or `description`.
    pub text: String,
    /// What the sender calls it by, and since when: the same while it is repeated.
    pub identity: String,
}

/// A workload that is watched.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Known<'a> {
    /// As events name it.
    pub workload: &'a str,
    /// Its largest process.
    pub pid: i32,
    /// That process's name.
    pub name: &'a str,
}

impl Alert {
    fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }

    /// Who is meant: the workload by its name, its control group, its process; none where nobody is, or several are.
    pub fn means<'k>(&self, known: &[Known<'k>]) -> Option<Known<'k>> {
        let only = |fits: &dyn Fn(&Known<'k>) -> bool| {
            let mut all = known.iter().filter(|k| fits(k));
            all.next().copied().filter(|_| all.next().is_none())
        };
        let group = |k: &Known<'k>, id: &str| id.len() > 1 && k.workload.ends_with(id);
        let by_workload = self.label("workload").and_then(|w| only(&|k| k.workload == w));
        let by_group = || {
            let id = self.label("id").or(self.label("cgroup"))?;
            only(&|k| group(k, id))
        };
        let by_pid = || {
            let pid: i32 = self.label("pid")?.parse().ok()?;
            only(&|k| k.pid == pid)
        };
        let by_name = || {
            ["process", "container", "name", "job"].iter().find_map(|label| {
                let name = self.label(label)?;
                only(&|k| k.name == name)
            })
        };
        by_workload.or_else(by_group).or_else(by_pid).or_else(by_name)
    }

    /// What an incident of it is called where nobody who is watched is meant.
    pub fn subject(&self) -> String {
        let of = |name| self.label(name);
        match (of("namespace"), of("workload").or(of("pod")).or(of("container"))) {
            (Some(namespace), Some(who)) => format!("{namespace}/{who}"),
            (None, Some(who)) => who.to_owned(),
            _ => of("instance").or(of("job")).unwrap_or(self.name()).to_owned(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.label("alertname").unwrap_or("an alert without a name")
    }

    /// In one line.
    pub fn in_words(&self) -> String {
        let state = if self.fires { "fires" } else { "is over" };
        let severity = self.label("severity").map_or_else(String::new, |s| format!(" ({s})"));
        let text = if self.text.is_empty() { String::new() } else { format!(": {}", self.text) };
        format!("{}{severity} {state}{text}", self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(labels: &[(&str, &str)]) -> Alert {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Alert { fires: true, labels, text: "at its limit".to_owned(), ..Alert::default() }
    }

    #[test]
    fn an_alert_means_one_workload_or_none() {
        let known = [
            Known { workload: "control group /kubepods/pod1/a", pid: 7, name: "java" },
            Known { workload: "control group /shop", pid: 8, name: "java" },
            Known { workload: "control group /api", pid: 9, name: "api" },
        ];
        let means = |labels: &[(&str, &str)]| alert(labels).means(&known).map(|k| k.pid);
        assert_eq!(means(&[("workload", "control group /shop")]), Some(8));
        assert_eq!(means(&[("id", "/kubepods/pod1/a")]), Some(7), "cAdvisor's label");
        assert_eq!(means(&[("pid", "9"), ("process", "java")]), Some(9));
        assert_eq!(means(&[("container", "api")]), Some(9));
        for nobody in
            [&[("process", "java")] as &[_], &[("id", "/")], &[("pid", "x")], &[("workload", "shop")], &[]]
        {
            assert_eq!(means(nobody), None, "{nobody:?}");
        }
    }

    #[test]
    fn an_alert_in_words_and_what_its_incident_is_called() {
        let a =
            alert(&[("alertname", "High"), ("severity", "page"), ("namespace", "shop"), ("pod", "web-0")]);
        assert_eq!(
            (a.subject().as_str(), a.in_words().as_str()),
            ("shop/web-0", "High (page) fires: at its limit")
        );
        let over = Alert { fires: false, text: String::new(), ..alert(&[("alertname", "High")]) };
        assert_eq!((over.subject().as_str(), over.in_words().as_str()), ("High", "High is over"));
    }
}
