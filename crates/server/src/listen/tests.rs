//! Connections that are too many, or say nothing.

use std::net::SocketAddr;

use axum::routing::get;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::*;

struct Serving {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<io::Result<()>>,
}

async fn serving(connections_max: usize) -> Serving {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = Router::new().route("/", get(async || "here").post(async |body: String| body));
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(serve(listener, routes, connections_max, stopped));
    Serving { address, stop, task }
}

async fn ask(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = "GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    // Cut off by a refusal it may be; what came before counts.
    drop(stream.read_to_string(&mut answer).await);
    answer
}

/// Opens a connection, sends `head`, and waits until it is closed.
#[expect(clippy::disallowed_methods, reason = "the paused time of the test is what is measured")]
async fn held(address: SocketAddr, head: &'static str) -> (TcpStream, Duration) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let begun = Instant::now();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    (stream, begun.elapsed())
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_closed() {
    let serving = serving(8).await;
    for head in ["", "PRI * HT", "GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx: "] {
        let (_, after) = held(serving.address, head).await;
        assert!(HEAD_TIME <= after && after < HEAD_TIME * 2, "{head:?} after {after:?}");
    }
    assert!(ask(serving.address).await.ends_with("here"));
    serving.stop.send_replace(true);
    serving.task.await.unwrap().unwrap();
}

/// Issue 12: a byte every ten seconds, for ever.
#[tokio::test(start_paused = true)]
#[expect(clippy::disallowed_methods, reason = "the paused time of the test is what passes")]
async fn issue_12_who_sends_a_body_byte_by_byte_is_told_and_closed() {
    let serving = serving(8).await;
    let stream = TcpStream::connect(serving.address).await.unwrap();
    let (mut from, mut to) = stream.into_split();
    let begun = Instant::now();
    let head = "POST / HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 1000\r\n\r\n";
    to.write_all(head.as_bytes()).await.unwrap();
    let trickle = tokio::spawn(async move {
        while to.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
    });
    let mut answer = String::new();
    from.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains("did not come within 60 s"), "{answer}");
    let took = begun.elapsed();
    assert!(BODY_TIME <= took && took < BODY_TIME * 2, "{took:?}");
    trickle.abort();
    serving.stop.send_replace(true);
    serving.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn one_too_many_is_told_so() {
    let serving = serving(2).await;
    let first = TcpStream::connect(serving.address).await.unwrap();
    let second = TcpStream::connect(serving.address).await.unwrap();
    let mut third = TcpStream::connect(serving.address).await.unwrap();
    let mut answer = String::new();
    third.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("2 connections are open"), "{answer}");
    drop((first, second));
    while !ask(serving.address).await.ends_with("here") {}
    serving.stop.send_replace(true);
    serving.task.await.unwrap().unwrap();
}

#[test]
fn limits_follow_the_descriptors() {
    assert_eq!(connections_max(Some(128)), 8);
    assert_eq!(connections_max(Some(1_024)), 64);
    assert_eq!(connections_max(Some(1 << 30)), 4_096);
    assert_eq!(connections_max(None), 4_096);
}
