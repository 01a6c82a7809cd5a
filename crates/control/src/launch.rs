//! From a world to everything a supervisor must know: pure, so that it can be tested and simulated.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use host::limits::Usual;
use model::health::{Check, Probe};
use model::name::{address_variable, host_variable, port_variable, url_variable};
use model::release::Release;
use model::service::{Protocol, Source};
use model::{ApplicationName, InstanceId, ServiceName, Template};
use runtime::launch::{DataFolder, LaunchSpec, LogLimits};
use runtime::probe::Try;
use world::{ApplicationState, Instance, Purpose, World};

/// Variables of the control process that instances get too; everything else must be declared.
pub(crate) const INHERITED: [&str; 8] =
    ["HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TZ", "USER"];

/// Where callees are, each at a port of its own. The number and not a name: some resolvers prefer IPv6, where
/// nobody listens.
const LOOPBACK: &str = "127.0.0.1";
/// The propagators asked for: those that every OpenTelemetry SDK has built in. An SDK that lacks one of those
/// named may refuse to start (Python's does), and the data plane reads and writes B3 whatever a service speaks.
const PROPAGATORS: &str = "tracecontext,baggage";

/// Where things are on this machine, for [`Launcher`].
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    /// This binary.
    pub(crate) program: PathBuf,
    /// The [`INHERITED`] variables.
    pub(crate) inherited: BTreeMap<String, String>,
    /// Where instances may send what they measure.
    pub(crate) collector: Option<SocketAddr>,
    /// What instances are allowed, if not what this process is.
    pub(crate) usual: Option<Usual>,
}

impl Machine {
    /// The command line before a program that runs it with what is usual here.
    fn through(&self) -> Vec<String> {
        let Some(Usual { open_files, umask }) = self.usual else { return Vec::new() };
        let open_files = open_files.map_or_else(|| "unlimited".to_owned(), |it| it.to_string());
        let program = self.program.display().to_string();
        vec![program, "as-usual".to_owned(), open_files, umask.to_string()]
    }
}

/// An instance with everything around it that its start depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Launcher<'a> {
    pub(crate) machine: &'a Machine,
    pub(crate) application: &'a ApplicationName,
    pub(crate) state: &'a ApplicationState,
    pub(crate) id: &'a InstanceId,
    pub(crate) instance: &'a Instance,
    pub(crate) release: &'a Release,
}

/// What must be known of the machine's folders to start an instance.
#[derive(Clone, Debug)]
pub(crate) struct Folders {
    /// The release's files, if it has any.
    pub(crate) release: Option<PathBuf>,
    /// Where the instance may put files.
    pub(crate) scratch: PathBuf,
    /// The data of its service, if that has any.
    pub(crate) data: Option<DataFolder>,
}

impl<'a> Launcher<'a> {
    /// Finds the instance in the world, or nothing if it is not there.
    pub(crate) fn find(
        machine: &'a Machine,
        world: &'a World,
        application: &'a ApplicationName,
        id: &'a InstanceId,
    ) -> Option<Self> {
        let state = world.application(application)?;
        let service = state.services.get(&id.service)?;
        let instance = service.instances.get(&id.number)?;
        let release = service.releases.get(&instance.release)?;
        Some(Self { machine, application, state, id, instance, release })
    }

    /// What to start, or why it cannot be.
    pub(crate) fn spec(&self, folders: &Folders, cgroup: String) -> Result<LaunchSpec, String> {
        let environment = self.environment(folders)?;
        let words = self.words(&environment)?;
        let (program, arguments) = words.split_first().ok_or("its command is empty")?;
        Ok(LaunchSpec {
            application: self.application.clone(),
            instance: self.id.clone(),
            program: program.clone(),
            arguments: arguments.to_vec(),
            environment,
            working_folder: working_folder(folders),
            limits: self.release.service.limits.clone(),
            stop_grace_period: self.release.service.stop_grace_period,
            stop_signal: self.release.service.stop_signal,
            data: folders.data.clone(),
            log: LogLimits::default(),
            cgroup,
            usual: self.machine.usual.map(Into::into),
        })
    }

