//! The other ways for a release to take over, and what comes before, with the answers written down.

use insta::assert_snapshot;

use crate::script::play;

#[test]
fn blue_and_green() {
    assert_snapshot!(play("
apply
  web replicas=2 bluegreen promoted_by_hand
started web.1, ready web.1, started web.2, ready web.2
deploy
  web replicas=2 bluegreen owner=ada promoted_by_hand
started web.3, ready web.3
started web.4, ready web.4
routes web
promote web
routes web
+10s
exit web.1 0, exit web.2 0
"), @"
    > apply
      create web.1 in slot 0, r1, port 20000
      create web.2 in slot 1, r1, port 20001
      do launch web.1, launch web.2
    > started web.1, ready web.1, started web.2, ready web.2
    > deploy
      create web.3 in slot 0, r2, port 21000
      create web.4 in slot 1, r2, port 21001
      do launch web.3, launch web.4
    > started web.3, ready web.3
      do launch web.4
    > started web.4, ready web.4
    > routes web
      r1=100%, web.1@r1, web.2@r1
    > promote web
      web takes step 0
      wake in 10s
    > routes web
      r2=100%, web.3@r2, web.4@r2, r2 against r1
      wake in 10s
    > +10s
      web is rolled out
      stop web.1: its release is retired
      stop web.2: its release is retired
      do stop web.1, stop web.2
    > exit web.1 0, exit web.2 0
    ");
}

#[test]
fn one_after_another_and_back_when_the_first_fails() {
    assert_snapshot!(play("
apply
  web replicas=2
started web.1, ready web.1, started web.2, ready web.2
deploy
  web replicas=2 owner=ada
started web.3, ready web.3
exit web.1 0
exit web.4 1
+200ms
exit web.5 1
started web.6, ready web.6
exit web.3 0
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
    > exit web.4 1
      wake in 200ms
    > +200ms
      create web.5 in slot 1, r2, port 20051
      do launch web.5
    > exit web.5 1
      web is rejected: its instances failed 2 times since the rollout began, the last time: exit code 1
      create web.6 in slot 0, r1, port 20000
      do launch web.6
    > started web.6, ready web.6
      stop web.3: superseded by a newer release
      do stop web.3
    > exit web.3 0
    ");
}

#[test]
fn one_after_another_stands_still_while_it_is_paused() {
    assert_snapshot!(play("
apply
  web replicas=2
started web.1, ready web.1, started web.2, ready web.2
deploy
  web replicas=2 owner=ada
pause web, started web.3, ready web.3
exit web.1 0
+1h
resume web
started web.4, ready web.4
exit web.2 0
+10s
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
    > pause web, started web.3, ready web.3
      stop web.1: superseded by a newer release
      do stop web.1
    > exit web.1 0
    > +1h
    > resume web
      create web.4 in slot 1, r2, port 20051
      do launch web.4
    > started web.4, ready web.4
      stop web.2: superseded by a newer release
      do stop web.2
    > exit web.2 0
      wake in 10s
    > +10s
      web is rolled out
    ");
}

#[test]
fn all_at_once() {
    assert_snapshot!(play("
apply
  web replicas=2 immediate
started web.1, ready web.1, started web.2, ready web.2
deploy
  web replicas=2 immediate owner=ada
started web.3, ready web.3, started web.4, ready web.4
exit web.1 0, exit web.2 0
+10s
"), @"
    > apply
      create web.1 in slot 0, r1, port 20000
      create web.2 in slot 1, r1, port 20001
      do launch web.1, launch web.2
    > started web.1, ready web.1, started web.2, ready web.2
    > deploy
      web takes step 0
      create web.3 in slot 0, r2, port 20050
      create web.4 in slot 1, r2, port 20051
      do launch web.3, launch web.4
    > started web.3, ready web.3, started web.4, ready web.4
      stop web.1: superseded by a newer release
      stop web.2: superseded by a newer release
      do stop web.1, stop web.2
    > exit web.1 0, exit web.2 0
      wake in 10s
    > +10s
      web is rolled out
    ");
}

#[test]
fn a_release_that_is_never_ready_is_rejected() {
    assert_snapshot!(play("
apply
  web check bluegreen
started web.1, ready web.1
deploy
  web check bluegreen owner=ada
started web.2
+5s
exit web.2 0
+200ms
started web.3
+5s
exit web.3 0
"), @"
    > apply
      create web.1 in slot 0, r1, port 20000
      do launch web.1
    > started web.1, ready web.1
    > deploy
      create web.2 in slot 0, r2, port 21000
      do launch web.2
    > started web.2
      wake in 5s
    > +5s
      stop web.2: not ready within its start period
      do stop web.2
    > exit web.2 0
      wake in 200ms
    > +200ms
      create web.3 in slot 0, r2, port 21000
      do launch web.3
    > started web.3
      wake in 5s
    > +5s
      stop web.3: not ready within its start period
      do stop web.3
    > exit web.3 0
      web is rejected: its instances failed 2 times since the rollout began, the last time: not ready within its start period
    ");
}

#[test]
fn the_release_command_comes_first_and_its_failure_is_the_end() {
    assert_snapshot!(play("
apply
  web canary=50% migrates
started web.1
exit web.1 0
started web.2, ready web.2
deploy
  web canary=50% migrates owner=ada
started web.3, exit web.3 0
started web.4, ready web.4
abort web
exit web.4 0
deploy
  web canary=50% migrates owner=bob
exit web.5 1
deploy
  web migrates owner=eve
exit web.6 3
"), @"
    > apply
      create web.1 for the release command of r1
      do launch web.1
    > started web.1
    > exit web.1 0
      create web.2 in slot 0, r1, port 20000
      do launch web.2
    > started web.2, ready web.2
    > deploy
      create web.3 for the release command of r2
      do launch web.3
    > started web.3, exit web.3 0
      create web.4 in slot 0, r2, port 21000
      do launch web.4
    > started web.4, ready web.4
      web takes step 0
      wake in 1s
    > abort web
      stop web.4: its release is retired
      do stop web.4
    > exit web.4 0
    > deploy
      create web.5 for the release command of r3
      do launch web.5
    > exit web.5 1
      web is rejected: its release command failed: exit code 1
    > deploy
      create web.6 for the release command of r4
      do launch web.6
    > exit web.6 3
      web is rejected: its release command failed: exit code 3
    ");
}

#[test]
fn a_first_start_whose_release_command_fails_waits_until_somebody_applies_again() {
    assert_snapshot!(play("
apply
  web migrates
exit web.1 1
+1h
apply
  web migrates
exit web.2 0
"), @"
    > apply
      create web.1 for the release command of r1
      do launch web.1
    > exit web.1 1
    > +1h
    > apply
      create web.2 for the release command of r1
      do launch web.2
    > exit web.2 0
      create web.3 in slot 0, r1, port 20000
      do launch web.3
    ");
}

/// Nothing of the new release starts while something of the old one is there, and the other way round.
#[test]
fn issue_12_old_instances_end_before_new_ones_start() {
    let played = play(
        "
apply
  web replicas=2 recreate
started web.1, ready web.1, started web.2, ready web.2
deploy
  web replicas=2 recreate owner=ada
exit web.1 0
exit web.2 0
started web.3, ready web.3, started web.4, ready web.4
rollback web
exit web.4 0
exit web.3 0
",
    );
    let place = |part: &str| played.find(part).unwrap_or_else(|| panic!("{part} in {played}"));
    let (one, two) = (place("stop web.1: superseded"), place("stop web.2: superseded"));
    let deployed = place("> deploy");
    assert!(deployed < one && deployed < two && one.max(two) < place("> exit web.1 0"), "{played}");
    let ended = place("> exit web.2 0");
    assert!(
        ended < place("create web.3 in slot 0, r2") && ended < place("create web.4"),
        "{played}"
    );
    let back = place("> rollback web");
    assert!(back < place("stop web.3: superseded") && back < place("stop web.4: superseded"));
    assert!(place("> exit web.3 0") < place("create web.5 in slot 0, r1"), "{played}");
}
