//! What instances do wrong.

use std::sync::mpsc::channel;
use std::time::Duration;

use telemetry::report::Outcomes;

use crate::harness::{Instance, Plane, Shop, free_port};
use crate::streams::{Streams, request};
use crate::wire::{Answer, Wire, get, ok};

/// How requests end that an instance answers with these bytes, and then closes the connection: verdict, body.
#[track_caller]
fn check(answers: &[(&str, &str, &str)], outcomes: Outcomes) {
    let written: Vec<String> = answers.iter().map(|it| it.0.to_owned()).collect();
    let cart = Instance::new(move |mut asked| {
        if let Some((head, _)) = asked.request() {
            let number = head.0.split(['/', ' ']).nth(2).unwrap();
            asked.wire.send(&written[number.parse::<usize>().unwrap()]);
        }
    });
    let mut plane = Plane::new(&Shop::new(&[cart.port]).policy(|it| it.retry.attempts = 0));
    let asked: Vec<_> =
        (0..answers.len()).map(|it| plane.client().get(&format!("/{it}"))).collect();
    for ((written, verdict, body), answer) in answers.iter().zip(&asked) {
        if answer.head.get("x-request-id").is_some() {
            assert_eq!(plane.found(answer), *verdict, "{written}");
        } else {
            assert_eq!((answer.verdict().as_str(), answer.text()), (*verdict, *body), "{written}");
        }
    }
    assert_eq!(plane.outcomes(answers.len() as u64), outcomes);
    plane.end();
}

const OK: Outcomes =
    Outcomes { ok: 1, client_error: 0, server_error: 0, failed: 0, timeout: 0, cancelled: 0 };
const FAILED: Outcomes = Outcomes { ok: 0, failed: 1, ..OK };
const TIMEOUT: Outcomes = Outcomes { ok: 0, timeout: 1, ..OK };

#[test]
fn whoever_refuses_connections_is_passed_over() {
    let good = Instance::answering(ok("good"));
    let mut plane = Plane::new(&Shop::new(&[free_port(), good.port]));
    for _ in 0..4 {
        // A POST, too: nobody has seen it.
        let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
        assert_eq!(plane.client().ask(post).text(), "good");
    }
    assert_eq!(plane.outcomes(4).ok, 4);
    plane.end();
    let mut plane = Plane::new(&Shop::new(&[free_port()]));
    assert_eq!(plane.refused("/"), "502 connect-failure callee safe");
    assert_eq!(plane.outcomes(1), FAILED);
    plane.end();
}

#[test]
fn whoever_never_answers_is_given_up_in_time() {
    let silent = Instance::new(|mut asked| {
        asked.head();
        asked.wire.closed();
    });
    let shop = Shop::new(&[silent.port]).policy(|it| it.timeout = Duration::from_millis(200));
    let mut plane = Plane::new(&shop);
    assert_eq!(plane.refused("/"), "504 timeout callee unsafe");
    assert_eq!(plane.outcomes(1), TIMEOUT);
    // Issue 13: inside, which limit it was, how long, and where it is written.
    let mut shop = shop;
    let inside = plane.inside(&mut shop);
    let answer = Wire::connect(inside).get("/");
    assert_eq!(answer.verdict(), "504 timeout callee unsafe");
    let expected = "timeout: cart gave no answer within 200ms, `timeout` of the call from web to";
    assert!(answer.text().starts_with(expected), "{}", answer.text());
    plane.end();
    let good = Instance::answering(ok("good"));
    let shop = Shop::new(&[silent.port, good.port]).policy(|it| {
        it.retry.attempt_timeout = Some(Duration::from_millis(100));
    });
    let mut plane = Plane::new(&shop);
    for _ in 0..2 {
        assert_eq!(plane.client().get("/").text(), "good");
    }
    let signals = plane.signals(|it| it.releases.first().is_some_and(|it| it.outcomes.ok == 2));
    assert_eq!((signals.releases[0].retries, signals.releases[0].first_attempts.timeout), (1, 1));
    plane.end();
}

