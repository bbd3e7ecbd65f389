//! What operations may cost in requests to S3 (issue 2, "Done when"; architecture.md, principle 8).

use fake_daac::{Content, Stats, Synthetic};

use crate::harness::{BUCKET, Mount, Site, tool};

/// What S3 is asked while a script runs on the mount, which must print `output`.
#[track_caller]
fn cost(site: &Site, mount: &Mount, script: &str, output: &str) -> Stats {
    site.archive.reset_stats();
    let printed = tool(&mount.path(), "bash", ["-c", script]).success();
    assert_eq!(String::from_utf8(printed).unwrap().trim_end(), output, "{script}");
    let stats = site.archive.stats();
    assert_eq!((stats.forbidden, stats.probes, stats.leaks), (0, 0, 0), "{script}");
    stats
}

/// "A cold `cat` of a file in a deep path costs at most 2 requests per path component plus the GETs
/// its bytes need; a second `cat` within the TTL costs 0."
#[test]
fn a_cold_cat_costs_two_requests_per_component_and_a_second_one_nothing() {
    let Some(site) = Site::start() else { return };
    let path = "a/b/c/d/e/file.nc";
    site.archive.put(BUCKET, path, "bytes");
    site.archive.put(BUCKET, "a/b/other", "bytes");
    let mount = site.mount(BUCKET);
    let cold = cost(&site, &mount, &format!("cat {path}"), "bytes");
    assert!(cold.lists + cold.heads <= 2 * 6, "{cold:?}");
    assert_eq!(cold.gets, 1, "{cold:?}");
    assert_eq!(cost(&site, &mount, &format!("cat {path}"), "bytes").s3_requests(), 0);
    let neighbour = cost(&site, &mount, "cat a/b/other", "bytes");
    assert!(neighbour.lists + neighbour.heads <= 2 && neighbour.gets == 1, "{neighbour:?}");
}

/// A large file is fetched once, in requests of a size that is worth their latency.
#[test]
fn a_large_file_is_fetched_once() {
    let Some(site) = Site::start() else { return };
    site.archive.put(BUCKET, "large", Content::synthetic(20 << 20));
    let mount = site.mount(BUCKET);
    let cold = cost(&site, &mount, "wc -c < <(cat large)", "20971520");
    assert!(cold.sent >= 20 << 20 && cold.sent < 21 << 20, "{cold:?}");
    assert!(cold.gets <= 24, "{cold:?}");
    assert_eq!(cost(&site, &mount, "wc -c < <(cat large)", "20971520").s3_requests(), 0);
}

/// Attributes come with the listing: `ls -l`, `find -size` and `du` cost its pages, and nothing the
/// second time.
#[test]
fn attributes_of_a_listed_directory_cost_nothing() {
    let Some(site) = Site::start() else { return };
    site.archive
        .synthetic(BUCKET, &Synthetic { pattern: "folder/{2500}.nc".into(), size: 7 })
        .unwrap();
    let mount = site.mount(BUCKET);
    let cold = cost(&site, &mount, "ls -l folder | wc -l", "2501");
    assert!(cold.heads == 0 && cold.gets == 0 && cold.lists <= 4, "{cold:?}");
    for (script, output) in [
        ("ls -l folder | wc -l", "2501"),
        ("find folder -size 1 | wc -l", "2500"),
        ("find folder -newermt 2019-01-01 -size -8c -type f | wc -l", "2500"),
        ("stat -c %s folder/1234.nc", "7"),
        ("test -e folder/nothing.nc || echo absent", "absent"),
    ] {
        let again = cost(&site, &mount, script, output);
        assert_eq!(again.s3_requests(), 0, "{script}: {again:?}");
    }
}

/// "lookup never lists the parent and costs one round trip": a name in a prefix of millions costs
/// two requests side by side.
#[test]
fn a_name_in_a_giant_directory_costs_one_round_trip() {
    let Some(site) = Site::start() else { return };
    site.archive
        .synthetic(BUCKET, &Synthetic { pattern: "flat/{3000:date}-{1000}.nc".into(), size: 7 })
        .unwrap();
    let mount = site.mount("granules/flat");
    // The first page of the root was asked for when it was mounted; this name is two million names
    // behind it.
    let stats = cost(&site, &mount, "stat -c %s 20080911-123.nc", "7");
    assert!(stats.heads <= 1 && stats.lists <= 1, "{stats:?}");
    let absent = cost(&site, &mount, "test -e 20080911-1234.nc || echo absent", "absent");
    assert!(absent.heads <= 1 && absent.lists <= 1, "{absent:?}");
}
