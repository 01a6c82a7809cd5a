//! Synthetic users.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use behaviour::{Arrivals, Spacing};
use emulator::load::Error;
use emulator::{Load, LoadError, Report, Target, load};
use model::Rng;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

use crate::harness::{clock, pass, within};

/// How the test's server treats a request.
#[derive(Clone, Copy)]
enum Reaction {
    Answer,
    /// Answers nobody for this time.
    Stall(Duration),
    /// Closes the connection without an answer.
    Close,
    /// Answers and closes the connection.
    AnswerAndClose,
    /// Never answers.
    Silence,
    /// Answers in no protocol.
    Garbage,
    /// Answers with 503.
    Refuse,
}

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

/// A server that reacts to its n-th request, from 0, as it is told. Returns its port.
async fn server(react: impl Fn(usize) -> Reaction + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let shared = Arc::new((react, AtomicUsize::new(0), Mutex::new(())));
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                while read_request(&mut stream).await {
                    let (react, count, one_at_a_time) = &*shared;
                    let reaction = react(count.fetch_add(1, Ordering::Relaxed));
                    let turn = one_at_a_time.lock().await;
                    let answer: &[u8] = match reaction {
                        Reaction::Answer | Reaction::AnswerAndClose => ANSWER,
                        Reaction::Stall(time) => {
                            pass(time).await;
                            ANSWER
                        }
                        Reaction::Close => return,
                        Reaction::Silence => {
                            drop(turn);
                            std::future::pending().await
                        }
                        Reaction::Garbage => b"what?\r\n\r\n",
                        Reaction::Refuse => {
                            b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"
                        }
                    };
                    if stream.write_all(answer).await.is_err() {
                        return;
                    }
                    if matches!(reaction, Reaction::AnswerAndClose) {
                        return;
                    }
                }
            });
        }
    });
    port
}

/// Reads a request without a body; false at the end of the connection.
async fn read_request(stream: &mut TcpStream) -> bool {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if !matches!(stream.read_buf(&mut head).await, Ok(1..)) {
            return false;
        }
    }
    true
}

fn paced(port: u16, profile: &str) -> Load {
    Load {
        targets: vec![Target::get(format!("http://127.0.0.1:{port}/"))],
        arrivals: Arrivals::new(profile.parse().unwrap(), Spacing::Paced),
        connections_max: 16,
        timeout: Duration::from_secs(5),
        warmup: Duration::ZERO,
        seed: 1,
    }
}

async fn run(it: Load) -> Report {
    within(load(it, clock(), |_| {}, std::future::pending())).await.unwrap()
}

#[tokio::test]
async fn paced_requests_are_counted_exactly() {
    let port = server(|n| if n % 10 == 9 { Reaction::Refuse } else { Reaction::Answer }).await;
    let mut seconds = Vec::new();
    let load = load(
        paced(port, "200/s for 1s, 100/s for 500ms"),
        clock(),
        |it| seconds.push(it.number),
        std::future::pending(),
    );
    let report = within(load).await.unwrap();
    assert_eq!((report.offered, report.answered, report.abandoned), (250, 250, 0));
    assert_eq!(report.statuses, BTreeMap::from([(200, 225), (503, 25)]));
    assert_eq!(report.errors, BTreeMap::new());
    assert_eq!(report.received_bytes, 225 * 5);
    assert!((report.offered_per_s - 250.0 / 1.5).abs() < 1e-6);
    assert_eq!(seconds[..2], [0, 1]);
    assert_eq!(report.timeline.iter().map(|it| it.offered).sum::<u64>(), 250);
    assert_eq!(report.timeline.iter().map(|it| it.server_errors).sum::<u64>(), 25);
    assert!(!report.interrupted);
    let read: Report = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    assert_eq!(read.latency, report.latency);
}

#[tokio::test]
async fn a_stall_counts_for_everybody_it_made_wait() {
    let stall = Duration::from_millis(500);
    let port =
        server(move |n| if n == 50 { Reaction::Stall(stall) } else { Reaction::Answer }).await;
    let one_connection = Load { connections_max: 1, ..paced(port, "200/s for 2s") };
    let report = run(one_connection).await;
    assert_eq!(report.answered, 400);
    // One request of 400 was answered late, but a quarter of them was waiting meanwhile.
    assert!(report.service_time.p99_us < 200_000, "{report}");
    assert!(report.service_time.max_us >= 500_000, "{report}");
    assert!(report.latency.p99_us >= 450_000, "{report}");
    assert!(report.latency.p90_us >= 200_000, "{report}");
    assert_eq!(report.connections, 1);
}

#[tokio::test]
async fn more_connections_are_opened_only_when_needed() {
    let port = server(|_| Reaction::Answer).await;
    let report = run(paced(port, "100/s for 1s")).await;
    assert!(report.connections <= 4, "{}", report.connections);
}

