//! The control process killed again and again, at random moments of everything it does.
//!
//! A round asks for something, kills the control process somewhere on the way, starts another and looks:
//! whatever was seen or acknowledged is in the journal as it was; the state becomes what was asked for;
//! the machine runs exactly that. The moments are drawn from a seed, so that a failure can be
//! tried again, though the machine's own timing cannot.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use model::Rng;
use serde_json::{Value, json};

use crate::harness::http::{self, Request};
use crate::harness::processes::{self, Process, Role};
use crate::harness::{Site, service_of, texts, until};

/// The longest time between asking and killing. An `up` of this application takes about as long on an
/// idle machine.
const DELAY_MAX_MS: u64 = 150;
/// The same, for a kill that comes about when the wish is being recorded.
const DELAY_SHORT_MAX_MS: u64 = 12;

fn manifest(word: &str) -> String {
    format!(
        "
name: sea
defaults: {{environment: {{WORD: {word}}}, stop_grace_period: 2s}}
services:
  store:
    artifact: ./store
    command: /bin/sh main.sh
    healthcheck: {{command: 'true'}}
  cart:
    behaviour: {{work: 1ms}}
    replicas: 2
    depends_on: {{store: {{condition: service_healthy}}}}
  web:
    artifact: ./store
    command: /bin/sh main.sh
    healthcheck: {{command: 'true'}}
    depends_on: {{cart: {{condition: service_healthy}}}}
"
    )
}

/// What was asked for last, as far as it is in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted {
    runs: bool,
    carts: u32,
}

/// Something to ask for.
#[derive(Clone, Debug)]
struct Wish {
    target: String,
    body: String,
    /// The kind of the event that records it.
    kind: &'static str,
    /// What is wanted when it is recorded.
    then: Wanted,
}

struct Sea {
    site: Site,
    rng: Rng,
    definitions: Vec<Value>,
    wanted: Wanted,
    /// Every event anybody was shown.
    seen: BTreeMap<u64, Value>,
    kills: u32,
}

impl Sea {
    fn new(seed: u64) -> Self {
        let site = Site::new();
        site.write("store/main.sh", "sleep 1000 &\nexec sleep 1000\n");
        let definitions = ["one", "two"].map(|word| {
            site.manifest(&manifest(word));
            site.json(&["validate"]).json()
        });
        let wanted = Wanted { runs: false, carts: 2 };
        let rng = Rng::new(seed).child("chaos");
        let definitions = definitions.into();
        Self { site, rng, definitions, wanted, seen: BTreeMap::new(), kills: 0 }
    }

    fn below(&mut self, count: u64) -> u64 {
        self.rng.below(count)
    }

    /// Lets a random time pass.
    fn pass(&mut self) {
        let max = if self.below(3) == 0 { DELAY_SHORT_MAX_MS } else { DELAY_MAX_MS };
        let (_never, elapsed) = mpsc::channel::<()>();
        let delay = Duration::from_micros(self.below(max * 1_000));
        let _passed: Result<(), _> = elapsed.recv_timeout(delay);
    }

    fn wish(&mut self) -> Wish {
        let sea = "/v1/applications/sea";
        let now = self.wanted;
        let of = |path: &str, kind, then| Wish {
            target: format!("{sea}{path}"),
            body: String::new(),
            kind,
            then,
        };
        let choice = if now.runs { self.below(8) } else { 0 };
        match choice {
            0..3 => {
                let which = usize::try_from(self.below(2)).unwrap();
                let folder = self.site.app().display().to_string();
                let body = json!({"definition": self.definitions[which], "folder": folder});
                let then = Wanted { runs: true, carts: 2 };
                let target = "/v1/applications".to_owned();
                Wish { target, body: body.to_string(), kind: "application_applied", then }
            }
            3..5 => {
                let carts = u32::try_from(self.below(4)).unwrap();
                // As many as there are is nothing new, and nothing would be recorded.
                let carts = if carts == now.carts { carts + 1 } else { carts };
                let wish = of("/services/cart/scale", "service_scaled", Wanted { carts, ..now });
                Wish { body: json!({"replicas": carts}).to_string(), ..wish }
            }
            5 => of("/services/store/restart", "restart_asked", now),
            6 => of("/restart", "restart_asked", now),
            _ => of("/stop", "stop_asked", Wanted { runs: false, ..now }),
        }
    }

    /// Asks for something, kills the control process on the way, starts another, and looks at what
    /// has become of everything.
    fn round(&mut self) {
        let wish = self.wish();
        let before = self.site.index();
        let follower = follow(self.site.socket(), before);
        let (socket, asked) = (self.site.socket(), wish.clone());
        let asking = thread::spawn(move || {
            let request = Request::post(&asked.target, &asked.body);
            // An error means that control was killed before it answered.
            http::ask(&socket, &request).ok()
        });
        if self.wanted.runs && self.below(4) == 0 {
            self.kill_an_instance();
        }
        self.pass();
        self.kill_control();
        let response = asking.join().unwrap();
        self.seen.extend(follower.join().unwrap());
        while self.below(4) == 0 {
            self.kill_at_start();
        }
        self.site.start();
        self.check_history(before, &wish, response.as_ref());
        self.check_machine();
    }

    fn kill_control(&mut self) {
        self.site.kill_control();
        self.kills += 1;
    }

    /// Kills a control process that has only just been started.
    fn kill_at_start(&mut self) {
        self.site.spawn_control();
        self.pass();
        self.kill_control();
    }

