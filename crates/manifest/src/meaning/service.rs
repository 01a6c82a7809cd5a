//! A service as meant: what it runs, and everything around it.

use model::edge::Resilience;
use model::health::{Health, Probe};
use model::name::url_variable;
use model::restart::Restart;
use model::rollout::Update;
use model::service::{Condition, Limits, Protocol, STOP_GRACE_PERIOD_DEFAULT, Service, Source};
use model::template::{Template, split_words};
use model::workload::Workload;

use super::Reader;
use super::defaults::REPLICAS;
use super::reference::{Scope, Variable, is_platform};
use crate::check::{did_you_mean, listed};
use crate::problem::Place;
use crate::spec::{CommandSpec, DefaultsSpec, EnvironmentSpec, ProtocolSpec, Scalar, ServiceSpec};
use crate::yaml::{At, Entry, Node};

/// A service as written, with what it inherits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written<'a> {
    pub(super) name: &'a str,
    pub(super) spec: &'a ServiceSpec,
    /// Its node; the place is its name's.
    pub(super) at: At<'a>,
    pub(super) defaults: &'a DefaultsSpec,
    pub(super) defaults_at: At<'a>,
    /// The policy its calls inherit.
    pub(super) resilience: &'a Resilience,
}

/// The service as meant, or nothing if what it runs is not known.
pub(super) fn service(reader: &mut Reader<'_>, written: &Written<'_>) -> Option<Service> {
    let Written { spec, at, .. } = written;
    let behaviour = spec
        .behaviour
        .as_ref()
        .map(|it| reader.workload(written.name, (&Workload::default(), it), at.key("behaviour")));
    let implied: Vec<_> = behaviour.iter().flat_map(|it| it.callees.iter().cloned()).collect();
    let calls = reader.calls(written, &implied);
    let mut scope = Scope::default();
    for callee in calls.keys() {
        scope.add_callee(callee.as_str());
    }
    let ports = reader.ports(written, &mut scope);
    let data = reader.data(written);
    scope.has_data = data.is_some();
    reader.variables(written, &mut scope);
    let environment = reader.environment(&mut scope);
    let source = reader.source(written, behaviour.map(|it| it.meant), &mut scope);
    let release_command = match &spec.release_command {
        Some(command) => reader.command(command, at.key("release_command"), &mut scope),
        None => None,
    };
    let health = reader.health(written, source.as_ref(), &mut scope);
    let mut dependencies = reader.dependencies(written);
    for used in &scope.used {
        if let Ok(name) = used.parse() {
            dependencies.resources.entry(name).or_insert(Condition::ServiceHealthy);
        }
    }
    let owner = spec.owner.as_deref().and_then(|it| reader.early(it, at.key("owner").place));
    let metrics =
        spec.metrics.as_ref().and_then(|it| reader.exposition(it, &ports, at.key("metrics")));
    let replicas = spec.replicas.unwrap_or(REPLICAS);
    let grace = spec.stop_grace_period.or(written.defaults.stop_grace_period);
    let update = reader.updating(written);
    let update = reader.replaced(written, data.as_ref(), update);
    Some(Service {
        release_command: release_command.unwrap_or_default(),
        environment,
        port: spec.port,
        ports,
        protocol: reader.protocol(written, &health),
        replicas,
        depends_on: dependencies.services,
        uses: dependencies.resources,
        calls,
        health,
        stop_grace_period: grace.map_or(STOP_GRACE_PERIOD_DEFAULT, |it| it.0),
        stop_signal: reader.stop_signal(written),
        data,
        restart: reader.restarting(written),
        limits: limits(written),
        update,
        metrics,
        owner,
        source: source?,
    })
}

fn limits(written: &Written<'_>) -> Limits {
    let own = written.spec.limits.unwrap_or_default();
    let inherited = written.defaults.limits.unwrap_or_default();
    Limits {
        cpus: own.cpus.or(inherited.cpus).map(|it| it.0),
        memory: own.memory.or(inherited.memory).map(|it| it.0),
    }
}