    fn words(&self, environment: &BTreeMap<String, String>) -> Result<Vec<String>, String> {
        let service = &self.release.service;
        if self.instance.purpose == Purpose::ReleaseCommand {
            return fill_all(&service.release_command, environment);
        }
        match &service.source {
            Source::Process { command, .. } => fill_all(command, environment),
            Source::Behaviour(_) => {
                let program = self.machine.program.display().to_string();
                Ok(vec![program, "emulate".to_owned()])
            }
            Source::Image { .. } => Err("this version does not run images".to_owned()),
        }
    }

    /// The instance's whole environment: what is inherited, what the platform tells it, and what the
    /// manifest says, which has the last word.
    pub(crate) fn environment(
        &self,
        folders: &Folders,
    ) -> Result<BTreeMap<String, String>, String> {
        let mut environment = self.machine.inherited.clone();
        let mut tell = |key: &str, value: String| {
            environment.insert(key.to_owned(), value);
        };
        tell("PORT", self.instance.port.to_string());
        for (name, port) in &self.instance.ports {
            tell(&name.variable(), port.to_string());
        }
        if let Some(data) = &folders.data {
            tell("DATA_DIR", data.path.display().to_string());
        }
        tell("TMPDIR", folders.scratch.display().to_string());
        tell("PELAGO_APPLICATION", self.application.to_string());
        tell("PELAGO_SERVICE", self.id.service.to_string());
        tell("PELAGO_INSTANCE", self.id.to_string());
        tell("PELAGO_RELEASE", self.instance.release.to_string());
        for (key, value) in self.observability() {
            tell(key, value);
        }
        for callee in self.release.service.calls.keys() {
            let Some(port) = self.edge_port(callee) else { continue };
            let definition = self.state.definition.services.get(callee);
            let speaks_tcp = definition.is_some_and(|it| it.protocol == Protocol::Tcp);
            let scheme = if speaks_tcp { "tcp" } else { "http" };
            let callee = callee.as_str();
            tell(&url_variable(callee), format!("{scheme}://{LOOPBACK}:{port}"));
            tell(&address_variable(callee), format!("{LOOPBACK}:{port}"));
            tell(&host_variable(callee), LOOPBACK.to_owned());
            tell(&port_variable(callee), port.to_string());
        }
        if let Source::Behaviour(workload) = &self.release.service.source {
            let text = serde_json::to_string(workload).map_err(|error| error.to_string())?;
            tell("PELAGO_BEHAVIOUR", text);
        }
        fill_environment(&mut environment, &self.release.service.environment)?;
        Ok(environment)
    }

    /// What OpenTelemetry's SDKs read, so that they need no configuration of their own.
    ///
    /// Source: <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>.
    fn observability(&self) -> Vec<(&'static str, String)> {
        let (application, id) = (self.application, self.id);
        let release = self.instance.release;
        let attributes = format!(
            "service.namespace={application},service.instance.id={id},service.version={release}"
        );
        let mut told = vec![
            ("OTEL_SERVICE_NAME", id.service.to_string()),
            ("OTEL_RESOURCE_ATTRIBUTES", attributes),
            ("OTEL_PROPAGATORS", PROPAGATORS.to_owned()),
        ];
        if let Some(address) = self.machine.collector {
            told.push(("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}")));
            told.push(("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf".to_owned()));
            told.push(("OTEL_EXPORTER_ZIPKIN_ENDPOINT", format!("http://{address}/api/v2/spans")));
        }
        told
    }

    /// Where this instance finds `callee`: at the edge, or, in an application that was last applied by a
    /// version without edges, at the callee's first instance.
    fn edge_port(&self, callee: &ServiceName) -> Option<u16> {
        let own = self.state.group_edge_port((&self.id.service, self.instance.group), callee);
        let edge = own.or_else(|| self.state.edge_port(&self.id.service, callee));
        let first = || Some(self.state.services.get(callee)?.main_group()?.slots.get(&0)?.port);
        edge.or_else(first)
    }

    /// A health check of this instance, ready to be tried.
    pub(crate) fn check(&self, check: &Check, folders: &Folders) -> Result<Try, String> {
        let port = self.instance.port;
        Ok(match &check.probe {
            Probe::Http(path) => Try::Http { port, path: path.clone() },
            Probe::Tcp => Try::Tcp { port },
            Probe::Command(command) => {
                let environment = self.environment(folders)?;
                let words = fill_all(command, &environment)?;
                let (program, arguments) =
                    words.split_first().ok_or("the command of its check is empty")?;
                Try::Command {
                    program: program.clone(),
                    arguments: arguments.to_vec(),
                    environment,
                    folder: working_folder(folders),
                    through: self.machine.through(),
                }
            }
        })
    }
}

