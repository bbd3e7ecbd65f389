//! One file a verb, and what several of them share.

mod background;
pub mod buckets;
pub mod credentials;
pub mod doctor;
mod logins;
pub mod mount;
mod output;
pub mod path;
mod reach;
pub mod refresh;
pub mod unmount;
