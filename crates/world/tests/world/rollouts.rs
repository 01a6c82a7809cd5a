//! What each event about a rollout does.

use model::instance::Exit;
use model::{ReleaseNumber, Timestamp};
use world::rollout::{Counted, Counts, Stage, Verdict};
use world::routing::{Edge, Table};
use world::service::RELEASES_KEPT;
use world::{Event, FoldError, GroupNumber, Purpose, Recorded, Rollout};

use crate::words::{
    SHOP, Stage as World, about, applied, baked, calling, edge_opened, rolled, rollout, service,
    shared,
};

const CANARY: &str = r#""strategy": "canary"}, "kind": "deploy", "group": 1}"#;
const ROLLING: &str = r#""strategy": "rolling"}, "kind": "deploy", "group": 0}"#;
const BACK: &str = r#""strategy": "canary"}, "kind": "rollback", "group": 0}"#;

/// The shop's web in release 1, with release 2 and a group for it.
fn baked_world() -> World {
    let mut world = World::with(&[("web", service(1))]);
    world.run("web.1", 0);
    world.fold_all(baked(SHOP, "web", 2, 1));
    world
}

fn started(text: &str) -> World {
    let mut world = baked_world();
    world.fold(rollout(SHOP, "web", (1, 2), text));
    world
}

impl World {
    fn roll(&mut self, what: &[&str]) {
        self.fold_all(what.iter().map(|it| rolled(SHOP, "web", it)));
    }

    fn rollout(&self) -> &Rollout {
        self.service("web").rollout.as_deref().unwrap()
    }

    /// Instances wanted of the first group, and of the second.
    fn wanted(&self) -> [u32; 2] {
        [0, 1].map(|it| self.service("web").side(GroupNumber(it)).unwrap().wanted())
    }

    /// Whether an event fits.
    fn fits(&self, event: Event) -> bool {
        let (index, at) = (self.world.index.next(), self.world.at);
        let kind = event.kind();
        match self.world.clone().fold(&Recorded { index, at, event }) {
            Ok(()) => true,
            Err(error) => {
                assert_eq!(error, FoldError::Unknown { index, kind });
                false
            }
        }
    }
}

/// Issue 12: the next rollout made it one that was retired.
#[test]
fn issue_12_a_rejected_release_stays_rejected_until_it_is_tried_again() {
    let mut world = started(CANARY);
    world.roll(&["rejected"]);
    let rejected = [ReleaseNumber(2)].into();
    assert_eq!(world.service("web").rejected, rejected);
    world.fold_all(baked(SHOP, "web", 3, 1));
    world.fold(rollout(SHOP, "web", (1, 3), CANARY));
    world.roll(&["completed"]);
    assert_eq!(world.service("web").rejected, rejected);
    world.fold_all(baked(SHOP, "web", 4, 0));
    let text = r#""strategy": "canary"}, "kind": "deploy", "group": 0}"#;
    world.fold(rollout(SHOP, "web", (3, 4), text));
    world.roll(&["rejected"]);
    let both = [ReleaseNumber(2), ReleaseNumber(4)].into();
    assert_eq!(world.service("web").rejected, both);
}

