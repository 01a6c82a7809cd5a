//! A data folder, the control process in charge of it, and an application to run there.

mod clock;
pub(crate) mod http;
pub(crate) mod processes;
mod running;
pub(crate) mod webhook;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use host::Clock;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal};
use serde_json::Value;

use http::{Request, Response};
pub(crate) use running::{Ran, Running};

/// The longest time anything may take: far longer than it does on an idle machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(40);
/// Pause between two looks at something that cannot be waited for.
const PAUSE: Duration = Duration::from_millis(5);

/// The binary under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_pelago");

/// Looks again and again until there is something to see.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let clock = Clock::start();
    let start = clock.now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(clock.now().since(start) < DEADLINE, "waited for {what} in vain");
        std::thread::park_timeout(PAUSE);
    }
}

/// Waits until a child has ended.
#[track_caller]
pub(crate) fn wait(child: &mut Child) -> ExitStatus {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    if let Ok(descriptor) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        let mut fds = [PollFd::new(&descriptor, PollFlags::IN)];
        let timeout = Timespec { tv_sec: DEADLINE.as_secs().cast_signed(), tv_nsec: 0 };
        let ready = rustix::event::poll(&mut fds, Some(&timeout)).unwrap();
        if ready == 0 {
            child.kill().unwrap();
            panic!("process {} does not end", child.id());
        }
    }
    child.wait().unwrap()
}

/// Sends a signal to a child.
pub(crate) fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// Everything one test has. What it started ends with it.
#[derive(Debug)]
pub(crate) struct Site {
    folder: tempfile::TempDir,
    control: Option<Child>,
    listen: String,
    /// What else control processes to come are told.
    pub(crate) serve: Vec<&'static str>,
    environment: BTreeMap<String, String>,
    program: PathBuf,
    /// Whom everything runs as, if not as the test itself.
    user: Option<u32>,
}

/// The user `nobody`, on every Linux we know.
const NOBODY: u32 = 65_534;

impl Site {
    /// Folders, and nothing that runs.
    pub(crate) fn new() -> Self {
        // Short: a socket's path may have 107 bytes.
        let folder = tempfile::Builder::new().prefix("pe").tempdir_in("/tmp").unwrap();
        fs::create_dir(folder.path().join("app")).unwrap();
        let path = std::env::vars().find(|(name, _)| name == "PATH").map(|(_, it)| it);
        let home = folder.path().display().to_string();
        let environment = BTreeMap::from([
            ("PATH".to_owned(), path.unwrap_or_default()),
            ("HOME".to_owned(), home),
            // Tests run side by side, and only one of them could have the usual port.
            ("PELAGO_GATEWAY".to_owned(), "none".to_owned()),
            ("PELAGO_TELEMETRY".to_owned(), "none".to_owned()),
        ]);
        let (listen, program) = ("none".to_owned(), PathBuf::from(PROGRAM));
        Self { folder, control: None, listen, serve: Vec::new(), environment, program, user: None }
    }

    /// Run by a user who may not make control groups. If the test's own may not, that is who.
    pub(crate) fn unprivileged() -> Self {
        let mut site = Self::new();
        if rustix::process::geteuid().is_root() {
            // The build folder need not be open to everybody.
            site.program = site.folder.path().join("pelago");
            fs::copy(PROGRAM, &site.program).unwrap();
            for folder in [site.folder.path(), &site.app()] {
                std::os::unix::fs::chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
            }
            site.user = Some(NOBODY);
        }
        site
    }

    /// With a control process in charge.
    pub(crate) fn serving() -> Self {
        let mut site = Self::new();
        site.start();
        site
    }

    /// With a control process in charge, and this application's file.
    pub(crate) fn with(manifest: &str) -> Self {
        let site = Self::serving();
        site.manifest(manifest);
        site
    }

    /// With a control process that listens on a TCP port too.
    pub(crate) fn listening() -> Self {
        let mut site = Self::new();
        site.listen_at("127.0.0.1:0");
        site.start();
        site
    }

    /// With a control process in charge, a gateway, and this application's file.
    pub(crate) fn with_gateway(manifest: &str) -> Self {
        let mut site = Self::new();
        site.gateway_at("127.0.0.1:0");
        site.start();
        site.manifest(manifest);
        site
    }

    /// Says where the gateway of control processes to come should listen.
    pub(crate) fn gateway_at(&mut self, address: &str) {
        self.environment.insert("PELAGO_GATEWAY".to_owned(), address.to_owned());
    }

    /// The same for the gateway that speaks TLS.
    pub(crate) fn gateway_tls_at(&mut self, address: &str) {
        self.environment.insert("PELAGO_GATEWAY_TLS".to_owned(), address.to_owned());
    }

    /// Says where the API of control processes to come should listen, beside the socket.
    pub(crate) fn listen_at(&mut self, address: &str) {
        address.clone_into(&mut self.listen);
    }

    /// Says where telemetry of control processes to come should be taken in.
    pub(crate) fn telemetry_at(&mut self, address: &str) {
        self.environment.insert("PELAGO_TELEMETRY".to_owned(), address.to_owned());
    }

