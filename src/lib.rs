//! granulefs
