//! `granulefs mount`

mod first_look;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::runtime::Runtime;

use super::signals::Signals;
use super::{background, output, process};
use crate::catalog::Source;
use crate::cli::MountArgs;
use crate::connect::{Connection, UsableBuckets, connect};
use crate::error::Error;
use crate::filesystem::Filesystem;
use crate::fuse::{MountSession, Mountpoint};
use crate::logging;

/// Said once, in the terminal of whoever mounts.
const NOT_LOGGED: &str = "neither the journal nor syslog listens at /dev/log: nothing will be \
                          logged; --log-file FILE logs to a file";

/// Mounts, and returns when the mount can be used, or with `--foreground` when it has ended.
///
/// # Errors
/// Whatever keeps the mount from being usable; nothing is left behind then.
pub fn run(args: &MountArgs) -> Result<ExitCode, Error> {
    if args.fake {
        return Ok(ExitCode::SUCCESS);
    }
    process::hide_memory();
    if !args.foreground && !background::is_child() {
        return background::start();
    }
    let is_logged = logging::start(&args.log_settings())?;
    process::raise_file_limit();
    let runtime = process::runtime()?;
    let served = runtime.block_on(serve(args, is_logged, &runtime));
    // Without this, the process would wait for requests that are still in flight.
    runtime.shutdown_background();
    served.map(|()| ExitCode::SUCCESS)
}

async fn serve(args: &MountArgs, is_logged: bool, runtime: &Runtime) -> Result<(), Error> {
    let mut signals = Signals::listen()?;
    if let Some(error) = swapped(args) {
        return Err(error);
    }
    let mountpoint = Mountpoint::claim(&args.mountpoint)?;
    if !args.nonempty && mountpoint.has_files() {
        output::note(&format_args!(
            "{} is not empty; its files are hidden while the mount is there",
            mountpoint.path().display()
        ));
    }
    let Opened { filesystem, file } = tokio::select! {
        opened = open(args) => opened?,
        () = signals.end(|| {}) => {
            return Err(Error::mount("interrupted before the mount was ready"));
        }
    };
    let settings = args.mount_settings();
    let mounted = MountSession::new(filesystem, mountpoint, &settings, runtime.handle().clone())?;
    tracing::info!(source = settings.source, mountpoint = %args.mountpoint.display(), "mounted");
    if args.foreground {
        output::mounted(&settings.source, &args.mountpoint);
    }
    if !is_logged {
        output::note(&NOT_LOGGED);
    }
    let path = file.map(|file| format!("{}\n", args.mountpoint.join(file).display()));
    let path = path.unwrap_or_default();
    let printed = if args.foreground { output::print(&path) } else { background::ready(&path) };
    if let Err(error) = printed {
        mounted.unmount()?;
        return Err(error);
    }
    let refresher = mounted.refresher();
    mounted
        .serve_until(signals.end(|| drop(tokio::spawn(refresher.clone().refresh_all()))))
        .await?;
    tracing::info!("ended");
    Ok(())
}

/// Returns the error where source and mount point are probably swapped.
fn swapped(args: &MountArgs) -> Option<Error> {
    let (source, mountpoint) = (args.source.source.to_string(), args.mountpoint.to_str()?);
    let is_directory = matches!(args.source.source, Source::Word(_)) && Path::new(&source).is_dir();
    let is_source = !args.mountpoint.exists() && mountpoint.parse::<Source>().is_ok();
    (is_directory && is_source).then(|| {
        Error::usage(format!(
            "{source} is a directory, and {mountpoint} is none; what to mount comes first: \
             granulefs mount {mountpoint} {source}"
        ))
    })
}

/// A filesystem that can be used.
struct Opened {
    filesystem: Arc<Filesystem>,
    /// The path in the mount of the file that the user pointed at.
    file: Option<String>,
}

/// Logs in to one bucket and asks for its first page, so that what is wrong is told in the user's
/// terminal. Of several buckets nobody knows yet which will be needed.
async fn open(args: &MountArgs) -> Result<Opened, Error> {
    let connections = connect(&args.source.source, &args.connect_settings()?).await?;
    output::notes(&connections.notes);
    let [connection] = &connections.buckets[..] else {
        let UsableBuckets { buckets, left_out } = connections.usable_buckets()?;
        left_out.iter().for_each(output::warning);
        let filesystem = Filesystem::of_buckets(buckets, args.owner_and_modes(), args.limits());
        let filesystem = connections.buckets.iter().fold(filesystem, asking_for_prefixes);
        return Ok(Opened { filesystem: Arc::new(filesystem), file: None });
    };
    connection.log_in(output::progress).await?;
    let (bucket, location) = (connection.bucket()?, &connection.location);
    // A mount waits for a store that is away; the terminal is told.
    let impatience = bucket.impatient();
    let prefix = location.prefix.clone();
    let filesystem = Filesystem::new(bucket, prefix, args.owner_and_modes(), args.limits());
    let filesystem = asking_for_prefixes(filesystem, connection);
    let key = connections.file.as_deref();
    let file = first_look::at(&filesystem, location, key, args.timeout).await?;
    drop(impatience);
    Ok(Opened { filesystem: Arc::new(filesystem), file })
}

fn asking_for_prefixes(filesystem: Filesystem, connection: &Connection) -> Filesystem {
    filesystem.asking_for_prefixes(&connection.location.bucket, connection.prefixes.clone())
}
