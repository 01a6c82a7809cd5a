//! Canaries, with the answers written down: every verdict, and everything that ends one.
#![expect(clippy::too_many_lines, reason = "a transcript is as long as what happens in it")]

use insta::assert_snapshot;

use crate::script::play;

#[test]
fn a_canary_goes_step_by_step_and_the_old_release_is_kept_for_a_while() {
    assert_snapshot!(play("
apply
  web replicas=4 canary=5%:50% keep_old=1h webhook
started web.1, ready web.1, started web.2, ready web.2
started web.3, ready web.3, started web.4, ready web.4
deploy
  web replicas=4 canary=5%:50% keep_old=1h webhook owner=ada
routes web
started web.5, ready web.5
routes web
+6s, count web 19000/0 1000/0
started web.6, ready web.6
routes web
+6s, count web 1000/0 1000/0
started web.7, ready web.7, started web.8
ready web.8
routes web
+9s
+1s
routes web
told web
+1h
exit web.1 0, exit web.2 0, exit web.3 0, exit web.4 0
"), @"
    > apply
      create web.1 in slot 0, r1, port 20000
      create web.2 in slot 1, r1, port 20001
      create web.3 in slot 2, r1, port 20002
      create web.4 in slot 3, r1, port 20003
      do launch web.1, launch web.2, launch web.3, launch web.4
    > started web.1, ready web.1, started web.2, ready web.2
      do launch web.3, launch web.4
    > started web.3, ready web.3, started web.4, ready web.4
    > deploy
      create web.5 in slot 0, r2, port 21000
      do launch web.5
    > routes web
      r1=100%, web.1@r1, web.2@r1, web.3@r1, web.4@r1
      do launch web.5
    > started web.5, ready web.5
      web takes step 0
      wake in 1s
    > routes web
      r1=95%, r2=5%, web.1@r1, web.2@r1, web.3@r1, web.4@r1, web.5@r2, r2 against r1
      wake in 1s
    > +6s, count web 19000/0 1000/0
      web: Pass: requests fail 0 of 1000; latency was not compared, for want of requests before
      web prepares step 1
      create web.6 in slot 1, r2, port 21001
      do launch web.6
    > started web.6, ready web.6
      web takes step 1
      wake in 1s
    > routes web
      r1=50%, r2=50%, web.1@r1, web.2@r1, web.3@r1, web.4@r1, web.5@r2, web.6@r2, r2 against r1
      wake in 1s
    > +6s, count web 1000/0 1000/0
      web: Pass: requests fail 0 of 2000; latency was not compared, for want of requests before
      web prepares step 2
      create web.7 in slot 2, r2, port 21002
      create web.8 in slot 3, r2, port 21003
      do launch web.7, launch web.8
    > started web.7, ready web.7, started web.8
    > ready web.8
      web takes step 2
      wake in 10s
    > routes web
      r2=100%, web.5@r2, web.6@r2, web.7@r2, web.8@r2, r2 against r1
      wake in 10s
    > +9s
      wake in 1s
    > +1s
      web is rolled out
      do tell of web
      wake in 1h
    > routes web
      web.5@r2, web.6@r2, web.7@r2, web.8@r2
      do tell of web
      wake in 1h
    > told web
      wake in 1h
    > +1h
      web retires group 0
      stop web.1: its release is retired
      stop web.2: its release is retired
      stop web.3: its release is retired
      stop web.4: its release is retired
      do stop web.1, stop web.2, stop web.3, stop web.4
    > exit web.1 0, exit web.2 0, exit web.3 0, exit web.4 0
    ");
}

#[test]
fn a_canary_that_fails_requests_is_rejected_and_nothing_else_has_changed() {
    assert_snapshot!(play("
apply
  web canary=50%
started web.1, ready web.1
deploy
  web canary=50% owner=ada
started web.2, ready web.2
+6s, count web 500/0 500/6, count web 500/0 500/5, count web 500/0 500/6
count web 500/0 500/6, count web 500/0 500/6, count web 500/0 500/6
routes web
exit web.2 0
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
      wake in 1s
    > +6s, count web 500/0 500/6, count web 500/0 500/5, count web 500/0 500/6
      wake in 1s
    > count web 500/0 500/6, count web 500/0 500/6, count web 500/0 500/6
      web: Fail: requests fail and with r1 they do not (1.17 % of 3000 against 0.00 % of 3000; at least 5.3 times, and 1.25 times is allowed)
      web is rejected: requests fail and with r1 they do not (1.17 % of 3000 against 0.00 % of 3000; at least 5.3 times, and 1.25 times is allowed)
      stop web.2: its release is retired
      do stop web.2
    > routes web
      web.1@r1
      do stop web.2
    > exit web.2 0
    ");
}

#[test]
fn a_release_that_does_not_work_at_all_is_rejected_at_once() {
    assert_snapshot!(play("
apply
  web canary=50%
started web.1, ready web.1
deploy
  web canary=50% owner=ada
started web.2, ready web.2
+1s, count web 30/0 10/5, +1s, count web 30/0 10/5, +1s, count web 30/0 10/5
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
      wake in 1s
    > +1s, count web 30/0 10/5, +1s, count web 30/0 10/5, +1s, count web 30/0 10/5
      web is rejected: 15 of the last 30 requests to r2 failed
      stop web.2: its release is retired
      do stop web.2
    ");
}

#[test]
fn what_cannot_be_judged_in_time_waits_for_a_person_or_does_as_it_is_told() {
    let play_with = |how: &str| {
        play(&format!(
            "
apply
  web canary=50% max_duration=10m {how}
started web.1, ready web.1
deploy
  web canary=50% max_duration=10m owner=ada {how}
started web.2, ready web.2
+10m
"
        ))
    };
    assert_snapshot!(play_with(""), @"
    > apply
      create web.1 in slot 0, r1, port 20000
      do launch web.1
    > started web.1, ready web.1
    > deploy
      create web.2 in slot 0, r2, port 21000
      do launch web.2
    > started web.2, ready web.2
      web takes step 0
      wake in 1s
    > +10m
      web: Inconclusive: no request came to r2 within 10 minutes
      wake in 1s
    ");
    assert_snapshot!(play_with("on_inconclusive=promote"), @"
    > apply
      create web.1 in slot 0, r1, port 20000
      do launch web.1
    > started web.1, ready web.1
    > deploy
      create web.2 in slot 0, r2, port 21000
      do launch web.2
    > started web.2, ready web.2
      web takes step 0
      wake in 1s
    > +10m
      web: Inconclusive: no request came to r2 within 10 minutes
      web prepares step 1
      web takes step 1
      wake in 10s
    ");
    assert_snapshot!(play_with("on_inconclusive=revert"), @"
    > apply
      create web.1 in slot 0, r1, port 20000
      do launch web.1
    > started web.1, ready web.1
    > deploy
      create web.2 in slot 0, r2, port 21000
      do launch web.2
    > started web.2, ready web.2
      web takes step 0
      wake in 1s
    > +10m
      web: Inconclusive: no request came to r2 within 10 minutes
      web is rejected: no request came to r2 within 10 minutes
      stop web.2: its release is retired
      do stop web.2
    ");
}

#[test]
fn a_person_promotes_what_was_judged_and_what_was_not() {
    assert_snapshot!(play("
apply
  web canary=10%:50% promoted_by_hand
started web.1, ready web.1
deploy
  web canary=10%:50% owner=ada promoted_by_hand
started web.2, ready web.2
+6s, count web 9000/0 1000/0
promote web
promote web
+10s
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
      wake in 1s
    > +6s, count web 9000/0 1000/0
      web: Pass: requests fail 0 of 1000; latency was not compared, for want of requests before
      wake in 1s
    > promote web
      web prepares step 1
      web takes step 1
      wake in 1s
    > promote web
      web prepares step 2
      web takes step 2
      wake in 10s
    > +10s
      web is rolled out
      stop web.1: its release is retired
      do stop web.1
    ");
}

#[test]
fn a_bad_verdict_that_nobody_acts_on_waits_and_a_person_may_know_better() {
    assert_snapshot!(play("
apply
  web canary=50% reverted_by_hand
started web.1, ready web.1
deploy
  web canary=50% owner=ada reverted_by_hand
started web.2, ready web.2
+6s, count web 500/0 500/6, count web 500/0 500/5, count web 500/0 500/6
count web 500/0 500/6, count web 500/0 500/6, count web 500/0 500/6
promote web
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
      wake in 1s
    > +6s, count web 500/0 500/6, count web 500/0 500/5, count web 500/0 500/6
      wake in 1s
    > count web 500/0 500/6, count web 500/0 500/6, count web 500/0 500/6
      web: Fail: requests fail and with r1 they do not (1.17 % of 3000 against 0.00 % of 3000; at least 5.3 times, and 1.25 times is allowed)
      wake in 1s
    > promote web
      web prepares step 1
      web takes step 1
      wake in 10s
    ");
}

#[test]
fn while_it_is_paused_nothing_moves_but_back() {
    assert_snapshot!(play("
apply
  web canary=50%
started web.1, ready web.1
deploy
  web canary=50% owner=ada
pause web
started web.2, ready web.2
resume web
pause web, +6s, count web 1000/0 1000/0
exit web.2 1
+200ms
exit web.3 1
"), @"
    > apply
      create web.1 in slot 0, r1, port 20000
      do launch web.1
    > started web.1, ready web.1
    > deploy
      create web.2 in slot 0, r2, port 21000
      do launch web.2
    > pause web
      do launch web.2
    > started web.2, ready web.2
    > resume web
      web takes step 0
      wake in 1s
    > pause web, +6s, count web 1000/0 1000/0
    > exit web.2 1
      wake in 200ms
    > +200ms
      create web.3 in slot 0, r2, port 21000
      do launch web.3
    > exit web.3 1
      web is rejected: its instances failed 2 times since the rollout began, the last time: exit code 1
    ");
}

#[test]
fn somebody_ends_it() {
    assert_snapshot!(play("
apply
  web canary=50%
started web.1, ready web.1
deploy
  web canary=50% owner=ada
started web.2, ready web.2
abort web
exit web.2 0
deploy
  web canary=50% owner=bob
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
      wake in 1s
    > abort web
      stop web.2: its release is retired
      do stop web.2
    > exit web.2 0
    > deploy
      create web.3 in slot 0, r3, port 21000
      do launch web.3
    ");
}
