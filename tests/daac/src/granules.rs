//! Small real granules: netCDF files that `ncdump` reads, with the files that lie beside granules
//! in real buckets, and files with unusual names.

use std::io;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use md5::{Digest, Md5};

use crate::content::hex;
use crate::netcdf::{File, Values, Variable};

/// Rows and columns of the grid.
const GRID: (usize, usize) = (90, 180);

/// The collection that the granules look like.
const COLLECTION: &str = "MUR-JPL-L4-GLOB-v4.1";

/// Writes `count` daily granules from 2020-01-01 on below `folder`, in a directory for each year,
/// with `.md5` and `.cmr.json` beside each; and a directory `odd` with an empty file, an empty
/// directory and names that need escaping. Returns the granules' paths.
///
/// # Errors
/// When a file cannot be written.
pub fn write(folder: impl AsRef<Path>, count: usize) -> io::Result<Vec<PathBuf>> {
    let folder = folder.as_ref();
    let mut paths = Vec::new();
    let days = Date::constant(2020, 1, 1).series(jiff::Span::new().days(1));
    for (index, day) in days.take(count).enumerate() {
        let year = folder.join(COLLECTION).join(day.year().to_string());
        std::fs::create_dir_all(&year)?;
        let stamp = format!("{:04}{:02}{:02}090000", day.year(), day.month(), day.day());
        let name = format!("{stamp}-JPL-L4_GHRSST-SSTfnd-MUR-GLOB-v02.0-fv04.1.nc");
        let bytes = granule(day, index).bytes();
        let sum = hex(&Md5::digest(&bytes));
        std::fs::write(year.join(format!("{name}.md5")), format!("{sum}  {name}\n"))?;
        std::fs::write(
            year.join(format!("{name}.cmr.json")),
            metadata(&name, day, bytes.len(), &sum),
        )?;
        let path = year.join(name);
        std::fs::write(&path, bytes)?;
        paths.push(path);
    }
    odd(&folder.join("odd"))?;
    Ok(paths)
}

fn odd(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder.join("empty directory"))?;
    std::fs::write(folder.join("empty"), "")?;
    for name in [
        "with space",
        "plus+plus",
        "100%25",
        "quote\"'&<>",
        "Ærø-海面-🌊",
        "back\\slash",
        "star*?[x]",
        "new\nline",
        "~tilde",
        ".hidden",
    ] {
        std::fs::write(folder.join(name), format!("{name}\n"))?;
    }
    Ok(())
}

fn granule(day: Date, index: usize) -> File {
    File {
        dimensions: vec![("time", 1), ("lat", GRID.0 as u32), ("lon", GRID.1 as u32)],
        attributes: vec![
            ("Conventions", "CF-1.7".into()),
            ("title", "Daily MUR SST, Final product (made by granulefs' fake DAAC)".into()),
            ("institution", "loopback".into()),
            ("id", COLLECTION.into()),
            ("time_coverage_start", Values::Text(format!("{day}T09:00:00Z"))),
            ("spatial_resolution", Values::Floats(vec![180.0 / GRID.0 as f32])),
        ],
        variables: vec![
            time(day),
            axis("lat", "latitude", "degrees_north", 1, GRID.0, -90.0),
            axis("lon", "longitude", "degrees_east", 2, GRID.1, -180.0),
            temperature(index),
        ],
    }
}

fn time(day: Date) -> Variable {
    let seconds = day.duration_since(Date::constant(1981, 1, 1)).as_secs() + 9 * 3600;
    Variable {
        name: "time",
        dimensions: vec![0],
        attributes: vec![
            ("standard_name", "time".into()),
            ("units", "seconds since 1981-01-01 00:00:00 UTC".into()),
        ],
        values: Values::Ints(vec![seconds as i32]),
    }
}

fn axis(
    name: &'static str,
    meaning: &str,
    units: &str,
    dimension: usize,
    size: usize,
    first: f32,
) -> Variable {
    let step = -2.0 * first / size as f32;
    Variable {
        name,
        dimensions: vec![dimension],
        attributes: vec![
            ("standard_name", meaning.into()),
            ("units", units.into()),
            ("valid_min", Values::Floats(vec![first])),
            ("valid_max", Values::Floats(vec![-first])),
        ],
        values: Values::Floats((0..size).map(|cell| first + (cell as f32 + 0.5) * step).collect()),
    }
}

fn temperature(index: usize) -> Variable {
    let (rows, columns) = GRID;
    Variable {
        name: "analysed_sst",
        dimensions: vec![0, 1, 2],
        attributes: vec![
            ("long_name", "analysed sea surface temperature".into()),
            ("standard_name", "sea_surface_foundation_temperature".into()),
            ("units", "kelvin".into()),
            ("_FillValue", Values::Shorts(vec![i16::MIN])),
            ("add_offset", Values::Doubles(vec![298.15])),
            ("scale_factor", Values::Doubles(vec![0.001])),
            ("coordinates", "lon lat".into()),
        ],
        values: Values::Shorts(
            (0..rows * columns).map(|cell| packed(cell / columns, cell % columns, index)).collect(),
        ),
    }
}

/// Returns a packed temperature: warm at the equator, with waves that move from day to day, and the
/// fill value on land.
fn packed(row: usize, column: usize, day: usize) -> i16 {
    let latitude = (row as f32 / GRID.0 as f32 - 0.5) * std::f32::consts::PI;
    let longitude = (column + 3 * day) as f32 / GRID.1 as f32 * std::f32::consts::TAU;
    if (5.0 * longitude).sin() * (3.0 * latitude).cos() > 0.8 {
        return i16::MIN;
    }
    (latitude.cos() * 30_000.0 - 25_000.0 + longitude.sin() * 1_500.0) as i16
}

fn metadata(name: &str, day: Date, size: usize, sum: &str) -> String {
    let umm = serde_json::json!({
        "GranuleUR": name.trim_end_matches(".nc"),
        "CollectionReference": { "ShortName": COLLECTION, "Version": "4.1" },
        "TemporalExtent": { "SingleDateTime": format!("{day}T09:00:00Z") },
        "DataGranule": { "ArchiveAndDistributionInformation": [
            { "Name": name, "SizeInBytes": size, "Checksum": { "Value": sum, "Algorithm": "MD5" } },
        ] },
    });
    format!("{umm:#}\n")
}
