//! Files to object storage: in parts, so that an upload that broke off goes on; read back and summed before it counts.
//!
//! How far an upload is stands in a file beside what is uploaded, and in nothing else. Credentials come from the
//! environment, where each provider's own tools look for them, and are in no message and no file.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

/// Beside the files: how far their upload is.
const STATE: &str = "upload.json";
/// Smallest part, and the most of them.
const PART: u64 = 8 << 20;
const MOST_PARTS: u64 = 9000;
/// Written at once up to here.
const AT_ONCE: u64 = PART;

/// Why something was not uploaded.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The URL is none of object storage, or its provider is not known by the environment.
    #[error("{url} cannot be used: {why}")]
    Place {
        /// The URL.
        url: String,
        /// Why.
        why: String,
    },
    /// The server did not do it.
    #[error("failed to {what} {object}: {why}")]
    Server {
        /// What was tried.
        what: &'static str,
        /// The object.
        object: String,
        /// The server's words, or the client's.
        why: String,
    },
    /// What is there is not what was sent.
    #[error("{object} is not what was sent: read back, its sum differs")]
    Differs {
        /// The object.
        object: String,
    },
    /// A file could not be used.
    #[error("failed to use {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// It was told to stop; the next one goes on from here.
    #[error("stopped before it was whole: the same again goes on from here")]
    Stopped,
    /// This program was built without it.
    #[error("this build has no object storage: build it with --features object-store")]
    Absent,
}

impl UploadError {
    fn file(path: &Path, source: io::Error) -> Self {
        UploadError::File { path: path.to_owned(), source }
    }
}

/// A place in object storage.
pub(super) trait Bucket {
    /// Writes an object at once.
    fn put(&self, object: &str, bytes: Vec<u8>) -> Result<(), UploadError>;
    /// Begins an object of parts; gives its id.
    fn begin(&self, object: &str) -> Result<String, UploadError>;
    /// Writes a part; gives what names it.
    fn part(&self, object: &str, id: &str, number: usize, bytes: Vec<u8>) -> Result<String, UploadError>;
    /// Makes an object of parts.
    fn complete(&self, object: &str, id: &str, parts: Vec<String>) -> Result<(), UploadError>;
    /// Gives an object piece by piece.
    fn read(&self, object: &str, take: &mut dyn FnMut(&[u8])) -> Result<(), UploadError>;
}

/// Whether this program was built with it.
pub const AVAILABLE: bool = cfg!(feature = "object-store");

/// Whether a place is object storage.
pub fn is_object_url(place: &str) -> bool {
    ["s3://", "s3a://", "gs://", "az://", "abfs://", "abfss://"]
        .iter()
        .any(|scheme| place.starts_with(scheme))
}

/// What was uploaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploaded {
    /// Its place.
    pub url: String,
    /// Its bytes.
    pub bytes: u64,
    /// Its sum, as it was read back.
    pub sha256: String,
    /// Parts that an upload before had sent already.
    pub resumed: u64,
}

/// Opens a place in object storage, and uploads a folder there, under its name. The manifest is the last file: where it
/// is, everything is.
///
/// # Errors
/// [`UploadError`]; what was sent is kept in mind, so that the same again goes on from there.
pub fn upload(url: &str, folder: &Path, stop: &AtomicBool) -> Result<Vec<Uploaded>, UploadError> {
    let (bucket, prefix) = open(url)?;
    upload_to(&*bucket, url, &prefix, folder, stop)
}

#[cfg(feature = "object-store")]
fn open(url: &str) -> Result<(Box<dyn Bucket>, String), UploadError> {
    super::cloud::open(url)
}

#[cfg(not(feature = "object-store"))]
fn open(_url: &str) -> Result<(Box<dyn Bucket>, String), UploadError> {
    Err(UploadError::Absent)
}