impl Reader<'_> {
    /// What it speaks, checked against what it is asked and what runs.
    fn protocol(&mut self, written: &Written<'_>, health: &Health) -> Protocol {
        let Written { name, spec, at, .. } = written;
        let Some(protocol) = spec.protocol else { return Protocol::Http };
        let place = at.key("protocol").place;
        if protocol != ProtocolSpec::Http && at.has("behaviour") {
            let message =
                format!("`{name}` has a `behaviour`, which speaks HTTP; remove `protocol`");
            self.findings.error(place, message);
            return Protocol::Http;
        }
        let speaks_no_http_1 = matches!(protocol, ProtocolSpec::Grpc | ProtocolSpec::Tcp);
        let is_asked = [("healthcheck", &health.readiness), ("liveness", &health.liveness)];
        let asked = is_asked
            .into_iter()
            .find(|(_, check)| check.as_ref().is_some_and(|it| matches!(it.probe, Probe::Http(_))));
        if let (true, Some((key, _))) = (speaks_no_http_1, asked) {
            let place = if at.has(key) { at.key(key).place } else { place };
            let message = format!(
                "`{name}` does not speak HTTP/1.1, in which a `path` is asked for; write `{key}: \
                 {{tcp: true}}`"
            );
            self.findings.error(place, message);
        }
        match protocol {
            ProtocolSpec::Http => Protocol::Http,
            ProtocolSpec::Http2 => Protocol::Http2,
            ProtocolSpec::Grpc => Protocol::Grpc,
            ProtocolSpec::Tcp => Protocol::Tcp,
        }
    }

    fn restarting(&mut self, written: &Written<'_>) -> Restart {
        let base = match &written.defaults.restart {
            Some(spec) => {
                self.restart(&Restart::default(), spec, written.defaults_at.key("restart"))
            }
            None => Restart::default(),
        };
        match &written.spec.restart {
            Some(spec) => self.restart(&base, spec, written.at.key("restart")),
            None => base,
        }
    }

    fn updating(&mut self, written: &Written<'_>) -> Update {
        let base = match &written.defaults.update {
            Some(spec) => self.update(&Update::default(), spec, written.defaults_at.key("update")),
            None => Update::default(),
        };
        match &written.spec.update {
            Some(spec) => self.update(&base, spec, written.at.key("update")),
            None => base,
        }
    }

    /// What runs: exactly one of a command, an image and a behaviour.
    fn source(
        &mut self,
        written: &Written<'_>,
        behaviour: Option<Workload>,
        scope: &mut Scope,
    ) -> Option<Source> {
        let Written { name, spec, at, .. } = written;
        let has = |key: &str| at.has(key);
        if has("behaviour") {
            let others = ["command", "image", "artifact", "build", "release_command"];
            let others: Vec<_> = others.into_iter().filter(|it| has(it)).collect();
            if let Some(other) = others.first() {
                let message = format!(
                    "`{name}` has a `behaviour`, which stands for a service without code, and {}; \
                     remove one or the other",
                    listed(&others)
                );
                self.findings.error(at.named(other), message);
            }
            return behaviour.map(Source::Behaviour);
        }
        if has("image") {
            for key in ["artifact", "build"].into_iter().filter(|it| has(it)) {
                let message = format!("an image has its own files; remove `{key}` or `image`");
                self.findings.error(at.named(key), message);
            }
            let place = at.key("image").place;
            let reference = self.early(spec.image.as_deref()?, place)?;
            if reference.is_empty() || reference.contains(char::is_whitespace) {
                let message =
                    format!("`{reference}` is not an image; write for example `registry/name:tag`");
                self.findings.error(place, message);
            }
            let command = match &spec.command {
                Some(command) => self.command(command, at.key("command"), scope)?,
                None => Vec::new(),
            };
            return Some(Source::Image { reference, command });
        }
        self.process(written, scope)
    }

    fn process(&mut self, written: &Written<'_>, scope: &mut Scope) -> Option<Source> {
        let Written { name, spec, at, .. } = written;
        let meant = |it| did_you_mean(it, ["command", "image", "behaviour"]).is_some();
        if !at.has("command") && !at.has("artifact") && !at.keys().any(meant) {
            let message = format!(
                "`{name}` has nothing to run; add `command`, `image`, or a `behaviour` if there is \
                 no code yet"
            );
            self.findings.error(at.place, message);
        }
        if at.has("build") && !at.has("artifact") {
            let message = "`build` makes an artifact; say which file or folder it is in `artifact`";
            self.findings.error(at.named("build"), message);
        }
        let artifact = match spec.artifact.as_deref() {
            Some(artifact) => Some(self.early(artifact, at.key("artifact").place)?),
            None => None,
        };
        let build = match &spec.build {
            Some(build) => self.early_command(build, at.key("build"))?,
            None => Vec::new(),
        };
        let command = match &spec.command {
            Some(command) => self.command(command, at.key("command"), scope)?,
            None if at.has("command") => return None,
            None => self.itself(name, artifact.as_deref()?, at.named("artifact"))?,
        };
        Some(Source::Process { artifact, build, command })
    }

    /// The command of an artifact without one: the file itself, in the copy.
    fn itself(&mut self, name: &str, artifact: &str, place: Place) -> Option<Vec<Template>> {
        let file = artifact.rsplit('/').next().filter(|it| !["", ".", ".."].contains(it));
        let Some(file) = file else {
            let message = format!("`{name}` has files but nothing to run; add `command`");
            self.findings.error(place, message);
            return None;
        };
        Some(vec![Template::literal(&format!("./{file}"))])
    }

    /// The words of a command with what is filled later.
    pub(super) fn command(
        &mut self,
        spec: &CommandSpec,
        at: At<'_>,
        scope: &mut Scope,
    ) -> Option<Vec<Template>> {
        let words = self.words(spec, at)?;
        words.into_iter().map(|(word, place)| self.late(&word, place, scope)).collect()
    }

    /// The words of a command that is run by whoever reads the file.
    fn early_command(&mut self, spec: &CommandSpec, at: At<'_>) -> Option<Vec<Template>> {
        let words = self.words(spec, at)?;
        let early = |(word, place): (String, Place)| {
            self.early(&word, place).map(|it| Template::literal(&it))
        };
        words.into_iter().map(early).collect()
    }

    fn words(&mut self, spec: &CommandSpec, at: At<'_>) -> Option<Vec<(String, Place)>> {
        let words: Vec<_> = match spec {
            CommandSpec::Line(line) => {
                let words = self.findings.take(at.place, split_words(line))?;
                words.into_iter().map(|it| (it, at.place)).collect()
            }
            CommandSpec::Words(words) => {
                let word =
                    |(index, Scalar(word)): (usize, &Scalar)| (word.clone(), at.item(index).place);
                words.iter().enumerate().map(word).collect()
            }
        };
        if words.first().is_none_or(|(program, _)| program.is_empty()) {
            let message = "a command has at least one word, the program";
            self.findings.error(at.place, message);
            return None;
        }
        Some(words)
    }

    /// The environment as written, what is inherited below it.
    fn variables(&mut self, written: &Written<'_>, scope: &mut Scope) {
        let Written { spec, at, defaults, defaults_at, .. } = written;
        let mut environment = self.env_files(written, scope);
        for (spec, at) in [
            (&defaults.environment, defaults_at.key("environment")),
            (&spec.environment, at.key("environment")),
        ] {
            // Without a budget there was an error already.
            let Some(spec) = spec.as_ref().filter(|_| 0 < self.budget) else { continue };
            for (name, text, at) in self.pairs(spec, at) {
                // What is inherited is put into every service.
                let text = self.put_in(text);
                let Some(text) = self.findings.take(at.0, text) else { return };
                if self.variable_name(&name, at.1, scope) {
                    environment.insert(name, Variable { text, place: at.0 });
                }
            }
        }
        scope.environment = environment;
    }

    /// Name, value, and the places of both.
    fn pairs(
        &mut self,
        spec: &EnvironmentSpec,
        at: At<'_>,
    ) -> Vec<(String, String, (Place, Place))> {
        let mut pairs: Vec<(String, String, (Place, Place))> = Vec::new();
        match spec {
            EnvironmentSpec::Map(map) => {
                // By the tree, since to look for each name in it would be quadratic.
                for Entry { key, place, node } in at.node.into_iter().flat_map(Node::entries) {
                    let Some(Scalar(text)) = map.get(key) else { continue };
                    pairs.push((key.clone(), text.clone(), (node.place, *place)));
                }
            }
            EnvironmentSpec::List(list) => {
                for (index, item) in list.iter().enumerate() {
                    let place = at.item(index).place;
                    let Some((name, text)) = item.split_once('=') else {
                        let message = format!(
                            "`{item}` has no value; write `{item}=value`, or \
                             `{item}=${{env.{item}}}` to take it from your shell"
                        );
                        self.findings.error(place, message);
                        continue;
                    };
                    if pairs.iter().any(|(it, ..)| it == name) {
                        let message = format!("`{name}` is set twice; remove one");
                        self.findings.error(place, message);
                    }
                    pairs.push((name.to_owned(), text.to_owned(), (place, place)));
                }
            }
        }
        pairs
    }

    fn variable_name(&mut self, name: &str, place: Place, scope: &Scope) -> bool {
        let Some(message) = refused_name(name, scope) else { return true };
        self.findings.error(place, message);
        false
    }
}

/// Why a variable cannot have this name, if it cannot.
pub(super) fn refused_name(name: &str, scope: &Scope) -> Option<String> {
    // With dots as Elasticsearch and Java have them; a shell cannot set such a name, a process can be given it.
    let alphabet = name.chars().all(|it| it.is_ascii_alphanumeric() || "_.-".contains(it));
    let message = if name == "PORT" {
        "`PORT` is set by Pelago; write `port:` in the service to choose it".to_owned()
    } else if is_platform(name) && name != "OTEL_SERVICE_NAME" || name.starts_with("PELAGO_") {
        format!("`{name}` is set by Pelago; choose another name")
    } else if scope.callees.get(name).is_some_and(|callee| url_variable(callee) == name) {
        format!("`{name}` tells where a callee is; choose another name, or remove the call")
    } else if !alphabet || name.is_empty() {
        format!("`{name}` is not a variable's name; use letters, digits, `_`, `.` and `-`")
    } else {
        return None;
    };
    Some(message)
}
