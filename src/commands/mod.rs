//! One file a verb.

mod background;
pub mod mount;
pub mod refresh;
pub mod unmount;
