//! A live mount: made, watched, and ended.

use std::io::ErrorKind;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::time::Duration;

use fuser::{BackgroundSession, Session};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use super::dispatcher::Dispatcher;
use super::kernel_cache::KernelCache;
use super::{MountSettings, Mountpoint, Refresher, mount_table};
use crate::error::{Error, Problem};
use crate::filesystem::Filesystem;

/// Files that are still open when the mount is gone get this much time before the process ends.
const GRACE: Duration = Duration::from_secs(4);
/// The kernel's default is 128 KiB. Larger requests need fewer round trips to S3.
const READ_AHEAD_KB: &str = "1024";

/// A mounted filesystem.
///
/// The session of fuser is never dropped: fuser 0.18 would then unmount whatever is at the path by
/// that time.
#[derive(Debug)]
pub struct MountSession {
    mountpoint: Mountpoint,
    /// The device number of the mount; `None`: it was gone as soon as it was there.
    device: Option<String>,
    ended: watch::Receiver<bool>,
    gone: oneshot::Receiver<()>,
    refresher: Refresher,
    _session: ManuallyDrop<BackgroundSession>,
}

impl MountSession {
    /// Mounts `filesystem`, whose operations run on `runtime`.
    ///
    /// # Errors
    /// [`Error::Mount`] when the kernel or fusermount3 refuses.
    pub fn new(
        filesystem: Arc<Filesystem>,
        mountpoint: Mountpoint,
        settings: &MountSettings,
        runtime: Handle,
    ) -> Result<Self, Error> {
        // The login took its time, and others may have mounted here since.
        let lock = mountpoint.lock();
        let mountpoint = Mountpoint::claim(mountpoint.path())?;
        let failed = |e: std::io::Error| {
            let problem = Problem::new(advice(e.kind(), settings.allow_other));
            Error::mount(problem.about(mountpoint.path().display()).caused_by(e))
        };
        let (tell_end, ended) = watch::channel(false);
        let kernel_cache = KernelCache::default();
        let refresher = Refresher::new(filesystem.clone(), kernel_cache.clone());
        let dispatcher = Dispatcher {
            filesystem,
            runtime,
            deadline: settings.deadline,
            above_root: mountpoint.above().map_err(failed)?,
            refresher: refresher.clone(),
            log_dedup: Arc::default(),
            waiting: Arc::default(),
            ended: tell_end,
        };
        let session = Session::new(dispatcher, mountpoint.path(), &settings.fuser_config())
            .map_err(failed)?;
        // The order matters: the next line starts to answer the kernel's requests.
        kernel_cache.connect(session.notifier());
        let session = ManuallyDrop::new(session.spawn().map_err(failed)?);
        drop(lock);
        let (tell_gone, gone) = oneshot::channel();
        let watched = mountpoint.device().and_then(|device| {
            if let Some(device) = device.clone() {
                raise_read_ahead(&device);
                watch_mount_table(device, tell_gone)?;
            }
            Ok(device)
        });
        match watched {
            Ok(device) => {
                Ok(Self { mountpoint, device, ended, gone, refresher, _session: session })
            }
            Err(error) => {
                mountpoint.detach()?;
                Err(error)
            }
        }
    }

    /// Serves until the mount is taken down from outside or `stop` comes, then lets open files
    /// finish for a moment.
    ///
    /// # Errors
    /// [`Error::Mount`] when `stop` came and the mount cannot be taken down.
    pub async fn serve_until(mut self, stop: impl Future<Output = ()>) -> Result<(), Error> {
        tokio::select! {
            _ = self.ended.wait_for(|ended| *ended) => return Ok(()),
            Ok(()) = self.gone => {}
            () = stop => self.mountpoint.detach_device(self.device.as_deref())?,
        }
        if tokio::time::timeout(GRACE, self.ended.wait_for(|ended| *ended)).await.is_err() {
            tracing::warn!("files were still open; ending all the same");
        }
        Ok(())
    }

    /// Returns what makes this mount forget names.
    #[must_use]
    pub fn refresher(&self) -> Refresher {
        self.refresher.clone()
    }

    /// Unmounts without serving.
    ///
    /// # Errors
    /// [`Error::Mount`] when neither the kernel nor fusermount3 will.
    pub fn unmount(self) -> Result<(), Error> {
        self.mountpoint.detach_device(self.device.as_deref())
    }
}

/// Returns what a user can do about a mount that failed like this.
fn advice(kind: ErrorKind, allow_other: bool) -> &'static str {
    match kind {
        ErrorKind::NotFound => {
            "cannot mount here; there must be a /dev/fuse (modprobe fuse), and the package fuse3 \
             must be installed"
        }
        _ if allow_other => {
            "cannot mount here; for --allow-other, /etc/fuse.conf must say user_allow_other \
             unless root mounts"
        }
        ErrorKind::PermissionDenied => {
            "cannot mount here; this user must be able to read and write /dev/fuse"
        }
        _ => "cannot mount here",
    }
}

/// Lets the kernel read ahead of a stream in large requests. Needs root; without it the mount is
/// only slower.
fn raise_read_ahead(device: &str) {
    if let Err(error) =
        std::fs::write(format!("/sys/class/bdi/{device}/read_ahead_kb"), READ_AHEAD_KB)
    {
        tracing::debug!(%error, "the kernel's read-ahead stays as it is");
    }
}

/// Tells when the mount `device` is gone, from a thread that ends with the process at the latest:
/// waiting for the mount table blocks.
fn watch_mount_table(device: String, tell_gone: oneshot::Sender<()>) -> Result<(), Error> {
    let watch = move || match mount_table::wait_until_gone(&device) {
        Ok(()) => drop(tell_gone.send(())),
        Err(error) => {
            tracing::warn!(%error, "the mount will be served until its last file is closed")
        }
    };
    let thread = std::thread::Builder::new().spawn(watch);
    thread.map(drop).map_err(|e| Error::store(Problem::new("cannot start a thread").caused_by(e)))
}
