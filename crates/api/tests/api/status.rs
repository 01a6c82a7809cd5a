//! How a service, an instance and an application are, in each situation.

use std::time::Duration;

use api::StatusView;
use model::Service;
use model::health::{Check, Probe};
use model::restart::RestartPolicy;
use model::service::Protocol;

use crate::stage::{Stage, job, needing_db, of_two, service};

/// One line a service: application and service with their states, the count, and why.
#[track_caller]
fn check(services: &[(&str, Service)], script: &str, expected: &[&str]) {
    check_stage(&Stage::with(services).play(script), expected);
}

#[track_caller]
fn check_stage(stage: &Stage, expected: &[&str]) {
    let view = StatusView::of(&stage.0, None);
    let application = &view.applications[0];
    let mut lines = vec![format!("{}", application.state)];
    for it in &application.services {
        let instances = it.instances.iter().map(|it| format!("{}:{}", it.id, it.state));
        let instances = instances.collect::<Vec<_>>().join(" ");
        let line = format!(
            "{} {} {}/{} [{instances}] {}",
            it.name, it.state, it.ready, it.replicas, it.detail
        );
        lines.push(line.trim_end().to_owned());
    }
    assert_eq!(lines, expected);
}

fn web() -> [(&'static str, Service); 1] {
    [("web", service())]
}

#[test]
fn starting() {
    check(&web(), "", &["starting", "web starting 0/1 []"]);
    check(&web(), "created web.1", &["starting", "web starting 0/1 [web.1:created]"]);
    let started = "created web.1, started web.1";
    check(&web(), started, &["starting", "web starting 0/1 [web.1:starting]"]);
    let failing = "created web.1, started web.1, unready web.1";
    check(&web(), failing, &["starting", "web starting 0/1 [web.1:starting] status 503"]);
    let again = "created web.1, exit web.1 1";
    check(&web(), again, &["starting", "web starting 0/1 [] exit code 1"]);
    let never = "created web.1, started web.1, never-ready web.1, exit web.1 0";
    let why = "web starting 0/1 [] not ready within its start period: exit code 0";
    check(&web(), never, &["starting", why]);
}

#[test]
fn issue_12_a_start_period_that_is_too_short_says_so() {
    let mut service = service();
    service.health.readiness =
        Some(Check { start_period: Duration::from_secs(20), ..Check::new(Probe::Tcp) });
    let never = "created web.1, started web.1, never-ready web.1, exit web.1 0";
    let why = "web starting 0/1 [] not ready within its start period (it had 35s; if it needs \
               longer, raise `start_period`): exit code 0";
    check(&[("web", service)], never, &["starting", why]);
}

#[test]
fn issue_12_where_an_instance_listens_is_said_as_it_is() {
    let url = |service: Service| {
        let stage = Stage::with(&[("web", service)]).play("created web.1, started web.1");
        StatusView::of(&stage.0, None).applications[0].services[0].instances[0].url.clone()
    };
    assert!(url(service()).starts_with("http://127.0.0.1:"));
    assert!(url(Service { protocol: Protocol::Tcp, ..service() }).starts_with("tcp://127.0.0.1:"));
    assert_eq!(url(job(RestartPolicy::Never)), "");
}

#[test]
fn waiting() {
    let services = [("db", service()), ("web", needing_db())];
    let waiting = "web waiting 0/1 [] waits for db to be ready";
    check(&services, "", &["starting", "db starting 0/1 []", waiting]);
}

#[test]
fn ready_and_unready() {
    let ready = "created web.1, started web.1, ready web.1";
    check(&web(), ready, &["running", "web ready 1/1 [web.1:ready]"]);
    let unready = &format!("{ready}, unready web.1");
    check(&web(), unready, &["degraded", "web unready 0/1 [web.1:unready] status 503"]);
}

#[test]
fn degraded() {
    let two = [("web", of_two())];
    let one = "created web.1, started web.1, ready web.1";
    check(&two, one, &["starting", "web degraded 1/2 [web.1:ready]"]);
    let both =
        "created web.1, started web.1, ready web.1, created web.2, started web.2, ready web.2";
    let unready = &format!("{both}, unready web.2");
    let line = "web degraded 1/2 [web.1:ready web.2:unready] status 503";
    check(&two, unready, &["starting", line]);
    let ended = &format!("{both}, exit web.1 1");
    check(&two, ended, &["starting", "web degraded 1/2 [web.2:ready] exit code 1"]);
}

#[test]
fn updating() {
    let restarted = "created web.1, started web.1, ready web.1, restart web";
    check(&web(), restarted, &["starting", "web updating 1/1 [web.1:ready]"]);
    let leaving = &format!("{restarted}, stopping web.1");
    let line = "web starting 0/1 [web.1:stopping] waits for web.1 to end";
    check(&web(), leaving, &["starting", line]);
}

#[test]
fn updating_when_the_new_release_waits() {
    let mut stage = Stage::with(&web()).play("created web.1, started web.1, ready web.1");
    stage.apply(&[("db", service()), ("web", needing_db())]);
    stage.release("db", 1, &service());
    stage.release("web", 2, &needing_db());
    check_stage(
        &stage,
        &[
            "starting",
            "db starting 0/1 [] an instance has no port; `pelago up` finds one",
            "web updating 1/1 [web.1:ready] waits for db to be ready",
        ],
    );
}

#[test]
fn crash_looping() {
    let looping = "created web.1, exit web.1 1, looping web";
    check(&web(), looping, &["failing", "web crash-looping 0/1 [] exit code 1"]);
    // What somebody asked for does not hide why it fails.
    let asked = &format!("{looping}, created web.2, stopping web.2, exit web.2 0");
    check(&web(), asked, &["failing", "web crash-looping 0/1 [] exit code 1"]);
}

#[test]
fn jobs() {
    let run = "created job.1, started job.1, ready job.1";
    let on_failure = [("job", job(RestartPolicy::OnFailure))];
    check(&on_failure, run, &["running", "job running 1/1 [job.1:running]"]);
    let done = &format!("{run}, exit job.1 0");
    check(&on_failure, done, &["running", "job completed 0/1 []"]);
    let failed = &format!("{run}, exit job.1 3");
    check(&on_failure, failed, &["starting", "job starting 0/1 [] exit code 3"]);
    let once = [("job", job(RestartPolicy::Never))];
    check(&once, failed, &["failing", "job failed 0/1 [] exit code 3"]);
}

#[test]
fn stopping_and_stopped() {
    let stopping = "created web.1, started web.1, ready web.1, stop, stopping web.1";
    check(&web(), stopping, &["stopping", "web stopping 0/1 [web.1:stopping]"]);
    let stopped = &format!("{stopping}, exit web.1 0, stopped");
    check(&web(), stopped, &["stopped", "web stopped 0/1 []"]);
}

#[test]
fn none_wanted() {
    check(&web(), "scale web 0", &["running", "web stopped 0/0 []"]);
}

#[test]
fn applied_again_while_it_stops() {
    let script = "created web.1, started web.1, ready web.1, stop, stopping web.1";
    let mut stage = Stage::with(&web()).play(script);
    stage.apply(&web());
    let line = "web starting 0/1 [web.1:stopping] waits for web.1 to end";
    check_stage(&stage, &["starting", line]);
}

#[test]
fn a_service_taken_out_is_shown_until_it_has_ended() {
    let mut stage = Stage::with(&web()).play("created web.1, started web.1, ready web.1");
    stage.apply(&[]);
    check_stage(&stage, &["starting", "web stopping 1/0 [web.1:ready]"]);
}

#[test]
fn the_whole_view_as_json() {
    let script = "created web.1, exit web.1 1, created web.2, started web.2, ready web.2";
    let view = StatusView::of(&Stage::with(&web()).play(script).0, None);
    insta::assert_snapshot!(serde_json::to_string_pretty(&view).unwrap(), @r#"
    {
      "index": 8,
      "at": "2026-11-22T06:00:08.000Z",
      "applications": [
        {
          "name": "shop",
          "state": "running",
          "folder": "/srv/shop",
          "applied_at": "2026-11-22T06:00:01.000Z",
          "services": [
            {
              "name": "web",
              "state": "ready",
              "detail": "",
              "release": "r1",
              "replicas": 1,
              "ready": 1,
              "waiting_for": [],
              "calls": [],
              "instances": [
                {
                  "id": "web.2",
                  "state": "ready",
                  "detail": "",
                  "release": "r1",
                  "url": "http://127.0.0.1:20000",
                  "pid": 4711,
                  "started_at": "2026-11-22T06:00:07.000Z"
                }
              ],
              "ended": [
                {
                  "id": "web.1",
                  "release": "r1",
                  "exit": "exit code 1",
                  "unasked": true,
                  "at": "2026-11-22T06:00:05.000Z"
                }
              ]
            }
          ],
          "alerts": []
        }
      ]
    }
    "#);
}

#[test]
fn one_application_only() {
    let world = Stage::with(&web()).0;
    let named =
        |name: &str| StatusView::of(&world, Some(&name.parse().unwrap())).applications.len();
    assert_eq!((named("shop"), named("blog")), (1, 0));
}
