//! Ways back, releases side by side, and those that go as one, with the answers written down.
#![expect(clippy::too_many_lines, reason = "a transcript is as long as what happens in it")]

use insta::assert_snapshot;

use crate::script::play;

#[test]
fn back_to_what_is_still_warm_takes_no_time() {
    assert_snapshot!(play("
apply
  web bluegreen keep_old=1h
started web.1, ready web.1
deploy
  web bluegreen keep_old=1h owner=ada
started web.2, ready web.2
+10s
rollback web
routes web
exit web.2 0
rollback web
"), @"
    > apply
      create web.1 in slot 0, r1, port 20000
      do launch web.1
    > started web.1, ready web.1
    > deploy
      create web.2 in slot 0, r2, port 21000
      do launch web.2
    > started web.2, ready web.2
      web takes step 0
      wake in 10s
    > +10s
      web is rolled out
      wake in 1h
    > rollback web
      web takes step 0
      web is rolled out
      stop web.2: its release is retired
      do stop web.2
    > routes web
      web.1@r1
      do stop web.2
    > exit web.2 0
    > rollback web
    ");
}

#[test]
fn back_to_what_is_gone_starts_it_first() {
    assert_snapshot!(play("
apply
  web
started web.1, ready web.1
deploy
  web owner=ada
started web.2, ready web.2
exit web.1 0
+10s
rollback web
routes web
started web.3, ready web.3
routes web
exit web.2 0
"), @"
    > apply
      create web.1 in slot 0, r1, port 20000
      do launch web.1
    > started web.1, ready web.1
    > deploy
      web takes step 0
      create web.2 in slot 0, r2, port 20050
      do launch web.2
    > started web.2, ready web.2
      stop web.1: superseded by a newer release
      do stop web.1
    > exit web.1 0
      wake in 10s
    > +10s
      web is rolled out
    > rollback web
      create web.3 in slot 0, r1, port 21000
      do launch web.3
    > routes web
      r2=100%, web.2@r2
      do launch web.3
    > started web.3, ready web.3
      web takes step 0
      web is rolled out
      stop web.2: its release is retired
      do stop web.2
    > routes web
      web.3@r1
      do stop web.2
    > exit web.2 0
    ");
}

#[test]
fn only_one_old_release_is_kept() {
    assert_snapshot!(play("
apply
  web bluegreen keep_old=1h
started web.1, ready web.1
deploy
  web bluegreen keep_old=1h owner=ada
started web.2, ready web.2
+10s
deploy
  web bluegreen keep_old=1h owner=bob
started web.3, ready web.3
+10s
exit web.1 0
deploy
  web bluegreen keep_old=1h owner=eve
"), @"
    > apply
      create web.1 in slot 0, r1, port 20000
      do launch web.1
    > started web.1, ready web.1
    > deploy
      create web.2 in slot 0, r2, port 21000
      do launch web.2
    > started web.2, ready web.2
      web takes step 0
      wake in 10s
    > +10s
      web is rolled out
      wake in 1h
    > deploy
      create web.3 in slot 0, r3, port 22000
      do launch web.3
      wake in 1h
    > started web.3, ready web.3
      web takes step 0
      wake in 10s
    > +10s
      web is rolled out
      stop web.1: its release is retired
      do stop web.1
      wake in 1h
    > exit web.1 0
      wake in 1h
    > deploy
      create web.4 in slot 0, r4, port 20000
      do launch web.4
      wake in 1h
    ");
}

#[test]
fn services_that_go_together_follow_their_callees() {
    assert_snapshot!(play("
apply
  cart canary=50%
  web canary=50% calls=cart
started cart.1, ready cart.1, started web.1, ready web.1
deploy together
  cart canary=50% owner=ada
  web canary=50% calls=cart owner=ada
started web.2, ready web.2
started cart.2, ready cart.2
+6s, count web 1000/0 1000/0
count cart 1000/0 1000/0
+9s
+1s
exit cart.1 0, exit web.1 0
"), @"
    > apply
      create cart.1 in slot 0, r1, port 20000
      create web.1 in slot 0, r1, port 20100
      do launch cart.1, launch web.1
    > started cart.1, ready cart.1, started web.1, ready web.1
    > deploy together
      create cart.2 in slot 0, r2, port 21000
      create web.2 in slot 0, r2, port 21100
      do launch cart.2, launch web.2
    > started web.2, ready web.2
      do launch cart.2
    > started cart.2, ready cart.2
      cart takes step 0
      web takes step 0
      wake in 1s
    > +6s, count web 1000/0 1000/0
      web: Pass: requests fail 0 of 1000; latency was not compared, for want of requests before
      wake in 1s
    > count cart 1000/0 1000/0
      cart: Pass: requests fail 0 of 1000; latency was not compared, for want of requests before
      cart prepares step 1
      cart takes step 1
      web prepares step 1
      web takes step 1
      wake in 10s
    > +9s
      wake in 1s
    > +1s
      cart is rolled out
      web is rolled out
      stop cart.1: its release is retired
      stop web.1: its release is retired
      do stop cart.1, stop web.1
    > exit cart.1 0, exit web.1 0
    ");
}

#[test]
fn services_that_go_together_fall_together() {
    assert_snapshot!(play("
apply
  cart canary=50%
  web canary=50% calls=cart
started cart.1, ready cart.1, started web.1, ready web.1
deploy together
  cart canary=50% owner=ada
  web canary=50% calls=cart owner=ada
exit web.2 1
+200ms
exit web.3 1
"), @"
    > apply
      create cart.1 in slot 0, r1, port 20000
      create web.1 in slot 0, r1, port 20100
      do launch cart.1, launch web.1
    > started cart.1, ready cart.1, started web.1, ready web.1
    > deploy together
      create cart.2 in slot 0, r2, port 21000
      create web.2 in slot 0, r2, port 21100
      do launch cart.2, launch web.2
    > exit web.2 1
      do launch cart.2
      wake in 200ms
    > +200ms
      create web.3 in slot 0, r2, port 21100
      do launch cart.2, launch web.3
    > exit web.3 1
      web is rejected: its instances failed 2 times since the rollout began, the last time: exit code 1
      cart is rejected: web@r2, which it goes with, was rejected
      stop cart.2: its release is retired
      do stop cart.2
    ");
}

#[test]
fn services_that_call_each_other_do_not_wait_for_each_other() {
    assert_snapshot!(play("
apply
  cart bluegreen calls=web
  web bluegreen calls=cart
started cart.1, ready cart.1, started web.1, ready web.1
deploy together
  cart bluegreen calls=web owner=ada
  web bluegreen calls=cart owner=ada
started cart.2, ready cart.2, started web.2, ready web.2
+10s
"), @"
    > apply
      create cart.1 in slot 0, r1, port 20000
      create web.1 in slot 0, r1, port 20100
      do launch cart.1, launch web.1
    > started cart.1, ready cart.1, started web.1, ready web.1
    > deploy together
      create cart.2 in slot 0, r2, port 21000
      create web.2 in slot 0, r2, port 21100
      do launch cart.2, launch web.2
    > started cart.2, ready cart.2, started web.2, ready web.2
      cart takes step 0
      web takes step 0
      wake in 10s
    > +10s
      cart is rolled out
      web is rolled out
      stop cart.1: its release is retired
      stop web.1: its release is retired
      do stop cart.1, stop web.1
    ");
}

#[test]
fn an_application_that_is_stopped_and_a_service_that_is_taken_out_end_their_rollouts() {
    assert_snapshot!(play("
apply
  cart bluegreen
  web bluegreen
started cart.1, ready cart.1, started web.1, ready web.1
deploy
  cart bluegreen owner=ada
  web bluegreen owner=ada
deploy
  cart bluegreen owner=ada
exit web.1 0, exit web.2 0
stop
"), @"
    > apply
      create cart.1 in slot 0, r1, port 20000
      create web.1 in slot 0, r1, port 20100
      do launch cart.1, launch web.1
    > started cart.1, ready cart.1, started web.1, ready web.1
    > deploy
      create cart.2 in slot 0, r2, port 21000
      create web.2 in slot 0, r2, port 21100
      do launch cart.2, launch web.2
    > deploy
      web is aborted: the service was taken out of the application
      stop cart.2: its release is retired
      stop web.1: service removed
      stop web.2: service removed
      create cart.3 in slot 0, r3, port 22000
      do stop cart.2, launch cart.3, stop web.1, stop web.2
    > exit web.1 0, exit web.2 0
      do stop cart.2, launch cart.3
    > stop
      cart is aborted: the application was stopped
      stop cart.1: application stopped
      stop cart.3: application stopped
      do stop cart.1, stop cart.2, stop cart.3
    ");
}

#[test]
fn shares_by_hand_and_everything_to_one() {
    assert_snapshot!(play("
apply
  web replicas=2 keep_old=1m
started web.1, ready web.1, started web.2, ready web.2
deploy
  web replicas=2 keep_old=1m owner=ada
started web.3, ready web.3
exit web.1 0
started web.4, ready web.4
exit web.2 0
+10s
share web r1=10% r2=90%
routes web
started web.5, ready web.5
routes web
share web r1=100%
routes web
started web.6, ready web.6
routes web
+1m
exit web.3 0, exit web.4 0
"), @"
    > apply
      create web.1 in slot 0, r1, port 20000
      create web.2 in slot 1, r1, port 20001
      do launch web.1, launch web.2
    > started web.1, ready web.1, started web.2, ready web.2
    > deploy
      web takes step 0
      create web.3 in slot 0, r2, port 20050
      do launch web.3
    > started web.3, ready web.3
      stop web.1: superseded by a newer release
      do stop web.1
    > exit web.1 0
      create web.4 in slot 1, r2, port 20051
      do launch web.4
    > started web.4, ready web.4
      stop web.2: superseded by a newer release
      do stop web.2
    > exit web.2 0
      wake in 10s
    > +10s
      web is rolled out
    > share web r1=10% r2=90%
      create web.5 in slot 0, r1, port 21000
      do launch web.5
    > routes web
      r1=10%, r2=90%, web.3@r2, web.4@r2
      do launch web.5
    > started web.5, ready web.5
    > routes web
      r1=10%, r2=90%, web.3@r2, web.4@r2, web.5@r1
    > share web r1=100%
      create web.6 in slot 1, r1, port 21001
      do launch web.6
    > routes web
      r2=100%, web.3@r2, web.4@r2
      do launch web.6
    > started web.6, ready web.6
      web is handed over
      wake in 1m
    > routes web
      web.5@r1, web.6@r1
      wake in 1m
    > +1m
      web retires group 0
      stop web.3: its release is retired
      stop web.4: its release is retired
      do stop web.3, stop web.4
    > exit web.3 0, exit web.4 0
    ");
}