fn upload_to(
    bucket: &dyn Bucket,
    url: &str,
    prefix: &str,
    folder: &Path,
    stop: &AtomicBool,
) -> Result<Vec<Uploaded>, UploadError> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut state = State::read(folder, url);
    let mut uploaded = Vec::new();
    for file in files(folder)? {
        let plain = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let object =
            [prefix, &name, &plain].into_iter().filter(|p| !p.is_empty()).collect::<Vec<_>>().join("/");
        let job = Job { bucket, object, name: plain, stop };
        let (bytes, sha256, resumed) = job.file(&file, &mut state)?;
        let url = format!("{}/{name}/{}", url.trim_end_matches('/'), job.name);
        uploaded.push(Uploaded { url, bytes, sha256, resumed });
    }
    Ok(uploaded)
}

/// Whole files of a folder, the manifest last.
fn files(folder: &Path) -> Result<Vec<PathBuf>, UploadError> {
    let entries = fs::read_dir(folder).map_err(|e| UploadError::file(folder, e))?;
    let whole = |path: &PathBuf| {
        path.is_file() && path.extension().is_none_or(|e| e != "partial") && !path.ends_with(STATE)
    };
    let mut files: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(whole).collect();
    files.sort_by_key(|path| (path.ends_with("manifest.json"), path.clone()));
    Ok(files)
}

/// How far the files of a folder are: for each its length, the id of its parts and their names, or its sum when it is there.
struct State {
    path: PathBuf,
    url: String,
    files: Map<String, Value>,
}

impl State {
    /// What is damaged, or of another place, counts for nothing.
    fn read(folder: &Path, url: &str) -> State {
        let path = folder.join(STATE);
        let text = fs::read_to_string(&path).unwrap_or_default();
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        let same = value.get("url").and_then(Value::as_str) == Some(url);
        let files =
            value.get("files").and_then(Value::as_object).filter(|_| same).cloned().unwrap_or_default();
        State { path, url: url.to_owned(), files }
    }

    fn set(&mut self, name: &str, value: Value) -> Result<(), UploadError> {
        self.files.insert(name.to_owned(), value);
        let text = json!({"url": self.url, "files": self.files}).to_string();
        let draft = self.path.with_extension("partial");
        fs::write(&draft, text)
            .and_then(|()| fs::rename(&draft, &self.path))
            .map_err(|e| UploadError::file(&self.path, e))
    }
}

/// One file on its way.
struct Job<'a> {
    bucket: &'a dyn Bucket,
    object: String,
    name: String,
    stop: &'a AtomicBool,
}

