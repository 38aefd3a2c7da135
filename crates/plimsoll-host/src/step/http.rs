//! Small HTTP reads from a process's own ports, in its own network namespace, bounded in time and size.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::world::World;

/// Longest time for one answer.
const DEADLINE: Duration = Duration::from_secs(2);
/// Largest answer that is read.
const LARGEST: u64 = 8 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No connection, no answer in time, or no HTTP.
    #[error("{url} does not answer")]
    Silent {
        /// What was asked.
        url: String,
        /// The cause.
        #[source]
        source: Box<ureq::Error>,
    },
    /// An answer that says no.
    #[error("{url} answers {status}")]
    Status {
        /// What was asked.
        url: String,
        /// The status.
        status: u16,
    },
    /// The network namespace could not be entered.
    #[error("failed to enter the network namespace of pid {pid}")]
    Namespace {
        /// The process.
        pid: i32,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// An agent without proxies, redirects or kept connections.
pub(crate) fn agent() -> ureq::Agent {
    patient_agent(DEADLINE)
}

/// The same with another deadline for each answer.
pub(crate) fn patient_agent(deadline: Duration) -> ureq::Agent {
    patient_agent_with(deadline, None)
}

/// The same with certificates, where https is asked.
pub(crate) fn patient_agent_with(deadline: Duration, tls: Option<ureq::tls::TlsConfig>) -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .tls_config(tls.unwrap_or_default())
        .timeout_global(Some(deadline))
        .proxy(None)
        .max_redirects(0)
        .max_idle_connections(0)
        .http_status_as_error(false)
        .build();
    config.into()
}

/// Gets `path` from a port of this network namespace, as text; bytes that are no UTF-8 are replaced.
pub(crate) fn get(agent: &ureq::Agent, address: SocketAddr, path: &str) -> Result<String, HttpError> {
    let body = get_bytes(agent, address, path, LARGEST)?;
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// The same as bytes, `largest` of them at most.
pub(crate) fn get_bytes(
    agent: &ureq::Agent,
    address: SocketAddr,
    path: &str,
    largest: u64,
) -> Result<Vec<u8>, HttpError> {
    let url = format!("http://{address}{path}");
    let silent = |source| HttpError::Silent { url: url.clone(), source: Box::new(source) };
    let response = agent.get(&url).call().map_err(silent)?;
    let status = response.status().as_u16();
    if status != 200 {
        return Err(HttpError::Status { url, status });
    }
    let mut body = Vec::new();
    let mut reader = response.into_body().into_reader().take(largest);
    reader.read_to_end(&mut body).map_err(|e| silent(ureq::Error::Io(e)))?;
    Ok(body)
}

/// Moves the calling thread into the process's network namespace when it is another one. Only for threads of
/// a source's own: there is no way back.
pub(crate) fn enter_network(world: &World, pid: i32) -> Result<(), HttpError> {
    let failed = |source: io::Error| HttpError::Namespace { pid, source };
    let theirs = world.proc_root.join(pid.to_string()).join("ns/net");
    let ours = Path::new("/proc/thread-self/ns/net");
    let same =
        |a: &Path, b: &Path| -> io::Result<bool> { Ok(fs::metadata(a)?.ino() == fs::metadata(b)?.ino()) };
    if same(&theirs, ours).map_err(failed)? {
        return Ok(());
    }
    let file = File::open(&theirs).map_err(failed)?;
    rustix::thread::move_into_link_name_space(
        std::os::fd::AsFd::as_fd(&file),
        Some(rustix::thread::LinkNameSpaceType::Network),
    )
    .map_err(|e| failed(e.into()))
}

/// Addresses at which a process listens for TCP, by its socket descriptors.
pub(crate) fn listening(world: &World, pid: i32) -> io::Result<Vec<SocketAddr>> {
    let folder = world.proc_root.join(pid.to_string());
    let sockets = socket_inodes(&folder.join("fd"))?;
    let mut found = Vec::new();
    for file in ["net/tcp", "net/tcp6"] {
        let text = fs::read_to_string(folder.join(file)).unwrap_or_default();
        found.extend(text.lines().filter_map(|l| listener(l, &sockets)));
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Whether anybody listens on a port in the network of a process.
pub(crate) fn is_taken(world: &World, pid: i32, port: u16) -> bool {
    let folder = world.proc_root.join(pid.to_string());
    let text = |file: &str| fs::read_to_string(folder.join(file)).unwrap_or_default();
    let listens = |line: &str| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let at = words.get(1).and_then(|local| local.rsplit_once(':')).map(|(_, port)| port);
        words.get(3) == Some(&LISTEN) && at.and_then(|p| u16::from_str_radix(p, 16).ok()) == Some(port)
    };
    ["net/tcp", "net/tcp6"].iter().any(|file| text(file).lines().any(listens))
}

fn socket_inodes(folder: &PathBuf) -> io::Result<Vec<u64>> {
    let links = fs::read_dir(folder)?.flatten().filter_map(|e| fs::read_link(e.path()).ok());
    Ok(links.filter_map(|l| l.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()).collect())
}

/// State of a listening socket in /proc/net/tcp.
const LISTEN: &str = "0A";

/// The address of a line of /proc/net/tcp{,6}, when it is a listener among `sockets`.
fn listener(line: &str, sockets: &[u64]) -> Option<SocketAddr> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let inode: u64 = words.get(9)?.parse().ok()?;
    if *words.get(3)? != LISTEN || !sockets.contains(&inode) {
        return None;
    }
    let (host, port) = words.get(1)?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    Some(SocketAddr::new(connectable(address(host)?), port))
}

/// The kernel prints addresses as 32-bit words in the machine's byte order.
fn address(hex: &str) -> Option<IpAddr> {
    let word = |i: usize| Some(u32::from_str_radix(hex.get(i * 8..i * 8 + 8)?, 16).ok()?.to_ne_bytes());
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let mut bytes = [0u8; 16];
            for (i, chunk) in bytes.chunks_mut(4).enumerate() {
                chunk.copy_from_slice(&word(i)?);
            }
            Some(Ipv6Addr::from(bytes).into())
        }
        _ => None,
    }
}

/// A listener on all addresses answers on the loopback.
fn connectable(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(a) if a.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(a) if a.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V6(a) => a.to_ipv4_mapped().map_or(IpAddr::V6(a), IpAddr::V4),
        a => a,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn our_own_listener_is_found_and_answers() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let me = std::process::id().cast_signed();
        assert!(listening(&World::default(), me).expect("readable").contains(&address));
        assert!(is_taken(&World::default(), me, address.port()));
        let server = std::thread::spawn(move || {
            use std::io::Write as _;
            let (mut stream, _) = listener.accept().expect("a caller");
            let mut ask = [0u8; 512];
            let n = stream.read(&mut ask).expect("asked");
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").expect("answered");
            String::from_utf8_lossy(&ask[..n]).into_owned()
        });
        assert_eq!(get(&agent(), address, "/x").expect("answers"), "hello");
        assert!(server.join().expect("served").starts_with("GET /x HTTP/1.1"));
    }

    #[test]
    fn a_port_that_never_answers_is_left_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let e = get(&agent(), address, "/").expect_err("nobody accepts");
        assert!(matches!(e, HttpError::Silent { .. }), "{e:?}");
    }

    #[test]
    fn addresses_of_both_families() {
        assert_eq!(address("0100007F"), Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert_eq!(address("00000000000000000000000001000000"), Some(IpAddr::V6(Ipv6Addr::LOCALHOST)));
        assert_eq!(address("xyz"), None);
        assert_eq!(connectable(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
}
