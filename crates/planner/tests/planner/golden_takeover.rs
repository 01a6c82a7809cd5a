//! One instance taking over from another, with the answers written down.

use insta::assert_snapshot;

use crate::script::play;

#[test]
fn a_release_takes_over_one_after_the_other() {
    assert_snapshot!(play("
apply
  web replicas=2 check
started web.1, ready web.1, started web.2, ready web.2
apply
  web replicas=2 check owner=ada
started web.3
ready web.3
exit web.1 0
started web.4, ready web.4
exit web.2 0
"), @"
    > apply
      create web.1 in slot 0, r1, port 20000
      create web.2 in slot 1, r1, port 20001
      do launch web.1, launch web.2
    > started web.1, ready web.1, started web.2, ready web.2
    > apply
      create web.3 in slot 0, r2, port 20050
      do launch web.3
    > started web.3
      wake in 5s
    > ready web.3
      stop web.1: superseded by a newer release
      do stop web.1
    > exit web.1 0
      create web.4 in slot 1, r2, port 20051
      do launch web.4
    > started web.4, ready web.4
      stop web.2: superseded by a newer release
      do stop web.2
    > exit web.2 0
    ");
}

#[test]
fn where_the_port_is_fixed_the_old_one_ends_first() {
    assert_snapshot!(play("
apply
  web port=8080 check
started web.1, ready web.1
apply
  web port=8080 check owner=ada
exit web.1 0
started web.2, ready web.2
apply
  web check owner=ada
started web.3, ready web.3
exit web.2 0
"), @"
    > apply
      create web.1 in slot 0, r1, port 8080
      do launch web.1
    > started web.1, ready web.1
    > apply
      stop web.1: superseded by a newer release
      do stop web.1
    > exit web.1 0
      create web.2 in slot 0, r2, port 8080
      do launch web.2
    > started web.2, ready web.2
    > apply
      create web.3 in slot 0, r3, port 20050
      do launch web.3
    > started web.3, ready web.3
      stop web.2: superseded by a newer release
      do stop web.2
    > exit web.2 0
    ");
}

#[test]
fn a_job_is_not_run_twice_at_once() {
    assert_snapshot!(play("
apply
  job policy=on-failure
started job.1, ready job.1
restart job
exit job.1 15
"), @"
    > apply
      create job.1 in slot 0, r1, port 20000
      do launch job.1
    > started job.1, ready job.1
    > restart job
      stop job.1: restart asked for
      do stop job.1
    > exit job.1 15
      create job.2 in slot 0, r1, port 20000
      do launch job.2
    ");
}

#[test]
fn a_successor_that_is_never_ready_takes_nothing_away() {
    assert_snapshot!(play("
apply
  web replicas=2 check crash_loop=2
started web.1, ready web.1, started web.2, ready web.2
apply
  web replicas=2 check crash_loop=2 owner=ada
started web.3
+5s
exit web.3 0
+200ms
exit web.4 1
exit web.1 1
scale web 0
exit web.2 0
"), @"
    > apply
      create web.1 in slot 0, r1, port 20000
      create web.2 in slot 1, r1, port 20001
      do launch web.1, launch web.2
    > started web.1, ready web.1, started web.2, ready web.2
    > apply
      create web.3 in slot 0, r2, port 20050
      do launch web.3
    > started web.3
      wake in 5s
    > +5s
      stop web.3: not ready within its start period
      do stop web.3
    > exit web.3 0
      wake in 200ms
    > +200ms
      create web.4 in slot 0, r2, port 20050
      do launch web.4
    > exit web.4 1
      web crash-loops after 2 failures
      wake in 400ms
    > exit web.1 1
      wake in 400ms
    > scale web 0
      stop web.2: scaled down
      web no longer crash-loops
      do stop web.2
    > exit web.2 0
    ");
}

#[test]
fn one_that_ends_while_its_successor_starts_is_not_created_again() {
    assert_snapshot!(play("
apply
  web check
started web.1, ready web.1
restart web
exit web.1 1
started web.2, ready web.2
restart web
started web.3, unready web.2
ready web.3
exit web.2 0
"), @"
    > apply
      create web.1 in slot 0, r1, port 20000
      do launch web.1
    > started web.1, ready web.1
    > restart web
      create web.2 in slot 0, r1, port 20050
      do launch web.2
    > exit web.1 1
      do launch web.2
    > started web.2, ready web.2
    > restart web
      create web.3 in slot 0, r1, port 20000
      do launch web.3
    > started web.3, unready web.2
      stop web.2: restart asked for
      do stop web.2
      wake in 5s
    > ready web.3
      do stop web.2
    > exit web.2 0
    ");
}

#[test]
fn two_that_serve_and_are_both_old() {
    assert_snapshot!(play("
apply
  web check
started web.1, ready web.1
restart web
started web.2, ready web.2, restart web
exit web.1 0
"), @"
    > apply
      create web.1 in slot 0, r1, port 20000
      do launch web.1
    > started web.1, ready web.1
    > restart web
      create web.2 in slot 0, r1, port 20050
      do launch web.2
    > started web.2, ready web.2, restart web
      stop web.1: restart asked for
      do stop web.1
    > exit web.1 0
      create web.3 in slot 0, r1, port 20000
      do launch web.3
    ");
}

#[test]
fn a_release_that_does_not_become_ready_is_itself_superseded_at_once() {
    assert_snapshot!(play("
apply
  web replicas=2 check
started web.1, ready web.1, started web.2, ready web.2
apply
  web replicas=2 check owner=ada
exit web.3 1
+200ms
started web.4
apply
  web replicas=2 check owner=bob
exit web.4 0
"), @"
    > apply
      create web.1 in slot 0, r1, port 20000
      create web.2 in slot 1, r1, port 20001
      do launch web.1, launch web.2
    > started web.1, ready web.1, started web.2, ready web.2
    > apply
      create web.3 in slot 0, r2, port 20050
      do launch web.3
    > exit web.3 1
      wake in 200ms
    > +200ms
      create web.4 in slot 0, r2, port 20050
      do launch web.4
    > started web.4
      wake in 5s
    > apply
      stop web.4: superseded by a newer release
      do stop web.4
    > exit web.4 0
      create web.5 in slot 0, r3, port 20050
      do launch web.5
    ");
}

#[test]
fn a_release_waits_for_what_it_newly_needs_while_the_old_one_serves() {
    assert_snapshot!(play("
apply
  web
started web.1, ready web.1
apply
  cache check
  web needs=cache:healthy
started cache.1
ready cache.1
started web.2, ready web.2
"), @"
    > apply
      create web.1 in slot 0, r1, port 20000
      do launch web.1
    > started web.1, ready web.1
    > apply
      create cache.1 in slot 0, r1, port 20000
      do launch cache.1
    > started cache.1
      wake in 5s
    > ready cache.1
      create web.2 in slot 0, r2, port 20050
      do launch web.2
    > started web.2, ready web.2
      stop web.1: superseded by a newer release
      do stop web.1
    ");
}

#[test]
fn all_at_once_where_the_policy_says_so() {
    assert_snapshot!(play("
apply
  web replicas=2
started web.1, ready web.1, started web.2, ready web.2
apply
  web replicas=2 immediate
started web.3, ready web.3
exit web.1 0
started web.4, ready web.4
"), @"
    > apply
      create web.1 in slot 0, r1, port 20000
      create web.2 in slot 1, r1, port 20001
      do launch web.1, launch web.2
    > started web.1, ready web.1, started web.2, ready web.2
    > apply
      create web.3 in slot 0, r2, port 20050
      create web.4 in slot 1, r2, port 20051
      do launch web.3, launch web.4
    > started web.3, ready web.3
      stop web.1: superseded by a newer release
      do stop web.1, launch web.4
    > exit web.1 0
      do launch web.4
    > started web.4, ready web.4
      stop web.2: superseded by a newer release
      do stop web.2
    ");
}
