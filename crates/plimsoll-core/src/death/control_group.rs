//! What the path of a control group says of the workload in it: pod, container, unit.

/// Characters of a container's id, in every runtime.
const ID: usize = 64;

/// The workload of a control group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Workload {
    /// The path of the group.
    pub path: String,
    /// Uid of the pod.
    pub pod_uid: Option<String>,
    /// Id of the container, 64 digits.
    pub container: Option<String>,
    /// The unit of the service manager, where there is no container.
    pub unit: Option<String>,
}

impl Workload {
    /// The workload of `path`.
    pub fn of(path: &str) -> Self {
        let parts = || path.split('/').filter(|p| !p.is_empty());
        let pod_uid = parts().rev().find_map(pod_uid);
        let container = parts().rev().find_map(container_id);
        let is_unit = |p: &&str| p.ends_with(".service") || p.ends_with(".scope");
        let unit = parts().rev().find(is_unit).filter(|_| container.is_none()).map(str::to_owned);
        Workload { path: path.to_owned(), pod_uid, container, unit }
    }

    /// Whether two paths are of one workload: of the same pod, or group. A pod's containers get a new group at every
    /// start, and so do many scopes, whose names differ in a number.
    pub fn is_same(&self, other: &Workload) -> bool {
        match (&self.pod_uid, &other.pod_uid) {
            (Some(a), Some(b)) => a == b,
            (None, None) if self.container.is_some() => self.path == other.path,
            (None, None) => template(&self.path) == template(&other.path),
            _ => false,
        }
    }

    /// In words, short.
    pub fn words(&self) -> String {
        let short = |id: &str| id.get(..12).unwrap_or(id).to_owned();
        match (&self.pod_uid, &self.container, &self.unit) {
            (Some(pod), Some(id), _) => format!("container {} of pod {pod}", short(id)),
            (Some(pod), None, _) => format!("pod {pod}"),
            (None, Some(id), _) => format!("container {}", short(id)),
            (None, None, Some(unit)) => unit.clone(),
            (None, None, None) if self.path == "/" => "the root control group".to_owned(),
            (None, None, None) => format!("control group {}", self.path),
        }
    }
}

/// A path without its numbers.
fn template(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        match c.is_ascii_digit() {
            true if out.ends_with('#') => {}
            true => out.push('#'),
            false => out.push(c),
        }
    }
    out
}

/// What a group at its limit is, when it is not the victim's own.
pub(super) fn ancestor(path: &str) -> String {
    let last = path.rsplit('/').find(|p| !p.is_empty()).unwrap_or_default();
    match pod_uid(last) {
        Some(uid) => format!("the limit of the whole pod {uid}"),
        None if last.starts_with("kubepods") => {
            "what the node leaves to all of its pods (its allocatable memory)".to_owned()
        }
        None => format!("the limit of {path}"),
    }
}

/// The pod's uid in a part of a group's path: `pod<uid>` (cgroupfs) or `kubepods-burstable-pod<uid with underscores>.slice` (systemd).
pub fn pod_uid(part: &str) -> Option<String> {
    let name = part.strip_suffix(".slice").unwrap_or(part);
    let uid = match name.strip_prefix("pod") {
        Some(uid) => uid,
        None if name.starts_with("kubepods") => name.rsplit_once("-pod")?.1,
        None => return None,
    };
    let is_uid = uid.len() >= 32 && uid.chars().all(|c| c.is_ascii_hexdigit() || c == '-' || c == '_');
    is_uid.then(|| uid.replace('_', "-"))
}

/// `<id>`, `docker-<id>.scope`, `cri-containerd-<id>.scope`, `crio-<id>.scope`, `libpod-<id>.scope`.
fn container_id(part: &str) -> Option<String> {
    let name = part.strip_suffix(".scope").unwrap_or(part);
    let id = name.rsplit('-').next()?;
    (id.len() == ID && id.bytes().all(|b| b.is_ascii_hexdigit())).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_containers_and_units_are_told_apart() {
        let id = "0123456789abcdef".repeat(4);
        let uid = "11111111-2222-3333-4444-555555555555";
        let plain = Workload::of(&format!("/kubepods/burstable/pod{uid}/{id}"));
        let systemd = Workload::of(&format!(
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{}.slice/cri-containerd-{id}.scope",
            uid.replace('-', "_")
        ));
        assert_eq!(plain.pod_uid.as_deref(), Some(uid));
        assert_eq!((&plain.pod_uid, &plain.container), (&systemd.pod_uid, &systemd.container));
        assert_eq!(plain.words(), format!("container 0123456789ab of pod {uid}"));
        assert!(plain.is_same(&systemd) && !plain.is_same(&Workload::of("/system.slice/a.service")));
        let docker = Workload::of(&format!("/system.slice/docker-{id}.scope"));
        assert_eq!((docker.words().as_str(), docker.unit), ("container 0123456789ab", None));
        assert_eq!(Workload::of("/system.slice/nginx.service").words(), "nginx.service");
        assert_eq!(Workload::of("/drill-1").words(), "control group /drill-1");
        assert!(Workload::of("/run-r12.scope").is_same(&Workload::of("/run-r345.scope")));
        assert!(!Workload::of("/a/x").is_same(&Workload::of("/a/y")));
    }

    #[test]
    fn a_limit_above_is_named() {
        let uid = "11111111-2222-3333-4444-555555555555";
        assert_eq!(ancestor(&format!("/kubepods/pod{uid}")), format!("the limit of the whole pod {uid}"));
        assert!(ancestor("/kubepods.slice").contains("allocatable"));
        assert_eq!(ancestor("/a/b"), "the limit of /a/b");
    }
}
