//! Orders: has them paid, then shipped. Nothing but the standard library.
//!
//! `POST /orders` takes any body, calls `payments` and `shipping` with it, and answers with the
//! order's number and the services that took part. An order is placed whole or not at all: if a
//! callee fails, the answer is 502 and says which.
//!
//! The default of SIGTERM, to end at once, is left as it is: Pelago sends it when no request is on
//! its way here any more.

mod http;
mod visited;

use std::io::BufReader;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use http::{Request, Response};

/// Connections served at once; more are closed at once. Each is a thread.
const CONNECTIONS_MAX: usize = 512;

/// Time a connection may be silent.
const IDLE: Duration = Duration::from_secs(75);

static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);
static ORDERS: AtomicU64 = AtomicU64::new(0);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let variable = |name: &str| std::env::var(name).map_err(|_| format!("{name} is not set"));
    let port: u16 = variable("PORT")?.parse()?;
    // They live as long as the process.
    let callees: &'static [(&str, &str, String)] = Box::leak(Box::new([
        ("payments", "/charge", variable("PAYMENTS_URL")?),
        ("shipping", "/shipments", variable("SHIPPING_URL")?),
    ]));
    let listener = TcpListener::bind(("127.0.0.1", port))?; // with SO_REUSEADDR
    println!("orders listens on {port}");
    for stream in listener.incoming() {
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                eprintln!("a connection cannot be accepted: {error}");
                std::thread::sleep(Duration::from_millis(50));
                continue;
            }
        };
        if CONNECTIONS_MAX <= CONNECTIONS.load(Ordering::Relaxed) {
            eprintln!("a connection was closed: {CONNECTIONS_MAX} are open");
            continue;
        }
        CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        let spawned = std::thread::Builder::new().stack_size(256 << 10).spawn(move || {
            // A connection that ends in the middle is its client's business.
            let _ = serve(&stream, callees);
            CONNECTIONS.fetch_sub(1, Ordering::Relaxed);
        });
        if let Err(error) = spawned {
            eprintln!("no thread for a connection: {error}");
            CONNECTIONS.fetch_sub(1, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Answers the requests of one connection, one after another.
fn serve(stream: &TcpStream, callees: &[(&str, &str, String)]) -> Result<(), http::Error> {
    stream.set_read_timeout(Some(IDLE))?;
    stream.set_write_timeout(Some(IDLE))?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = http::read_request(&mut reader)? {
        let began = Instant::now();
        let response = route(&request, callees);
        http::write_response(stream, &response)?;
        let Request { method, path, .. } = &request;
        let took = began.elapsed().as_secs_f64() * 1e3;
        // Asked every few seconds, and nothing to tell.
        if path != "/health" {
            println!("{method} {path} {} {took:.1}ms", response.status);
        }
        if request.close {
            break;
        }
    }
    Ok(())
}

fn route(request: &Request, callees: &[(&str, &str, String)]) -> Response {
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/health") => Response { status: 200, body: r#"{"status": "ok"}"#.into() },
        ("POST", "/orders") => place(request, callees),
        _ => problem(404, "there is nothing here", &["orders".to_owned()]),
    }
}

fn place(request: &Request, callees: &[(&str, &str, String)]) -> Response {
    let mut visited = vec!["orders".to_owned()];
    for (callee, path, url) in callees {
        let answer = match http::post(url, path, request) {
            Ok(answer) => answer,
            Err(error) => {
                return problem(502, &format!("{callee} did not answer: {error}"), &visited);
            }
        };
        visited::add(&mut visited, &answer.body);
        if answer.status != 200 {
            return problem(502, &format!("{callee} answered {}", answer.status), &visited);
        }
    }
    let number = ORDERS.fetch_add(1, Ordering::Relaxed) + 1;
    let order = format!("o-{}-{number}", std::process::id());
    let visited = visited::list(&visited);
    let body = format!(r#"{{"service": "orders", "order": "{order}", "visited": {visited}}}"#);
    Response { status: 200, body }
}

/// An answer that says what went wrong. `text` is ours and needs no escaping but of its quotes.
fn problem(status: u16, text: &str, visited: &[String]) -> Response {
    let text = text.replace(['"', '\\'], "'").replace(char::is_control, " ");
    let visited = visited::list(visited);
    let body = format!(r#"{{"service": "orders", "error": "{text}", "visited": {visited}}}"#);
    Response { status, body }
}
