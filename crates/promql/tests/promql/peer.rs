//! Debian's Prometheus, started for one test and stopped after it. It is given its samples by remote write, as that
//! alone takes staleness markers.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use promql::memory::Memory;
use serde_json::Value;
use tempfile::TempDir;

pub(crate) struct Prometheus {
    process: Child,
    port: u16,
    /// Kept until it is stopped.
    _folder: TempDir,
}

/// Where `scripts/prometheus` puts it, or the system's.
pub(crate) fn program(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let fetched = root.join("target/prometheus/usr/bin").join(name);
    let system = Path::new("/usr/bin").join(name);
    [fetched, system]
        .into_iter()
        .find(|it| it.exists())
        .unwrap_or_else(|| panic!("{name} is missing; fetch it with scripts/prometheus"))
}

impl Prometheus {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let config = folder.path().join("prometheus.yml");
        std::fs::write(&config, "global: {scrape_interval: 1h}\n").unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut process = Command::new(program("prometheus"))
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(["--storage.tsdb.retention.time=100y", "--web.enable-remote-write-receiver"])
            .args(["--web.console.templates=.", "--web.console.libraries=."])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let ready = lines.by_ref().any(|it| it.unwrap().contains("ready to receive web requests"));
        assert!(ready, "Prometheus has ended before it was ready");
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, port, _folder: folder }
    }

    /// Gives it samples, in the order of their times.
    pub(crate) fn write(&self, memory: &Memory) {
        const SLICE_MS: i64 = 10 * 60_000;
        let times = || memory.iter().flat_map(|it| it.times.iter().copied());
        let (first, last) = (times().min().unwrap(), times().max().unwrap());
        for from_ms in (first..=last).step_by(usize::try_from(SLICE_MS).unwrap()) {
            let body = snappy(&write_request(memory, from_ms, from_ms + SLICE_MS));
            let headers = "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n\
                X-Prometheus-Remote-Write-Version: 0.1.0\r\n";
            let (status, answer) = self.post("/api/v1/write", headers, &body);
            assert_eq!(status, 204, "{}", String::from_utf8_lossy(&answer));
        }
    }

    /// Asks for a page of its API by form.
    pub(crate) fn ask(&self, path: &str, form: &[(&str, &str)]) -> Value {
        let fields: Vec<_> =
            form.iter().map(|(name, it)| format!("{name}={}", escaped(it))).collect();
        let headers = "Content-Type: application/x-www-form-urlencoded\r\n";
        let (_, answer) = self.post(path, headers, fields.join("&").as_bytes());
        serde_json::from_slice(&answer)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&answer)))
    }

    fn post(&self, path: &str, headers: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        write!(
            stream,
            "POST {path} HTTP/1.0\r\nHost: localhost\r\n{headers}Content-Length: {}\r\n\r\n",
            body.len()
        )
        .unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
        let status = std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap();
        (status, answer.split_off(end + 4))
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    text.bytes().map(escape).collect()
}

/// A `WriteRequest` of everything from one moment to before another.
fn write_request(memory: &Memory, from_ms: i64, to_ms: i64) -> Vec<u8> {
    let mut request = Vec::new();
    for series in memory.iter() {
        let mut body = Vec::new();
        for (name, value) in series.labels.iter() {
            let mut label = Vec::new();
            field(&mut label, 1, name.as_bytes());
            field(&mut label, 2, value.as_bytes());
            field(&mut body, 1, &label);
        }
        let samples = series.times.iter().zip(series.values);
        let samples: Vec<_> = samples.filter(|(it, _)| (from_ms..to_ms).contains(it)).collect();
        for (time_ms, value) in &samples {
            let mut sample = vec![0x09];
            sample.extend(value.to_le_bytes());
            sample.push(0x10);
            varint(&mut sample, u64::try_from(**time_ms).unwrap());
            field(&mut body, 2, &sample);
        }
        if !samples.is_empty() {
            field(&mut request, 1, &body);
        }
    }
    request
}

fn field(message: &mut Vec<u8>, number: u8, content: &[u8]) {
    message.push(number << 3 | 2);
    varint(message, content.len() as u64);
    message.extend(content);
}

fn varint(bytes: &mut Vec<u8>, mut number: u64) {
    while 0x7f < number {
        bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap());
}

/// Snappy's format without compression: literals only.
fn snappy(content: &[u8]) -> Vec<u8> {
    let mut block = Vec::new();
    varint(&mut block, content.len() as u64);
    for literal in content.chunks(1 << 16) {
        block.push(61 << 2);
        block.extend(u16::try_from(literal.len() - 1).unwrap().to_le_bytes());
        block.extend(literal);
    }
    block
}
