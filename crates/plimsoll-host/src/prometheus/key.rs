//! Which container or process a series tells of.

use plimsoll_read::prometheus_api::Labels;

/// The label that tells the cluster, whatever it was called where it came from.
pub(super) const CLUSTER: &str = "cluster";

/// What is told apart: a container of a pod, or a process by whom it is asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    /// Cluster, where series tell it; else empty.
    pub(super) cluster: String,
    /// Namespace; empty outside of a cluster.
    pub(super) namespace: String,
    /// Name of the pod, or the address.
    pub(super) pod: String,
    /// Name of the container, where it is told; or of the job, or the program.
    pub(super) container: String,
    /// Whether it is a container of a pod.
    pub(super) is_pod: bool,
}

/// Namespace and pod where there are both, with the container; else the container of a machine by its name, or the program or job, and the
/// address; else the pod alone, as a table may name it.
pub(super) fn of(labels: &Labels) -> Option<Key> {
    let of = |name: &str| labels.get(name).filter(|v| !v.is_empty()).cloned();
    let pod = of("namespace").zip(of("pod"));
    let cluster = of(CLUSTER).unwrap_or_default();
    match pod {
        Some((namespace, pod)) => Some(Key {
            cluster,
            namespace,
            pod,
            container: of("container").unwrap_or_default(),
            is_pod: true,
        }),
        None => {
            // cAdvisor without a cluster: the job is its own.
            let named = of("id").filter(|id| id.starts_with('/')).and_then(|_| of("name"));
            let program = named.or_else(|| of("groupname")).or_else(|| of("job"));
            let pod = || of("pod").map(|pod| (pod, of("container").unwrap_or_default()));
            let (pod, container, is_pod) = match program {
                Some(program) => (of("instance").unwrap_or_default(), program, false),
                None => pod().map(|(pod, container)| (pod, container, true))?,
            };
            Some(Key { cluster, namespace: String::new(), pod, container, is_pod })
        }
    }
}

/// Who serves requests: of a pod, whichever container.
pub(super) fn server(mut key: Key) -> Key {
    if key.is_pod {
        key.container.clear();
    }
    key
}

/// What tells two containers of one name in one pod apart: cAdvisor gives each its control group.
pub(super) fn instance(labels: &Labels) -> String {
    labels.get("id").or_else(|| labels.get("name")).cloned().unwrap_or_default()
}

/// Where nobody tells who owns a pod: its name without what a controller adds, `-5d4f8c7b9c-x2x7z`, `-x2x7z` or `-0`.
pub(super) fn by_pattern(pod: &str) -> &str {
    let is_made_up = |part: &str| {
        let lower = part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let has_digit = part.bytes().any(|b| b.is_ascii_digit());
        lower && (part.bytes().all(|b| b.is_ascii_digit()) || part.len() == 5 || part.len() >= 8 && has_digit)
    };
    let Some((rest, last)) = pod.rsplit_once('-').filter(|(_, last)| is_made_up(last)) else { return pod };
    if last.len() != 5 {
        return rest;
    }
    let hash = |part: &str| {
        (8..=10).contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            && part.bytes().any(|b| b.is_ascii_digit())
    };
    rest.rsplit_once('-').filter(|(_, part)| hash(part)).map_or(rest, |(name, _)| name)
}

/// What the names of all pods of one owner have in common: the name without what controllers add (five characters that are made up, or a
/// number; the index of a job; a hash), and no more of a long one than is never cut. Pods of other owners may have it in common, too.
pub(super) fn shortest_owner(pod: &str) -> &str {
    const NEVER_CUT: usize = 40;
    const INDEX: usize = 4;
    let without = |name: &'_ str, is_added: &dyn Fn(&str) -> bool| {
        name.rsplit_once('-')
            .filter(|(rest, last)| !rest.is_empty() && is_added(last))
            .map(|(rest, _)| rest.len())
    };
    let is_plain = |part: &str| part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let is_made_up = |part: &str| part.len() == 5 && is_plain(part);
    let is_index = |part: &str| part.len() <= INDEX && is_number(part);
    let is_hash = |part: &str| (8..=10).contains(&part.len()) && is_plain(part);
    let mut name = pod;
    if let Some(end) = without(name, &is_made_up) {
        name = &name[..end];
        name = without(name, &is_index).map_or(name, |end| &name[..end]);
        name = without(name, &is_hash).map_or(name, |end| &name[..end]);
    } else if let Some(end) = without(name, &is_number) {
        name = &name[..end];
    }
    name.get(..NEVER_CUT).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::of as of_labels;
    use super::*;

    #[test]
    fn pods_without_owners_are_gathered_by_their_names() {
        for (pod, name) in [
            ("api-5d4f8c7b9c-x2x7z", "api"),
            ("shop-api-5d4f8c7b9c-x2x7z", "shop-api"),
            ("db-0", "db"),
            ("agent-x2x7z", "agent"),
            ("single", "single"),
            ("rabbit-mq", "rabbit-mq"),
        ] {
            assert_eq!(by_pattern(pod), name, "{pod}");
        }
    }

    #[test]
    fn pods_of_one_owner_have_one_shortest_owner() {
        for (pod, name) in [
            ("api-5d4f8c7b9c-x2x7z", "api"),
            ("api-bcdfghjklm-x2x7z", "api"),
            ("api-frontend-x2x7z", "api"),
            ("db-0", "db"),
            ("db-11", "db"),
            ("backup-28371234-x2x7z", "backup"),
            ("backup-28371234-0-x2x7z", "backup"),
            ("job-0-x2x7z", "job"),
            ("service-7-5d4f8c7b9c-x2x7z", "service-7"),
            ("single", "single"),
        ] {
            assert_eq!(shortest_owner(pod), name, "{pod}");
        }
    }

    #[test]
    fn a_name_that_was_cut_has_its_owners_begin() {
        // Within the hash, and before it.
        for deployment in [
            "payment-reconciliation-batch-processor-of-the-nigh",
            "payment-reconciliation-batch-processor-of-the-night-shift-of-all",
        ] {
            let pods = ["5d4f8c7b9c", "6e5f9d8c1a"].map(|hash| {
                let set = format!("{deployment}-{hash}");
                format!("{}{}x7z", &set[..58], &hash[..2])
            });
            assert_ne!(pods[0], pods[1]);
            assert_eq!(shortest_owner(&pods[0]), shortest_owner(&pods[1]));
        }
    }

    #[test]
    fn a_series_tells_of_a_container_or_of_a_process_by_its_address() {
        let of = |labels: &[(&str, &str)]| {
            let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            of_labels(&labels).map(|k| (k.namespace, k.pod, k.container))
        };
        let is = |a: &str, b: &str, c: &str| Some((a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(of(&[("namespace", "shop"), ("pod", "api-1"), ("job", "x")]), is("shop", "api-1", ""));
        assert_eq!(of(&[("job", "api"), ("instance", "h:9")]), is("", "h:9", "api"));
        assert_eq!(
            of(&[("job", "exporter"), ("groupname", "java"), ("instance", "h:9")]),
            is("", "h:9", "java")
        );
        assert_eq!(
            of(&[("job", "cadvisor"), ("instance", "h:8080"), ("id", "/docker/a1"), ("name", "shop-api-1")]),
            is("", "h:8080", "shop-api-1")
        );
        assert_eq!(of(&[("pod", "api-1"), ("job", "x")]), is("", "", "x"));
        assert_eq!(of(&[("pod", "api-1")]), is("", "api-1", ""));
        assert_eq!(of(&[("namespace", "shop")]), None);
    }
}