/// In the release's own copy; without files, in a folder of the instance's own.
pub(crate) fn working_folder(folders: &Folders) -> PathBuf {
    folders.release.as_deref().unwrap_or_else(|| Path::new(&folders.scratch)).to_owned()
}

fn fill_all(
    templates: &[Template],
    environment: &BTreeMap<String, String>,
) -> Result<Vec<String>, String> {
    let fill = |template: &Template| {
        template
            .fill(|path| environment.get(path).cloned())
            .map_err(|path| format!("`${{{path}}}` in its command has no value and no default"))
    };
    templates.iter().map(fill).collect()
}

/// Adds `declared` to `environment`. Entries may refer to each other, in any order; an entry waits for those
/// it refers to. `PATH: ${PATH}:/extra` means the inherited one.
fn fill_environment(
    environment: &mut BTreeMap<String, String>,
    declared: &BTreeMap<String, Template>,
) -> Result<(), String> {
    let mut left: BTreeMap<&String, &Template> = declared.iter().collect();
    while !left.is_empty() {
        let ready: Vec<(&String, &Template)> = left
            .iter()
            .filter(|(key, template)| !refers_to_later(template, key, &left))
            .map(|(key, template)| (*key, *template))
            .collect();
        if ready.is_empty() {
            return Err("its environment variables refer to each other in a circle".to_owned());
        }
        for (key, template) in ready {
            let value = template.fill(|path| environment.get(path).cloned()).map_err(|path| {
                format!(
                    "`${{{path}}}` in its environment variable {key} has no value and no default"
                )
            })?;
            environment.insert(key.clone(), value);
            left.remove(key);
        }
    }
    Ok(())
}

