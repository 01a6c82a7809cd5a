//! Every event, in a sentence.

use std::fmt::Write as _;
use std::sync::Arc;

use api::EventView;
use model::instance::{Exit, ProcessId, StopReason};
use model::release::Release;
use model::{ApplicationName, Index, InstanceId, ReleaseNumber, ServiceName, Timestamp};
use world::{Event, Recorded};
use world::{GroupNumber, Purpose};

use crate::stage::{application, service};

fn shop() -> ApplicationName {
    "shop".parse().unwrap()
}

fn web() -> ServiceName {
    "web".parse().unwrap()
}

fn about_the_application() -> Vec<Event> {
    let application = shop;
    let applied = |count: usize| Event::ApplicationApplied {
        definition: Arc::new(self::application(&[("db", service()), ("web", service())][..count])),
        folder: "/srv/shop".to_owned(),
    };
    vec![
        Event::ControlStarted { version: "0.1.0".to_owned(), pid: 7 },
        Event::JournalRepaired { report: "2 of 9 events were lost".to_owned() },
        Event::ClockSet { by_ms: -31_536_000_123 },
        Event::ClockSet { by_ms: 3_599_999 },
        applied(1),
        applied(2),
        Event::StopAsked { application: application() },
        Event::ApplicationStopped { application: application() },
    ]
}

fn about_a_service() -> Vec<Event> {
    let (application, service) = (shop, web);
    let release = Release::plain(ReleaseNumber(12), self::service(), None, Timestamp::EPOCH);
    let scaled = |replicas| Event::ServiceScaled {
        application: application(),
        service: service(),
        replicas,
    };
    let looping = |failures| Event::CrashLoopDeclared {
        application: application(),
        service: service(),
        failures,
    };
    vec![
        Event::ReleaseMade {
            application: application(),
            service: service(),
            release: Arc::new(release),
        },
        Event::PortAssigned {
            group: GroupNumber::default(),
            application: application(),
            service: service(),
            slot: 0,
            port: 20_000,
        },
        Event::SparePortAssigned {
            group: GroupNumber::default(),
            application: application(),
            service: service(),
            slot: 0,
            port: 20_001,
        },
        Event::NamedPortAssigned {
            group: GroupNumber::default(),
            application: application(),
            service: service(),
            slot: 0,
            name: "admin".parse().unwrap(),
            ports: world::NamedPort { port: 20_003, spare: Some(20_004) },
        },
        Event::EdgeOpened {
            group: None,
            application: application(),
            caller: service(),
            callee: "cart".parse().unwrap(),
            port: 20_002,
        },
        scaled(1),
        scaled(3),
        Event::RestartAsked { application: application(), service: service() },
        looping(1),
        looping(5),
        Event::CrashLoopCleared { application: application(), service: service() },
    ]
}

fn about_an_instance() -> Vec<Event> {
    let application = shop;
    let instance = || InstanceId { service: web(), number: 7 };
    let reason = || "status 503".to_owned();
    let stopping =
        |reason| Event::InstanceStopping { application: shop(), instance: instance(), reason };
    let exited = |exit| Event::InstanceExited { application: shop(), instance: instance(), exit };
    let created = Event::InstanceCreated {
        group: GroupNumber::default(),
        purpose: Purpose::Serve,
        application: application(),
        instance: instance(),
        slot: 0,
        release: ReleaseNumber(12),
        port: 20_000,
    };
    let process = ProcessId { pid: 4_711, started_ticks: 1 };
    vec![
        created,
        Event::InstanceStarted { application: application(), instance: instance(), process },
        Event::InstanceReady { application: application(), instance: instance() },
        Event::InstanceUnready {
            application: application(),
            instance: instance(),
            reason: reason(),
        },
        Event::LivenessFailed {
            application: application(),
            instance: instance(),
            reason: reason(),
        },
        stopping(StopReason::Superseded),
        exited(Exit::Code(0)),
        exited(Exit::Signal(9)),
        exited(Exit::Signal(40)),
        exited(Exit::OutOfMemory),
        exited(Exit::NotStarted("no such file".to_owned())),
        exited(Exit::Lost),
    ]
}

#[test]
fn every_event_in_a_sentence() {
    let events = [about_the_application(), about_a_service(), about_an_instance()].concat();
    let mut text = String::new();
    for event in events {
        let view = EventView::of(&Recorded { index: Index(9), at: Timestamp::EPOCH, event });
        let place =
            [view.application, view.service, view.instance].map(|it| it.unwrap_or("-".to_owned()));
        writeln!(text, "{:<19} {:<14} {}", view.kind, place.join(" "), view.text).unwrap();
    }
    insta::assert_snapshot!(text, @"
    control_started     - - -          control 0.1.0 started as process 7
    journal_repaired    - - -          the journal was repaired: 2 of 9 events were lost
    clock_set           - - -          the machine's clock was set back by 8760h
    clock_set           - - -          the machine's clock was set forward by 1h
    application_applied shop - -       shop applied with 1 service
    application_applied shop - -       shop applied with 2 services
    stop_asked          shop - -       shop should stop
    application_stopped shop - -       shop has stopped
    release_made        shop web -     web@r12 made
    port_assigned       shop web -     web slot 0 got port 20000
    spare_port_assigned shop web -     web slot 0 got spare port 20001
    named_port_assigned shop web -     web slot 0 got port 20003 for admin, spare port 20004
    edge_opened         shop web -     web finds cart on port 20002
    service_scaled      shop web -     web should have 1 instance
    service_scaled      shop web -     web should have 3 instances
    restart_asked       shop web -     web should be restarted
    crash_loop_declared shop web -     web is crash-looping: 1 failed start in a row
    crash_loop_declared shop web -     web is crash-looping: 5 failed starts in a row
    crash_loop_cleared  shop web -     web no longer crash-loops
    instance_created    shop web web.7 web.7 should run r12 on port 20000
    instance_started    shop web web.7 web.7 started as process 4711
    instance_ready      shop web web.7 web.7 is ready
    instance_unready    shop web web.7 web.7 is not ready: status 503
    liveness_failed     shop web web.7 web.7 failed its liveness check: status 503
    instance_stopping   shop web web.7 web.7 told to stop: superseded by a newer release
    instance_exited     shop web web.7 web.7 ended: exit code 0
    instance_exited     shop web web.7 web.7 ended: killed by SIGKILL
    instance_exited     shop web web.7 web.7 ended: killed by signal 40
    instance_exited     shop web web.7 web.7 ended: killed for using more memory than its limit
    instance_exited     shop web web.7 web.7 ended: could not be started: no such file
    instance_exited     shop web web.7 web.7 ended: gone without a trace
    ");
}
