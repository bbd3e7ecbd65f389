//! How much memory this process may use.

use std::fs;
use std::path::Path;

/// A limit of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    pub(super) bytes: u64,
    /// In words, for a message.
    pub(super) whose: &'static str,
}

/// Returns one part in `divisor` of what this process may use, and `most` bytes at most.
pub(super) fn share(divisor: u64, most: usize) -> usize {
    share_of(limit(), divisor, most)
}

fn share_of(limit: Option<Limit>, divisor: u64, most: usize) -> usize {
    let share = limit.and_then(|limit| usize::try_from(limit.bytes / divisor).ok());
    share.map_or(most, |share| share.clamp(most / 8, most))
}

/// Returns the least of the machine's memory and the limits of the control groups that this process
/// is in. `None`: the kernel does not say.
pub(super) fn limit() -> Option<Limit> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let groups = of_groups(Path::new("/sys/fs/cgroup"), &read("/proc/self/cgroup"));
    let limits = of_machine(&read("/proc/meminfo")).into_iter().chain(groups);
    limits.min_by_key(|limit| limit.bytes)
}

/// Returns the memory that `information`, a /proc/meminfo, tells of.
fn of_machine(information: &str) -> Option<Limit> {
    let total = information.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes = total.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?;
    Some(Limit { bytes: kibibytes.saturating_mul(1024), whose: "the memory of this machine" })
}

/// Returns the limit of the control groups below `root` that `groups`, a /proc/PID/cgroup, names. A
/// group's limit holds for those within it.
fn of_groups(root: &Path, groups: &str) -> Option<Limit> {
    let lines = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?.trim_start_matches('/'));
        match controllers {
            "" => Some((root.to_owned(), path, "memory.max")),
            _ if controllers.split(',').any(|name| name == "memory") => {
                Some((root.join("memory"), path, "memory.limit_in_bytes"))
            }
            _ => None,
        }
    });
    let limits = lines.flat_map(|(top, path, file)| {
        // In a container the paths may be the host's; the container's own group is the topmost.
        let own = top.join(path);
        let within = own.ancestors().filter(|group| group.starts_with(&top));
        let limits = within.filter_map(|group| {
            fs::read_to_string(group.join(file)).ok()?.trim().parse::<u64>().ok()
        });
        limits.collect::<Vec<_>>()
    });
    let whose = "what the control group of this process may use";
    limits.min().map(|bytes| Limit { bytes, whose })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_limit_of_the_groups_around_counts() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("a/b/memory.max", "max\n");
        write("a/memory.max", "1000000\n");
        write("memory/memory.limit_in_bytes", "2000000\n");
        let bytes = |groups: &str| of_groups(root.path(), groups).map(|limit| limit.bytes);
        for (groups, expected) in [
            ("0::/a/b\n", Some(1_000_000)),
            ("0::/a\n", Some(1_000_000)),
            ("0::/elsewhere\n", None),
            ("4:cpu,memory:/docker/c\n1:name=systemd:/\n", Some(2_000_000)),
            ("4:cpu:/a\n", None),
            ("", None),
        ] {
            assert_eq!(bytes(groups), expected, "{groups}");
        }
        let machine = of_machine("MemTotal:    2048 kB\nMemFree:  1 kB\n");
        assert_eq!(machine.map(|limit| limit.bytes), Some(2 << 20));
        assert!(limit().is_some_and(|limit| limit.bytes > 1 << 20));
    }

    #[test]
    fn a_share_is_bounded_on_both_sides() {
        let share = |bytes| share_of(Some(Limit { bytes, whose: "a test's" }), 8, 128 << 20);
        assert_eq!(share(512 << 20), 64 << 20);
        assert_eq!([share(1 << 30), share(1 << 40)], [128 << 20; 2]);
        assert_eq!((share(1 << 20), share_of(None, 8, 1 << 20)), (16 << 20, 1 << 20));
    }
}
