//! Links whose bucket only CMR or the data center's own host knows, and sources that are almost
//! right.

use std::fs;

use fake_daac::{Collection, RequestKind, Setup};

use crate::harness::{MountCommand, TestEnvironment};

const BUCKET: &str = "podaac-local-protected";
const KEY: &str = "MUR.v4.1/2020/z.nc";

fn environment() -> Option<TestEnvironment> {
    let environment = TestEnvironment::with_setup(Setup::three_daacs())?;
    for key in ["MUR.v4.1/2002/a.nc", KEY] {
        environment.fake_daac.put(BUCKET, key, key);
    }
    environment.fake_daac.publish(Collection::new("MUR-L4", "4.1", BUCKET, "MUR.v4.1/"));
    Some(environment)
}

fn mount_command(environment: &TestEnvironment, source: &str) -> MountCommand {
    environment
        .mount_command_with_table(source)
        .args(&["--cmr-host", &environment.fake_daac.cmr_host()])
}

fn requests(environment: &TestEnvironment, kind: RequestKind) -> usize {
    environment.fake_daac.log().iter().filter(|logged| logged.kind == kind).count()
}

/// A granule's id in CMR, and the links to CMR and OPeNDAP, cost one query, and mount the granule's
/// directory. `granulefs path` takes them too.
#[test]
fn a_granule_is_found_by_what_cmr_and_opendap_call_it() {
    let Some(environment) = environment() else { return };
    let opendap = "https://opendap.earthdata.nasa.gov";
    let sources = [
        "G10000000000001-POCLOUD".to_owned(),
        "https://cmr.earthdata.nasa.gov/search/concepts/G10000000000001-POCLOUD.html".to_owned(),
        format!("{opendap}/collections/C1000000000-POCLOUD/granules/z.nc"),
        format!("{opendap}/collections/C1000000000-POCLOUD/granules/z.nc.dap.nc4?dap4.ce=/sst"),
        format!("{opendap}/providers/POCLOUD/collections/MUR-L4%2C%20made%20up/granules/z.nc.html"),
    ];
    for (number, source) in sources.iter().enumerate() {
        let (mount, output) = mount_command(&environment, source).mount_with_output();
        let path = format!("{}\n", mount.at("z.nc").display());
        assert_eq!((output.stdout_text(), output.stderr.as_str()), (path, ""), "{source}");
        assert_eq!(fs::read_to_string(mount.at("z.nc")).unwrap(), KEY, "{source}");
        assert_eq!(requests(&environment, RequestKind::Cmr), 2 * number + 1, "{source}");
        let output = environment.run_granulefs(&[
            "path",
            source,
            &mount.path().display().to_string(),
            "--buckets-file",
            &environment.buckets_file_path(),
            "--cmr-host",
            &environment.fake_daac.cmr_host(),
        ]);
        assert_eq!(output.stdout_text(), format!("{}\n", mount.at("z.nc").display()), "{source}");
    }
    mount_command(&environment, "G1-POCLOUD").must_fail_with(&["knows no granule G1-POCLOUD"]);
    let issued = environment.fake_daac.stats().issued;
    assert_eq!(issued as usize, sources.len());
}

/// A collection needs no `collection:` before it when its name can be no bucket's.
#[test]
fn a_collection_is_found_by_its_bare_name_or_id() {
    let Some(environment) = environment() else { return };
    for source in [
        "MUR-L4",
        "MUR-L4@4.1",
        "C1000000000-POCLOUD",
        "https://cmr.earthdata.nasa.gov/search/concepts/C1000000000-POCLOUD",
    ] {
        let mount = mount_command(&environment, source).mount();
        assert_eq!(fs::read_to_string(mount.at("2020/z.nc")).unwrap(), KEY, "{source}");
    }
}

