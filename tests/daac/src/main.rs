//! The fake DAAC as a program, for the demo, the benchmarks and scripts.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use fake_daac::{Collection, Daac, FakeDaac, Family, Knobs, Setup, SyntheticObjects, granules};
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
    /// The bucket of the folder and of generated objects: `granules` unless set, or the first one
    /// of the first `--daac`
    #[arg(long)]
    bucket: Option<String>,
    /// The server software of the endpoint
    #[arg(long, value_enum, default_value = "cumulus", conflicts_with = "daac")]
    family: FamilyArgument,
    /// A DAAC with its buckets, such as `ASF=tea:products,browse`; may be given several times
    #[arg(long, value_name = "NAME=FAMILY:BUCKET,..", value_parser = daac)]
    daac: Vec<Daac>,
    /// The file to write the bucket table to, for granulefs' `--buckets-file`, instead of a
    /// temporary file that is removed at the end
    #[arg(long, value_name = "FILE")]
    buckets_file: Option<PathBuf>,
    /// How long credentials live: `20s`, `5m`, `1h`
    #[arg(long, value_name = "TIME", value_parser = life)]
    credential_life: Option<Duration>,
    /// Writes this many granules into the folder first
    #[arg(long, value_name = "N", requires = "folder")]
    granules: Option<usize>,
    /// Adds generated objects: a pattern such as `flat/{3000:date}-{1000}.nc`, and their size in
    /// bytes after `=`
    #[arg(long, value_name = "PATTERN=SIZE", value_parser = synthetic)]
    synthetic: Vec<SyntheticObjects>,
    /// Adds a collection to CMR, as JSON: `{"short_name":.., "version":.., "bucket":..,
    /// "prefix":.., "direct_distribution":"clean"}`
    #[arg(long, value_name = "JSON", value_parser = collection)]
    collection: Vec<Collection>,
    /// The initial knobs, as JSON
    #[arg(long, value_name = "JSON", value_parser = knobs)]
    knobs: Option<Knobs>,
    /// Writes the variables to this file as well
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FamilyArgument {
    Cumulus,
    Tea,
}

impl FamilyArgument {
    fn family(self) -> Family {
        match self {
            Self::Cumulus => Family::Cumulus,
            Self::Tea => Family::Tea,
        }
    }
}

fn daac(text: &str) -> Result<Daac, String> {
    let parts = text.split_once('=').and_then(|(name, rest)| Some((name, rest.split_once(':')?)));
    let (name, (family, buckets)) = parts.ok_or("not of the form NAME=FAMILY:BUCKET,BUCKET")?;
    let family = FamilyArgument::from_str(family, false)?.family();
    Ok(Daac { name: name.into(), family, buckets: buckets.split(',').map(str::to_owned).collect() })
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

fn synthetic(text: &str) -> Result<SyntheticObjects, String> {
    let (pattern, size) = text.rsplit_once('=').ok_or("the size is missing: PATTERN=SIZE")?;
    let size = size.parse().map_err(|_| format!("{size} is not a size in bytes"))?;
    Ok(SyntheticObjects { pattern: pattern.into(), size })
}

fn collection(text: &str) -> Result<Collection, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn knobs(text: &str) -> Result<Knobs, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Some(Command::Granules { folder, count }) => {
            granules::write(folder, count).map(|_| ()).map_err(Into::into)
        }
        None => serve(cli.serve),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fake-daac: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(options: Serve) -> Result<(), Box<dyn Error>> {
    let mut daacs = options.daac;
    let bucket = options
        .bucket
        .or_else(|| daacs.first()?.buckets.first().cloned())
        .unwrap_or_else(|| "granules".into());
    if daacs.is_empty() {
        daacs.push(Daac {
            name: "local".into(),
            family: options.family.family(),
            buckets: vec![bucket.clone()],
        });
    }
    let first = daacs[0].name.clone();
    let is_known = |bucket: &String| daacs.iter().any(|daac| daac.buckets.contains(bucket));
    if let Some(collection) =
        options.collection.iter().find(|collection| !is_known(&collection.bucket))
    {
        return Err(format!("{}: no DAAC has that bucket", collection.bucket).into());
    }
    let mut knobs = options.knobs.unwrap_or_default();
    knobs.credential_life = options.credential_life.unwrap_or(knobs.credential_life);
    let fake_daac = FakeDaac::start(Setup { daacs, knobs, ..Setup::default() })?;
    if let Some(folder) = options.folder {
        if let Some(count) = options.granules {
            granules::write(&folder, count)?;
        }
        fake_daac.put_folder(&bucket, "", folder)?;
    }
    for set in &options.synthetic {
        fake_daac.put_synthetic(&bucket, set)?;
    }
    for collection in options.collection {
        fake_daac.publish(collection);
    }
    let buckets_file = BucketsFile::write(&fake_daac, options.buckets_file)?;
    let variables = variables(&fake_daac, &first, &bucket, &buckets_file.path);
    if let Some(file) = options.env_file {
        std::fs::write(file, &variables)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // The signal handlers must exist before the output says that the servers are ready.
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        print!("{variables}");
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        Ok(())
    })
}

/// The bucket table as a file; a temporary one is removed at the end of the program.
struct BucketsFile {
    path: PathBuf,
    is_temporary: bool,
}

impl BucketsFile {
    fn write(fake_daac: &FakeDaac, path: Option<PathBuf>) -> std::io::Result<Self> {
        let is_temporary = path.is_none();
        let path = path.unwrap_or_else(|| {
            std::env::temp_dir().join(format!("fake-daac-{}-buckets.json", std::process::id()))
        });
        std::fs::write(&path, fake_daac.buckets_file())?;
        Ok(Self { path, is_temporary })
    }
}

impl Drop for BucketsFile {
    fn drop(&mut self) {
        if self.is_temporary {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn variables(fake_daac: &FakeDaac, daac: &str, bucket: &str, buckets_file: &Path) -> String {
    let (key, secret) = fake_daac.static_keys();
    let variables = [
        ("EARTHDATA_HOST", fake_daac.login_host()),
        ("S3_CREDENTIAL_ENDPOINT", fake_daac.credentials_url(daac)),
        ("AWS_ENDPOINT_URL_S3", fake_daac.s3_url()),
        ("FAKE_DAAC_CONTROL", fake_daac.control_url()),
        ("FAKE_DAAC_BUCKET", bucket.to_owned()),
        ("FAKE_DAAC_STATIC_KEY", key),
        ("FAKE_DAAC_STATIC_SECRET", secret),
        ("EARTHDATA_TOKEN", fake_daac.token().to_owned()),
        ("EARTHDATA_USERNAME", fake_daac.user().to_owned()),
        ("EARTHDATA_PASSWORD", fake_daac.password().to_owned()),
        ("FAKE_DAAC_CMR_HOST", fake_daac.cmr_host()),
        ("FAKE_DAAC_BUCKETS_FILE", buckets_file.display().to_string()),
    ];
    variables.iter().map(|(name, value)| format!("{name}={}\n", quoted(value))).collect()
}

/// Quotes a value for a shell where that is necessary.
fn quoted(value: &str) -> String {
    let plain =
        |character: char| character.is_ascii_alphanumeric() || "-_./:+=@%".contains(character);
    if value.chars().all(plain) {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', r"'\''"))
    }
}
