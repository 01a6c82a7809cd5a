//! One try of a health check.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::process::Command;

/// Bytes of a failed command's output that are quoted.
const QUOTE_BYTES_MAX: usize = 200;

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
    },
}

/// Why an instance is not healthy, in words.
pub type Complaint = String;

impl Try {
    /// Tries once, for at most `timeout`.
    pub async fn run(&self, timeout: Duration) -> Result<(), Complaint> {
        let attempt = async {
            match self {
                Self::Http { port, path } => http(*port, path).await,
                Self::Tcp { port } => connect(*port).await.map(drop),
                Self::Command { program, arguments, environment, folder } => {
                    let mut command = Command::new(program);
                    command.args(arguments).env_clear().envs(environment).current_dir(folder);
                    run(command, program).await
                }
            }
        };
        match tokio::time::timeout(timeout, attempt).await {
            Ok(result) => result,
            Err(_) => Err(format!("no answer within {timeout:?}")),
        }
    }
}

async fn connect(port: u16) -> Result<TcpStream, Complaint> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect(address)
        .await
        .map_err(|error| format!("nothing listens on port {port}: {error}"))
}

async fn http(port: u16, path: &str) -> Result<(), Complaint> {
    let stream = TokioIo::new(connect(port).await?);
    let broken = |error: hyper::Error| format!("no HTTP answer from port {port}: {error}");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(stream).await.map_err(broken)?;
    let request = Request::get(path)
        .header("host", format!("127.0.0.1:{port}"))
        .header("user-agent", concat!("pelago/", env!("CARGO_PKG_VERSION")))
        .header("connection", "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| format!("the path `{path}` cannot be asked for: {error}"))?;
    // A task of its own, since it may end in the very moment the answer comes. It ends with the sender.
    tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(broken)?;
    let status = response.status();
    if status.is_success() || status.is_redirection() {
        Ok(())
    } else {
        Err(format!("GET {path} answered {status}"))
    }
}

async fn run(mut command: Command, program: &str) -> Result<(), Complaint> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let output = command
        .output()
        .await
        .map_err(|error| format!("the check `{program}` could not be run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = if output.stderr.is_empty() { output.stdout } else { output.stderr };
    let quote = said.get(..said.len().min(QUOTE_BYTES_MAX)).unwrap_or_default();
    let quote = String::from_utf8_lossy(quote);
    Err(format!("the check `{program}` ended with {}: {}", output.status, quote.trim()))
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

    async fn ask(answer: &'static str) -> Result<(), Complaint> {
        let port = server(answer);
        Try::Http { port, path: "/health".into() }.run(Duration::from_secs(5)).await
    }

    #[tokio::test]
    async fn a_server_that_answers_well_is_healthy() {
        ask("HTTP/1.0 200 OK\r\n\r\nok").await.unwrap();
        ask("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await.unwrap();
        ask("HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    }

    #[tokio::test]
    async fn another_is_not_and_says_why() {
        let complaint = ask("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n").await.unwrap_err();
        assert_eq!(complaint, "GET /health answered 503 Service Unavailable");
        assert!(ask("rubbish").await.unwrap_err().starts_with("no HTTP answer from port"));
        assert!(ask("").await.unwrap_err().starts_with("no HTTP answer from port"));
    }

    #[tokio::test]
    async fn ports_and_commands() {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let timeout = Duration::from_secs(5);
        Try::Tcp { port }.run(timeout).await.unwrap();
        drop(listener);
        assert!(Try::Tcp { port }.run(timeout).await.is_err());
        let command = |script: &str| Try::Command {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: BTreeMap::from([("A".into(), "a".into())]),
            folder: "/".into(),
        };
        command("test $A = a").run(timeout).await.unwrap();
        let complaint = command("echo not yet >&2; exit 3").run(timeout).await.unwrap_err();
        assert_eq!(complaint, "the check `/bin/sh` ended with exit status: 3: not yet");
        let complaint = command("exec sleep 60").run(Duration::from_millis(20)).await.unwrap_err();
        assert_eq!(complaint, "no answer within 20ms");
    }
}