#[test]
fn there_is_one_rollout_at_a_time_from_what_serves_to_what_is_there() {
    let world = baked_world();
    for (from, to, text, fits) in [
        (1, 2, CANARY, true),
        (1, 2, ROLLING, true),
        (1, 3, ROLLING, false),
        (2, 1, ROLLING, false),
        // Its group is there for another release, or not at all.
        (1, 2, BACK, false),
        (1, 2, r#""strategy": "canary"}, "kind": "deploy", "group": 7}"#, false),
    ] {
        assert_eq!(world.fits(rollout(SHOP, "web", (from, to), text)), fits, "{from} {to} {text}");
    }
    let mut world = started(CANARY);
    assert!(!world.fits(rollout(SHOP, "web", (1, 2), ROLLING)), "one is in progress");
    world.roll(&["rejected"]);
    assert!(world.fits(rollout(SHOP, "web", (1, 2), ROLLING)));
    for what in ["begun", "moved", "frozen", "passed", "paused", "promoted", "completed"] {
        assert!(!world.fits(rolled(SHOP, "web", what)), "{what} after the end");
    }
}

#[test]
fn what_is_kept_warm_is_not_started_again_with_the_application() {
    let mut world = started(CANARY);
    world.roll(&["moved", "begun", "moved all", "completed"]);
    assert_eq!(world.wanted(), [1, 1]);
    let application = || SHOP.parse().unwrap();
    world.fold(Event::StopAsked { application: application() });
    world.fold(Event::ApplicationStopped { application: application() });
    world.fold(applied(SHOP, &[("web", service(1))]));
    assert_eq!(world.wanted(), [0, 1]);
}

#[test]
fn a_canary_lives() {
    let mut world = started(CANARY);
    let index = world.world.index;
    assert_eq!((world.rollout().id, world.wanted()), (index, [1, 1]));
    world.roll(&["paused", "paused", "promoted"]);
    assert!(world.rollout().paused_since.is_some() && world.rollout().promote_asked);
    world.roll(&["resumed", "moved"]);
    let epoch = world.world.index;
    assert_eq!(world.rollout().stage, Stage::Taking { step: 0, epoch });
    assert!(world.rollout().paused_since.is_none() && !world.rollout().promote_asked);
    world.roll(&["frozen", "passed"]);
    let epoch = epoch.next();
    assert_eq!(world.rollout().stage, Stage::Taking { step: 0, epoch });
    assert_eq!(world.rollout().judged.as_ref().unwrap().verdict, Verdict::Pass);

    let counts = Counts { requests: 9, ..Counts::default() };
    let counted = Counted { epoch, source: 1, old: counts, new: counts };
    let (application, name) = (SHOP.parse().unwrap(), "web".parse().unwrap());
    world.fold(Event::RolloutObserved { application, service: name, counted });
    let [seen] = world.rollout().observations.as_slice() else { panic!() };
    assert!(seen.has_thresholds && seen.is_warm_up && seen.new.requests == 9);

    world.roll(&["begun"]);
    assert!(world.rollout().judged.is_none(), "what was judged was the step before");
    world.seconds = 60;
    world.roll(&["moved all", "completed"]);
    let web = world.service("web");
    assert_eq!((web.main, web.current()), (GroupNumber(1), ReleaseNumber(2)));
    assert_eq!((web.previous.as_slice(), world.wanted()), (&[ReleaseNumber(1)][..], [1, 1]));
    let kept = web.groups[&GroupNumber(0)].kept_until;
    assert_eq!(kept, Some(Timestamp::from_millis(3_660_000)));
    assert!(world.rollout().told, "nobody wants to know");

    // Back to what is kept; what was found bad is not.
    world.fold(rollout(SHOP, "web", (2, 1), BACK));
    world.roll(&["moved", "completed"]);
    let web = world.service("web");
    assert_eq!((web.main, web.previous.len(), world.wanted()), (GroupNumber(0), 0, [1, 0]));
    assert_eq!(web.free_group(), GroupNumber(1));
}

#[test]
fn a_rollout_in_vain_leaves_everything_as_it_was() {
    let mut world = started(CANARY);
    world.roll(&["moved", "rejected"]);
    let web = world.service("web");
    assert_eq!((web.current(), web.previous.len(), world.wanted()), (ReleaseNumber(1), 0, [1, 0]));

    let mut world = started(ROLLING);
    world.roll(&["moved all"]);
    let web = world.service("web");
    assert_eq!((web.current(), web.stable()), (ReleaseNumber(2), ReleaseNumber(1)));
    world.roll(&["rejected"]);
    assert_eq!(world.service("web").current(), ReleaseNumber(1));
}

#[test]
fn ends_that_nobody_asked_for_speak_against_the_new_release_only() {
    let mut world = started(CANARY);
    let fail = |world: &mut World, id: &'static str, code| {
        world.fold(about(id).exited(Exit::Code(code)));
        world.rollout().failures
    };
    assert_eq!(fail(&mut world, "web.1", 1), 0, "it is the old release's");
    world.fold(about("web.2").created_in(1, 2, Purpose::Serve));
    assert_eq!(fail(&mut world, "web.2", 7), 1);
    assert_eq!(world.rollout().last_failure.as_deref(), Some("exit code 7"));
    world.fold(about("web.3").created_in(1, 2, Purpose::Serve));
    world.fold(about("web.3").stopping(model::instance::StopReason::ScaledDown));
    assert_eq!(fail(&mut world, "web.3", 0), 1, "it was asked to");
}

#[test]
fn a_release_command_is_no_instance_that_serves() {
    let mut world = baked_world();
    let it = about("web.2");
    world.fold_all([it.created_in(0, 2, Purpose::ReleaseCommand), it.started(), it.ready()]);
    assert_eq!(world.service("web").ready(), 1);
    let table = Table::of(&world.world);
    assert_eq!(table.backends["shop/web"].endpoints.len(), 1);
    world.fold(it.exited(Exit::Code(3)));
    let web = world.service("web");
    assert_eq!(web.commands[&ReleaseNumber(2)], Exit::Code(3));
    assert_eq!(web.groups[&GroupNumber(0)].slots[&0].failures, 0);
    // Whoever applies again wants it tried again.
    world.fold(applied(SHOP, &[("web", service(1))]));
    assert!(world.service("web").commands.is_empty());
}