#[test]
fn what_may_be_repeated_is_after_a_close_and_what_may_not_is_not() {
    let closing = Instance::new(|mut asked| {
        asked.request();
    });
    let good = Instance::answering(ok("good"));
    let mut plane = Plane::new(&Shop::new(&[closing.port, good.port]));
    for _ in 0..2 {
        assert_eq!(plane.client().get("/").text(), "good");
    }
    assert_eq!(plane.outcomes(2).ok, 2);
    plane.end();
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    let mut plane = Plane::new(&Shop::new(&[closing.port]));
    let answer = plane.client().ask(post);
    assert_eq!(plane.found(&answer), "502 reset callee unsafe");
    assert_eq!(plane.outcomes(1), FAILED);
    assert_eq!(closing.heads().iter().filter(|it| it.0.starts_with("POST")).count(), 1);
    plane.end();
}

#[test]
fn connections_that_are_closed_between_requests_lose_nothing() {
    // Each connection answers three requests and goes; nobody is told beforehand.
    let cart = Instance::new(|mut asked| {
        for _ in 0..3 {
            if asked.request().is_none() || asked.wire.try_send(ok("x")).is_err() {
                return;
            }
        }
    });
    let mut plane = Plane::new(&Shop::new(&[cart.port]).policy(|it| it.retry.attempts = 0));
    let mut client = plane.client();
    for _ in 0..300 {
        assert_eq!(client.get("/").verdict(), "200 -");
    }
    assert_eq!(plane.outcomes(300).ok, 300);
    plane.end();
}

#[test]
fn answers_that_are_none() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(17 << 10));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(101));
    let none = [
        "SSH-2.0-OpenSSH_9\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense",
        "HTTP/1.1 200 OK\nContent-Length: 1\n\nx",
        "HTTP/1.1 999 OK\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        &long,
        &many,
    ];
    let mut answers: Vec<_> =
        none.iter().map(|it| (*it, "502 bad-answer callee unsafe", "")).collect();
    answers.push(("HTTP/1.1 200 OK\r\nConte", "502 reset callee unsafe", ""));
    answers.push(("", "502 reset callee unsafe", ""));
    check(&answers, Outcomes { ok: 0, failed: 12, ..OK });
}

#[test]
fn bodies_end_as_they_should() {
    let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\n\r\n";
    let answers = [
        ("HTTP/1.1 200 OK\r\n\r\nuntil the end", "200 -", "until the end"),
        (chunked, "200 -", "hello"),
        ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", "200 -", "hi"),
        ("HTTP/1.1 204 No Content\r\n\r\n", "204 -", ""),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "304 -", ""),
    ];
    check(&answers, Outcomes { ok: 5, ..OK });
}

#[test]
fn a_body_until_the_end_is_told_to_each_client_in_its_way() {
    let cart = Instance::new(|mut asked| {
        asked.request();
        asked.wire.send("HTTP/1.1 200 OK\r\n\r\nall");
    });
    let plane = Plane::new(&Shop::new(&[cart.port]));
    let mut client = plane.client();
    for _ in 0..2 {
        let answer = client.get("/");
        assert_eq!(answer.head.get("transfer-encoding"), Some("chunked"));
        assert_eq!((answer.text(), answer.head.get("connection")), ("all", None));
    }
    let mut old = plane.client();
    let answer = old.ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_eq!(answer.head.get("connection"), Some("close"));
    assert_eq!((answer.text(), answer.head.get("transfer-encoding")), ("all", None));
    plane.end();
}

#[test]
fn an_answer_that_is_cut_short_ends_the_clients_connection() {
    for body in ["Content-Length: 10\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\na\r\nhello"]
    {
        let cart = Instance::new(move |mut asked| {
            asked.request();
            asked.wire.send(format!("HTTP/1.1 200 OK\r\n{body}"));
        });
        let mut plane = Plane::new(&Shop::new(&[cart.port]));
        let mut client = plane.client();
        client.send(get("/"));
        assert_eq!(client.head().unwrap().status(), 200);
        let rest = client.rest();
        assert!(!rest.ends_with(b"0\r\n\r\n") && rest.len() < 20, "{rest:?}");
        assert_eq!(plane.outcomes(1), FAILED, "{body:?}");
        plane.end();
    }
}

