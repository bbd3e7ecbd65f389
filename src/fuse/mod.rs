//! The kernel's door: decode, run, reply. The only door to `fuser`.

mod door;
mod kernel;
mod mountpoint;
mod repeats;
mod requests;
mod session;

pub use mountpoint::{Mountpoint, unmount};
pub use requests::REFRESH;
pub use session::{MountSettings, Mounted, Refresher};
