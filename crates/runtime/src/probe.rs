//! One try of a health check.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use host::Clock;
use host::limits::is_shortage;
use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::process::Command;

/// Bytes of a failed command's output that are quoted.
const QUOTE_BYTES_MAX: usize = 200;

/// A timer that is late by so much was not waited for: this process was stopped, or the machine slept. Timers of a
/// busy machine are late by milliseconds.
const HELD_UP: Duration = Duration::from_secs(1);

/// What to try, ready to be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Try {
    /// GET this path on this port of loopback; a status of 200 to 399 is healthy.
    Http {
        /// The port.
        port: u16,
        /// The path.
        path: String,
    },
    /// Connect to this port of loopback.
    Tcp {
        /// The port.
        port: u16,
    },
    /// Run this program; exit code 0 is healthy.
    Command {
        /// The program.
        program: String,
        /// Its arguments.
        arguments: Vec<String>,
        /// Its environment.
        environment: BTreeMap<String, String>,
        /// Where it runs.
        folder: PathBuf,
        /// The command line that runs it with what is usual on this machine, if not this process itself does.
        through: Vec<String>,
    },
}

/// Why an instance is not healthy, in words.
pub type Complaint = String;

/// What one try has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tried {
    /// It is healthy.
    Healthy,
    /// It is not.
    Unhealthy(Complaint),
    /// The try could not be made, for want of something here; it says nothing of the instance.
    Unknown(String),
}

/// Why a try did not end well.
enum Failure {
    Theirs(Complaint),
    Ours(String),
}

impl Failure {
    /// Whose fault an error is.
    fn of(error: &io::Error, words: String) -> Self {
        if is_shortage(error) { Self::Ours(words) } else { Self::Theirs(words) }
    }
}

impl Try {
    /// Tries once, for at most `timeout`.
    pub async fn run(&self, timeout: Duration) -> Tried {
        let attempt = async {
            match self {
                Self::Http { port, path } => http(*port, path).await,
                Self::Tcp { port } => connect(*port).await.map(drop),
                Self::Command { program, arguments, environment, folder, through } => {
                    let mut words = through.iter().chain([program]).chain(arguments);
                    let mut command = Command::new(words.next().unwrap_or(program));
                    command.args(words).env_clear().envs(environment).current_dir(folder);
                    run(command, program).await
                }
            }
        };
        let clock = Clock::start();
        let begun = clock.now();
        match tokio::time::timeout(timeout, attempt).await {
            Ok(Ok(())) => Tried::Healthy,
            Ok(Err(Failure::Theirs(complaint))) => Tried::Unhealthy(complaint),
            Ok(Err(Failure::Ours(reason))) => Tried::Unknown(reason),
            Err(_) if timeout + HELD_UP < clock.now().since(begun) => {
                Tried::Unknown("this process was held up meanwhile".to_owned())
            }
            Err(_) => Tried::Unhealthy(format!("no answer within {timeout:?}")),
        }
    }
}

async fn connect(port: u16) -> Result<TcpStream, Failure> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = TcpStream::connect(address).await;
    stream.map_err(|it| Failure::of(&it, format!("nothing listens on port {port}: {it}")))
}

async fn http(port: u16, path: &str) -> Result<(), Failure> {
    let stream = TokioIo::new(connect(port).await?);
    let broken =
        |error: hyper::Error| Failure::Theirs(format!("no HTTP answer from port {port}: {error}"));
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(stream).await.map_err(broken)?;
    let request = Request::get(path)
        .header("host", format!("127.0.0.1:{port}"))
        .header("user-agent", concat!("pelago/", env!("CARGO_PKG_VERSION")))
        .header("connection", "close")
        .body(Empty::<Bytes>::new())
        .map_err(|it| Failure::Theirs(format!("the path `{path}` cannot be asked for: {it}")))?;
    // A task of its own, since it may end in the very moment the answer comes. It ends with the sender.
    tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(broken)?;
    let status = response.status();
    if status.is_success() || status.is_redirection() {
        Ok(())
    } else {
        Err(Failure::Theirs(format!("GET {path} answered {status}")))
    }
}

async fn run(mut command: Command, program: &str) -> Result<(), Failure> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let output = command.output().await.map_err(|error| {
        Failure::of(&error, format!("the check `{program}` could not be run: {error}"))
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = if output.stderr.is_empty() { output.stdout } else { output.stderr };
    let quote = said.get(..said.len().min(QUOTE_BYTES_MAX)).unwrap_or_default();
    let quote = String::from_utf8_lossy(quote);
    let status = output.status;
    let complaint = format!("the check `{program}` ended with {status}: {}", quote.trim());
    Err(Failure::Theirs(complaint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    /// Answers one connection with `answer`, then closes it.
    fn server(answer: &'static str) -> u16 {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let count = stream.read(&mut request).unwrap();
            assert!(request[..count].starts_with(b"GET /health HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).unwrap();
        });
        port
    }

    async fn ask(answer: &'static str) -> Tried {
        let port = server(answer);
        Try::Http { port, path: "/health".into() }.run(Duration::from_secs(5)).await
    }

    fn complaint(tried: Tried) -> Complaint {
        match tried {
            Tried::Unhealthy(complaint) => complaint,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_error_of_ours_is_no_complaint() {
        let failure = |number: rustix::io::Errno| {
            let error = io::Error::from_raw_os_error(number.raw_os_error());
            matches!(Failure::of(&error, String::new()), Failure::Ours(_))
        };
        assert!(failure(rustix::io::Errno::MFILE));
        assert!(!failure(rustix::io::Errno::CONNREFUSED));
    }

    #[tokio::test]
    async fn a_server_that_answers_well_is_healthy() {
        assert_eq!(ask("HTTP/1.0 200 OK\r\n\r\nok").await, Tried::Healthy);
        let no_content = ask("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
        assert_eq!(no_content, Tried::Healthy);
        assert_eq!(ask("HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n").await, Tried::Healthy);
    }

    #[tokio::test]
    async fn another_is_not_and_says_why() {
        let found = complaint(ask("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n").await);
        assert_eq!(found, "GET /health answered 503 Service Unavailable");
        for answer in ["rubbish", ""] {
            assert!(complaint(ask(answer).await).starts_with("no HTTP answer from port"));
        }
    }

    #[tokio::test]
    async fn ports_and_commands() {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let timeout = Duration::from_secs(5);
        assert_eq!(Try::Tcp { port }.run(timeout).await, Tried::Healthy);
        drop(listener);
        assert!(matches!(Try::Tcp { port }.run(timeout).await, Tried::Unhealthy(_)));
        let command = |script: &str| Try::Command {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: BTreeMap::from([("A".into(), "a".into())]),
            folder: "/".into(),
            through: Vec::new(),
        };
        assert_eq!(command("test $A = a").run(timeout).await, Tried::Healthy);
        let found = complaint(command("echo not yet >&2; exit 3").run(timeout).await);
        assert_eq!(found, "the check `/bin/sh` ended with exit status: 3: not yet");
        let found = complaint(command("exec sleep 60").run(Duration::from_millis(20)).await);
        assert_eq!(found, "no answer within 20ms");
    }
}
