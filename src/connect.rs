//! From a source and settings to buckets that answer: what every verb, and any other program,
//! shares.
