//! A server whose answers a test supplies, for answers that the fake DAAC does not give.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

pub(crate) const CREDENTIALS: &str = concat!(
    "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
    r#"{"accessKeyId":"A","secretAccessKey":"S","sessionToken":"T","#,
    r#""expiration":"2199-01-01 00:00:00+00:00"}"#
);

/// Returns a redirect to `location`, without a `Location` header when that is empty.
pub(crate) fn redirect(location: &str) -> String {
    let header =
        if location.is_empty() { String::new() } else { format!("Location: {location}\r\n") };
    format!("HTTP/1.1 302 Found\r\n{header}Content-Length: 0\r\nConnection: close\r\n\r\n")
}

/// A server that answers each request by a function of the request's head.
#[derive(Debug)]
pub(crate) struct CannedServer {
    pub(crate) endpoint: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl CannedServer {
    pub(crate) fn new(answer: impl Fn(&str) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}/s3credentials", listener.local_addr().unwrap());
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let seen = heads.clone();
        // The thread ends with the process, since it waits for further connections.
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                let head = head.join("\n").to_lowercase();
                seen.lock().unwrap().push(head.clone());
                let _ = (&stream).write_all(answer(&head).as_bytes());
            }
        });
        Self { endpoint, heads }
    }

    /// Returns the heads of all requests so far, in lower case.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}