fn refers_to_later(template: &Template, key: &str, left: &BTreeMap<&String, &Template>) -> bool {
    template.references().any(|it| it.path != key && left.contains_key(&it.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(declared: &[(&str, &str)], expected: Result<&[(&str, &str)], &str>) {
        let mut environment = BTreeMap::from([
            ("PORT".to_owned(), "8080".to_owned()),
            ("PATH".to_owned(), "/bin".to_owned()),
        ]);
        let declared = declared
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.parse().unwrap()))
            .collect();
        match (fill_environment(&mut environment, &declared), expected) {
            (Ok(()), Ok(expected)) => {
                for (key, value) in expected {
                    assert_eq!(environment.get(*key).map(String::as_str), Some(*value), "{key}");
                }
            }
            (Err(error), Err(expected)) => assert_eq!(error, expected),
            (found, expected) => panic!("{found:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn environments_fill() {
        check(
            &[("A", "${B}/a"), ("B", "${C}:${PORT}"), ("C", "c"), ("PATH", "${PATH}:/extra")],
            Ok(&[("A", "c:8080/a"), ("B", "c:8080"), ("PATH", "/bin:/extra")]),
        );
        check(&[("A", "${B:-x}"), ("B", "b")], Ok(&[("A", "b")]));
        check(&[("A", "${NONE:-x}")], Ok(&[("A", "x")]));
        check(
            &[("A", "${NONE}")],
            Err("`${NONE}` in its environment variable A has no value and no default"),
        );
        check(
            &[("A", "${B:-}"), ("B", "${A:-}")],
            Err("its environment variables refer to each other in a circle"),
        );
    }

    /// Everything an instance of web, which calls cart, is told, with these edges and this protocol.
    fn environment(edges: &str, protocol: &str) -> BTreeMap<String, String> {
        environment_with((edges, protocol), "")
    }

    /// The same, with further ports.
    fn environment_with((edges, protocol): (&str, &str), ports: &str) -> BTreeMap<String, String> {
        let policy = serde_json::to_string(&model::edge::Resilience::default()).unwrap();
        let service = |extra: String| {
            format!(
                r#"{{"source": {{"process": {{"command": ["true"]}}}}, "replicas": 1,
                    "stop_grace_period": "1s", "restart": {{"policy": "always", "backoff": "1s",
                    "max_backoff": "1s", "crash_loop": 5}}{extra}}}"#
            )
        };
        let web = service(format!(r#", "calls": {{"cart": {policy}}}"#));
        let cart = service(format!(r#", "protocol": "{protocol}""#));
        let state = |service: &str, instances: &str| {
            format!(
                r#"{{"current": 1, "releases": {{"1": {{"number": 1, "service": {service},
                    "made_at": 0}}}}, "replicas": 1, "removed": false, "slots": {{"0": {{"port":
                    20001, "failures": 0, "last_end": null}}}}, "instances": {{{instances}}},
                    "next_instance": 2, "restart_before": 1, "once_healthy": false,
                    "crash_loop_since": null, "ended": []}}"#
            )
        };
        let instance = format!(
            r#""1": {{"slot": 0, "release": 1, "port": 20001, "ports": {{{ports}}}, "phase":
            "created", "ready": false, "ready_at": null, "failing": null, "liveness_failed": false,
            "created_at": 0, "started_at": null, "process": null}}"#
        );
        let (web_state, cart_state) = (state(&web, &instance), state(&cart, ""));
        let application: ApplicationState = serde_json::from_str(&format!(
            r#"{{"definition": {{"name": "shop", "services": {{"web": {web}, "cart": {cart}}}}},
                "folder": "/", "applied_at": 0, "desired": "running", "services": {{"web":
                {web_state}, "cart": {cart_state}}}, "edges": {edges}}}"#
        ))
        .unwrap();
        let name: ApplicationName = "shop".parse().unwrap();
        let mut world = World::default();
        world.applications.insert(name.clone(), std::sync::Arc::new(application));
        let machine = Machine {
            program: "/pelago".into(),
            inherited: BTreeMap::new(),
            collector: None,
            usual: None,
        };
        let id = "web.1".parse().unwrap();
        let launcher = Launcher::find(&machine, &world, &name, &id).unwrap();
        let folders = Folders { release: None, scratch: "/tmp".into(), data: None };
        launcher.environment(&folders).unwrap()
    }

    /// What it is told of cart.
    #[track_caller]
    fn told(edges: &str, protocol: &str, expected: &[(&str, &str)]) {
        let environment = environment(edges, protocol);
        let of_cart = environment.iter().filter(|(key, _)| key.starts_with("CART_"));
        let of_cart: Vec<_> = of_cart.map(|(key, it)| (key.as_str(), it.as_str())).collect();
        assert_eq!(of_cart, expected);
    }

    #[test]
    fn callees_are_found_at_their_edges() {
        let edges = r#"{"web": {"cart": 22001}}"#;
        let at = |url| {
            [
                ("CART_ADDRESS", "127.0.0.1:22001"),
                ("CART_HOST", "127.0.0.1"),
                ("CART_PORT", "22001"),
                ("CART_URL", url),
            ]
        };
        told(edges, "http", &at("http://127.0.0.1:22001"));
        told(edges, "grpc", &at("http://127.0.0.1:22001"));
        told(edges, "tcp", &at("tcp://127.0.0.1:22001"));
        let first = [
            ("CART_ADDRESS", "127.0.0.1:20001"),
            ("CART_HOST", "127.0.0.1"),
            ("CART_PORT", "20001"),
            ("CART_URL", "http://127.0.0.1:20001"),
        ];
        told("{}", "http", &first);
    }

    #[test]
    fn further_ports_are_told_by_name() {
        let ports = r#""admin": 20003, "order-grpc": 20004"#;
        let environment = environment_with(("{}", "http"), ports);
        assert_eq!(environment["PORT_ADMIN"], "20003");
        assert_eq!(environment["PORT_ORDER_GRPC"], "20004");
    }

    /// Issue 12: Python's SDK refuses to start when it is asked for a propagator that is a package of its own.
    #[test]
    fn propagators_are_those_every_sdk_has() {
        let environment = environment("{}", "http");
        let asked = environment["OTEL_PROPAGATORS"].split(',');
        let built_in = ["tracecontext", "baggage"];
        assert!(asked.clone().all(|it| built_in.contains(&it)), "{asked:?}");
    }
}
