//! CMR: searches, pages and failures.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{Answer, End, ask};
use crate::{
    CmrAnswer, Collection, DirectDistribution, Failure, FakeDaac, Fault, RequestKind, Setup,
};

fn get(fake_daac: &FakeDaac, target: &str, headers: &[(&str, &str)]) -> Answer {
    ask("GET", &format!("http://{}/search/{target}", fake_daac.cmr_host()), headers, "")
}

fn body(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

fn with_granules(count: usize) -> FakeDaac {
    let fake_daac = FakeDaac::start(Setup::three_daacs()).unwrap();
    for index in 0..count {
        fake_daac.put("nsidc-local-protected", &format!("ATLAS/ATL03/{index}.h5"), "x");
        fake_daac.put("nsidc-local-protected", &format!("ATLAS/ATL03/{index}.h5.sha256"), "x");
    }
    fake_daac
}

fn atl03() -> Collection {
    Collection::new("ATL03", "006", "nsidc-local-protected", "ATLAS/ATL03/")
}

#[test]
fn a_collection_is_found_by_name_version_and_id_with_its_bucket_and_endpoint() {
    let fake_daac = with_granules(0);
    let old = fake_daac.publish(atl03());
    let new = fake_daac.publish(Collection { version: "007".into(), ..atl03() });
    fake_daac.publish(
        Collection::new("OPERA", "1", "asf-local-products", "OPERA/")
            .with_direct_distribution(DirectDistribution::Absent),
    );
    assert!(old.starts_with('C') && old.ends_with("-NSIDC_CPRD") && old != new, "{old} {new}");
    for (query, ids) in [
        ("short_name=ATL03", vec![&old, &new]),
        ("short_name=ATL03&version=007", vec![&new]),
        ("short_name=ATL03&version=7", vec![]),
        ("short_name=atl03", vec![]),
        (&format!("concept_id={old}"), vec![&old]),
        ("concept_id=C1-NSIDC_CPRD", vec![]),
        ("provider=NSIDC_CPRD&cloud_hosted=true&page_size=20", vec![&old, &new]),
        ("provider=ASF&cloud_hosted=true", vec![]),
    ] {
        let answer = get(&fake_daac, &format!("collections.umm_json?{query}"), &[]);
        let body = body(&answer);
        let found: Vec<_> = body["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["meta"]["concept-id"].clone())
            .collect();
        assert_eq!(json!(found), json!(ids), "{query}");
        assert_eq!(
            (answer.header("cmr-hits"), body["hits"].as_u64()),
            (ids.len().to_string(), Some(ids.len() as u64))
        );
    }
    let all = body(&get(&fake_daac, "collections.umm_json", &[]));
    let direct = &all["items"][0]["umm"]["DirectDistributionInformation"];
    assert_eq!(
        direct["S3BucketAndObjectPrefixNames"],
        json!(["s3://nsidc-local-protected/ATLAS/ATL03/"])
    );
    assert_eq!(
        (&direct["S3CredentialsAPIEndpoint"], &direct["Region"]),
        (&json!(fake_daac.credentials_url("NSIDC")), &json!("us-west-2"))
    );
    assert!(all["items"][2]["umm"]["DirectDistributionInformation"].is_null());
    assert_eq!(fake_daac.stats().cmr, 9);
}

#[test]
fn granules_link_to_the_objects_that_exist_at_the_time_of_the_search() {
    let fake_daac = with_granules(2);
    let id = fake_daac.publish(atl03().with_direct_distribution(DirectDistribution::WrongBucket));
    fake_daac.put("nsidc-local-protected", "ATLAS/ATL03/new.h5", "xyz");
    let links = |query: &str| -> Vec<String> {
        let body = body(&get(&fake_daac, &format!("granules.umm_json?{query}"), &[]));
        let urls = body["items"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|item| item["umm"]["RelatedUrls"].as_array().unwrap().clone());
        let direct = urls.filter(|url| url["Type"] == "GET DATA VIA DIRECT ACCESS");
        direct.map(|url| url["URL"].as_str().unwrap().to_owned()).collect()
    };
    let link = |name: &str| format!("s3://nsidc-local-protected/ATLAS/ATL03/{name}.h5");
    let all = [link("0"), link("1"), link("new")];
    assert_eq!(links(&format!("collection_concept_id={id}")), all);
    assert_eq!(
        links(&format!("collection_concept_id={id}&page_size=1&sort_key=start_date")),
        all[..1]
    );
    assert_eq!(
        links(&format!("collection_concept_id={id}&page_size=1&sort_key=-start_date")),
        all[2..]
    );
    assert_eq!(links("short_name=ATL03&version=006&page_size=2"), all[..2]);
    assert_eq!(links("collection_concept_id=C1-NSIDC_CPRD"), [""; 0]);
    let first = &body(&get(
        &fake_daac,
        &format!("granules.umm_json?collection_concept_id={id}"),
        &[],
    ))["items"][0]["umm"];
    assert_eq!(
        first["RelatedUrls"][0]["URL"],
        json!(fake_daac.https_link("nsidc-local-protected", "ATLAS/ATL03/0.h5"))
    );
    assert_eq!(first["DataGranule"]["ArchiveAndDistributionInformation"][0]["SizeInBytes"], 1);
}

#[test]
fn the_next_page_needs_the_header_and_identical_parameters() {
    let fake_daac = with_granules(5);
    let id = fake_daac.publish(atl03());
    let query = format!("granules.umm_json?collection_concept_id={id}&page_size=2");
    let (mut after, mut sizes) = (String::new(), Vec::new());
    loop {
        let headers = [("CMR-Search-After", after.as_str())];
        let answer = get(&fake_daac, &query, &headers[..usize::from(!after.is_empty())]);
        assert_eq!(answer.header("cmr-hits"), "5");
        sizes.push(body(&answer)["items"].as_array().unwrap().len());
        let next = answer.header("cmr-search-after");
        if next.is_empty() {
            break;
        }
        let other = query.replace("page_size=2", "page_size=3");
        assert_eq!(get(&fake_daac, &other, &[("CMR-Search-After", &next)]).status, 400);
        assert!(sizes.len() < 9, "the pages never end");
        after = next;
    }
    assert_eq!(sizes, [2, 2, 1, 0]);
    assert_eq!(get(&fake_daac, &query, &[("CMR-Search-After", "[]")]).status, 400);
}

#[test]
fn a_parameter_that_is_not_implemented_is_refused() {
    let fake_daac = with_granules(1);
    let id = fake_daac.publish(atl03());
    for target in [
        "collections.umm_json?shortname=ATL03",
        "collections.umm_json?short_name=",
        "collections.umm_json?short_name=ATL03&short_name=ATL06",
        "collections.umm_json?concept_id=ATL03",
        "collections.umm_json?page_size=2001",
        "collections.umm_json?page_size=-1",
        "collections.umm_json?sort_key=start_date",
        "granules.umm_json",
        "granules.umm_json?concept_id=C1-X",
        &format!("granules.umm_json?collection_concept_id={id}&sort_key=size"),
    ] {
        let answer = get(&fake_daac, target, &[]);
        assert!(
            answer.status == 400 && answer.text().starts_with(r#"{"errors":[""#),
            "{target} {}",
            answer.text()
        );
    }
    assert_eq!(get(&fake_daac, "collections.json", &[]).status, 404);
    assert_eq!(
        ask(
            "POST",
            &format!("http://{}/search/collections.umm_json", fake_daac.cmr_host()),
            &[],
            ""
        )
        .status,
        405
    );
    assert_eq!(fake_daac.stats().leaked_secrets, 0);
    get(
        &fake_daac,
        "collections.umm_json",
        &[("authorization", &format!("Bearer {}", fake_daac.token()))],
    );
    assert_eq!(fake_daac.stats().leaked_secrets, 1);
}

#[test]
fn cmr_fails_as_its_knobs_say_and_recovers() {
    let fake_daac = with_granules(0);
    for (answer, status) in [
        (CmrAnswer::InternalError, 500),
        (CmrAnswer::Unavailable, 503),
        (CmrAnswer::TooMany, 429),
        (CmrAnswer::Malformed, 200),
    ] {
        fake_daac.set(|knobs| knobs.cmr = answer);
        assert_eq!(get(&fake_daac, "collections.umm_json", &[]).status, status);
    }
    fake_daac.set(|knobs| (knobs.cmr, knobs.cmr_down) = (CmrAnswer::Normal, true));
    assert_eq!(get(&fake_daac, "collections.umm_json", &[]).end, End::Reset);
    fake_daac.set(|knobs| knobs.cmr_down = false);
    fake_daac.add_fault(Fault::new(Failure::Stall).on(RequestKind::Cmr).times(1));
    assert_eq!(get(&fake_daac, "collections.umm_json", &[]).end, End::Silence);
    fake_daac.set(|knobs| knobs.cmr_latency = Duration::from_millis(300));
    let started = Instant::now();
    assert_eq!(get(&fake_daac, "collections.umm_json", &[]).status, 200);
    assert!(started.elapsed() >= Duration::from_millis(300));
}

#[test]
fn recorded_answers_are_repeated_with_every_endpoint_replaced() {
    let fake_daac = with_granules(0);
    let endpoint = "https://archive.podaac.earthdata.nasa.gov/s3credentials";
    let direct_distribution = "podaac-ops-cumulus-protected/OPERA_L3_DSWX-HLS_PROVISONAL_V1";
    let collection = json!({
        "meta": { "concept-id": "C2617126679-POCLOUD", "provider-id": "POCLOUD" },
        "umm": { "ShortName": "OPERA", "Version": "1.0", "DirectDistributionInformation": {
            "Region": "us-west-2",
            "S3BucketAndObjectPrefixNames": [direct_distribution],
            "S3CredentialsAPIEndpoint": endpoint,
        } },
    });
    let granule = |version: &str, day: u8| {
        json!({ "umm": {
            "TemporalExtent": { "RangeDateTime": {
                "BeginningDateTime": format!("2019-02-{day}T00:00:00.000Z"),
            } },
            "RelatedUrls": [
                { "URL": endpoint, "Type": "VIEW RELATED INFORMATION" },
                { "URL": format!("s3://b/{day}") },
            ],
            "CollectionReference": { "ShortName": "OPERA", "Version": version },
        } })
    };
    fake_daac.publish_recorded(
        "ASF",
        vec![collection],
        &[granule("1.0", 21), granule("2.0", 22), granule("1.0", 20)],
    );
    let found = &body(&get(&fake_daac, "collections.umm_json?concept_id=C2617126679-POCLOUD", &[]))
        ["items"][0];
    let direct = &found["umm"]["DirectDistributionInformation"];
    assert_eq!(direct["S3BucketAndObjectPrefixNames"], json!([direct_distribution]));
    assert_eq!(direct["S3CredentialsAPIEndpoint"], json!(fake_daac.credentials_url("ASF")));
    let granules =
        body(&get(&fake_daac, "granules.umm_json?collection_concept_id=C2617126679-POCLOUD", &[]));
    let links: Vec<_> = granules["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["umm"]["RelatedUrls"])
        .collect();
    assert_eq!(
        json!([links[0][1]["URL"], links[1][1]["URL"], links.len()]),
        json!(["s3://b/20", "s3://b/21", 2])
    );
    assert_eq!(links[0][0]["URL"], json!(fake_daac.credentials_url("ASF")));
}
