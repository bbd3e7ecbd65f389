//! The times that directories and objects show.

use std::time::{Duration, SystemTime};

/// 1980-01-02T00:00:00Z, as seconds since the epoch. Zip archives begin in 1980, in local time, so
/// that programs which write them refuse what is older; a day later it is 1980 in every time zone.
const EARLIEST: u64 = 315_619_200;

/// Returns the time to show for what a store says, in whole seconds: a HEAD knows no more of it,
/// and a name must not change its time with the request that told of it. Directories, for which S3
/// has no time, objects without one, and those with one before 1980 all show the same day.
#[must_use]
pub fn modification_time(stated: Option<SystemTime>) -> SystemTime {
    let seconds = stated
        .and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok())
        .map_or(EARLIEST, |since| since.as_secs().max(EARLIEST));
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_is_before_1980_and_all_are_whole_seconds() {
        let epoch = SystemTime::UNIX_EPOCH;
        let shown = |stated| modification_time(stated).duration_since(epoch).unwrap();
        let before = [None, Some(epoch), Some(epoch - Duration::from_secs(9))];
        for stated in before.into_iter().chain([Some(epoch + Duration::from_secs(315_532_800))]) {
            assert_eq!(shown(stated), Duration::from_secs(EARLIEST));
        }
        let stated = epoch + Duration::from_millis(1_620_284_889_999);
        assert_eq!(shown(Some(stated)), Duration::from_secs(1_620_284_889));
    }
}