#[test]
fn what_follows_an_answer_is_not_the_next_answer() {
    let cart = Instance::new(|mut asked| {
        let number = asked.number;
        while asked.request().is_some() {
            let answer = ok(&number.to_string());
            let surplus = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
            if asked.wire.try_send([answer.as_bytes(), surplus.as_bytes()].concat()).is_err() {
                return;
            }
        }
    });
    let mut plane = Plane::new(&Shop::new(&[cart.port]));
    let mut client = plane.client();
    for number in 0..5 {
        assert_eq!(client.get("/").text(), number.to_string());
    }
    assert_eq!(plane.outcomes(5).ok, 5);
    plane.end();
}

#[test]
fn an_answer_before_the_body_has_come_is_passed_on() {
    let (taken, took) = channel();
    let cart = Instance::new(move |mut asked| {
        asked.head();
        asked.wire.send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!");
        asked.wire.exact(500_000);
        taken.send(()).unwrap();
    });
    let mut plane = Plane::new(&Shop::new(&[cart.port]));
    let mut client = plane.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n");
    let answer = client.answer();
    assert_eq!((answer.verdict().as_str(), answer.text()), ("413 -", "no!"));
    assert_eq!(plane.outcomes(1).client_error, 1);
    drop(took);
    plane.end();
}

#[test]
fn answers_before_the_answer_are_passed_on() {
    let (early, answer) = ("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", ok("late"));
    for pieces in [vec![early.to_owned(), answer.clone()], vec![format!("{early}{answer}")]] {
        let cart = Instance::new(move |mut asked| {
            while asked.request().is_some() {
                for piece in &pieces {
                    asked.wire.send(piece);
                }
            }
        });
        let plane = Plane::new(&Shop::new(&[cart.port]));
        let mut client = plane.client();
        let early = client.ask(get("/"));
        assert_eq!((early.head.status(), early.head.get("link")), (103, Some("</a>")));
        assert_eq!(client.answer().text(), "late");
        // Old clients do not know of them.
        let mut old = plane.client();
        assert_eq!(old.ask("GET / HTTP/1.0\r\n\r\n").verdict(), "200 -");
        plane.end();
    }
}

