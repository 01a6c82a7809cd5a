//! Synthetic services.

use std::collections::BTreeMap;
use std::time::Duration;

use emulator::{Emulated, Limits, ServeError, Served, Service, serve};
use model::units::{Bytes, Share};
use model::workload::{
    Background, Cache, Call, CallStep, Contention, Discipline, WorkTime, Workload,
};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::harness::{clock, get, pass, raw, within};

fn working(millis: u64) -> Workload {
    let time = Duration::from_millis(millis);
    Workload { work: WorkTime::Fixed { time }, ..Workload::default() }
}

fn call(service: &str) -> Call {
    Call {
        service: service.parse().unwrap(),
        probability: Share::ALL,
        times: 1,
        request: Bytes(0),
        optional: false,
        cache: None,
        connections: None,
    }
}

fn calling(steps: Vec<Vec<Call>>) -> Workload {
    let steps = steps.into_iter().map(|parallel| CallStep { parallel }).collect();
    Workload { steps, ..working(0) }
}

fn emulated(name: &str, workload: Workload, callees: &[(&str, u16)]) -> Emulated {
    let url = |port: &u16| format!("http://127.0.0.1:{port}");
    let callees = callees.iter().map(|(name, port)| (name.parse().unwrap(), url(port)));
    Emulated {
        name: name.parse().unwrap(),
        instance: format!("{name}.1"),
        listen: "127.0.0.1:0".parse().unwrap(),
        workload,
        callees: callees.collect::<BTreeMap<_, _>>(),
        seed: 1,
        limits: Limits::default(),
    }
}

struct Running {
    port: u16,
    stop: Option<oneshot::Sender<()>>,
    ended: JoinHandle<Result<Served, ServeError>>,
}

impl Running {
    async fn start(emulated: Emulated) -> Self {
        let service = Service::start(emulated, clock()).await.unwrap();
        let port = service.address().port();
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(service.run(async { drop(stopped.await) }));
        Self { port, stop: Some(stop), ended }
    }

    async fn stop(mut self) -> Served {
        drop(self.stop.take());
        within(self.ended).await.unwrap().unwrap()
    }
}

fn json(body: &str) -> serde_json::Value {
    serde_json::from_str(body).expect(body)
}

#[tokio::test]
async fn an_answer_names_every_service_the_request_went_through() {
    let db = Running::start(emulated("db", working(1), &[])).await;
    let large = Call { request: Bytes(100_000), times: 2, ..call("db") };
    let cart =
        Running::start(emulated("cart", calling(vec![vec![large]]), &[("db", db.port)])).await;
    let ad = Running::start(emulated("ad", Workload::default(), &[])).await;
    let steps = vec![vec![call("cart"), call("ad")], vec![call("cart")]];
    let callees = [("cart", cart.port), ("ad", ad.port)];
    let web = Running::start(emulated("web", calling(steps), &callees)).await;

    for _ in 0..3 {
        let (status, body) = get(web.port, "/any/path?at=all").await;
        assert_eq!((status, body.len()), (200, 1_024));
        let answer = json(&body);
        assert_eq!(answer["service"], "web");
        assert_eq!(answer["instance"], "web.1");
        assert_eq!(answer["visited"], serde_json::json!(["web", "cart", "db", "ad"]));
        let calls = answer["calls"].as_array().unwrap();
        let callees: Vec<_> = calls.iter().map(|it| it["service"].as_str().unwrap()).collect();
        assert_eq!(callees, ["cart", "ad", "cart"]);
        assert_eq!(calls[0]["status"], 200);
        assert_eq!(calls[0]["visited"], serde_json::json!(["cart", "db"]));
        assert!(calls[0]["ms"].as_f64().unwrap() < 1_000.0);
    }
    for (service, answered) in [(web, 3), (cart, 6), (ad, 3), (db, 12)] {
        assert_eq!(service.stop().await, Served { answered, cut_off: 0 });
    }
}

