//! The FUSE adapter: decode, dispatch, reply. The only room that names `fuser`.

mod dispatcher;
mod kernel_cache;
mod log_dedup;
mod mount_table;
mod mountpoint;
mod options;
mod refresher;
mod replies;
mod requests;
mod session;

pub use mountpoint::{Mountpoint, unmount};
pub use options::MountSettings;
pub use refresher::Refresher;
pub use requests::REFRESH;
pub use session::MountSession;
