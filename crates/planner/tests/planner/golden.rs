//! Starting, failing and healing, with the answers written down.

use insta::assert_snapshot;

use crate::script::play;

#[test]
fn a_start_in_the_order_of_dependencies() {
    assert_snapshot!(play("
apply
  db check
  migrate policy=on-failure needs=db:healthy
  web replicas=2 needs=migrate:completed
started db.1
ready db.1
started migrate.1, ready migrate.1
exit migrate.1 0
started web.1, ready web.1, started web.2, ready web.2
stop
exit web.1 0
exit web.2 0
exit db.1 0
"), @"
    > apply
      create db.1 in slot 0, r1, port 20000
      do launch db.1
    > started db.1
      wake in 5s
    > ready db.1
      create migrate.1 in slot 0, r1, port 20100
      do launch migrate.1
    > started migrate.1, ready migrate.1
    > exit migrate.1 0
      create web.1 in slot 0, r1, port 20200
      create web.2 in slot 1, r1, port 20201
      do launch web.1, launch web.2
    > started web.1, ready web.1, started web.2, ready web.2
    > stop
      stop web.1: application stopped
      stop web.2: application stopped
      do stop web.1, stop web.2
    > exit web.1 0
      do stop web.2
    > exit web.2 0
      stop db.1: application stopped
      do stop db.1
    > exit db.1 0
      shop is stopped
    ");
}

#[test]
fn issue_12_an_instance_that_served_is_away_for_a_tenth_of_that_time_at_most() {
    // After the fourth end the pause would be 1.6 s, after the fifth 3.2 s.
    assert_snapshot!(play("
apply
  web
started web.1, ready web.1
+999ms
exit web.1 1
+200ms
exit web.2 1
+400ms
exit web.3 1
+800ms
started web.4, ready web.4
+6s
unready web.4
+1s
exit web.4 9
+599ms
+1ms
started web.5, ready web.5
+1s
exit web.5 9
+200ms
exit web.6 9
"), @"
    > apply
      create web.1 in slot 0, r1, port 20000
      do launch web.1
    > started web.1, ready web.1
    > +999ms
    > exit web.1 1
      wake in 200ms
    > +200ms
      create web.2 in slot 0, r1, port 20000
      do launch web.2
    > exit web.2 1
      wake in 400ms
    > +400ms
      create web.3 in slot 0, r1, port 20000
      do launch web.3
    > exit web.3 1
      wake in 800ms
    > +800ms
      create web.4 in slot 0, r1, port 20000
      do launch web.4
    > started web.4, ready web.4
    > +6s
    > unready web.4
    > +1s
    > exit web.4 9
      wake in 600ms
    > +599ms
      wake in 1ms
    > +1ms
      create web.5 in slot 0, r1, port 20000
      do launch web.5
    > started web.5, ready web.5
    > +1s
    > exit web.5 9
      web crash-loops after 5 failures
      wake in 200ms
    > +200ms
      create web.6 in slot 0, r1, port 20000
      do launch web.6
    > exit web.6 9
      wake in 6s400ms
    ");
}

#[test]
fn pauses_double_after_each_failure_and_a_loop_is_declared_and_cleared_once() {
    assert_snapshot!(play("
apply
  web crash_loop=3
exit web.1 1
+199ms
+1ms
exit web.2 1
+400ms
exit web.3 1
+800ms
started web.4, ready web.4
+9999ms
+1ms
+1h
exit web.4 1
+0s
exit web.5 1
+200ms
exit web.6 1
"), @"
    > apply
      create web.1 in slot 0, r1, port 20000
      do launch web.1
    > exit web.1 1
      wake in 200ms
    > +199ms
      wake in 1ms
    > +1ms
      create web.2 in slot 0, r1, port 20000
      do launch web.2
    > exit web.2 1
      wake in 400ms
    > +400ms
      create web.3 in slot 0, r1, port 20000
      do launch web.3
    > exit web.3 1
      web crash-loops after 3 failures
      wake in 800ms
    > +800ms
      create web.4 in slot 0, r1, port 20000
      do launch web.4
    > started web.4, ready web.4
      wake in 10s
    > +9999ms
      wake in 1ms
    > +1ms
      web no longer crash-loops
    > +1h
    > exit web.4 1
      create web.5 in slot 0, r1, port 20000
      do launch web.5
    > +0s
      do launch web.5
    > exit web.5 1
      wake in 200ms
    > +200ms
      create web.6 in slot 0, r1, port 20000
      do launch web.6
    > exit web.6 1
      wake in 400ms
    ");
}

#[test]
fn what_was_ready_for_a_moment_did_not_start_well() {
    assert_snapshot!(play("
apply
  web check
started web.1, ready web.1
+2s
unready web.1
+60s
dead web.1
exit web.1 0
"), @"
    > apply
      create web.1 in slot 0, r1, port 20000
      do launch web.1
    > started web.1, ready web.1
    > +2s
    > unready web.1
    > +60s
    > dead web.1
      stop web.1: liveness check failed
      do stop web.1
    > exit web.1 0
      wake in 200ms
    ");
}

#[test]
fn what_served_for_long_is_replaced_at_once() {
    assert_snapshot!(play("
apply
  web check
started web.1, ready web.1
+1h
unready web.1
ready web.1
exit web.1 1
"), @"
    > apply
      create web.1 in slot 0, r1, port 20000
      do launch web.1
    > started web.1, ready web.1
    > +1h
    > unready web.1
    > ready web.1
    > exit web.1 1
      create web.2 in slot 0, r1, port 20000
      do launch web.2
    ");
}

#[test]
fn what_is_never_ready_is_replaced_after_its_start_period_and_its_tries() {
    assert_snapshot!(play("
apply
  web check
started web.1
+4999ms
+1ms
exit web.1 0
+200ms
started web.2
+1s, ready web.2
"), @"
    > apply
      create web.1 in slot 0, r1, port 20000
      do launch web.1
    > started web.1
      wake in 5s
    > +4999ms
      wake in 1ms
    > +1ms
      stop web.1: not ready within its start period
      do stop web.1
    > exit web.1 0
      wake in 200ms
    > +200ms
      create web.2 in slot 0, r1, port 20000
      do launch web.2
    > started web.2
      wake in 5s
    > +1s, ready web.2
    ");
}

#[test]
fn a_dead_instance_is_replaced_and_the_others_left_alone() {
    assert_snapshot!(play("
apply
  web replicas=2
started web.1, ready web.1, started web.2, ready web.2
restart web, dead web.2
exit web.2 0
started web.3, ready web.3
started web.4, ready web.4
exit web.1 0
"), @"
    > apply
      create web.1 in slot 0, r1, port 20000
      create web.2 in slot 1, r1, port 20001
      do launch web.1, launch web.2
    > started web.1, ready web.1, started web.2, ready web.2
    > restart web, dead web.2
      stop web.2: liveness check failed
      do stop web.2
    > exit web.2 0
      create web.3 in slot 1, r1, port 20001
      do launch web.3
    > started web.3, ready web.3
      create web.4 in slot 0, r1, port 20050
      do launch web.4
    > started web.4, ready web.4
      stop web.1: restart asked for
      do stop web.1
    > exit web.1 0
    ");
}

#[test]
fn jobs_end_as_their_policy_says() {
    assert_snapshot!(play("
apply
  always policy=always
  once policy=no crash_loop=1
  retried policy=on-failure crash_loop=2
exit always.1 0, exit once.1 1, exit retried.1 1
+200ms
started retried.2, ready retried.2
exit retried.2 0
restart retried
"), @"
    > apply
      create always.1 in slot 0, r1, port 20000
      create once.1 in slot 0, r1, port 20100
      create retried.1 in slot 0, r1, port 20200
      do launch always.1, launch once.1, launch retried.1
    > exit always.1 0, exit once.1 1, exit retried.1 1
      wake in 200ms
    > +200ms
      create always.2 in slot 0, r1, port 20000
      create retried.2 in slot 0, r1, port 20200
      do launch always.2, launch retried.2
    > started retried.2, ready retried.2
      do launch always.2
    > exit retried.2 0
      do launch always.2
    > restart retried
      create retried.3 in slot 0, r1, port 20200
      do launch always.2, launch retried.3
    ");
}

#[test]
fn a_job_that_must_be_killed_has_not_succeeded() {
    assert_snapshot!(play("
apply
  job policy=on-failure
started job.1, ready job.1
dead job.1
exit job.1 0
+200ms
"), @"
    > apply
      create job.1 in slot 0, r1, port 20000
      do launch job.1
    > started job.1, ready job.1
    > dead job.1
      stop job.1: liveness check failed
      do stop job.1
    > exit job.1 0
      wake in 200ms
    > +200ms
      create job.2 in slot 0, r1, port 20000
      do launch job.2
    ");
}

#[test]
fn a_job_that_ends_just_when_its_next_release_is_made_runs_again() {
    assert_snapshot!(play("
apply
  job policy=on-failure
started job.1, ready job.1
apply, exit job.1 0
  job policy=on-failure owner=ada
"), @"
    > apply
      create job.1 in slot 0, r1, port 20000
      do launch job.1
    > started job.1, ready job.1
    > apply, exit job.1 0
      create job.2 in slot 0, r2, port 20000
      do launch job.2
    ");
}
