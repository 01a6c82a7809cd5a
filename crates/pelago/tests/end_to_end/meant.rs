//! Which application a command is about, and that two folders do not take things from each other.

use crate::harness::{Ran, Site};

/// A folder beside others, with a file of one service.
fn folder(site: &Site, name: &str, more: &str) {
    let file = format!("name: {name}\nservices: {{web: {{behaviour: {{work: 1ms}}}}}}\n{more}");
    site.write(&format!("{name}/pelago.yaml"), &file);
}

/// A command that is typed in a folder.
fn run_in(site: &Site, folder: &str, arguments: &[&str]) -> Ran {
    site.spawn(site.command(arguments).current_dir(site.app().join(folder))).wait()
}

#[track_caller]
fn assert_refused(ran: &Ran, message: &str) {
    assert_ne!(ran.code, Some(0), "{ran:?}");
    assert!(ran.err.contains(message), "{ran:?}");
}

#[test]
fn issue_12_no_command_turns_to_another_application() {
    let site = Site::serving();
    for name in ["prod", "mine"] {
        folder(&site, name, "");
    }
    folder(&site, "broken", "routes: [{service: '${env.NOT_SET}'}]\n");
    run_in(&site, "prod", &["up", "--detach"]).ok();
    let before = site.index();
    for (name, command) in [
        ("mine", &["down"][..]),
        ("broken", &["down"]),
        ("mine", &["restart"]),
        ("mine", &["logs"]),
        ("mine", &["scale", "web=3"]),
        ("broken", &["restart", "web"]),
    ] {
        let expected = format!("{name}, which pelago.yaml here describes, was not started");
        assert_refused(&run_in(&site, name, command), &expected);
    }
    assert_eq!(site.index(), before);
    assert_eq!(site.application()["state"], "running");

    // Where there is no file, the only one that runs is meant, which is said.
    site.write("empty/.keep", "");
    let ran = run_in(&site, "empty", &["down"]).ok();
    assert!(ran.err.contains("prod is meant"), "{ran:?}");
    assert_eq!(site.application()["state"], "stopped");
}

#[test]
fn issue_12_an_application_is_not_taken_over_by_another_folder_unless_asked() {
    let site = Site::serving();
    folder(&site, "shop", "");
    run_in(&site, "shop", &["up", "--detach"]).ok();
    site.write("clone/pelago.yaml", "name: shop\nservices: {web: {behaviour: {work: 2ms}}}\n");
    let refused = run_in(&site, "clone", &["up", "--detach"]);
    assert_refused(&refused, "app/shop; `--take-over` makes it");
    // A release made elsewhere would take it over as well.
    let refused = run_in(&site, "clone", &["deploy", "--detach"]);
    assert_refused(&refused, "app/shop; `--take-over` makes it");
    assert!(site.application()["folder"].as_str().unwrap().ends_with("app/shop"));
    run_in(&site, "clone", &["up", "--detach", "--take-over"]).ok();
    assert!(site.application()["folder"].as_str().unwrap().ends_with("app/clone"));
    assert_refused(&run_in(&site, "shop", &["deploy", "--detach"]), "app/clone");
    run_in(&site, "shop", &["deploy", "--detach", "--take-over"]).ok();
    assert!(site.application()["folder"].as_str().unwrap().ends_with("app/shop"));
}

#[test]
fn issue_12_a_route_has_one_application() {
    let mut site = Site::serving();
    let route = "routes: [{host: shop.localhost, path: /, service: web}]\n";
    folder(&site, "shop", route);
    folder(&site, "thief", route);
    run_in(&site, "shop", &["up", "--detach"]).ok();
    let refused = run_in(&site, "thief", &["up", "--detach"]);
    assert_refused(&refused, "the route shop.localhost/ of thief is shop's already");
    let refused = run_in(&site, "thief", &["plan"]);
    assert_refused(&refused, "the route shop.localhost/ of thief is shop's already");
    // What has stopped has no claim; and two that have one nevertheless both come back.
    run_in(&site, "shop", &["down"]).ok();
    run_in(&site, "thief", &["up", "--detach"]).ok();
    let refused = run_in(&site, "shop", &["up", "--detach"]);
    assert_refused(&refused, "the route shop.localhost/ of shop is thief's already");
    site.kill_control();
    site.start();
    run_in(&site, "thief", &["up", "--detach"]).ok();
}