    fn kill_an_instance(&mut self) {
        let all = processes::of(&self.site.data());
        if let Some(count) = u64::try_from(all.len()).ok().filter(|it| 0 < *it) {
            let which = usize::try_from(self.below(count)).unwrap();
            processes::kill(all[which].id);
        }
    }

    /// What was seen or acknowledged is there, unchanged; nothing is there twice.
    fn check_history(&mut self, before: u64, wish: &Wish, response: Option<&http::Response>) {
        let events = self.site.events();
        let by_index: BTreeMap<u64, &Value> =
            events.iter().map(|it| (it["index"].as_u64().unwrap(), it)).collect();
        assert_eq!(by_index.len(), events.len(), "an index was used twice");
        for (index, event) in &self.seen {
            assert_eq!(by_index.get(index), Some(&event), "an event that was shown is not there");
        }
        let mut new = by_index.range(before + 1..);
        let recorded = new.find(|(_, it)| it["kind"] == wish.kind).map(|(index, _)| *index);
        if let Some(response) = response {
            assert_eq!(response.status, 200, "{wish:?}: {response:?}");
            let index = response.json()["index"].as_u64().unwrap();
            let there = recorded.is_some_and(|it| it <= index);
            assert!(there, "@{index} was acknowledged: {wish:?}, {:#?}", texts(&events));
        }
        if recorded.is_some() {
            self.wanted = wish.then;
        }
        check_instances(&events);
    }

    /// The state becomes what is wanted, and the machine runs exactly that.
    fn check_machine(&self) {
        let Wanted { runs, carts } = self.wanted;
        let Some(index) = self.site.get("/v1/status").ok()["index"].as_u64() else { return };
        if self.site.application().is_null() {
            assert!(!runs, "@{index}: the application is gone");
            return;
        }
        let state = if runs { "running" } else { "stopped" };
        let view = self.site.until(state, |it| it["state"] == state);
        if runs {
            assert_eq!(service_of(&view, "cart")["replicas"], carts);
        }
        let mut ids: Vec<String> = Vec::new();
        for service in view["services"].as_array().unwrap() {
            let instances = service["instances"].as_array().unwrap().iter();
            ids.extend(instances.map(|it| it["id"].as_str().unwrap().to_owned()));
        }
        ids.sort();
        let data = self.site.data();
        until(&format!("the machine to run {ids:?} and nothing else"), || {
            let all = processes::of(&data);
            let named = |wanted: &dyn Fn(&Process) -> bool| {
                let mut names: Vec<&String> =
                    all.iter().filter(|it| wanted(it)).map(|it| &it.instance).collect();
                names.sort();
                names.into_iter().eq(&ids)
            };
            let supervised = named(&|it| it.role == Role::Supervisor);
            let led = named(&|it| it.role == Role::Member && it.group == it.id.pid);
            let known = all.iter().all(|it| ids.contains(&it.instance));
            (supervised && led && known).then_some(())
        });
    }
}

/// Takes note of every event from `after` on, until nobody answers any more.
fn follow(socket: PathBuf, after: u64) -> thread::JoinHandle<BTreeMap<u64, Value>> {
    thread::spawn(move || {
        let mut seen = BTreeMap::new();
        let mut after = after;
        loop {
            let target = format!("/v1/events?after={after}&wait=30s");
            let Ok(response) = http::ask(&socket, &Request::get(&target)) else { return seen };
            for event in response.json().as_array().unwrap() {
                after = event["index"].as_u64().unwrap();
                seen.insert(after, event.clone());
            }
        }
    })
}

/// Every instance is created once, started at most once, and ends at most once, in this order.
fn check_instances(events: &[Value]) {
    let mut lives: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for event in events {
        let kind = event["kind"].as_str().unwrap();
        if let Some(instance) = event["instance"].as_str()
            && ["instance_created", "instance_started", "instance_exited"].contains(&kind)
        {
            lives.entry(instance).or_default().push(kind);
        }
    }
    for (instance, life) in lives {
        let life: Vec<&str> = life.iter().map(|it| it.trim_start_matches("instance_")).collect();
        let fine = matches!(
            life.as_slice(),
            ["created"] | ["created", "started" | "exited"] | ["created", "started", "exited"]
        );
        assert!(fine, "{instance}: {life:?} in {:#?}", texts(events));
    }
}

/// Rounds until so many control processes were killed, and then the end.
#[track_caller]
fn check(seed: u64, kills: u32) {
    let mut sea = Sea::new(seed);
    sea.site.start();
    while sea.kills < kills {
        sea.round();
    }
    if sea.wanted.runs {
        sea.site.ok(&["-a", "sea", "down"]);
    }
    sea.site.assert_nothing_left();
    check_instances(&sea.site.events());
    sea.site.end_control();
}

#[test]
fn control_killed_at_random_moments_1() {
    check(1, 25);
}

#[test]
fn control_killed_at_random_moments_2() {
    check(2, 25);
}

#[test]
fn control_killed_at_random_moments_3() {
    check(3, 25);
}

#[test]
fn control_killed_at_random_moments_4() {
    check(4, 25);
}

#[test]
fn a_command_whose_control_process_is_killed_fails_and_can_be_given_again() {
    let mut site = Site::with(&manifest("one"));
    site.write("store/main.sh", "exec sleep 1000\n");
    let up = site.begin(&["up", "--detach"]);
    site.text(0, "store.1 is ready");
    site.kill_control();
    let ran = up.wait();
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("error: "), "{ran:?}");
    // It starts a control process of its own.
    site.ok(&["up", "--detach"]);
    assert_eq!(site.application()["state"], "running");
    site.ok(&["down"]);
    site.assert_nothing_left();
}
