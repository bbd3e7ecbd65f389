//! granulefs
fn main() {}
