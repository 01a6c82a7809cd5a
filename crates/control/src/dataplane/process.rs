//! The data plane's process: a start, its log, and its end.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use host::process;
use model::instance::ProcessId;
use telemetry::GatewayOptions;
use tokio::process::{Child, Command};

use super::Place;
use super::copies::Copies;

/// Bytes of its log after which a new one is begun; the one before is kept beside it.
const LOG_BYTES_MAX: u64 = 4 << 20;

/// Whether another process of the data plane runs already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Predecessor {
    /// None does.
    None,
    /// One does: its listeners are taken over, and it ends when what it has accepted is done.
    Serving,
}

/// Starts processes of the data plane.
#[derive(Debug)]
pub(super) struct Launcher {
    program: PathBuf,
    arguments: Vec<OsString>,
    log: PathBuf,
    /// The listening sockets of the process before.
    copies: Copies,
    /// The process started last, while it has not been seen to have ended.
    child: Option<Child>,
}

impl Launcher {
    pub(super) fn new(place: &Place) -> Self {
        let Place { settings, folder, program, .. } = place;
        let address = |it: Option<SocketAddr>| {
            it.map_or_else(|| "none".into(), |it| OsString::from(it.to_string()))
        };
        let mut arguments: Vec<OsString> = vec!["proxy".into()];
        let mut option = |name: &str, value: OsString| arguments.extend([name.into(), value]);
        option("--data", folder.into());
        option("--gateway", address(settings.gateway));
        option("--gateway-tls", address(settings.gateway_tls));
        option("--tls-folder", folder.join("tls").into());
        option("--workers", settings.workers.to_string().into());
        if let Some(log) = &settings.options.access_log {
            option("--access-log", log.file.clone().into());
            option("--access-log-sample", log.sample.to_string().into());
        }
        if let Some(folder) = &settings.options.decision_log {
            option("--decision-log", folder.into());
        }
        if !settings.options.trusted_proxies.is_empty() {
            option("--trusted-proxies", settings.options.trusted_proxies.to_string().into());
        }
        option("--head-size", settings.options.head_size.to_string().into());
        option("--head-timeout", settings.options.head_time.to_string().into());
        let GatewayOptions { proxy_protocol, says, .. } = settings.options;
        for (name, is_set) in [
            ("--proxy-protocol", proxy_protocol),
            ("--forwarded", says.forwarded),
            ("--via", says.via),
        ] {
            arguments.extend(is_set.then(|| name.into()));
        }
        let log = place.written().join("proxy.log");
        Self { program: program.clone(), arguments, log, copies: Copies::default(), child: None }
    }

    /// Starts one with this socket. It gets no terminal and no environment, and goes on when this process ends.
    pub(super) fn start(&mut self, socket: &Path, predecessor: Predecessor) -> io::Result<()> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg("--socket").arg(socket);
        let mut heir = None;
        let mut stdin = Stdio::null();
        match predecessor {
            Predecessor::Serving => {
                command.args(["--sockets", "taken-over"]);
            }
            Predecessor::None if self.copies.is_empty() => {}
            Predecessor::None => {
                let (ours, theirs) = UnixStream::pair()?;
                command.args(["--sockets", "inherited"]);
                stdin = Stdio::from(OwnedFd::from(theirs));
                heir = Some(ours);
            }
        }
        let child = command
            .current_dir("/")
            .env_clear()
            .process_group(0)
            .stdin(stdin)
            .stdout(Stdio::from(log.try_clone()?))
            .stderr(Stdio::from(log))
            .spawn()?;
        tracing::info!(pid = child.id(), ?predecessor, "the data plane is started");
        self.child = Some(child);
        if let Some(heir) = heir {
            let copies = self.copies.clone();
            tokio::task::spawn_blocking(move || {
                if let Err(error) = copies.bequeath(&heir) {
                    tracing::warn!(%error, "the data plane does not inherit its sockets; it makes others");
                }
            });
        }
        Ok(())
    }

    /// Where the listening sockets of the data plane are kept.
    pub(super) fn copies(&self) -> Copies {
        self.copies.clone()
    }

    /// Whether the process started last still runs.
    pub(super) fn is_running(&mut self) -> bool {
        let Some(child) = &mut self.child else { return false };
        match child.try_wait() {
            Ok(None) => true,
            Ok(Some(status)) => {
                tracing::warn!(%status, "the data plane has ended; proxy.log in the data folder may say why");
                self.child = None;
                false
            }
            Err(_) => false,
        }
    }

    /// Ends the process started last, which does not answer.
    pub(super) async fn kill(&mut self) {
        if let Some(mut child) = self.child.take()
            && let Err(error) = child.kill().await
        {
            tracing::warn!(%error, "the data plane cannot be killed");
        }
    }

    /// Where what it says is written.
    pub(super) fn log(&self) -> &Path {
        &self.log
    }
}

/// Begins a new log where the old one has become long. The process goes on writing to the same file, which
/// is why that is copied and emptied; what it writes in between is lost.
pub(super) fn bound_log(log: &Path) -> io::Result<()> {
    match fs::metadata(log) {
        Ok(found) if LOG_BYTES_MAX < found.len() => {}
        _ => return Ok(()),
    }
    fs::copy(log, log.with_extension("log.1"))?;
    File::options().write(true).open(log)?.set_len(0)
}

/// Ends a data plane that does not answer any more.
pub(super) fn kill(process: ProcessId) {
    if let Err(error) = process::kill(process) {
        tracing::warn!(%error, "the data plane cannot be killed");
    }
}

/// Ends a data plane that nobody needs any more.
pub(super) fn terminate(process: ProcessId) {
    if let Err(error) = process::terminate(process) {
        tracing::warn!(%error, "the data plane cannot be told to end");
    }
}
