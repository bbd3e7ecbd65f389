//! The local archive as a program, for demo, benchmarks and scripts.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use archive::{Archive, Daac, Family, Knobs, Setup, Synthetic, granules};
use clap::{Args, Parser, Subcommand, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

/// Plays a NASA data center on loopback until it gets SIGINT or SIGTERM.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Writes small real granules into a folder, and exits
    Granules {
        /// The folder
        folder: PathBuf,
        /// How many granules
        #[arg(long, default_value_t = 10)]
        count: usize,
    },
}

#[derive(Debug, Args)]
struct Serve {
    /// Serves this folder as the bucket
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// The bucket's name
    #[arg(long, default_value = "granules")]
    bucket: String,
    /// How the endpoint behaves
    #[arg(long, value_enum, default_value = "cumulus")]
    family: Manner,
    /// How long credentials live: `20s`, `5m`, `1h`
    #[arg(long, value_name = "TIME", value_parser = life)]
    credential_life: Option<Duration>,
    /// Writes this many granules into the folder first
    #[arg(long, value_name = "N", requires = "folder")]
    granules: Option<usize>,
    /// Adds generated objects: a pattern such as `flat/{3000:date}-{1000}.nc`, and their size in bytes after `=`
    #[arg(long, value_name = "PATTERN=SIZE", value_parser = synthetic)]
    synthetic: Vec<Synthetic>,
    /// Knobs to start with, as JSON
    #[arg(long, value_name = "JSON", value_parser = knobs)]
    knobs: Option<Knobs>,
    /// Writes the variables to this file, too
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Manner {
    Cumulus,
    Tea,
}

fn life(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(char::is_alphabetic).unwrap_or(text.len()));
    let number: f64 = number.parse().map_err(|_| format!("{text} is not a time"))?;
    let unit = match unit {
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("{unit} is not a unit of time")),
    };
    Duration::try_from_secs_f64(number * unit).map_err(|error| error.to_string())
}

fn synthetic(text: &str) -> Result<Synthetic, String> {
    let (pattern, size) = text.rsplit_once('=').ok_or("the size is missing: PATTERN=SIZE")?;
    let size = size.parse().map_err(|_| format!("{size} is not a size in bytes"))?;
    Ok(Synthetic { pattern: pattern.into(), size })
}

fn knobs(text: &str) -> Result<Knobs, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Some(Command::Granules { folder, count }) => granules::write(folder, count).map(|_| ()).map_err(Into::into),
        None => serve(cli.serve),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("archive: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(options: Serve) -> Result<(), Box<dyn Error>> {
    let family = match options.family {
        Manner::Cumulus => Family::Cumulus,
        Manner::Tea => Family::Tea,
    };
    let mut knobs = options.knobs.unwrap_or_default();
    knobs.credential_life = options.credential_life.unwrap_or(knobs.credential_life);
    let daac = Daac { name: "local".into(), family, buckets: vec![options.bucket.clone()] };
    let archive = Archive::start(Setup { daacs: vec![daac], knobs, ..Setup::default() })?;
    if let Some(folder) = options.folder {
        if let Some(count) = options.granules {
            granules::write(&folder, count)?;
        }
        archive.put_folder(&options.bucket, "", folder)?;
    }
    for set in &options.synthetic {
        archive.synthetic(&options.bucket, set)?;
    }
    let variables = variables(&archive, &options.bucket);
    if let Some(file) = options.env_file {
        std::fs::write(file, &variables)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Listen for signals before saying that all is ready.
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        print!("{variables}");
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    })
}

fn variables(archive: &Archive, bucket: &str) -> String {
    let (key, secret) = archive.static_keys();
    let variables = [
        ("EARTHDATA_HOST", archive.edl_host()),
        ("S3_CREDENTIAL_ENDPOINT", archive.credentials_url("local")),
        ("AWS_ENDPOINT_URL_S3", archive.s3_url()),
        ("ARCHIVE_CONTROL", archive.control_url()),
        ("ARCHIVE_BUCKET", bucket.to_owned()),
        ("ARCHIVE_STATIC_KEY", key),
        ("ARCHIVE_STATIC_SECRET", secret),
        ("EARTHDATA_TOKEN", archive.token().to_owned()),
        ("EARTHDATA_USERNAME", archive.user().to_owned()),
        ("EARTHDATA_PASSWORD", archive.password().to_owned()),
    ];
    variables.iter().map(|(name, value)| format!("{name}={}\n", quoted(value))).collect()
}

/// Quotes a value for a shell where it needs it.
fn quoted(value: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_./:+=@%".contains(character);
    if value.chars().all(plain) { value.to_owned() } else { format!("'{}'", value.replace('\'', r"'\''")) }
}