#[tokio::test]
async fn work_takes_its_time() {
    let service = Running::start(emulated("cart", working(20), &[])).await;
    let clock = clock();
    let before = clock();
    assert_eq!(get(service.port, "/").await.0, 200);
    let took = clock().since(before);
    assert!((20..500).contains(&took.as_millis()), "{took:?}");
}

#[tokio::test]
async fn errors_say_whose_they_are() {
    let failing = Workload { errors: Share::ALL, ..working(0) };
    let db = Running::start(emulated("db", failing, &[])).await;
    let (status, body) = get(db.port, "/").await;
    assert_eq!(status, 500);
    assert_eq!(json(&body)["error"], "a synthetic error, as its behaviour has them");

    let cart =
        emulated("cart", calling(vec![vec![call("db")], vec![call("db")]]), &[("db", db.port)]);
    let cart = Running::start(cart).await;
    let (status, body) = get(cart.port, "/").await;
    assert_eq!(status, 502);
    assert_eq!(json(&body)["error"], "callee `db` answered 500");
    assert_eq!(json(&body)["calls"].as_array().unwrap().len(), 1);

    let optional = Call { optional: true, ..call("db") };
    let web = emulated("web", calling(vec![vec![optional]]), &[("db", db.port)]);
    let web = Running::start(web).await;
    assert_eq!(get(web.port, "/").await.0, 200);

    let port = db.port;
    db.stop().await;
    let (status, body) = get(cart.port, "/").await;
    assert_eq!(status, 502);
    let expected = format!(
        "callee `db` did not answer: cannot connect to 127.0.0.1:{port}: Connection refused (os error 111)"
    );
    assert_eq!(json(&body)["error"], expected);
}

#[tokio::test]
async fn requests_beyond_the_concurrency_wait_and_beyond_the_queue_fail() {
    let mut one = emulated("cart", Workload { concurrency: Some(1), ..working(100) }, &[]);
    one.workload.queue = Some(1);
    let service = Running::start(one).await;
    let port = service.port;
    let requests = [(); 4].map(|()| tokio::spawn(get(port, "/")));
    pass(Duration::from_millis(20)).await;
    assert_eq!(get(port, "/health").await, (200, "ok\n".to_owned()));
    let mut statuses = Vec::new();
    for request in requests {
        let (status, body) = within(request).await.unwrap();
        if status == 503 {
            let error = "1 requests wait already, as many as may (`queue`)";
            assert_eq!(json(&body)["error"], error);
        }
        statuses.push(status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 503, 503]);
}

#[tokio::test]
async fn a_caller_that_leaves_the_queue_does_not_hold_it_up() {
    let one = emulated("cart", Workload { concurrency: Some(1), ..working(50) }, &[]);
    let service = Running::start(one).await;
    let port = service.port;
    let first = tokio::spawn(get(port, "/"));
    pass(Duration::from_millis(10)).await;
    let leaving = [(); 5].map(|()| tokio::spawn(get(port, "/")));
    pass(Duration::from_millis(10)).await;
    for request in leaving {
        request.abort();
    }
    let clock = clock();
    let before = clock();
    assert_eq!(get(port, "/").await.0, 200);
    assert!(clock().since(before) < Duration::from_millis(250));
    assert_eq!(within(first).await.unwrap().0, 200);
}

/// Sends so many requests at once and says how they ended, in the order they did, and after how many
/// milliseconds.
async fn at_once(port: u16, requests: usize) -> Vec<(u16, u128)> {
    let clock = clock();
    let began = clock();
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..requests {
        running.spawn(get(port, "/"));
    }
    let mut ended = Vec::new();
    while let Some(request) = within(running.join_next()).await {
        ended.push((request.unwrap().0, clock().since(began).as_millis()));
    }
    ended
}

#[tokio::test]
async fn the_impatient_leave_and_free_their_places() {
    let patience = Some(WorkTime::Fixed { time: Duration::from_millis(30) });
    let one = Workload { concurrency: Some(1), queue: Some(1), patience, ..working(150) };
    let service = Running::start(emulated("cart", one, &[])).await;
    let port = service.port;
    let first = tokio::spawn(get(port, "/"));
    pass(Duration::from_millis(10)).await;
    for _ in 0..2 {
        let (status, body) = get(port, "/").await;
        assert_eq!(status, 503);
        assert_eq!(json(&body)["error"], "it waited for 30ms and left (`patience`)");
    }
    assert_eq!(within(first).await.unwrap().0, 200);
}

