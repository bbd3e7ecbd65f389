//! `granulefs mount`

use std::process::ExitCode;
use std::sync::Arc;

use rustix::process::DumpableBehavior;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::background;
use crate::cli::MountArgs;
use crate::credentials::{CredentialStore, Source};
use crate::earthdata::{Identity, Login, archive};
use crate::error::{Error, Refusal};
use crate::fuse::{MountSettings, Mounted, Mountpoint};
use crate::s3::{Bucket, Place};
use crate::volume::{Appearance, Limits, Volume};

/// Mounts, and returns when the mount can be used, or with `--foreground` when it has ended.
///
/// # Errors
/// Whatever keeps the mount from being usable; nothing is left behind then.
pub fn run(args: &MountArgs) -> Result<ExitCode, Error> {
    // Secrets live in this process, and in the environment of the one that waits for it: no core file, no reading by others.
    if let Err(error) = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::debug!(%error, "core files stay possible");
    }
    if !args.foreground && !background::is_child() {
        return background::start();
    }
    let runtime = Runtime::new().map_err(|e| Error::store(format!("cannot start threads: {e}")))?;
    let served = runtime.block_on(serve(args, &runtime));
    // Requests that are still under way would hold the process up.
    runtime.shutdown_background();
    served.map(|()| ExitCode::SUCCESS)
}

async fn serve(args: &MountArgs, runtime: &Runtime) -> Result<(), Error> {
    let mut signals = Signals::listen()?;
    let mountpoint = Mountpoint::claim(&args.mountpoint)?;
    let volume = tokio::select! {
        volume = open_volume(args) => volume?,
        () = signals.stop(|| {}) => return Err(Error::mount("interrupted before the mount was ready")),
    };
    let settings = MountSettings {
        source: args.source.to_string(),
        allow_other: args.allow_other,
        no_exec: args.noexec,
        deadline: args.timeout,
    };
    let mounted = Mounted::new(volume, mountpoint, settings, runtime.handle().clone())?;
    tracing::info!(source = %args.source, mountpoint = %args.mountpoint.display(), "mounted");
    if !args.foreground
        && let Err(error) = background::ready()
    {
        mounted.abandon()?;
        return Err(error);
    }
    let refresher = mounted.refresher();
    mounted.serve_until(signals.stop(|| drop(tokio::spawn(refresher.clone().refresh())))).await?;
    tracing::info!("ended");
    Ok(())
}

/// Logs in and asks for the first page: what can be wrong shows now, in the user's terminal.
async fn open_volume(args: &MountArgs) -> Result<Arc<Volume>, Error> {
    let credentials = CredentialStore::new(credential_source(args).await?);
    credentials.first_session().await?;
    let place = Place {
        bucket: args.source.bucket.as_str().into(),
        region: args.region(),
        endpoint_url: args.endpoint_url.clone(),
        path_style: args.path_style,
    };
    let appearance = Appearance {
        uid: args.uid.unwrap_or_else(|| rustix::process::getuid().as_raw()),
        gid: args.gid.unwrap_or_else(|| rustix::process::getgid().as_raw()),
        file_mode: args.file_mode,
        dir_mode: args.dir_mode,
    };
    let limits = Limits { metadata_ttl: args.metadata_ttl, cache_size: args.cache_size };
    let volume = Volume::new(Bucket::new(place, credentials)?, args.source.prefix.clone(), appearance, limits);
    // The login has limits of its own.
    let first_names = tokio::time::timeout(args.timeout, volume.first_names()).await;
    match first_names.unwrap_or_else(|_| Err(volume.trouble())) {
        Ok(true) => {}
        Ok(false) if args.source.prefix.as_str().is_empty() => tracing::warn!("the bucket is empty"),
        Ok(false) => return Err(Error::usage(format!("there is nothing below {}; check the prefix", args.source))),
        Err(Error::Refused(refusal @ Refusal::Forbidden { .. })) => {
            eprintln!("granulefs: warning: {refusal}; names given in full may still open");
        }
        Err(error) => return Err(error),
    }
    Ok(Arc::new(volume))
}

async fn credential_source(args: &MountArgs) -> Result<Source, Error> {
    if args.aws_credentials {
        return Ok(Source::ambient().await);
    }
    let known = archive::known(&args.source.bucket).map(|known| known.endpoint.as_str());
    let endpoint = args.credentials_endpoint.as_deref().or(known).ok_or_else(|| {
        let bucket = &args.source.bucket;
        Error::usage(format!("which data center has the bucket {bucket}? Name its URL with --credentials-endpoint"))
    })?;
    let identity = Identity::find(&args.earthdata_host)?;
    Ok(Source::Earthdata(Box::new(Login::new(endpoint, &args.earthdata_host, identity)?)))
}

/// The signals that mean something to a mount. A terminal that closes sends a SIGHUP, and must not leave a dead mount behind.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> Result<Self, Error> {
        let listen = |kind| signal(kind).map_err(|e| Error::store(format!("cannot listen for signals: {e}")));
        let (terminate, interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
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
