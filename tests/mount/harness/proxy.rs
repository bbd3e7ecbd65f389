//! An HTTP proxy on loopback that ends the TLS of those who go through it, as in the networks of
//! some institutes: names below `proxied.invalid` exist behind it only.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

/// The file with the certificate of the proxy's authority.
pub(crate) const AUTHORITY: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mount/certificates/authority.pem");

/// A proxy that serves until it is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    /// Ends the tasks when it is dropped.
    _runtime: Runtime,
}

impl Proxy {
    /// Starts a proxy that connects `daac.proxied.invalid` to the server at `daac`, and every other
    /// host to the one at `s3`. Both are `http://` URLs.
    pub(crate) fn start(daac: &str, s3: &str) -> Self {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (acceptor, seen) = (acceptor(), asked.clone());
        let servers = [daac, s3].map(|url| url.split('/').nth(2).unwrap().to_owned());
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, seen, servers) = (acceptor.clone(), seen.clone(), servers.clone());
                tokio::spawn(async move { serve(stream, &acceptor, &seen, &servers).await });
            }
        });
        Self { address, asked, _runtime: runtime }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the first lines of the requests so far, each once.
    pub(crate) fn take_asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.asked.lock());
        asked.sort();
        asked.dedup();
        asked
    }
}

async fn serve(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    asked: &Mutex<Vec<String>>,
    [daac, s3]: &[String; 2],
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut first = String::new();
    stream.read_line(&mut first).await?;
    let mut line = first.clone();
    while !line.trim().is_empty() {
        line.clear();
        stream.read_line(&mut line).await?;
    }
    asked.lock().push(first.trim().to_owned());
    let server = if first.contains("daac.proxied.invalid") { daac } else { s3 };
    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    let mut inside = acceptor.accept(stream).await?;
    let mut outside = TcpStream::connect(server).await?;
    copy_bidirectional(&mut inside, &mut outside).await.map(drop)
}

fn acceptor() -> TlsAcceptor {
    let chain = CertificateDer::from_pem_slice(include_bytes!("../certificates/server.pem"));
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../certificates/server.key.pem"));
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![chain.unwrap()], key.unwrap());
    TlsAcceptor::from(Arc::new(config.unwrap()))
}
