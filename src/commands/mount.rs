//! `granulefs mount`

use std::process::ExitCode;
use std::sync::Arc;

use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::logins::Logins;
use super::{background, output, reach};
use crate::catalog::Location;
use crate::cli::MountArgs;
use crate::error::{Error, Refusal};
use crate::filesystem::{Filesystem, Limits, OwnerAndModes};
use crate::fuse::{MountSettings, Mounted, Mountpoint};
use crate::inodes::ROOT;
use crate::object::Name;

/// Mounts, and returns when the mount can be used, or with `--foreground` when it has ended.
///
/// # Errors
/// Whatever keeps the mount from being usable; nothing is left behind then.
pub fn run(args: &MountArgs) -> Result<ExitCode, Error> {
    reach::hide_memory();
    if !args.foreground && !background::is_child() {
        return background::start();
    }
    reach::raise_file_limit();
    let runtime = Runtime::new().map_err(|e| Error::store(format!("cannot start threads: {e}")))?;
    let served = runtime.block_on(serve(args, &runtime));
    // Requests that are still under way would hold the process up.
    runtime.shutdown_background();
    served.map(|()| ExitCode::SUCCESS)
}

async fn serve(args: &MountArgs, runtime: &Runtime) -> Result<(), Error> {
    let mut signals = Signals::listen()?;
    let mountpoint = Mountpoint::claim(&args.mountpoint)?;
    let Opened { volume, source, file } = tokio::select! {
        opened = open(args) => opened?,
        () = signals.stop(|| {}) => return Err(Error::mount("interrupted before the mount was ready")),
    };
    let settings = MountSettings {
        source: source.clone(),
        allow_other: args.allow_other,
        no_exec: args.noexec,
        deadline: args.timeout,
    };
    let mounted = Mounted::new(volume, mountpoint, settings, runtime.handle().clone())?;
    tracing::info!(source, mountpoint = %args.mountpoint.display(), "mounted");
    let told =
        file.map(|file| format!("{}\n", args.mountpoint.join(file).display())).unwrap_or_default();
    let told = if args.foreground { output::print(&told) } else { background::ready(&told) };
    if let Err(error) = told {
        mounted.abandon()?;
        return Err(error);
    }
    let refresher = mounted.refresher();
    mounted.serve_until(signals.stop(|| drop(tokio::spawn(refresher.clone().refresh())))).await?;
    tracing::info!("ended");
    Ok(())
}

/// A volume that can be used, and what it is called.
struct Opened {
    volume: Arc<Filesystem>,
    source: String,
    /// The path in the mount of the file that was pointed at.
    file: Option<String>,
}

/// One bucket is logged in to, and its first page asked for: what can be wrong shows now, in the
/// user's terminal. Of several, nobody knows yet which will be needed.
async fn open(args: &MountArgs) -> Result<Opened, Error> {
    let resolved = reach::resolved(&args.source, &args.earthdata).await?;
    let appearance = OwnerAndModes {
        uid: args.uid.unwrap_or_else(|| rustix::process::getuid().as_raw()),
        gid: args.gid.unwrap_or_else(|| rustix::process::getgid().as_raw()),
        file_mode: args.file_mode,
        dir_mode: args.dir_mode,
    };
    let limits = Limits { metadata_ttl: args.metadata_ttl, cache_size: args.cache_size };
    let [place] = &resolved.buckets[..] else {
        let buckets = reach::buckets(&resolved, &args.earthdata, &args.store).await?;
        let volume = Arc::new(Filesystem::of_several(buckets, appearance, limits));
        return Ok(Opened { volume, source: args.source.to_string(), file: None });
    };
    let credentials =
        Logins::new(&resolved, &args.earthdata, &args.store).credentials(place).await?;
    credentials.first_session().await?;
    let bucket = reach::bucket(place, &args.store, credentials)?;
    let volume = Filesystem::new(bucket, place.location.prefix.clone(), appearance, limits);
    let first = async {
        match resolved.file.as_deref() {
            Some(key) => first_file(&volume, &place.location, key).await.map(Some),
            None => first_names(&volume, &place.location).await.map(|()| None),
        }
    };
    // The login has limits of its own.
    let file = tokio::time::timeout(args.timeout, first)
        .await
        .unwrap_or_else(|_| Err(volume.timeout_cause(ROOT)))?;
    Ok(Opened { volume: Arc::new(volume), source: place.location.to_string(), file })
}

async fn first_names(volume: &Filesystem, location: &Location) -> Result<(), Error> {
    match volume.first_names().await {
        Ok(true) => {}
        Ok(false) if location.prefix.as_str().is_empty() => tracing::warn!("the bucket is empty"),
        Ok(false) => {
            return Err(Error::usage(format!(
                "there is nothing below {location}; check the prefix (a file is written s3://BUCKET/KEY)"
            )));
        }
        Err(Error::Refused(refusal @ Refusal::Forbidden { .. })) => {
            eprintln!("granulefs: warning: {refusal}; names given in full may still open");
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

/// The path below the mount point of the object `key`, which must be there.
async fn first_file(volume: &Filesystem, location: &Location, key: &str) -> Result<String, Error> {
    let missing = || Error::NotFound(format!("s3://{}/{key}", location.bucket).into());
    let name = Name::path_of(key.strip_prefix(location.prefix.as_str()).unwrap_or(key))
        .ok_or(Error::NameTooLong)?;
    let (number, attributes) =
        volume.lookup(ROOT, name.as_ref()).await?.node.ok_or_else(missing)?;
    // What may neither be looked at nor listed is taken for a directory.
    if attributes.is_directory {
        let (handle, _) = volume.open_directory(number)?;
        let listed = volume.read_directory(handle, 0).await;
        volume.release_directory(handle);
        if let Err(Error::Refused(refusal @ Refusal::Forbidden { .. })) = listed {
            eprintln!("granulefs: warning: {refusal}; nobody knows whether it is there");
        }
    }
    volume.forget(number, 1);
    Ok(name)
}

/// The signals that mean something to a mount. A terminal that closes sends a SIGHUP, and must not
/// leave a dead mount behind.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> Result<Self, Error> {
        let listen = |kind| {
            signal(kind).map_err(|e| Error::store(format!("cannot listen for signals: {e}")))
        };
        let (terminate, interrupt) =
            (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
        Ok(Self { terminate, interrupt, hangup: listen(SignalKind::hangup())? })
    }

    /// Waits for SIGTERM or SIGINT, and does `at_hangup` at each SIGHUP meanwhile.
    async fn stop(&mut self, at_hangup: impl Fn()) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => at_hangup(),
            }
        }
    }
}
