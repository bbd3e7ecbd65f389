//! One file a verb, and what several of them share.

mod background;
pub mod buckets;
pub mod mount;
mod output;
mod reach;
pub mod unmount;
