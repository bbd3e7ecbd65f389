//! A live mount: set up, watched, and ended.

use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::time::Duration;

use fuser::{BackgroundSession, MountOption, Session, SessionACL};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use super::dispatcher::Dispatcher;
use super::kernel_cache::KernelCache;
use super::{Mountpoint, mountpoint};
use crate::error::Error;
use crate::filesystem::Filesystem;
use crate::inodes::ROOT;

/// Enough to decode while another one copies a large reply; they never wait for the network.
const FUSE_THREADS: usize = 2;
/// What files that are still open when the mount point is gone get before the process ends.
const GRACE: Duration = Duration::from_secs(4);

/// How a volume is mounted.
#[derive(Clone, Debug)]
pub struct MountSettings {
    /// What mount(8) and df(1) show as the source.
    pub source: String,
    /// Let every user in, not only the one who mounts.
    pub allow_other: bool,
    /// Let nobody execute files.
    pub no_exec: bool,
    /// How long an operation may take.
    pub deadline: Duration,
}

/// A mounted volume.
///
/// The session is never dropped: fuser 0.18 would then unmount whatever is at the path by that
/// time.
#[derive(Debug)]
pub struct Mounted {
    mountpoint: Mountpoint,
    /// The kernel's number of this mount; `None`: it was gone as soon as it was there.
    device: Option<String>,
    ended: watch::Receiver<bool>,
    gone: oneshot::Receiver<()>,
    refresher: Refresher,
    _session: ManuallyDrop<BackgroundSession>,
}

impl Mounted {
    /// Mounts `volume`, whose operations run on `runtime`.
    ///
    /// # Errors
    /// [`Error::Mount`] when the kernel or fusermount3 refuses.
    pub fn new(
        volume: Arc<Filesystem>,
        mountpoint: Mountpoint,
        settings: MountSettings,
        runtime: Handle,
    ) -> Result<Self, Error> {
        let failed = |e: std::io::Error| {
            let advice = match e.kind() {
                std::io::ErrorKind::NotFound => {
                    "; is there a /dev/fuse (modprobe fuse), and is the package fuse3 installed?"
                }
                _ if settings.allow_other => "; does /etc/fuse.conf say user_allow_other?",
                std::io::ErrorKind::PermissionDenied => "; may this user read and write /dev/fuse?",
                _ => "",
            };
            Error::mount(format!("cannot mount on {}: {e}{advice}", mountpoint.path().display()))
        };
        let (tell_end, ended) = watch::channel(false);
        let kernel = KernelCache::default();
        let refresher = Refresher { volume: volume.clone(), kernel: kernel.clone() };
        let deadline = settings.deadline;
        let door = Dispatcher {
            volume,
            runtime,
            deadline,
            kernel: kernel.clone(),
            repeats: Arc::default(),
            ended: tell_end,
        };
        let session = Session::new(door, mountpoint.path(), &options(&settings)).map_err(failed)?;
        // In time: the kernel's requests are answered from the next line on.
        kernel.reach_by(session.notifier());
        let session = ManuallyDrop::new(session.spawn().map_err(failed)?);
        let (tell_gone, gone) = oneshot::channel();
        let watched = mountpoint.device().and_then(|device| {
            if let Some(device) = device.clone() {
                mountpoint::widen_read_ahead(&device);
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
            () = stop => take_down(&self.mountpoint, self.device.as_deref())?,
        }
        if tokio::time::timeout(GRACE, self.ended.wait_for(|ended| *ended)).await.is_err() {
            tracing::warn!("files were still open; ending all the same");
        }
        Ok(())
    }

    /// What makes this mount forget.
    #[must_use]
    pub fn refresher(&self) -> Refresher {
        self.refresher.clone()
    }

    /// Takes the mount down without serving it, since it turned out that nobody wants it.
    ///
    /// # Errors
    /// [`Error::Mount`] when neither the kernel nor fusermount3 will.
    pub fn abandon(self) -> Result<(), Error> {
        take_down(&self.mountpoint, self.device.as_deref())
    }
}

/// Makes a mount, and the kernel, forget all names. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Refresher {
    volume: Arc<Filesystem>,
    kernel: KernelCache,
}

impl Refresher {
    /// Returns when everything is forgotten.
    pub async fn refresh(self) {
        match self.kernel.refresh(self.volume, ROOT).await {
            Ok(()) => tracing::info!("all names are forgotten; the next reader asks anew"),
            Err(error) => tracing::warn!(%error, "cannot forget"),
        }
    }
}

/// Ends the mount `device` at `mountpoint`. Whoever was faster has done it already, and may have
/// mounted something else there since.
fn take_down(mountpoint: &Mountpoint, device: Option<&str>) -> Result<(), Error> {
    let is_there = || Ok::<_, Error>(device.is_some() && mountpoint.device()?.as_deref() == device);
    if !is_there()? {
        return Ok(());
    }
    match mountpoint.detach() {
        Err(error) if is_there()? => Err(error),
        _ => Ok(()),
    }
}

/// Tells when the mount `device` is gone, from a thread of its own, which the process's end takes
/// along: nothing else can wait for the kernel's table.
fn watch_mount_table(device: String, tell_gone: oneshot::Sender<()>) -> Result<(), Error> {
    let watch = move || match mountpoint::wait_until_gone(&device) {
        Ok(()) => drop(tell_gone.send(())),
        Err(error) => {
            tracing::warn!(%error, "the mount will be served until its last file is closed")
        }
    };
    let thread = std::thread::Builder::new().spawn(watch);
    thread.map(drop).map_err(|e| Error::store(format!("cannot start a thread: {e}")))
}

fn options(settings: &MountSettings) -> fuser::Config {
    let mut config = fuser::Config::default();
    config.mount_options = vec![
        // A comma would end the option.
        MountOption::FSName(settings.source.replace(',', "_")),
        // fuser's own option for this gets lost when it mounts without fusermount3.
        MountOption::CUSTOM("subtype=granulefs".into()),
        MountOption::RO,
        MountOption::NoSuid,
        MountOption::NoDev,
        MountOption::NoAtime,
        MountOption::DefaultPermissions,
    ];
    if settings.no_exec {
        config.mount_options.push(MountOption::NoExec);
    }
    config.acl = if settings.allow_other { SessionACL::All } else { SessionACL::Owner };
    config.n_threads = Some(FUSE_THREADS);
    config
}
