//! NASA's data centers (DAACs), by the names that people and CMR's providers give them.

/// Each data center's name, and its other names reduced to letters and digits: the provider ids of
/// `buckets.json`, and how the data centers' own pages write themselves.
const DAACS: [(&str, &[&str]); 11] = [
    ("ASDC", &["ASDC", "LARCCLOUD", "LARC", "LARCASDC"]),
    ("ASF", &["ASF", "ASFDAAC"]),
    ("CSDA", &["CSDA", "CSDAP"]),
    ("GES_DISC", &["GESDISC", "GESDISCDAAC"]),
    ("GHRC", &["GHRC", "GHRCDAAC", "GHRCCLOUD"]),
    ("LAADS", &["LAADS", "LAADSDAAC"]),
    ("LPDAAC", &["LPDAAC", "LPCLOUD"]),
    ("NSIDC", &["NSIDC", "NSIDCDAAC", "NSIDCCPRD"]),
    ("OB.DAAC", &["OBDAAC", "OBCLOUD", "OBPG"]),
    ("ORNL", &["ORNL", "ORNLDAAC", "ORNLCLOUD"]),
    ("PODAAC", &["PODAAC", "POCLOUD"]),
];

/// Returns the name of the data center that is written as `text`: `PO.DAAC`, `podaac` and `POCLOUD`
/// are all `PODAAC`. `None`: no data center has this name.
#[must_use]
pub fn name_of(text: &str) -> Option<&'static str> {
    let reduced = reduced(text);
    DAACS.iter().find(|(_, others)| others.contains(&&*reduced)).map(|(name, _)| *name)
}

/// Returns all data centers' names.
pub fn names() -> impl Iterator<Item = &'static str> {
    DAACS.iter().map(|(name, _)| *name)
}

/// Returns whether two names are the same but for case, blanks and punctuation.
#[must_use]
pub fn is_same(one: &str, other: &str) -> bool {
    !reduced(one).is_empty() && reduced(one) == reduced(other)
}

/// Returns the letters and digits of `text`, in upper case.
fn reduced(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric()).map(|c| c.to_ascii_uppercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_center_is_known_by_every_name_that_people_and_providers_give_it() {
        for (name, written) in [
            ("ASDC", &["ASDC", "asdc", "LARC_CLOUD"][..]),
            ("ASF", &["ASF", "asf", "ASF DAAC"]),
            ("CSDA", &["CSDA", "csda"]),
            ("GES_DISC", &["GES DISC", "GES_DISC", "ges_disc", "GESDISC", "ges-disc"]),
            ("GHRC", &["GHRC", "GHRC_DAAC", "ghrc daac"]),
            ("LAADS", &["LAADS", "laads", "LAADS DAAC"]),
            ("LPDAAC", &["LPDAAC", "LP DAAC", "lp-daac", "LPCLOUD", "LP.DAAC"]),
            ("NSIDC", &["NSIDC", "nsidc", "NSIDC_CPRD", "NSIDC DAAC"]),
            ("OB.DAAC", &["OB.DAAC", "ob.daac", "OBDAAC", "OB_CLOUD", "OB_DAAC"]),
            ("ORNL", &["ORNL", "ORNL DAAC", "ORNL_CLOUD", "ornldaac"]),
            ("PODAAC", &["PODAAC", "PO.DAAC", "podaac", "PO DAAC", "POCLOUD"]),
        ] {
            for text in written {
                assert_eq!(name_of(text), Some(name), "{text}");
            }
            assert_eq!(name_of(name), Some(name));
        }
        for text in
            ["", "SCIOPS", "earthdata", "DAAC", "lp-prod-protected", "podaac-ops-cumulus-protected"]
        {
            assert_eq!(name_of(text), None, "{text}");
        }
    }
}
