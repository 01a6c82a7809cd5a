//! Scaling, restarting and stopping, with the answers written down.

use insta::assert_snapshot;

use crate::script::play;

#[test]
fn fewer_instances_means_the_highest_slots() {
    assert_snapshot!(play("
apply
  web replicas=3
started web.1, ready web.1, started web.2, ready web.2, started web.3, ready web.3
exit web.1 1
+200ms
scale web 1
scale web 3
exit web.3 0
exit web.2 0
"), @"
    > apply
      create web.1 in slot 0, r1, port 20000
      create web.2 in slot 1, r1, port 20001
      create web.3 in slot 2, r1, port 20002
      do launch web.1, launch web.2, launch web.3
    > started web.1, ready web.1, started web.2, ready web.2, started web.3, ready web.3
    > exit web.1 1
      wake in 200ms
    > +200ms
      create web.4 in slot 0, r1, port 20000
      do launch web.4
    > scale web 1
      stop web.2: scaled down
      stop web.3: scaled down
      do stop web.2, stop web.3, launch web.4
    > scale web 3
      do stop web.2, stop web.3, launch web.4
    > exit web.3 0
      create web.5 in slot 2, r1, port 20002
      do stop web.2, launch web.4, launch web.5
    > exit web.2 0
      create web.6 in slot 1, r1, port 20001
      do launch web.4, launch web.5, launch web.6
    ");
}

#[test]
fn none_wanted_is_nothing_to_wait_for_and_no_crash_loop() {
    assert_snapshot!(play("
apply
  db replicas=0
  web needs=db:healthy crash_loop=1
exit web.1 1
scale web 0
"), @"
    > apply
      create web.1 in slot 0, r1, port 20100
      do launch web.1
    > exit web.1 1
      web crash-loops after 1 failures
      wake in 200ms
    > scale web 0
      web no longer crash-loops
    ");
}

#[test]
fn a_service_taken_out_ends_after_what_still_needs_it_and_comes_back_as_new() {
    assert_snapshot!(play("
apply
  db
  web needs=db:started
started db.1, ready db.1
started web.1, ready web.1
apply
  web
exit web.1 0
apply
  db
  web
exit db.1 0
"), @"
    > apply
      create db.1 in slot 0, r1, port 20000
      do launch db.1
    > started db.1, ready db.1
      create web.1 in slot 0, r1, port 20100
      do launch web.1
    > started web.1, ready web.1
    > apply
      create web.2 in slot 0, r2, port 20150
      do launch web.2
    > exit web.1 0
      stop db.1: service removed
      do stop db.1, launch web.2
    > apply
      do stop db.1, launch web.2
    > exit db.1 0
      create db.2 in slot 0, r1, port 20000
      do launch db.2, launch web.2
    ");
}

#[test]
fn a_restart_asked_for_while_starting() {
    assert_snapshot!(play("
apply
  web
restart web
started web.1
exit web.1 15
started web.2, ready web.2
"), @"
    > apply
      create web.1 in slot 0, r1, port 20000
      do launch web.1
    > restart web
      stop web.1: restart asked for
      create web.2 in slot 0, r1, port 20050
      do stop web.1, launch web.2
    > started web.1
      do stop web.1, launch web.2
    > exit web.1 15
      do launch web.2
    > started web.2, ready web.2
    ");
}

#[test]
fn an_apply_of_the_same_gives_what_failed_another_try() {
    assert_snapshot!(play("
apply
  web crash_loop=1
  job policy=no
  done policy=no
exit web.1 1
exit job.1 1
exit done.1 0
apply
  web crash_loop=1
  job policy=no
  done policy=no
"), @"
    > apply
      create done.1 in slot 0, r1, port 20000
      create job.1 in slot 0, r1, port 20100
      create web.1 in slot 0, r1, port 20200
      do launch done.1, launch job.1, launch web.1
    > exit web.1 1
      web crash-loops after 1 failures
      do launch done.1, launch job.1
      wake in 200ms
    > exit job.1 1
      do launch done.1
      wake in 200ms
    > exit done.1 0
      wake in 200ms
    > apply
      create job.2 in slot 0, r1, port 20100
      create web.2 in slot 0, r1, port 20200
      do launch job.2, launch web.2
    ");
}

#[test]
fn a_new_release_ends_a_crash_loop() {
    assert_snapshot!(play("
apply
  web crash_loop=1
exit web.1 1
apply
  web crash_loop=1 owner=ada
"), @"
    > apply
      create web.1 in slot 0, r1, port 20000
      do launch web.1
    > exit web.1 1
      web crash-loops after 1 failures
      wake in 200ms
    > apply
      create web.2 in slot 0, r2, port 20000
      do launch web.2
    ");
}

#[test]
fn a_stop_while_one_is_created_and_an_apply_while_it_stops() {
    assert_snapshot!(play("
apply
  db
  web needs=db:started
started db.1, ready db.1
stop
started web.1
apply
  db
  web needs=db:started
exit web.1 0
"), @"
    > apply
      create db.1 in slot 0, r1, port 20000
      do launch db.1
    > started db.1, ready db.1
      create web.1 in slot 0, r1, port 20100
      do launch web.1
    > stop
      stop web.1: application stopped
      do stop web.1
    > started web.1
      do stop web.1
    > apply
      do stop web.1
    > exit web.1 0
      create web.2 in slot 0, r1, port 20100
      do launch web.2
    ");
}