#[track_caller]
fn check(report: &Report, errors: &[(Error, u64)]) {
    assert_eq!(report.errors, errors.iter().copied().collect(), "{report}");
}

#[tokio::test]
async fn what_went_wrong_is_told_apart() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refused = nobody.local_addr().unwrap().port();
    drop(nobody);
    check(&run(paced(refused, "50/s for 200ms")).await, &[(Error::Connect, 10)]);

    let closing = server(|n| if n % 2 == 1 { Reaction::Close } else { Reaction::Answer }).await;
    let report = run(paced(closing, "50/s for 200ms")).await;
    check(&report, &[(Error::Reset, 5)]);
    assert_eq!(report.answered, 5);

    let garbage = server(|_| Reaction::Garbage).await;
    check(&run(paced(garbage, "50/s for 200ms")).await, &[(Error::Protocol, 10)]);

    let silent = server(|n| if n < 3 { Reaction::Silence } else { Reaction::Answer }).await;
    let timeout = Duration::from_millis(150);
    let report = run(Load { timeout, ..paced(silent, "50/s for 200ms") }).await;
    check(&report, &[(Error::Timeout, 3)]);
    assert_eq!((report.answered, report.latency.count, report.service_time.count), (7, 10, 7));
    assert!(report.latency.max_us >= 150_000, "{report}");
}

#[tokio::test]
async fn a_request_no_connection_is_free_for_is_given_up() {
    let port = server(|_| Reaction::Silence).await;
    let timeout = Duration::from_millis(100);
    let report = run(Load { timeout, connections_max: 1, ..paced(port, "100/s for 100ms") }).await;
    assert_eq!(report.errors.values().sum::<u64>(), 10, "{report}");
    assert!(report.errors[&Error::Timeout] >= 1, "{report}");
    assert_eq!(report.answered, 0);
}

#[tokio::test]
async fn a_connection_that_closed_while_idle_is_no_error() {
    let port = server(|_| Reaction::AnswerAndClose).await;
    let report = run(paced(port, "50/s for 400ms")).await;
    assert_eq!((report.answered, report.connections), (20, 20), "{report}");
}

#[tokio::test]
async fn warm_up_is_sent_and_not_counted() {
    let port = server(|_| Reaction::Answer).await;
    let warmup = Duration::from_millis(300);
    let report = run(Load { warmup, ..paced(port, "100/s for 1s") }).await;
    assert_eq!((report.warmup, report.offered, report.answered), (30, 70, 70));
    assert!((report.offered_per_s - 100.0).abs() < 1e-6);
}

#[tokio::test]
async fn an_interrupted_load_reports_what_it_has() {
    let port = server(|n| if n == 0 { Reaction::Silence } else { Reaction::Answer }).await;
    let stop = pass(Duration::from_millis(300));
    let long = paced(port, "100/s for 1h");
    let report = within(load(long, clock(), |_| {}, stop)).await.unwrap();
    assert!(report.interrupted);
    assert!((25..=31).contains(&report.offered), "{report}");
    assert_eq!(report.answered + report.abandoned, report.offered);
    assert!(report.abandoned >= 1);
    assert!(report.duration_s < 5.0);
}

#[tokio::test]
async fn several_targets_are_chosen_by_weight() {
    let often = server(|_| Reaction::Answer).await;
    let seldom = server(|_| Reaction::Refuse).await;
    let mut two = paced(often, "1000/s for 500ms");
    two.arrivals =
        Arrivals::new("1000/s for 500ms".parse().unwrap(), Spacing::Poisson(Rng::new(4)));
    two.targets[0].weight = 9;
    two.targets.push(Target {
        method: "PUT".to_owned(),
        headers: vec![("host".to_owned(), "shop.localhost".to_owned())],
        ..Target::get(format!("http://localhost:{seldom}/x?y=z"))
    });
    let report = run(two).await;
    let share = report.statuses[&503] * 100 / report.answered;
    assert!((5..=15).contains(&share), "{report}");
}

#[tokio::test]
async fn what_cannot_be_sent_says_why() {
    let error = |it: Load| async move {
        load(it, clock(), |_| {}, std::future::pending()).await.unwrap_err()
    };
    let none = Load { targets: Vec::new(), ..paced(1, "1/s for 1s") };
    assert!(matches!(error(none).await, LoadError::NoTarget));
    for (target, expected) in [
        (Target::get("https://x"), "the target cannot be called"),
        (
            Target { method: "G T".into(), ..Target::get("http://127.0.0.1") },
            "`G T` is not a method",
        ),
        (
            Target { headers: vec![("a b".into(), "c".into())], ..Target::get("http://127.0.0.1") },
            "`a b: c` is not a header",
        ),
    ] {
        let load = Load { targets: vec![target], ..paced(1, "1/s for 1s") };
        let error = error(load).await.to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}