/// A host that runs the Thin Egress App says which of its buckets a path belongs to; the longest
/// path counts, and no secret is shown.
#[test]
fn a_link_that_no_rule_knows_is_looked_up_at_its_own_host() {
    let Some(environment) = environment() else { return };
    environment.fake_daac.put("asf-local-products", "g/x.nc", "product");
    environment.fake_daac.put("asf-local-browse", "g/x.png", "picture");
    environment.fake_daac.set(|knobs| {
        let paths = |path: &str| vec![path.to_owned(), format!("OTHER/{path}")];
        knobs.link_paths.insert("asf-local-products".into(), paths("RTC/S1"));
        knobs.link_paths.insert("asf-local-browse".into(), paths("RTC"));
    });
    let endpoint = environment.fake_daac.credentials_url("ASF");
    let root = endpoint.strip_suffix("/s3credentials").unwrap();
    for (path, name, content) in [
        ("RTC/S1/g/x.nc", "x.nc", "product"),
        ("OTHER/RTC/S1/g/x.nc", "x.nc", "product"),
        ("RTC/g/x.png", "x.png", "picture"),
    ] {
        let (mount, _) = mount_command(&environment, &format!("{root}/{path}")).mount_with_output();
        assert_eq!(fs::read_to_string(mount.at(name)).unwrap(), content, "{path}");
    }
    assert_eq!(environment.fake_daac.stats().leaked_secrets, 0);
    mount_command(&environment, &format!("{root}/SLC/x.nc"))
        .must_fail_with(&["which bucket has https://", "/SLC/x.nc? Give the granule's s3:// link"]);
    // A data center that does not know the question.
    let endpoint = environment.fake_daac.credentials_url("PODAAC");
    let root = endpoint.strip_suffix("/s3credentials").unwrap();
    mount_command(&environment, &format!("{root}/data/x.nc")).must_fail_with(&["which bucket has"]);
}

/// A few wrong letters in the name of a bucket, a data center or a collection: the message has the
/// right one.
#[test]
fn a_mistyped_name_is_answered_with_the_right_one() {
    let Some(environment) = environment() else { return };
    for (source, words) in [
        ("podaac-local-protcted", "did you mean podaac-local-protected?"),
        ("podaac-local-protcted/MUR.v4.1", "did you mean podaac-local-protected?"),
        ("podacc", "did you mean PODAAC?"),
        ("PODACC", "did you mean PODAAC?"),
        ("NSDIC DAAC", "did you mean NSIDC?"),
        ("MUR-L5", "did you mean MUR-L4?"),
        ("collection:MUR-L5", "did you mean MUR-L4?"),
        ("collection:MURL4", "did you mean MUR-L4?"),
        ("collection:NOTHING-LIKE-IT", "check its short name"),
    ] {
        mount_command(&environment, source).must_fail_with(&[words]);
    }
    assert_eq!(environment.fake_daac.stats().credentials, 0);
}

/// A word that CMR cannot be asked about is still answered.
#[test]
fn a_word_that_nobody_knows_says_that_cmr_gave_no_answer() {
    let Some(environment) = environment() else { return };
    environment.fake_daac.set(|knobs| knobs.cmr_down = true);
    mount_command(&environment, "MUR-L4")
        .must_fail_with(&["neither a bucket nor a data center", "no answer from CMR at"]);
}

/// Where a bucket's endpoint has no answer, another one that the table has for it is asked.
#[test]
fn another_endpoint_stands_in_for_one_without_an_answer() {
    let Some(environment) = environment() else { return };
    environment.fake_daac.put("asf-local-products", "x.nc", "product");
    let endpoint = environment.fake_daac.credentials_url("ASF");
    let table = |first: &str, other: &str| {
        let text = format!(
            r#"{{"asf-local-products": {{"endpoint": "{first}", "fallback_endpoint": "{other}",
                "region": "us-west-2"}}}}"#
        );
        fs::write(environment.buckets_file_path(), text).unwrap();
    };
    let nobody = "http://127.0.0.1:9/s3credentials";
    for (first, other) in [(nobody, &*endpoint), (&endpoint, nobody)] {
        table(first, other);
        let mount = mount_command(&environment, "asf-local-products").mount();
        assert_eq!(fs::read_to_string(mount.at("x.nc")).unwrap(), "product");
    }
    table(nobody, nobody);
    mount_command(&environment, "asf-local-products").must_fail_with(&["127.0.0.1:9", "try again"]);
}
