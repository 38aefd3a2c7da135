//! S3 (and what speaks its protocol), Google's and Azure's object storage, through one crate. It is asynchronous; here one
//! thread waits for one thing after the other.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload, RetryConfig};
use tokio::runtime::{Builder, Runtime};

use super::object::{Bucket, UploadError};

/// How often and how long one request is tried again.
const TRIES: usize = 5;
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes that are read back at once.
const PIECE: u64 = 4 << 20;

struct Cloud {
    runtime: Runtime,
    objects: Arc<dyn ObjectStore>,
    parts: Arc<dyn MultipartStore>,
}

/// Opens the bucket of a URL; gives it with the path below it.
pub(super) fn open(url: &str) -> Result<(Box<dyn Bucket>, String), UploadError> {
    let place = |why: String| UploadError::Place { url: url.to_owned(), why };
    let (scheme, rest) = url.split_once("://").ok_or_else(|| place("it has no scheme".to_owned()))?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err(place("it names no bucket".to_owned()));
    }
    // Another part of the program may have chosen one already: then that one serves.
    let _chosen = rustls::crypto::ring::default_provider().install_default();
    let retry = RetryConfig { max_retries: TRIES, retry_timeout: PATIENCE, ..RetryConfig::default() };
    let failed = |e: object_store::Error| place(e.to_string());
    let (objects, parts): (Arc<dyn ObjectStore>, Arc<dyn MultipartStore>) = match scheme {
        "s3" | "s3a" => {
            let store =
                AmazonS3Builder::from_env().with_url(url).with_retry(retry).build().map_err(failed)?;
            both(store)
        }
        "gs" => {
            let builder = GoogleCloudStorageBuilder::from_env().with_url(url).with_retry(retry);
            both(builder.build().map_err(failed)?)
        }
        _ => {
            let builder = MicrosoftAzureBuilder::from_env().with_url(url).with_retry(retry);
            both(builder.build().map_err(failed)?)
        }
    };
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| place(e.to_string()))?;
    Ok((Box::new(Cloud { runtime, objects, parts }), prefix.trim_matches('/').to_owned()))
}

fn both<S: ObjectStore + MultipartStore>(store: S) -> (Arc<dyn ObjectStore>, Arc<dyn MultipartStore>) {
    let store = Arc::new(store);
    (Arc::clone(&store) as Arc<dyn ObjectStore>, store)
}

impl Cloud {
    fn failed(what: &'static str, object: &str) -> impl FnOnce(object_store::Error) -> UploadError {
        move |e| UploadError::Server { what, object: object.to_owned(), why: chain(&e) }
    }
}

/// An error with its causes.
fn chain(e: &dyn std::error::Error) -> String {
    let mut out = e.to_string();
    let mut next = e.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !out.contains(&text) {
            out.push_str(&format!(": {text}"));
        }
        next = cause.source();
    }
    out
}

impl Bucket for Cloud {
    fn put(&self, object: &str, bytes: Vec<u8>) -> Result<(), UploadError> {
        let path = Path::from(object);
        let put = self.objects.put(&path, PutPayload::from(bytes));
        self.runtime.block_on(put).map(|_| ()).map_err(Self::failed("write", object))
    }

    fn begin(&self, object: &str) -> Result<String, UploadError> {
        let path = Path::from(object);
        self.runtime.block_on(self.parts.create_multipart(&path)).map_err(Self::failed("begin", object))
    }

    fn part(&self, object: &str, id: &str, number: usize, bytes: Vec<u8>) -> Result<String, UploadError> {
        let (path, id) = (Path::from(object), id.to_owned());
        let part = self.parts.put_part(&path, &id, number, PutPayload::from(bytes));
        let part = self.runtime.block_on(part).map_err(Self::failed("write a part of", object))?;
        Ok(part.content_id)
    }

    fn complete(&self, object: &str, id: &str, parts: Vec<String>) -> Result<(), UploadError> {
        let (path, id) = (Path::from(object), id.to_owned());
        let parts = parts.into_iter().map(|content_id| PartId { content_id }).collect();
        let whole = self.parts.complete_multipart(&path, &id, parts);
        self.runtime.block_on(whole).map(|_| ()).map_err(Self::failed("complete", object))
    }

    fn read(&self, object: &str, take: &mut dyn FnMut(&[u8])) -> Result<(), UploadError> {
        let path = Path::from(object);
        let head = self.runtime.block_on(self.objects.head(&path)).map_err(Self::failed("find", object))?;
        let mut from = 0;
        while from < head.size {
            let to = (from + PIECE).min(head.size);
            let piece = self.objects.get_range(&path, from..to);
            take(&self.runtime.block_on(piece).map_err(Self::failed("read back", object))?);
            from = to;
        }
        Ok(())
    }
}