    /// Where telemetry is taken in and asked for.
    #[track_caller]
    pub(crate) fn telemetry(&self) -> String {
        fs::read_to_string(self.data().join("telemetry.address")).unwrap()
    }

    /// What the checkup says of the data plane, once it is connected.
    #[track_caller]
    pub(crate) fn data_plane(&self) -> String {
        until("the data plane", || {
            let findings = self.get("/v1/doctor").ok();
            let finding = findings.as_array()?.iter().find(|it| it["subject"] == "data plane")?;
            let detail = finding["detail"].as_str()?.to_owned();
            detail.contains("process").then_some(detail)
        })
    }

    /// Where the gateway listens.
    #[track_caller]
    pub(crate) fn gateway(&self) -> String {
        let detail = self.data_plane();
        let (_, address) = detail.split_once("gateway at ").unwrap_or_else(|| panic!("{detail}"));
        address.to_owned()
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn app(&self) -> PathBuf {
        self.folder.path().join("app")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.data().join("pelago.sock")
    }

    pub(crate) fn instance_folder(&self, application: &str, instance: &str) -> PathBuf {
        self.data().join("instances").join(application).join(instance)
    }

    pub(crate) fn manifest(&self, text: &str) {
        self.write("pelago.yaml", text);
    }

    /// Writes a file beside the application's.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.app().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.folder.path().join("control.log")
    }

    /// A command of the binary, not run yet.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        // First, since `exec` takes everything behind its target for itself.
        command.arg("--data").arg(self.data()).args(arguments);
        command.env_clear().envs(&self.environment).current_dir(self.app()).stdin(Stdio::null());
        command
    }

    /// Starts a control process without waiting for it.
    pub(crate) fn spawn_control(&mut self) {
        assert!(self.control.is_none(), "a control process runs already");
        let log = File::options().create(true).append(true).open(self.log()).unwrap();
        let mut command = self.command(&["serve", "--listen", &self.listen]);
        command.args(&self.serve).stdout(log.try_clone().unwrap()).stderr(log);
        self.control = Some(command.spawn().unwrap());
    }

    /// Starts a control process and waits until it answers.
    pub(crate) fn start(&mut self) {
        self.spawn_control();
        self.wait_for_control();
    }

    pub(crate) fn wait_for_control(&mut self) {
        until("the control process to answer", || {
            let control = self.control.as_mut().unwrap();
            if let Some(status) = control.try_wait().unwrap() {
                let log = fs::read_to_string(self.folder.path().join("control.log")).unwrap();
                panic!("the control process ended with {status}: {log}");
            }
            http::ask(&self.socket(), &Request::get("/health")).ok()
        });
    }

    pub(crate) fn control_pid(&self) -> u32 {
        self.control.as_ref().unwrap().id()
    }

    /// Kills the control process with SIGKILL.
    pub(crate) fn kill_control(&mut self) {
        let mut control = self.control.take().unwrap();
        control.kill().unwrap();
        wait(&mut control);
    }

    /// Sends the control process a signal.
    pub(crate) fn signal_control(&self, of: Signal) {
        signal(self.control.as_ref().unwrap(), of);
    }

    /// Asks the control process to end, and waits until it has.
    pub(crate) fn end_control(&mut self) {
        let mut control = self.control.take().unwrap();
        signal(&control, Signal::TERM);
        assert!(wait(&mut control).success());
    }

    /// Runs a command to its end.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.begin(arguments).wait()
    }

    /// Runs a command to its end, which must be a good one.
    #[track_caller]
    pub(crate) fn ok(&self, arguments: &[&str]) -> Ran {
        self.run(arguments).ok()
    }

    /// Runs a command with `--format json` to a good end.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Ran {
        self.ok(&[&["--format", "json"], arguments].concat())
    }

    /// Starts a command.
    pub(crate) fn begin(&self, arguments: &[&str]) -> Running {
        self.spawn(&mut self.command(arguments))
    }

    /// Starts any program, with its output in this site's folder.
    pub(crate) fn spawn(&self, command: &mut Command) -> Running {
        let file = || {
            let file = tempfile::Builder::new().prefix("run").tempfile_in(self.folder.path());
            file.unwrap().keep().unwrap()
        };
        let ((out, out_path), (err, err_path)) = (file(), file());
        let child = command.stdout(out).stderr(err).spawn().unwrap();
        Running::new(child, out_path, err_path)
    }

    /// Asks the API; somebody must be there.
    #[track_caller]
    pub(crate) fn get(&self, target: &str) -> Response {
        http::ask(&self.socket(), &Request::get(target)).unwrap()
    }

    #[track_caller]
    pub(crate) fn post(&self, target: &str, body: &str) -> Response {
        http::ask(&self.socket(), &Request::post(target, body)).unwrap()
    }

    /// The state of the only application.
    #[track_caller]
    pub(crate) fn application(&self) -> Value {
        self.get("/v1/status").ok()["applications"][0].clone()
    }

    /// The state of a service of the only application.
    #[track_caller]
    pub(crate) fn service(&self, name: &str) -> Value {
        service_of(&self.application(), name)
    }

    /// The process of the first instance of a service, and the instance.
    #[track_caller]
    pub(crate) fn instance(&self, service: &str) -> (u32, String) {
        let view = self.service(service)["instances"][0].clone();
        let pid = u32::try_from(view["pid"].as_u64().unwrap_or_else(|| panic!("{view}"))).unwrap();
        (pid, view["id"].as_str().unwrap().to_owned())
    }

    /// The index of the last event.
    pub(crate) fn index(&self) -> u64 {
        self.get("/v1/status").ok()["index"].as_u64().unwrap()
    }

    /// Waits until the state of the only application is as `done` wants it.
    #[track_caller]
    pub(crate) fn until(&self, what: &str, done: impl Fn(&Value) -> bool) -> Value {
        let mut target = "/v1/status".to_owned();
        let clock = Clock::start();
        let start = clock.now();
        loop {
            let status = self.get(&target).ok();
            if done(&status["applications"][0]) {
                return status["applications"][0].clone();
            }
            let late = DEADLINE < clock.now().since(start);
            assert!(!late, "waited for {what} in vain: {status:#}");
            target = format!("/v1/status?after={}&wait=5s", status["index"]);
        }
    }

    /// Every event there is.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.events_after(0)
    }

    pub(crate) fn events_after(&self, index: u64) -> Vec<Value> {
        let events = self.get(&format!("/v1/events?after={index}&limit=10000")).ok();
        events.as_array().unwrap().clone()
    }

    /// Waits for an event after `index` of which `wanted` says that it is the one.
    #[track_caller]
    pub(crate) fn event(&self, index: u64, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut after = index;
        let clock = Clock::start();
        let start = clock.now();
        loop {
            let events = self.get(&format!("/v1/events?after={after}&wait=5s")).ok();
            for event in events.as_array().unwrap() {
                if wanted(event) {
                    return event.clone();
                }
                after = event["index"].as_u64().unwrap();
            }
            let late = DEADLINE < clock.now().since(start);
            assert!(!late, "waited for {what} in vain: {:#?}", texts(&self.events_after(index)));
        }
    }

    /// Waits for an event after `index` that says this.
    #[track_caller]
    pub(crate) fn text(&self, index: u64, part: &str) -> Value {
        self.event(index, part, |it| it["text"].as_str().unwrap().contains(part))
    }

    /// Asserts that nothing of what was started is left, control process apart.
    #[track_caller]
    pub(crate) fn assert_nothing_left(&self) {
        let data = self.data();
        // Supervisors that have written down how their instance ended are about to end.
        until("supervisors to end", || processes::of(&data).is_empty().then_some(()));
        assert_eq!(processes::cgroups(&data), [] as [PathBuf; 0]);
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = fs::read_to_string(self.log()).unwrap_or_default();
            let events = http::ask(&self.socket(), &Request::get("/v1/events?limit=10000"));
            let events = events.map(|it| it.json().as_array().cloned().unwrap_or_default());
            eprintln!("control log:\n{log}\nevents: {:#?}", events.map(|it| texts(&it)));
        }
        let mut owners: Vec<u32> = self.control.iter().map(Child::id).collect();
        if let Some(mut control) = self.control.take() {
            drop(control.kill());
            drop(control.wait());
        }
        // A command may have started one.
        owners.extend(owner(&self.data()));
        for process in owners.into_iter().filter_map(processes::identify) {
            drop(host::process::signal(process, Signal::KILL));
        }
        processes::data_planes(&self.data()).into_iter().for_each(processes::kill);
        processes::kill_all(&self.data());
        for folder in processes::cgroups(&self.data()) {
            drop(fs::remove_dir(folder));
        }
        if let Some(substitute) = cli::substitute::find(&self.data()) {
            drop(fs::remove_dir_all(substitute));
        }
    }
}

