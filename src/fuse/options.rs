//! How a filesystem is mounted.

use std::time::Duration;

use fuser::{MountOption, SessionACL};

/// Two threads let one decode requests while the other copies a large reply. They never wait for
/// the network.
const FUSE_THREADS: usize = 2;

/// How a filesystem is mounted.
#[derive(Clone, Debug)]
pub struct MountSettings {
    /// What mount(8) and df(1) show as the source.
    pub source: String,
    /// Let every user in, not only the one who mounts.
    pub allow_other: bool,
    /// Let nobody execute files.
    pub no_exec: bool,
    /// How long an operation may take.
    pub deadline: Duration,
}

impl MountSettings {
    pub(super) fn fuser_config(&self) -> fuser::Config {
        let mut config = fuser::Config::default();
        config.mount_options = vec![
            // A comma would end the option.
            MountOption::FSName(self.source.replace(',', "_")),
            // fuser's own option for the subtype gets lost when it mounts without fusermount3.
            MountOption::CUSTOM("subtype=granulefs".into()),
            MountOption::RO,
            MountOption::NoSuid,
            MountOption::NoDev,
            MountOption::NoAtime,
            MountOption::DefaultPermissions,
        ];
        if self.no_exec {
            config.mount_options.push(MountOption::NoExec);
        }
        config.acl = if self.allow_other { SessionACL::All } else { SessionACL::Owner };
        config.n_threads = Some(FUSE_THREADS);
        config
    }
}
