//! Files of others, as the command line takes them.

use crate::harness::Site;

/// Issue 12: for a program there was no word of what had been left out.
#[test]
fn a_program_is_told_what_is_lost() {
    let site = Site::new();
    site.write("stack.yml", "services: {a: {image: 'x:${TAG}', restart: always, hostname: h}}\n");
    site.write(".env", "TAG=7\n");
    let answer = site.json(&["import", "stack.yml"]).json();
    assert_eq!(answer["application"]["services"]["a"]["source"]["image"]["reference"], "x:7");
    assert_eq!(answer["left_out"][0]["key"], "services.a.hostname");
    assert!(answer["yaml"].as_str().unwrap().contains("image: x:7"));
    let architecture = site.run(&["import", "stack.yml", "--kind", "spigo"]);
    assert_ne!(architecture.code, Some(0), "it is none");
}
