//! What to fetch beside what was asked for.

pub(crate) mod file_tail;
pub(crate) mod next_files;
pub(crate) mod random_access;
pub(crate) mod read_ahead_quota;
pub(crate) mod streams;
pub(crate) mod strides;
