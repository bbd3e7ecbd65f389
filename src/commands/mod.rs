//! One file a verb, and what several of them share.

mod background;
pub mod buckets;
pub mod credentials;
pub mod doctor;
pub mod mount;
mod output;
pub mod path;
mod process;
pub mod refresh;
mod signals;
pub mod unmount;