#[tokio::test]
async fn processors_are_shared() {
    let discipline = Discipline::ProcessorSharing;
    let shared = Workload { concurrency: Some(1), discipline, ..working(50) };
    let service = Running::start(emulated("cart", shared, &[])).await;
    let ended = at_once(service.port, 4).await;
    for (status, after) in ended {
        assert_eq!(status, 200);
        assert!((195..400).contains(&after), "{after}");
    }
}

#[tokio::test]
async fn work_beside_other_work_takes_longer() {
    let contention = Some(Contention { contention: 1.0, coherency: 0.0 });
    let service =
        Running::start(emulated("cart", Workload { contention, ..working(40) }, &[])).await;
    let mut took: Vec<_> =
        at_once(service.port, 3).await.into_iter().map(|(_, after)| after / 40).collect();
    took.sort_unstable();
    assert_eq!(took, [1, 2, 3]);
}

/// Two at half the speed of one each, and each of them half as fast again for the other.
#[tokio::test]
async fn work_that_shares_processors_is_slowed_down_by_who_is_there() {
    let contention = Some(Contention { contention: 0.5, coherency: 0.0 });
    let discipline = Discipline::ProcessorSharing;
    let shared = Workload { concurrency: Some(1), discipline, contention, ..working(50) };
    let service = Running::start(emulated("cart", shared, &[])).await;
    for (status, after) in at_once(service.port, 2).await {
        assert_eq!(status, 200);
        assert!((145..400).contains(&after), "{after}");
    }
}

#[tokio::test]
async fn background_work_takes_a_workers_place() {
    let time = Duration::from_millis(100);
    let every = Duration::from_micros(1);
    let background = vec![Background { every, work: WorkTime::Fixed { time } }];
    let busy = Workload { concurrency: Some(1), background, ..working(0) };
    let service = Running::start(emulated("cart", busy, &[])).await;
    pass(Duration::from_millis(20)).await;
    let ended = at_once(service.port, 1).await;
    assert!((40..300).contains(&ended[0].1), "{ended:?}");
    assert_eq!(service.stop().await.cut_off, 0);
}

#[tokio::test]
async fn calls_wait_for_a_connection() {
    let db = Running::start(emulated("db", working(40), &[])).await;
    let call = Call { times: 3, connections: Some(1), ..call("db") };
    let web = emulated("web", calling(vec![vec![call]]), &[("db", db.port)]);
    let web = Running::start(web).await;
    let ended = at_once(web.port, 1).await;
    assert!((120..400).contains(&ended[0].1), "{ended:?}");
}

