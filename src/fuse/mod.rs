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
mod status;
mod waiting;

pub use mountpoint::{MountAround, Mountpoint, unmount};
pub use options::MountSettings;
pub use refresher::Refresher;
pub use requests::REFRESH;
pub use session::MountSession;
pub use status::{MAX_STATUS, MountStatus, STATUS, WaitingStatus};
