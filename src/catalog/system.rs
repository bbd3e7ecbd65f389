//! NASA's systems: production and the trial systems, each with an Earthdata Login of its own.

/// Returns which of NASA's systems `host` (`name` or `name:port`) belongs to: `production`, `uat`
/// or `sit`. `None`: the host is not NASA's. The trial systems have their names in those of their
/// hosts, such as `data.ghrc.uat.earthdata.nasa.gov`.
pub(super) fn of_host(host: &str) -> Option<&'static str> {
    let name = host.split(':').next().unwrap_or(host);
    // Some of ASF's endpoints are at its university.
    let is_nasa = [".nasa.gov", ".asf.alaska.edu"].iter().any(|end| name.ends_with(end));
    let trial =
        ["uat", "sit"].into_iter().find(|trial| name.split('.').any(|label| label == *trial));
    is_nasa.then(|| trial.unwrap_or("production"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_belongs_to_a_system_by_its_labels() {
        for (host, system) in [
            ("urs.earthdata.nasa.gov", Some("production")),
            ("uat.urs.earthdata.nasa.gov", Some("uat")),
            ("data.ghrc.uat.earthdata.nasa.gov:443", Some("uat")),
            ("obdaac-tea.sit.earthdatacloud.nasa.gov", Some("sit")),
            ("cumulus.asf.alaska.edu", Some("production")),
            ("situation.nasa.gov", Some("production")),
            ("uat.example.org", None),
            ("localhost:8080", None),
        ] {
            assert_eq!(of_host(host), system, "{host}");
        }
    }
}
