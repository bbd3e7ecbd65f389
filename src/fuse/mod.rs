//! The kernel's door: decode, run, reply. The only door to `fuser`.

mod dispatcher;
mod kernel_cache;
mod log_dedup;
mod mountpoint;
mod requests;
mod session;

pub use mountpoint::{Mountpoint, unmount};
pub use requests::REFRESH;
pub use session::{MountSettings, Mounted, Refresher};
