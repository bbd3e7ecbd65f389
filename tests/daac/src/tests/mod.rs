//! Tests of the whole fake DAAC over sockets. `check.py` tests it with boto3 and s3fs.

mod client;
mod cmr;
mod credentials;
mod daacs;
mod faults;
mod s3;
