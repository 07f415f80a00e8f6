//! Where the content of files lies: in a folder, or at an S3-compatible store.

use std::fmt;
use std::fs::create_dir_all;
use std::io::{self, SeekFrom};
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::local::LocalFileSystem;
use object_store::multipart::{MultipartStore as _, PartId};
use object_store::path::Path;
use object_store::{
    Error, GetOptions, GetRange, GetResultPayload, MultipartId, MultipartUpload, ObjectStore, ObjectStoreExt as _,
    PutPayload, Result, RetryConfig,
};
use secrecy::ExposeSecret as _;
use store::files::removal::Remnant;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::StreamReader;

use super::s3_http::{self, HyperConnector};
use crate::circuit::Circuit;
use crate::data_dir::private_folder;
use crate::settings::{S3Settings, StoreSettings};

/// Content that is being read.
pub type Reader = Pin<Box<dyn AsyncRead + Send>>;

/// How much is written at once to S3: the least that it takes as a part of a larger object.
const S3_PART: usize = 5 << 20;
/// How much is written at once to a file.
const FILE_PART: usize = 1 << 20;
/// How long an S3 store may send nothing of an object that is being read.
const SILENCE: Duration = Duration::from_mins(1);
/// How much of a local file is read at once.
const READ: usize = 128 << 10;

/// The place of all content.
#[derive(Clone)]
pub struct Store {
    place: Place,
}

/// The S3 client holds a secret, and its own text is not ours.
impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

#[derive(Clone)]
enum Place {
    Folder { folder: PathBuf, files: Arc<LocalFileSystem> },
    S3 { bucket: String, prefix: Path, store: AmazonS3, circuit: Arc<Circuit> },
}

impl Store {
    /// Opens the store that is configured, else the folder `files` in the data folder.
    ///
    /// # Errors
    /// A text for the operator.
    pub fn open(settings: Option<&StoreSettings>, data_dir: &FilePath) -> Result<Self, String> {
        let place = match settings {
            Some(StoreSettings::S3(s3)) => open_s3(s3).map_err(|error| format!("the store of files: {error}"))?,
            Some(StoreSettings::Folder(folder)) => open_folder(folder)?,
            None => open_folder(&data_dir.join("files"))?,
        };
        Ok(Self { place })
    }

    /// What it is, for operators.
    pub fn name(&self) -> String {
        match &self.place {
            Place::Folder { folder, .. } => folder.display().to_string(),
            Place::S3 { bucket, prefix, .. } => format!("s3://{bucket}/{prefix}"),
        }
    }

    /// The circuit of a store that is reached through the network.
    pub fn circuit(&self) -> Option<Arc<Circuit>> {
        match &self.place {
            Place::Folder { .. } => None,
            Place::S3 { circuit, .. } => Some(circuit.clone()),
        }
    }

    /// How much of an object is written at once.
    pub fn part_size(&self) -> usize {
        match self.place {
            Place::Folder { .. } => FILE_PART,
            Place::S3 { .. } => S3_PART,
        }
    }

    /// Begins to write an object.
    pub async fn write(&self, object: &str) -> Result<Writer> {
        let path = self.path(object)?;
        Ok(match &self.place {
            Place::Folder { files, .. } => Writer::Folder(files.put_multipart(&path).await?),
            Place::S3 { store, .. } => Writer::S3 { store: store.clone(), path, upload: None, parts: Vec::new() },
        })
    }

    /// Reads an object of this size, or a part of it.
    pub async fn read(&self, object: &str, size: u64, range: Range<u64>) -> Result<Reader> {
        let path = self.path(object)?;
        if range.is_empty() {
            return Ok(Box::pin(tokio::io::empty()));
        }
        let whole = range == (0..size);
        let options = GetOptions { range: (!whole).then(|| GetRange::Bounded(range.clone())), ..GetOptions::default() };
        let found = match &self.place {
            Place::Folder { files, .. } => files.get_opts(&path, options).await?,
            Place::S3 { store, .. } => store.get_opts(&path, options).await?,
        };
        if found.meta.size != size {
            let source = format!("it has {} bytes in the store, and should have {size}", found.meta.size);
            return Err(Error::Generic { store: "files", source: source.into() });
        }
        let length = range.end - range.start;
        Ok(match found.payload {
            GetResultPayload::File(file, _) => {
                let mut file = tokio::fs::File::from_std(file);
                file.set_max_buf_size(READ);
                let start = file.seek(SeekFrom::Start(range.start)).await;
                start.map_err(|error| Error::Generic { store: "files", source: error.into() })?;
                Box::pin(file.take(length))
            }
            GetResultPayload::Stream(stream) => Box::pin(StreamReader::new(in_time(stream).boxed())),
        })
    }