impl Job<'_> {
    /// Sends what is missing, and reads it back. Gives its bytes, its sum, and the parts that were there already.
    fn file(&self, path: &Path, state: &mut State) -> Result<(u64, String, u64), UploadError> {
        let failed = |e| UploadError::file(path, e);
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let known = state.files.get(&self.name).filter(|f| f["bytes"] == length).cloned().unwrap_or_default();
        if let Some(sum) = known["sha256"].as_str() {
            return Ok((length, sum.to_owned(), 0));
        }
        let resumed = if length <= AT_ONCE {
            let mut bytes = Vec::new();
            (&file).take(AT_ONCE).read_to_end(&mut bytes).map_err(failed)?;
            self.bucket.put(&self.object, bytes)?;
            0
        } else {
            self.parts(&file, path, length, &known, state)?
        };
        let sum = self.verify(path)?;
        state.set(&self.name, json!({"bytes": length, "sha256": sum}))?;
        Ok((length, sum, resumed))
    }

    fn parts(
        &self,
        file: &File,
        path: &Path,
        length: u64,
        known: &Value,
        state: &mut State,
    ) -> Result<u64, UploadError> {
        let size = PART.max(length.div_ceil(MOST_PARTS));
        let texts = |v: &Value| {
            v.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let (mut id, mut parts): (String, Vec<String>) = match known["id"].as_str() {
            Some(id) => (id.to_owned(), texts(&known["parts"])),
            None => (self.bucket.begin(&self.object)?, Vec::new()),
        };
        let mut resumed = parts.len() as u64;
        let all = length.div_ceil(size);
        while (parts.len() as u64) < all {
            if self.stop.load(Ordering::Relaxed) {
                return Err(UploadError::Stopped);
            }
            let from = parts.len() as u64 * size;
            let mut bytes = vec![0; usize::try_from(size.min(length - from)).unwrap_or_default()];
            file.read_exact_at(&mut bytes, from).map_err(|e| UploadError::file(path, e))?;
            match self.bucket.part(&self.object, &id, parts.len(), bytes) {
                Ok(part) => parts.push(part),
                // The server may have forgotten an upload that waited for long: it begins anew, once.
                Err(_) if resumed > 0 => {
                    (id, parts, resumed) = (self.bucket.begin(&self.object)?, Vec::new(), 0);
                }
                Err(e) => return Err(e),
            }
            state.set(&self.name, json!({"bytes": length, "id": id, "parts": parts}))?;
        }
        if let Err(e) = self.bucket.complete(&self.object, &id, parts) {
            // Its parts are of no use any more: the same again begins anew.
            state.set(&self.name, Value::Null)?;
            return Err(e);
        }
        Ok(resumed)
    }

    /// The sum of the file, when the object read back has the same.
    fn verify(&self, path: &Path) -> Result<String, UploadError> {
        let mut there = Sha256::new();
        self.bucket.read(&self.object, &mut |bytes| there.update(bytes))?;
        let mut here = Sha256::new();
        let mut file = File::open(path).map_err(|e| UploadError::file(path, e))?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            let n = file.read(&mut buffer).map_err(|e| UploadError::file(path, e))?;
            if n == 0 {
                break;
            }
            here.update(buffer.get(..n).unwrap_or_default());
        }
        let hex = |sum: Sha256| sum.finalize().iter().map(|b| format!("{b:02x}")).collect::<String>();
        let (here, there) = (hex(here), hex(there));
        if here == there { Ok(here) } else { Err(UploadError::Differs { object: self.object.clone() }) }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeMap;

    use super::*;

    /// A bucket in memory that fails when it is told to.
    #[derive(Default)]
    struct Memory {
        objects: RefCell<BTreeMap<String, Vec<u8>>>,
        parts: RefCell<BTreeMap<usize, Vec<u8>>>,
        ids: Cell<u32>,
        sent: Cell<usize>,
        /// Parts after which it fails.
        fails_after: Cell<Option<usize>>,
        spoils: Cell<bool>,
    }

    fn failure(what: &'static str) -> UploadError {
        UploadError::Server { what, object: "x".to_owned(), why: "told to".to_owned() }
    }

    impl Bucket for Memory {
        fn put(&self, object: &str, bytes: Vec<u8>) -> Result<(), UploadError> {
            self.objects.borrow_mut().insert(object.to_owned(), bytes);
            Ok(())
        }

        fn begin(&self, _object: &str) -> Result<String, UploadError> {
            self.ids.set(self.ids.get() + 1);
            self.parts.borrow_mut().clear();
            Ok(self.ids.get().to_string())
        }

        fn part(
            &self,
            _object: &str,
            id: &str,
            number: usize,
            bytes: Vec<u8>,
        ) -> Result<String, UploadError> {
            let full = self.fails_after.get().is_some_and(|n| self.sent.get() >= n);
            if full || id != self.ids.get().to_string() {
                return Err(failure("write"));
            }
            self.sent.set(self.sent.get() + 1);
            self.parts.borrow_mut().insert(number, bytes);
            Ok(format!("part {number}"))
        }

        fn complete(&self, object: &str, _id: &str, parts: Vec<String>) -> Result<(), UploadError> {
            let all = self.parts.borrow();
            assert_eq!(parts.len(), all.len());
            self.objects.borrow_mut().insert(object.to_owned(), all.values().flatten().copied().collect());
            Ok(())
        }

        fn read(&self, object: &str, take: &mut dyn FnMut(&[u8])) -> Result<(), UploadError> {
            take(self.objects.borrow().get(object).ok_or_else(|| failure("read"))?);
            if self.spoils.get() {
                take(b"!");
            }
            Ok(())
        }
    }

    fn folder(bytes: usize) -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join("capture");
        fs::create_dir(&folder).expect("made");
        let large: Vec<u8> = (0..bytes).map(|i| (i / 7) as u8).collect();
        fs::write(folder.join("heap.hprof"), large).expect("written");
        fs::write(folder.join("manifest.json"), b"{}").expect("written");
        fs::write(folder.join("rest.partial"), b"half").expect("written");
        (root, folder)
    }

    const URL: &str = "s3://bucket/some/where";

    fn run(bucket: &Memory, folder: &Path) -> Result<Vec<Uploaded>, UploadError> {
        upload_to(bucket, URL, "some/where", folder, &AtomicBool::new(false))
    }

    #[test]
    fn an_upload_that_breaks_off_goes_on_where_it_was() {
        let (_root, folder) = folder(3 * PART as usize + 5);
        let bucket = Memory::default();
        bucket.fails_after.set(Some(2));
        assert!(matches!(run(&bucket, &folder), Err(UploadError::Server { .. })));
        assert!(bucket.objects.borrow().is_empty());
        bucket.fails_after.set(None);
        let done = run(&bucket, &folder).expect("goes on");
        assert_eq!((bucket.sent.get(), done[0].resumed), (4, 2), "two parts were not sent again");
        let names: Vec<&str> = done.iter().map(|u| u.url.as_str()).collect();
        assert_eq!(names, [format!("{URL}/capture/heap.hprof"), format!("{URL}/capture/manifest.json")]);
        let objects = bucket.objects.borrow();
        assert_eq!(
            objects["some/where/capture/heap.hprof"],
            fs::read(folder.join("heap.hprof")).expect("read")
        );
        assert_eq!(objects.len(), 2, "what is not whole is not sent");
        drop(objects);
        run(&bucket, &folder).expect("again");
        assert_eq!(bucket.sent.get(), 4, "what is there is not sent again");
    }

    #[test]
    fn an_upload_that_the_server_forgot_begins_anew() {
        let (_root, folder) = folder(2 * PART as usize);
        let bucket = Memory::default();
        bucket.fails_after.set(Some(1));
        assert!(run(&bucket, &folder).is_err());
        bucket.fails_after.set(None);
        bucket.ids.set(77);
        let done = run(&bucket, &folder).expect("anew");
        assert_eq!((done[0].resumed, bucket.sent.get()), (0, 3));
    }

    #[test]
    fn what_differs_when_it_is_read_back_is_no_upload() {
        let (_root, folder) = folder(100);
        let bucket = Memory::default();
        bucket.spoils.set(true);
        assert!(matches!(run(&bucket, &folder), Err(UploadError::Differs { .. })));
        bucket.spoils.set(false);
        assert_eq!(run(&bucket, &folder).expect("sent").len(), 2);
    }

    #[test]
    fn a_stop_is_heard_between_two_parts() {
        let (_root, folder) = folder(2 * PART as usize);
        let stopped = upload_to(&Memory::default(), URL, "", &folder, &AtomicBool::new(true));
        assert!(matches!(stopped, Err(UploadError::Stopped)));
    }

    #[test]
    fn urls_of_object_storage_are_told_from_folders() {
        for url in ["s3://b/p", "gs://b", "az://c/x", "abfss://c@a.dfs.core.windows.net/p"] {
            assert!(is_object_url(url), "{url}");
        }
        assert!(!is_object_url("/tmp/s3") && !is_object_url("s3:/x"));
    }
}
