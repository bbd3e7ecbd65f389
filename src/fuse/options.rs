//! How a filesystem is mounted.

use std::path::Path;
use std::time::Duration;

use fuser::{MountOption, SessionACL};
use rustix::thread::{CapabilitySet, capabilities};

/// Two threads let one decode requests while the other copies a large reply. They never wait for
/// the network.
const FUSE_THREADS: usize = 2;

/// The file that is there while SELinux is at work.
const SELINUX: &str = "/sys/fs/selinux/enforce";

/// How a filesystem is mounted.
#[derive(Clone, Debug)]
pub struct MountSettings {
    /// What mount(8) and df(1) show as the source.
    pub source: String,
    /// Let every user in, not only the one who mounts.
    pub allow_other: bool,
    /// Let nobody execute files.
    pub no_exec: bool,
    /// SELinux's options of mount(8), as they are written: `context=...`.
    pub security_labels: Vec<String>,
    /// How long an operation may take.
    pub deadline: Duration,
}

impl MountSettings {
    pub(super) fn fuser_config(&self) -> fuser::Config {
        let mut config = fuser::Config::default();
        config.mount_options = vec![
            MountOption::FSName(self.source_option()),
            // fuser's own option for the subtype gets lost when it mounts without fusermount3.
            MountOption::CUSTOM("subtype=granulefs".into()),
            MountOption::RO,
            MountOption::NoSuid,
            MountOption::NoDev,
            MountOption::NoAtime,
            MountOption::DefaultPermissions,
        ];
        // Elsewhere the kernel does not know these options, and mount(8) leaves them out as well.
        if Path::new(SELINUX).exists() {
            let labels = self.security_labels.iter().cloned();
            config.mount_options.extend(labels.map(MountOption::CUSTOM));
        }
        if self.no_exec {
            config.mount_options.push(MountOption::NoExec);
        }
        config.acl = if self.allow_other { SessionACL::All } else { SessionACL::Owner };
        config.n_threads = Some(FUSE_THREADS);
        config
    }

    /// Returns the source as fuser must be told. It tells the kernel by itself where it may, and
    /// fusermount3 otherwise, in whose list of options a comma has to be escaped.
    fn source_option(&self) -> String {
        let may_mount =
            capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN));
        match may_mount {
            true => self.source.clone(),
            false => self.source.replace('\\', "\\\\").replace(',', "\\,"),
        }
    }
}