    /// Writes, reads and removes a small object, as proof that it can be done.
    pub async fn probe(&self) -> Result<()> {
        let object = format!("probe/{}", uuid::Uuid::now_v7());
        let content: &[u8] = b"written by the doctor, and to be removed";
        self.write(&object).await?.finish(content.into()).await?;
        let mut read = Vec::new();
        let found = self.read(&object, content.len() as u64, 0..content.len() as u64).await;
        let is_same = match found {
            Ok(mut reader) => reader.read_to_end(&mut read).await.map(|_| read == content),
            Err(error) => Err(io::Error::other(error)),
        };
        self.remove(&Remnant { object, upload: None }).await?;
        match is_same {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::Generic { store: "files", source: "it gives back something else".into() }),
            Err(error) => Err(Error::Generic { store: "files", source: error.into() }),
        }
    }

    /// Removes an object, whole or half made. One that is not there is no error.
    pub async fn remove(&self, remnant: &Remnant) -> Result<()> {
        let path = self.path(&remnant.object)?;
        let removed = match &self.place {
            Place::Folder { folder, files } => {
                // The name under which the library writes a file until it is whole.
                let half = folder.join(format!("{}#1", remnant.object));
                match tokio::fs::remove_file(half).await {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(Error::Generic { store: "files", source: error.into() });
                    }
                    _ => files.delete(&path).await,
                }
            }
            Place::S3 { store, .. } => {
                if let Some(upload) = &remnant.upload {
                    ignore_missing(store.abort_multipart(&path, upload).await)?;
                }
                store.delete(&path).await
            }
        };
        ignore_missing(removed)
    }

    fn path(&self, object: &str) -> Result<Path> {
        Ok(match &self.place {
            Place::Folder { .. } => Path::parse(object)?,
            Place::S3 { prefix, .. } => Path::parse(format!("{prefix}/{object}"))?,
        })
    }
}

/// A store that falls silent is not waited for; only the time in which somebody wants to read counts.
fn in_time(content: BoxStream<'static, Result<Bytes>>) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::try_unfold(content, |mut content| async move {
        let piece = tokio::time::timeout(SILENCE, content.try_next()).await?.map_err(io::Error::other)?;
        Ok(piece.map(|piece| (piece, content)))
    })
}

fn ignore_missing(result: Result<()>) -> Result<()> {
    match result {
        Err(Error::NotFound { .. }) => Ok(()),
        other => other,
    }
}

fn open_folder(folder: &FilePath) -> Result<Place, String> {
    let fail = |error: &dyn fmt::Display| format!("the folder of files {}: {error}", folder.display());
    if let Some(parent) = folder.parent() {
        create_dir_all(parent).map_err(|error| fail(&error))?;
    }
    private_folder(folder).map_err(|error| fail(&error))?;
    let files = LocalFileSystem::new_with_prefix(folder).map_err(|error| fail(&error))?;
    Ok(Place::Folder { folder: folder.to_owned(), files: Arc::new(files.with_fsync(true)) })
}

fn open_s3(settings: &S3Settings) -> Result<Place> {
    let circuit = s3_http::circuit();
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&settings.bucket)
        .with_region(&settings.region)
        .with_access_key_id(&settings.access_key_id)
        .with_secret_access_key(settings.secret_access_key.expose_secret())
        .with_allow_http(settings.allow_http)
        .with_http_connector(HyperConnector(circuit.clone()))
        .with_retry(RetryConfig { max_retries: 4, retry_timeout: Duration::from_secs(30), ..RetryConfig::default() });
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    let prefix = Path::parse(&settings.prefix)?;
    Ok(Place::S3 { bucket: settings.bucket.clone(), prefix, store: builder.build()?, circuit })
}

/// An object that is being written. Dropped before its end, it leaves at most what [`Store::remove`] removes.
pub enum Writer {
    /// To a file.
    Folder(Box<dyn MultipartUpload>),
    /// To an S3 store, in parts if there is more than one.
    S3 {
        /// The store.
        store: AmazonS3,
        /// The name of the object.
        path: Path,
        /// The upload, once there is a part.
        upload: Option<MultipartId>,
        /// The parts so far.
        parts: Vec<PartId>,
    },
}

impl Writer {
    /// Makes sure that parts can be written; returns the id of a new upload, which must be kept, since the parts go only by it.
    pub async fn begin_parts(&mut self) -> Result<Option<MultipartId>> {
        match self {
            Self::S3 { store, path, upload: upload @ None, .. } => {
                *upload = Some(store.create_multipart(path).await?);
                Ok(upload.clone())
            }
            _ => Ok(None),
        }
    }

    /// Writes a part of the store's size.
    pub async fn part(&mut self, part: PutPayload) -> Result<()> {
        match self {
            Self::Folder(upload) => upload.put_part(part).await,
            Self::S3 { store, path, upload, parts } => {
                let upload = upload.as_ref().ok_or(Error::NotImplemented {
                    operation: "a part without an upload".into(),
                    implementer: "files".into(),
                })?;
                parts.push(store.put_part(path, upload, parts.len(), part).await?);
                Ok(())
            }
        }
    }

    /// Writes the last part. When this returns, the object is whole and outlives a loss of power.
    pub async fn finish(mut self, last: PutPayload) -> Result<()> {
        let is_small = matches!(&self, Self::S3 { upload: None, .. });
        if !is_small && last.content_length() > 0 {
            self.part(last.clone()).await?;
        }
        match self {
            Self::Folder(mut upload) => upload.complete().await.map(drop),
            Self::S3 { store, path, upload: Some(upload), parts } => {
                store.complete_multipart(&path, &upload, parts).await.map(drop)
            }
            Self::S3 { store, path, upload: None, .. } => store.put(&path, last).await.map(drop),
        }
    }
}