#[tokio::test]
async fn a_dead_cache_leaves_everything_to_its_store() {
    let cache = Running::start(emulated("cache", working(0), &[])).await;
    let db = Running::start(emulated("db", working(0), &[])).await;
    let kept = Cache { service: "cache".parse().unwrap(), hit_ratio: Share::ALL };
    let call = Call { cache: Some(kept), ..call("db") };
    let callees = [("cache", cache.port), ("db", db.port)];
    let web = Running::start(emulated("web", calling(vec![vec![call]]), &callees)).await;
    let (status, body) = get(web.port, "/").await;
    assert_eq!(
        (status, json(&body)["visited"].clone()),
        (200, serde_json::json!(["web", "cache"]))
    );
    cache.stop().await;
    let (status, body) = get(web.port, "/").await;
    assert_eq!((status, json(&body)["visited"].clone()), (200, serde_json::json!(["web", "db"])));
    assert_eq!(json(&body)["calls"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn it_finishes_what_it_works_on_when_told_to_stop() {
    let mut slow = emulated("cart", working(300), &[]);
    slow.limits.lame_duck = Duration::from_millis(100);
    let mut service = Running::start(slow).await;
    let port = service.port;
    let request = tokio::spawn(get(port, "/"));
    pass(Duration::from_millis(30)).await;
    drop(service.stop.take());
    pass(Duration::from_millis(20)).await;
    assert_eq!(get(port, "/health").await, (503, "stopping\n".to_owned()));
    assert_eq!(within(request).await.unwrap().0, 200);
    assert_eq!(service.stop().await, Served { answered: 2, cut_off: 0 });
}

#[tokio::test]
async fn it_does_not_finish_forever() {
    let mut slow = emulated("cart", working(60_000), &[]);
    slow.limits.drain = Duration::from_millis(50);
    let service = Running::start(slow).await;
    let request = tokio::spawn(raw(service.port, "GET / HTTP/1.1\r\nhost: test\r\n\r\n"));
    pass(Duration::from_millis(30)).await;
    assert_eq!(service.stop().await, Served { answered: 0, cut_off: 1 });
    assert!(within(request).await.is_ok_and(|it| it.is_empty()));
}

#[tokio::test]
async fn idle_connections_do_not_hold_up_its_end() {
    let service = Running::start(emulated("cart", working(0), &[])).await;
    let idle = tokio::net::TcpStream::connect(("127.0.0.1", service.port)).await.unwrap();
    pass(Duration::from_millis(20)).await;
    assert_eq!(service.stop().await.cut_off, 0);
    drop(idle);
}

#[tokio::test]
async fn startup_takes_its_time_and_can_be_cut_short() {
    let startup = Duration::from_millis(50);
    let starting = emulated("cart", Workload { startup, ..working(0) }, &[]);
    let clock = clock();
    let before = clock();
    let service = Service::start(starting.clone(), clock.clone()).await.unwrap();
    assert!(startup <= clock().since(before));
    drop(service);

    let forever = Workload { startup: Duration::from_hours(1), ..working(0) };
    let forever = Emulated { workload: forever, ..starting };
    let served = within(serve(forever, clock, std::future::ready(()))).await.unwrap();
    assert_eq!(served, Served::default());
}

#[tokio::test]
async fn trace_headers_are_passed_on_and_bodies_are_bounded() {
    let callee = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = callee.local_addr().unwrap().port();
    let seen = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut stream, _) = callee.accept().await.unwrap();
        let mut head = vec![0; 4_096];
        let read = stream.read(&mut head).await.unwrap();
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        String::from_utf8(head[..read].to_vec()).unwrap()
    });
    let mut web = emulated("web", calling(vec![vec![call("db")]]), &[("db", port)]);
    web.limits.body_bytes = 10;
    let web = Running::start(web).await;
    let request = "POST / HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: 3\r\n\
                   traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\
                   x-b3-sampled: 1\r\nx-request-id: seven\r\ncookie: secret\r\n\r\nabc";
    let answer = within(raw(web.port, request)).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("x-request-id: seven"), "{answer}");
    let seen = within(seen).await.unwrap();
    assert!(seen.starts_with("GET / HTTP/1.1\r\n"), "{seen}");
    for header in ["traceparent: 00-0af7651916cd43dd", "x-b3-sampled: 1", "x-request-id: seven"] {
        assert!(seen.contains(header), "{seen}");
    }
    assert!(!seen.contains("cookie"), "{seen}");

    let request = "POST / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\
                   content-length: 11\r\n\r\n12345678901";
    let answer = within(raw(web.port, request)).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn what_cannot_run_says_why() {
    let web = emulated("web", calling(vec![vec![call("db")]]), &[]);
    let error = Service::start(web, clock()).await.unwrap_err();
    assert_eq!(error.to_string(), "`web` calls `db` and was not told where it is; set its URL");

    let taken = Running::start(emulated("cart", working(0), &[])).await;
    let mut second = emulated("cart", working(0), &[]);
    second.listen.set_port(taken.port);
    let error = Service::start(second, clock()).await.unwrap_err();
    assert!(matches!(error, ServeError::Listen { .. }), "{error}");
}
