//! How many requests to S3 each operation may cost.

use fake_daac::{Content, Stats, SyntheticObjects};

use crate::harness::{BUCKET, Mount, TestEnvironment, run_tool};

/// Returns the requests to S3 while a script runs on the mount; the script must print `output`.
#[track_caller]
fn cost(environment: &TestEnvironment, mount: &Mount, script: &str, output: &str) -> Stats {
    environment.fake_daac.reset_stats();
    let printed = run_tool(&mount.path(), "bash", ["-c", script]).must_succeed();
    assert_eq!(String::from_utf8(printed).unwrap().trim_end(), output, "{script}");
    let stats = environment.fake_daac.stats();
    assert_eq!((stats.forbidden, stats.probes, stats.leaked_secrets), (0, 0, 0), "{script}");
    stats
}

/// The first `cat` of a file in a deep path costs at most two requests per path component and the
/// GETs of its bytes; a second `cat` within the TTL costs none.
#[test]
fn a_cold_cat_costs_two_requests_per_component_and_a_second_one_nothing() {
    let Some(environment) = TestEnvironment::start() else { return };
    let path = "a/b/c/d/e/file.nc";
    environment.fake_daac.put(BUCKET, path, "bytes");
    environment.fake_daac.put(BUCKET, "a/b/other", "bytes");
    let mount = environment.mount(BUCKET);
    let cold = cost(&environment, &mount, &format!("cat {path}"), "bytes");
    assert!(cold.lists + cold.heads <= 2 * 6, "{cold:?}");
    assert_eq!(cold.gets, 1, "{cold:?}");
    assert_eq!(cost(&environment, &mount, &format!("cat {path}"), "bytes").s3_requests(), 0);
    let neighbour = cost(&environment, &mount, "cat a/b/other", "bytes");
    assert!(neighbour.lists + neighbour.heads <= 2 && neighbour.gets == 1, "{neighbour:?}");
}

/// A large file is fetched once, in few requests, since each one costs its latency.
#[test]
fn a_large_file_is_fetched_once() {
    let Some(environment) = TestEnvironment::start() else { return };
    environment.fake_daac.put(BUCKET, "large", Content::synthetic(20 << 20));
    let mount = environment.mount(BUCKET);
    let cold = cost(&environment, &mount, "wc -c < <(cat large)", "20971520");
    assert!(cold.sent >= 20 << 20 && cold.sent < 21 << 20, "{cold:?}");
    assert!(cold.gets <= 24, "{cold:?}");
    assert_eq!(cost(&environment, &mount, "wc -c < <(cat large)", "20971520").s3_requests(), 0);
}

/// Attributes come with the listing: `ls -l` and `find -size` cost its pages, and no request the
/// second time.
#[test]
fn attributes_of_a_listed_directory_cost_nothing() {
    let Some(environment) = TestEnvironment::start() else { return };
    environment
        .fake_daac
        .put_synthetic(BUCKET, &SyntheticObjects { pattern: "folder/{2500}.nc".into(), size: 7 })
        .unwrap();
    let mount = environment.mount(BUCKET);
    let cold = cost(&environment, &mount, "ls -l folder | wc -l", "2501");
    assert!(cold.heads == 0 && cold.gets == 0 && cold.lists <= 4, "{cold:?}");
    for (script, output) in [
        ("ls -l folder | wc -l", "2501"),
        ("find folder -size 1 | wc -l", "2500"),
        ("find folder -newermt 2019-01-01 -size -8c -type f | wc -l", "2500"),
        ("stat -c %s folder/1234.nc", "7"),
        ("test -e folder/nothing.nc || echo absent", "absent"),
    ] {
        let again = cost(&environment, &mount, script, output);
        assert_eq!(again.s3_requests(), 0, "{script}: {again:?}");
    }
}

/// A lookup never lists the parent: a name below a prefix of millions of keys costs two concurrent
/// requests.
#[test]
fn a_name_in_a_giant_directory_costs_one_round_trip() {
    let Some(environment) = TestEnvironment::start() else { return };
    environment
        .fake_daac
        .put_synthetic(
            BUCKET,
            &SyntheticObjects { pattern: "flat/{3000:date}-{1000}.nc".into(), size: 7 },
        )
        .unwrap();
    let mount = environment.mount("granules/flat");
    // Mounting fetched the first page of the root; this name is two million names further on.
    let stats = cost(&environment, &mount, "stat -c %s 20080911-123.nc", "7");
    assert!(stats.heads <= 1 && stats.lists <= 1, "{stats:?}");
    let absent = cost(&environment, &mount, "test -e 20080911-1234.nc || echo absent", "absent");
    assert!(absent.heads <= 1 && absent.lists <= 1, "{absent:?}");
}

/// Listing without attributes, and then with them, costs the pages once.
#[test]
fn attributes_of_names_that_were_listed_without_them_cost_nothing() {
    let Some(environment) = TestEnvironment::start() else { return };
    environment
        .fake_daac
        .put_synthetic(BUCKET, &SyntheticObjects { pattern: "folder/{2500}.nc".into(), size: 7 })
        .unwrap();
    let mount = environment.mount(BUCKET);
    cost(&environment, &mount, "ls -f folder | wc -l", "2502");
    for (script, output) in [
        ("ls -f folder | wc -l", "2502"),
        ("ls -l folder | wc -l", "2501"),
        ("ls -l folder | wc -l", "2501"),
    ] {
        let again = cost(&environment, &mount, script, output);
        assert_eq!(again.s3_requests(), 0, "{script}: {again:?}");
    }
}

/// A directory whose reading takes longer than the TTL costs no request for each name behind.
#[test]
fn attributes_of_a_directory_that_is_read_slowly_cost_nothing() {
    let Some(environment) = TestEnvironment::start() else { return };
    environment
        .fake_daac
        .put_synthetic(BUCKET, &SyntheticObjects { pattern: "folder/{2500:05}.nc".into(), size: 7 })
        .unwrap();
    let mount = environment.mount_command(BUCKET).args(&["--metadata-ttl", "1s"]).mount();
    // The kernel has some hundred names before the pause; the attributes are those of others.
    let script = "import os, time
count = 0
for number, entry in enumerate(os.scandir('folder')):
    if number == 0: time.sleep(1.5)
    if number >= 1500: count += entry.stat().st_size == 7
print(count)";
    let stats = cost(&environment, &mount, &format!("python3 -c \"{script}\""), "1000");
    assert!(stats.lists <= 5 && stats.heads <= 1, "{stats:?}");
}
