//! What waits for what.

use model::instance::{Exit, StopReason};
use model::service::Condition;

use crate::words::{SHOP, Stage, about, job, needing, scaled, service, stop_asked};

#[track_caller]
fn check(stage: &Stage, expected: &[&str]) {
    let waiting = stage.shop().waiting_for(&"web".parse().unwrap());
    let waiting: Vec<String> = waiting.iter().map(ToString::to_string).collect();
    assert_eq!(waiting, expected);
}

#[test]
fn until_it_is_started() {
    let web = needing("db", Condition::ServiceStarted);
    let mut stage = Stage::with(&[("db", service(1)), ("web", web)]);
    check(&stage, &["db to be started"]);
    stage.fold(about("db.1").created(0, 1));
    check(&stage, &["db to be started"]);
    stage.fold(about("db.1").started());
    check(&stage, &[]);
    stage.fold(about("db.1").stopping(StopReason::RestartAsked));
    check(&stage, &["db to be started"]);
}

#[test]
fn until_all_are_ready_and_later_one() {
    let web = needing("db", Condition::ServiceHealthy);
    let mut stage = Stage::with(&[("db", service(2)), ("web", web)]);
    stage.run("db.1", 0);
    check(&stage, &["db to be ready"]);
    stage.run("db.2", 1);
    check(&stage, &[]);
    stage.fold(about("db.2").unready());
    check(&stage, &[]);
    stage.fold(about("db.1").unready());
    check(&stage, &["db to be ready"]);
    stage.fold(scaled(SHOP, "db", 0));
    check(&stage, &[]);
}

#[test]
fn until_every_part_of_a_job_is_done() {
    let web = needing("job", Condition::ServiceCompletedSuccessfully);
    let mut stage = Stage::with(&[("job", job(2)), ("web", web)]);
    stage.run("job.1", 0);
    stage.run("job.2", 1);
    stage.fold(about("job.1").exited(Exit::Code(0)));
    check(&stage, &["job to be completed"]);
    stage.fold(about("job.2").exited(Exit::Code(0)));
    check(&stage, &[]);
}

#[test]
fn a_part_of_a_job_that_is_done_counts_as_started_and_ready() {
    for condition in [Condition::ServiceStarted, Condition::ServiceHealthy] {
        let mut stage = Stage::with(&[("job", job(2)), ("web", needing("job", condition))]);
        stage.run("job.1", 0);
        stage.fold(about("job.1").exited(Exit::Code(0)));
        stage.run("job.2", 1);
        check(&stage, &[]);
    }
}

#[test]
fn what_is_needed_through_a_job_that_is_done_goes_last() {
    let web = needing("job", Condition::ServiceCompletedSuccessfully);
    let mut between = needing("db", Condition::ServiceStarted);
    between.restart = job(1).restart;
    let mut stage = Stage::with(&[("db", service(1)), ("job", between), ("web", web)]);
    stage.run("db.1", 0);
    stage.run("job.1", 0);
    stage.fold(about("job.1").exited(Exit::Code(0)));
    stage.run("web.1", 0);
    stage.fold(stop_asked(SHOP));
    let is_needed =
        |stage: &Stage, name: &str| stage.shop().has_live_dependents(&name.parse().unwrap());
    assert!(is_needed(&stage, "db") && is_needed(&stage, "job") && !is_needed(&stage, "web"));
    stage.fold(about("web.1").exited(Exit::Code(0)));
    assert!(!is_needed(&stage, "db"));
}
