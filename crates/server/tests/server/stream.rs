//! Server-sent events.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::Response;
use hyper::body::Incoming;

use crate::client::{Served, request, with};
use crate::pretended::Pretended;

const PATH: &str = "/v1/events/stream";

/// What comes next.
async fn next(response: &mut Response<Incoming>) -> Option<String> {
    let frame = response.body_mut().frame().await?.unwrap();
    Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
}

#[tokio::test]
async fn what_happens_comes_as_it_does() {
    let served = Served::new(Pretended::new()).await;
    let mut response = served.open(request("GET", PATH)).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["cache-control"], "no-store");
    served.platform.is_waited_for().await;
    served.platform.stop_asked();
    assert_eq!(
        next(&mut response).await.unwrap(),
        "id: 2\nevent: stop_asked\ndata: {\"index\":2,\"at\":\"1970-01-01T00:00:00.000Z\",\
         \"kind\":\"stop_asked\",\"application\":\"shop\",\"text\":\"shop should stop\"}\n\n"
    );
}

#[tokio::test]
async fn who_comes_back_goes_on_after_what_was_seen() {
    let served = Served::new(Pretended::new()).await;
    served.platform.stop_asked();
    for resumed in [
        with(request("GET", PATH), "last-event-id", "1"),
        request("GET", "/v1/events/stream?after=1"),
        // A browser repeats the address it began with.
        with(request("GET", "/v1/events/stream?after=0"), "last-event-id", "1"),
    ] {
        let mut response = served.open(resumed).await;
        assert!(next(&mut response).await.unwrap().starts_with("id: 2\n"));
    }
    let mut from_the_first = served.open(request("GET", "/v1/events/stream?after=0")).await;
    assert!(next(&mut from_the_first).await.unwrap().starts_with("id: 1\n"));
}

#[tokio::test(start_paused = true)]
async fn silence_is_broken_now_and_then() {
    let served = Served::new(Pretended::new()).await;
    let mut response = served.open(request("GET", PATH)).await;
    for _ in 0..3 {
        assert_eq!(next(&mut response).await.as_deref(), Some(": alive\n\n"));
    }
}

#[tokio::test]
async fn it_ends_with_the_server() {
    let served = Served::new(Pretended::new()).await;
    let mut response = served.open(request("GET", PATH)).await;
    served.platform.is_waited_for().await;
    served.stop.send_replace(true);
    assert_eq!(next(&mut response).await, None);
    served.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn it_ends_with_the_server_also_for_who_reads_slowly() {
    let served = Served::new(Pretended::endless()).await;
    let mut response = served.open(request("GET", PATH)).await;
    assert!(next(&mut response).await.is_some());
    served.stop.send_replace(true);
    // What was on its way still comes, and then the end.
    while next(&mut response).await.is_some() {}
    served.task.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_is_not_read_for() {
    /// Chunks of 500 events: those that may wait, those in the buffers of two sockets and of hyper.
    const ASKED_MAX: usize = 64;
    let served = Served::new(Pretended::endless()).await;
    let response = served.open(request("GET", PATH)).await;
    // Paused time only moves on when nothing is left to be done.
    let quiet = tokio::time::timeout(Duration::from_hours(1), std::future::pending::<()>());
    assert!(quiet.await.is_err());
    let asked = served.platform.0.asked.load(Ordering::Relaxed);
    assert!((1..ASKED_MAX).contains(&asked), "asked {asked} times for somebody who does not read");
    drop(response);
}