#[test]
fn a_client_that_waits_for_100_gets_it_from_the_instance() {
    let cart = Instance::new(|mut asked| {
        let head = asked.head().unwrap();
        assert_eq!(head.get("expect"), Some("100-continue"));
        asked.wire.send("HTTP/1.1 100 Continue\r\n\r\n");
        let body = asked.wire.body(&head);
        asked.wire.send(ok(str::from_utf8(&body).unwrap()));
        asked.wire.closed();
    });
    let plane = Plane::new(&Shop::new(&[cart.port]));
    let mut client = plane.client();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(client.ask(head).head.status(), 100);
    assert_eq!(client.ask("hello").text(), "hello");
    // An instance that refuses does so before the body was sent.
    let refusing = Instance::new(|mut asked| {
        asked.head();
        asked.wire.send("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
        asked.wire.rest();
    });
    let plane = Plane::new(&Shop::new(&[refusing.port]));
    assert_eq!(plane.client().ask(head).verdict(), "403 -");
    plane.end();
}

#[test]
fn chunks_and_trailers_pass_both_ways() {
    let cart = Instance::new(|mut asked| {
        asked.head();
        let (body, trailers) = asked.wire.chunks().unwrap();
        assert_eq!(trailers, ["X-Sum: 1"]);
        let size = body.len();
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n";
        asked.wire.send(format!("{head}{size:x}\r\n"));
        asked.wire.send(body);
        asked.wire.send("\r\n0\r\nX-Sum: 2\r\n\r\n");
        asked.wire.closed();
    });
    let plane = Plane::new(&Shop::new(&[cart.port]));
    let mut client = plane.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    client.send("0\r\nX-Sum: 1\r\n\r\n");
    client.head().unwrap();
    let (body, trailers) = client.chunks().unwrap();
    assert_eq!(
        (body.as_slice(), trailers.as_slice()),
        (&b"hello"[..], &["X-Sum: 2".to_owned()][..])
    );
    plane.end();
}

#[test]
fn head_has_a_length_and_no_body() {
    let cart = Instance::answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    let plane = Plane::new(&Shop::new(&[cart.port]));
    let mut client = plane.client();
    for _ in 0..3 {
        client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
        let head = client.head().unwrap();
        assert_eq!((head.status(), head.get("content-length")), (200, Some("5")));
    }
    plane.end();
}

#[test]
fn upgrades_and_connect_become_tunnels() {
    let cart = Instance::new(|mut asked| {
        let head = asked.head().unwrap();
        let is_connect = head.0.starts_with("CONNECT a:1 HTTP/1.1\r\n");
        asked.wire.send(if is_connect {
            "HTTP/1.1 200 OK\r\n\r\n"
        } else {
            assert_eq!(
                (head.get("upgrade"), head.get("connection")),
                (Some("echo"), Some("upgrade"))
            );
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\nhi"
        });
        let said = asked.wire.rest();
        asked.wire.send(said);
    });
    let port = free_port();
    let mut shop = Shop::new(&[cart.port]);
    shop.edge = Some(port);
    let mut plane = Plane::new(&shop);
    let mut client = plane.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly ");
    let head = client.head().unwrap();
    assert_eq!((head.status(), head.get("upgrade")), (101, Some("echo")));
    assert_eq!(client.exact(2), b"hi");
    client.send("late");
    client.end();
    assert_eq!(client.rest(), b"early late");
    let mut client = Wire::connect(([127, 0, 0, 1], port).into());
    client.send("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n");
    assert_eq!(client.head().unwrap().status(), 200);
    client.send("through");
    client.end();
    assert_eq!(client.rest(), b"through");
    assert_eq!(plane.outcomes(1), OK);
    plane.end();
}

#[test]
fn errors_of_an_instance_are_tried_elsewhere_if_the_policy_says_so() {
    let bad = Instance::answering("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
    let good = Instance::answering(ok("good"));
    let mut plane = Plane::new(&Shop::new(&[bad.port, good.port]));
    for _ in 0..4 {
        assert_eq!(plane.client().get("/").text(), "good");
    }
    assert_eq!(plane.outcomes(4).ok, 4);
    plane.end();
    // A 500 is not one of the usual conditions.
    let bad = Instance::answering("HTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\nbad");
    let mut plane = Plane::new(&Shop::new(&[bad.port]));
    let answer = plane.client().get("/");
    assert_eq!((answer.verdict().as_str(), answer.text()), ("500 -", "bad"));
    assert_eq!(plane.outcomes(1), Outcomes { ok: 0, server_error: 1, ..OK });
    plane.end();
}

#[test]
fn an_instance_that_floods_with_answers_before_the_answer_is_given_up() {
    let cart = Instance::new(|mut asked| {
        asked.request();
        while asked.wire.try_send("HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n".repeat(100)).is_ok() {}
    });
    let mut plane = Plane::new(&Shop::new(&[cart.port]).policy(|it| it.retry.attempts = 0));
    let mut client = plane.client();
    client.send(get("/"));
    let head = loop {
        let head = client.head().unwrap();
        if head.status() != 103 {
            break head;
        }
    };
    let answer = Answer { head, body: Vec::new() };
    assert_eq!(plane.found(&answer), "502 bad-answer callee unsafe");
    assert_eq!(plane.outcomes(1), FAILED);
    plane.end();
}

/// RFC 9110, section 15.5.22: whoever is to come back with another protocol is told with which. Over HTTP/2 nobody can be (RFC
/// 9113, section 8.2.2).
#[test]
fn issue_13_an_answer_that_requires_an_upgrade_says_to_what() {
    let cart = Instance::answering(
        "HTTP/1.1 426 Upgrade Required\r\nConnection: Upgrade\r\nUpgrade: chat/2\r\nContent-Length: 0\r\n\r\n",
    );
    let plane = Plane::new(&Shop::new(&[cart.port]));
    let mut client = plane.client();
    let told = client.get("/").head;
    assert_eq!(
        (told.status(), told.get("upgrade"), told.get("connection")),
        (426, Some("chat/2"), Some("upgrade"))
    );
    let told = client.ask("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").head;
    assert_eq!(
        (told.get("upgrade"), told.get("connection")),
        (Some("chat/2"), Some("close, upgrade"))
    );
    client.closed();
    let streams = Streams::new(plane.gateway);
    let told = streams.ask(request("GET", "/", &[]));
    assert_eq!((told.status, told.get("upgrade"), told.get("connection")), (426, None, None));
    drop(streams);
    plane.end();
}