/// The control process that was started for this folder, whoever started it.
pub(crate) fn owner(data: &Path) -> Option<u32> {
    let pid: u32 = fs::read_to_string(data.join("lock")).ok()?.trim().parse().ok()?;
    let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let command = String::from_utf8_lossy(&command).into_owned();
    command.contains(&data.display().to_string()).then_some(pid)
}

/// A service of an application.
#[track_caller]
pub(crate) fn service_of(application: &Value, name: &str) -> Value {
    let services = application["services"].as_array();
    let found = services.and_then(|it| it.iter().find(|it| it["name"] == name));
    found.unwrap_or_else(|| panic!("no {name} in {application:#}")).clone()
}

/// The sentences of events.
pub(crate) fn texts(events: &[Value]) -> Vec<String> {
    events.iter().map(|it| format!("{} {}", it["index"], it["text"].as_str().unwrap())).collect()
}

/// The place of the first event that says this.
#[track_caller]
pub(crate) fn place(events: &[Value], part: &str) -> usize {
    let says = |it: &Value| it["text"].as_str().unwrap().contains(part);
    events.iter().position(says).unwrap_or_else(|| panic!("no `{part}` in {:#?}", texts(events)))
}

/// The number of events that say this.
pub(crate) fn count(events: &[Value], part: &str) -> usize {
    events.iter().filter(|it| it["text"].as_str().unwrap().contains(part)).count()
}
