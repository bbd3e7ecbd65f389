//! The way from a source to buckets that answer, by plain settings and without the command line.

use std::sync::Arc;

use fake_daac::{FakeDaac, Setup};
use granulefs::catalog::BucketTable;
use granulefs::connect::{
    Connections, EarthdataSettings, Note, RegionSettings, S3Settings, Settings, connect,
};
use granulefs::error::Error;
use granulefs::login::{Identity, Password};
use granulefs::s3::Position;

use crate::environment::in_time;

/// Three data centers, two of them with two buckets; each bucket holds one object.
fn three_daacs() -> (FakeDaac, BucketTable) {
    let daac = FakeDaac::start(Setup { threads: 1, ..Setup::three_daacs() }).unwrap();
    let table: BucketTable = serde_json::from_str(&daac.buckets_file()).unwrap();
    for (bucket, _) in table.iter() {
        daac.put(bucket, "folder/granule.nc", bucket.to_owned());
    }
    (daac, table)
}

fn settings(daac: &FakeDaac, bucket_table: BucketTable) -> Settings {
    let password = Password {
        user: daac.user().into(),
        secret: daac.password().into(),
        origin: "the test".into(),
    };
    Settings {
        earthdata: EarthdataSettings {
            login_host: daac.login_host(),
            cmr_host: daac.cmr_host(),
            credentials_endpoint: None,
            bucket_table,
            identity: Some(Arc::new(Identity::new(None, Some(password)))),
            token_file: None,
        },
        s3: S3Settings {
            prefer_environment: false,
            region: RegionSettings { named: None, otherwise: "us-west-2".into() },
            endpoint_url: Some(daac.s3_url()),
            path_style: true,
        },
    }
}

async fn connected(source: &str, settings: &Settings) -> Result<Connections, Error> {
    connect(&source.parse()?, settings).await
}

#[tokio::test]
async fn a_source_and_settings_lead_to_a_bucket_that_answers() {
    let (daac, table) = three_daacs();
    let source = "s3://podaac-local-protected/folder/granule.nc";
    let connections = connected(source, &settings(&daac, table)).await.unwrap();
    assert_eq!(connections.file.as_deref(), Some("folder/granule.nc"));
    let [connection] = &connections.buckets[..] else { panic!("{connections:?}") };
    assert_eq!(connection.endpoint, Some(daac.credentials_url("PODAAC")));
    assert_eq!(daac.stats().credentials, 0, "nothing is sent before it is asked for");

    let first = in_time(connection.log_in(|slow| panic!("{slow}"))).await.unwrap();
    assert!(!first.is_fallback && first.credentials.life().is_some());
    let bucket = connection.bucket().unwrap();
    let prefix = &connection.location.prefix;
    let page = in_time(bucket.subtree_page(prefix, &Position::Start)).await.unwrap();
    let keys = page.objects.iter().map(|object| &*object.id.key).collect::<Vec<_>>();
    assert_eq!(keys, ["folder/granule.nc"]);
    let stats = daac.stats();
    assert_eq!((stats.issued, stats.logins), (1, 1), "the bucket uses what log_in was given");
}

/// One login serves all buckets of an endpoint, and one identity serves all endpoints.
#[tokio::test]
async fn the_buckets_of_an_endpoint_share_its_credentials() {
    let (daac, table) = three_daacs();
    let count = table.iter().count();
    let mut endpoints = table.iter().map(|(_, known)| &known.endpoint).collect::<Vec<_>>();
    endpoints.dedup();
    assert!(endpoints.len() < count);
    let (logins, settings) = (endpoints.len() as u64, settings(&daac, table.clone()));
    let connections = connected("earthdata", &settings).await.unwrap();
    let usable = connections.usable_buckets().unwrap();
    assert_eq!((usable.buckets.len(), &usable.left_out[..]), (count, &[][..]));
    for (bucket, prefix) in &usable.buckets {
        let page = in_time(bucket.subtree_page(prefix, &Position::Start)).await.unwrap();
        assert_eq!(page.objects.len(), 1, "{bucket:?}");
    }
    assert_eq!(daac.stats().issued, logins);
}

/// What cannot be asked is left out, with the reason, as long as there is something else.
#[tokio::test]
async fn a_bucket_that_cannot_be_asked_is_left_out_of_several() {
    let (daac, _) = three_daacs();
    let endpoint = daac.credentials_url("ASF");
    let usable = |table: String| {
        let settings = settings(&daac, serde_json::from_str(&table).unwrap());
        async move { connected("earthdata", &settings).await.unwrap().usable_buckets() }
    };
    let entry = |name: &str, endpoint: &str| {
        format!(r#""{name}": {{"endpoint": "{endpoint}", "region": "us-west-2"}}"#)
    };
    let (good, bad) = (entry("b-1", &endpoint), entry("b-2", "no URL"));
    let some = usable(format!("{{{good}, {bad}}}")).await.unwrap();
    assert_eq!((some.buckets.len(), some.left_out.len()), (1, 1));
    let words = some.left_out[0].to_string();
    assert!(words.starts_with("s3://b-2/ is left out: ") && words.contains("no URL"), "{words}");
    let none = usable(format!("{{{bad}, {}}}", entry("b-3", "no URL"))).await.unwrap_err();
    assert!(none.to_string().contains("no URL"), "{none}");
}

/// An endpoint that the user names for a bucket of another one is used, and a note says so; without
/// any, the error says how to name one.
#[tokio::test]
async fn what_the_user_should_know_is_a_value() {
    let (daac, table) = three_daacs();
    let mut settings = settings(&daac, table);
    let known = daac.credentials_url("PODAAC");
    let named = format!("{known}?from=elsewhere");
    settings.earthdata.credentials_endpoint = Some(named.clone());
    let connections = connected("podaac-local-protected", &settings).await.unwrap();
    let bucket = "podaac-local-protected".into();
    assert_eq!(connections.notes, [Note::NamedEndpointDiffers { bucket, known }]);
    assert_eq!(connections.buckets[0].endpoint.as_ref(), Some(&named));

    settings.earthdata.credentials_endpoint = None;
    let connections = connected("no-such-bucket", &settings).await.unwrap();
    assert_eq!(connections.buckets[0].endpoint, None);
    let error = in_time(connections.buckets[0].log_in(|_| {})).await.unwrap_err();
    assert!(error.to_string().contains("--credentials-endpoint"), "{error}");
}