#[test]
fn shares_are_wanted_until_one_release_has_everything_and_can_take_it() {
    let mut world = baked_world();
    world.fold(shared(SHOP, "web", &[(1, 40), (2, 60)]));
    assert_eq!(world.wanted(), [1, 1]);
    let split = |world: &World| {
        let table = Table::of(&world.world);
        let split = &table.backends["shop/web"].split;
        split.iter().map(|it| format!("{}={}", it.release, it.weight)).collect::<Vec<_>>()
    };
    assert_eq!(split(&world), ["r1=40%", "r2=60%"]);
    let all = || shared(SHOP, "web", &[(2, 100)]);
    world.fold(all());
    assert_eq!(
        (split(&world), world.service("web").main),
        (vec!["r1=100%".to_owned()], GroupNumber(0))
    );
    let it = about("web.2");
    world.fold_all([it.created_in(1, 2, Purpose::Serve), it.started(), it.ready(), all()]);
    let web = world.service("web");
    assert_eq!((web.main, web.traffic.shares.len(), web.previous.len()), (GroupNumber(1), 0, 1));
    assert_eq!(split(&world), [""; 0]);
}

/// The calls of a new release keep to those of the callees it is rolled out with, as long as that lasts.
#[test]
fn calls_keep_to_what_is_rolled_out_with_them() {
    let mut world = World::with(&[("web", calling(&["cart"])), ("cart", service(1))]);
    let opened = edge_opened(SHOP, "web", "cart");
    let Event::EdgeOpened { application, caller, callee, .. } = opened.clone() else { panic!() };
    let group = Some(GroupNumber(1));
    let own = Event::EdgeOpened { application, caller, callee, group, port: 24_000 };
    world.fold_all([opened, own]);
    let edges = |world: &World| {
        let table = Table::of(&world.world);
        let edge = |(key, it): (&String, &std::sync::Arc<Edge>)| {
            format!("{key} {} {:?}", it.port, it.prefers.map(|it| it.0))
        };
        table.edges.iter().map(edge).collect::<Vec<_>>()
    };
    let apart = ["shop/web#1>cart 24000 None", "shop/web>cart 22744 None"];
    assert_eq!(edges(&world), apart);
    for (name, other) in [("web", "cart"), ("cart", "web")] {
        world.fold_all(baked(SHOP, name, 2, 1));
        let rest = format!(
            r#""strategy": "canary"}}, "kind": "deploy", "group": 1, "together": ["{other}"]}}"#
        );
        world.fold(rollout(SHOP, name, (1, 2), &rest));
    }
    assert_eq!(edges(&world), ["shop/web#1>cart 24000 Some(2)", "shop/web>cart 22744 None"]);
    let (web, cart) = ("web".parse().unwrap(), "cart".parse().unwrap());
    let port = |it| world.shop().group_edge_port((&web, GroupNumber(it)), &cart);
    assert_eq!((port(1), port(0)), (Some(24_000), None));
    world.fold(rolled(SHOP, "cart", "rejected"));
    assert_eq!(edges(&world), apart);
}

/// However often a service is released, and however, its state stays as small as it is.
#[test]
fn a_thousand_deploys_leave_no_more_than_a_few() {
    let mut world = baked_world();
    world.fold(about("web.1").exited(Exit::Code(0)));
    let mut sizes = Vec::new();
    for number in 3..1_003 {
        let web = world.service("web");
        let (from, group) = (web.current().0, web.free_group().0);
        world.fold_all(baked(SHOP, "web", number, group));
        let plan = format!(r#""strategy": "canary"}}, "kind": "deploy", "group": {group}}}"#);
        world.fold(rollout(SHOP, "web", (from, number), &plan));
        let how: &[&str] =
            if number % 3 == 0 { &["moved", "rejected"] } else { &["moved all", "completed"] };
        world.roll(how);
        if number % 100 == 0 {
            sizes.push(serde_json::to_vec(world.service("web")).unwrap().len());
        }
    }
    let web = world.service("web");
    assert_eq!((web.groups.len(), web.releases.len()), (3, RELEASES_KEPT));
    assert!(web.previous.len() <= RELEASES_KEPT);
    assert!(sizes.iter().all(|it| *it < sizes[0] * 11 / 10), "{sizes:?}");
}
