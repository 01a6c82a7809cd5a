//! TLS at the gateway.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::harness::{Instance, Plane, Shop, Start};
use crate::wire::{PATIENCE, get, ok};

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A connection of a client that trusts `authority` only, asks for `name` and speaks `protocols`. An error
/// is what it does not like about the certificate.
fn connect(
    plane: &Plane,
    authority: &Path,
    name: &str,
    protocols: &[&str],
) -> Result<Tls, std::io::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = TcpStream::connect(plane.gateway_tls.unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut tls = StreamOwned::new(connection, stream);
    while tls.conn.is_handshaking() {
        tls.conn.complete_io(&mut tls.sock)?;
    }
    Ok(tls)
}

fn ask(tls: &mut Tls, request: &str, end: &str) -> String {
    tls.write_all(request.as_bytes()).unwrap();
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        let mut bytes = [0; 4_096];
        let count = tls.read(&mut bytes).unwrap();
        assert!(0 < count, "{:?}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&bytes[..count]);
    }
    String::from_utf8(read).unwrap()
}

#[test]
fn whoever_trusts_the_local_authority_is_served_under_every_name() {
    let cart = Instance::answering(ok("hello"));
    let plane = Plane::start(&Shop::new(&[cart.port]), Start::WithTls);
    let authority = plane.folder.path().join("tls/authority.crt");
    for name in ["localhost", "shop.localhost", "127.0.0.1"] {
        let mut tls = connect(&plane, &authority, name, &["http/1.1"]).unwrap();
        assert_eq!(tls.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
        for _ in 0..2 {
            let answer = ask(&mut tls, &get("/"), "hello");
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        }
    }
    assert!(cart.heads().iter().all(|it| it.get("x-forwarded-proto") == Some("https")));
    let tls = connect(&plane, &authority, "localhost", &["h2", "http/1.1"]).unwrap();
    assert_eq!(tls.conn.alpn_protocol(), Some(&b"h2"[..]));
    plane.end();
}

#[test]
fn a_large_body_goes_through() {
    let cart = Instance::echo();
    let plane = Plane::start(&Shop::new(&[cart.port]), Start::WithTls);
    let authority = plane.folder.path().join("tls/authority.crt");
    let mut tls = connect(&plane, &authority, "localhost", &[]).unwrap();
    let body = "x".repeat(1_000_000) + "end";
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
    let answer = ask(&mut tls, &(head + &body), "xend");
    assert!(answer.ends_with(&format!("\r\n\r\n{body}")));
    drop(tls);
    plane.end();
}

/// Writes a pair of files for `name`, signed by itself.
fn write_pair(folder: &Path, name: &str) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key);
    std::fs::write(folder.join(format!("{name}.crt")), certificate.unwrap().pem()).unwrap();
    std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

#[test]
fn certificates_that_are_put_there_are_used() {
    let cart = Instance::answering(ok("hello"));
    let mut plane = Plane::start(&Shop::new(&[cart.port]), Start::WithTls);
    let folder = plane.folder.path().join("tls");
    let mut before = connect(&plane, &folder.join("authority.crt"), "shop.example", &[]).unwrap();
    write_pair(&folder, "shop.example");
    write_pair(&folder, "other.example");
    let own = folder.join("shop.example.crt");
    // They are looked for once a second.
    let mut now = loop {
        match connect(&plane, &own, "shop.example", &[]) {
            Ok(tls) => break tls,
            Err(_) => drop(plane.report()),
        }
    };
    assert!(ask(&mut now, &get("/"), "hello").starts_with("HTTP/1.1 200"));
    // Each name has its own, and who was connected goes on.
    assert!(connect(&plane, &own, "other.example", &[]).is_err());
    assert!(connect(&plane, &folder.join("other.example.crt"), "other.example", &[]).is_ok());
    assert!(ask(&mut before, &get("/"), "hello").starts_with("HTTP/1.1 200"));
    // Nonsense changes nothing.
    std::fs::write(&own, "nonsense").unwrap();
    let kept = folder.join("other.example.crt");
    plane.report();
    plane.report();
    assert!(connect(&plane, &kept, "other.example", &[]).is_ok());
    drop((before, now));
    plane.end();
}

/// What comes of a connection that agreed on `protocols` and begins with these bytes, until its end.
fn begun(plane: &Plane, protocols: &[&str], bytes: &[u8]) -> Vec<u8> {
    let authority = plane.folder.path().join("tls/authority.crt");
    let mut tls = connect(plane, &authority, "localhost", protocols).unwrap();
    tls.write_all(bytes).unwrap();
    let mut read = Vec::new();
    // How it ends is not what is asked.
    drop(tls.read_to_end(&mut read));
    read
}

/// RFC 9113, section 3.2, and RFC 7301, section 3.2: what was agreed on is spoken.
#[test]
fn issue_13_the_protocol_that_was_agreed_on_is_spoken() {
    let cart = Instance::answering(ok("hello"));
    let plane = Plane::start(&Shop::new(&[cart.port]), Start::WithTls);
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    for protocols in [&["http/1.1"][..], &[]] {
        let told = begun(&plane, protocols, preface);
        assert!(told.starts_with(b"HTTP/1.1 505 "), "{:?}", String::from_utf8_lossy(&told));
    }
    let told = begun(&plane, &["h2"], get("/").as_bytes());
    assert!(!told.starts_with(b"HTTP/1.1"), "{:?}", String::from_utf8_lossy(&told));
    assert!(cart.heads().is_empty());
    // Without a protocol in common there is no connection.
    let authority = plane.folder.path().join("tls/authority.crt");
    assert!(connect(&plane, &authority, "localhost", &["spdy/3"]).is_err());
    plane.end();
}

/// RFC 9112, section 9.8: whoever says that nothing more will come may still read.
#[test]
fn issue_13_a_client_that_has_said_all_is_answered_through_tls() {
    let cart = Instance::answering(ok("hello"));
    let plane = Plane::start(&Shop::new(&[cart.port]), Start::WithTls);
    let authority = plane.folder.path().join("tls/authority.crt");
    let mut tls = connect(&plane, &authority, "localhost", &["http/1.1"]).unwrap();
    tls.write_all(get("/").as_bytes()).unwrap();
    tls.conn.send_close_notify();
    while tls.conn.wants_write() {
        tls.conn.write_tls(&mut tls.sock).unwrap();
    }
    let mut read = Vec::new();
    drop(tls.read_to_end(&mut read));
    assert!(read.ends_with(b"\r\n\r\nhello"), "{:?}", String::from_utf8_lossy(&read));
    plane.end();
}
