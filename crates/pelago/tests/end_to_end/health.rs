//! Instances that are well or not, and what follows.
//!
//! The instance sleeps; the test itself listens on the port it was given and answers in its place, well
//! or not as the test wants it.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;

use crate::harness::{Site, count, place, until};

const WELL: u8 = 0;
const SICK: u8 = 1;
const SILENT: u8 = 2;
const GONE: u8 = 3;

/// Answers every connection as the mood is, for as long as the test runs.
fn answer_on(port: u16) -> Arc<AtomicU8> {
    let mood = Arc::new(AtomicU8::new(WELL));
    let shared = Arc::clone(&mood);
    serve(TcpListener::bind(("127.0.0.1", port)).unwrap(), shared);
    mood
}

fn serve(listener: TcpListener, shared: Arc<AtomicU8>) {
    thread::spawn(move || {
        let mut silent = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let answer = match shared.load(Ordering::SeqCst) {
                WELL => "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
                SICK => "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n",
                GONE => return,
                _ => {
                    // Held open, never answered.
                    silent.push(stream);
                    continue;
                }
            };
            let mut request = [0; 1024];
            // Whoever only connects is answered too, and does not mind.
            let read = stream.read(&mut request);
            drop(read.and_then(|_| stream.write_all(answer.as_bytes())));
        }
    });
}

fn port(site: &Site, service: &str) -> u16 {
    let service = site.until("an instance", |it| {
        it["services"].as_array().is_some_and(|it| {
            it.iter().any(|it| it["name"] == service && it["instances"][0]["pid"].is_u64())
        })
    });
    let service = crate::harness::service_of(&service, "a");
    let url = service["instances"][0]["url"].as_str().unwrap();
    url.rsplit_once(':').unwrap().1.parse().unwrap()
}

/// An application whose only service has this check, and is up.
fn site(checks: &str) -> (Site, Arc<AtomicU8>) {
    let site =
        Site::with(&format!("name: ward\nservices: {{a: {{command: sleep 1000, {checks}}}}}"));
    let up = site.begin(&["up", "--detach"]);
    let mood = answer_on(port(&site, "a"));
    up.wait().ok();
    (site, mood)
}

#[test]
fn an_instance_that_is_not_ready_is_left_alone_and_gets_well() {
    let (site, mood) = site(
        "healthcheck: {path: /health, interval: 50ms, timeout: 1s, retries: 2}, liveness: none",
    );
    let before = site.index();
    mood.store(SICK, Ordering::SeqCst);
    site.text(before, "a.1 is not ready: GET /health answered 500 Internal Server Error");
    let service = site.service("a");
    assert_eq!(
        (&service["ready"], &service["instances"][0]["state"]),
        (&0.into(), &"unready".into())
    );
    mood.store(WELL, Ordering::SeqCst);
    site.text(before, "a.1 is ready");
    assert_eq!(site.application()["state"], "running");
    assert_eq!(count(&site.events(), "should run"), 1);
}

#[track_caller]
fn check_replaced(checks: &str, mood: u8, reason: &str) {
    let (site, answers) = site(checks);
    let (before, first) = (site.index(), port(&site, "a"));
    answers.store(mood, Ordering::SeqCst);
    site.text(before, &format!("a.1 failed its liveness check: {reason}"));
    // It ends with its instance, and the next one listens where that is told.
    answers.store(GONE, Ordering::SeqCst);
    drop(TcpStream::connect(("127.0.0.1", first)));
    until("another to be ready", || {
        let url = site.service("a")["instances"][0]["url"].as_str()?.to_owned();
        if let Ok(listener) = TcpListener::bind(url.strip_prefix("http://")?) {
            serve(listener, Arc::new(AtomicU8::new(WELL)));
        }
        (count(&site.events_after(before), "is ready") > 0).then_some(())
    });
    let events = site.events_after(before);
    assert!(
        place(&events, "failed its liveness")
            < place(&events, "told to stop: liveness check failed")
    );
    assert!(place(&events, "a.1 ended") < place(&events, "a.2 should run"));
    let ended = site.service("a")["ended"][0].clone();
    assert_eq!(ended["exit"], "liveness check failed: killed by SIGTERM");
    assert_eq!(ended["unasked"], true);
}

#[test]
fn an_instance_that_answers_with_errors_is_replaced() {
    check_replaced(
        "healthcheck: {tcp: true}, liveness: {path: /live, interval: 50ms, retries: 2, start_period: 3s}",
        SICK,
        "GET /live answered 500",
    );
}

#[test]
fn an_instance_that_hangs_is_replaced() {
    check_replaced(
        "healthcheck: {path: /health, interval: 50ms, timeout: 200ms, retries: 1}",
        SILENT,
        "no answer within 200ms",
    );
}

#[test]
fn a_command_can_tell_how_an_instance_is() {
    let site = Site::with(
        "
name: ward
services:
  a:
    command: sleep 1000
    healthcheck: {command: 'test -f ${TMPDIR}/well', interval: 50ms, retries: 1}
    liveness: {command: 'test ! -f ${TMPDIR}/dead', interval: 50ms, retries: 1}
",
    );
    let up = site.begin(&["up", "--detach"]);
    site.text(0, "a.1 started");
    let folder = site.instance_folder("ward", "a.1").join("tmp");
    std::fs::write(folder.join("well"), "").unwrap();
    up.wait().ok();
    let before = site.index();
    std::fs::remove_file(folder.join("well")).unwrap();
    site.text(before, "a.1 is not ready: the check `test` ended with exit status: 1");
    std::fs::write(folder.join("dead"), "").unwrap();
    site.text(before, "a.1 failed its liveness check: the check `test` ended");
    site.text(before, "a.2 started");
    until("its temporary folder to go", || (!folder.exists()).then_some(()));
}

#[test]
fn an_instance_that_is_never_ready_is_replaced_after_its_start_period() {
    let site = Site::with(
        "
name: ward
services:
  a:
    command: sleep 1000
    healthcheck: {tcp: true, interval: 50ms, start_period: 300ms, retries: 1}
    restart: {backoff: 20ms, crash_loop: 2}
",
    );
    let up = site.run(&["up", "--detach"]);
    assert_eq!(up.code, Some(1), "{up:?}");
    assert!(up.err.contains("a is crash-looping"), "{up:?}");
    let events = site.events();
    place(&events, "a.1 told to stop: not ready within its start period");
    place(&events, "a is crash-looping: 2 failed starts in a row");
}
