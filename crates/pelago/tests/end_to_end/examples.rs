//! The examples, as the README promises them.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::Site;
use crate::harness::http::get_url;

/// Copies an example beside the test, without a port that only one can have at a time.
fn site(example: &str, fixed_port: Option<&str>) -> Site {
    let site = Site::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(example);
    copy(&source, &site.app());
    let manifest = fs::read_to_string(source.join("pelago.yaml")).unwrap();
    let manifest = match fixed_port {
        Some(port) => {
            assert!(manifest.contains(port));
            manifest.replace(port, "")
        }
        None => manifest,
    };
    site.manifest(&manifest);
    site
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), target).unwrap();
        } else if entry.file_name() != "target" {
            copy(&entry.path(), &target);
        }
    }
}

fn visited(site: &Site, service: &str, path: &str) -> Vec<String> {
    let url = site.service(service)["instances"][0]["url"].as_str().unwrap().to_owned();
    let response = get_url(&url, path).unwrap();
    assert_eq!(response.status, 200, "{}", response.body);
    let answer: Value = serde_json::from_str(&response.body).unwrap();
    let visited = answer["visited"].as_array().unwrap();
    visited.iter().map(|it| it.as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_order_in_the_shop_passes_through_every_service() {
    let site = site("shop", None);
    // The tests' environment has no Rust in it, so what `up` would build is built before.
    let manifest = fs::read_to_string(site.app().join("pelago.yaml")).unwrap();
    let build = manifest.lines().find_map(|it| it.trim().strip_prefix("build: cargo ")).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    // Issue 12: in a shell with a target folder of its own the shop came up no more.
    let built = cargo
        .args(build.split(' '))
        .env("CARGO_TARGET_DIR", site.app().join("elsewhere"))
        .current_dir(site.app())
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    // `payments` fails now and then, as real ones do; this test is not about that.
    let build = format!("    build: cargo {build}\n");
    assert!(manifest.contains(&build));
    site.manifest(&manifest.replace(&build, "").replace("errors: 0.3%", "errors: 0%"));
    site.ok(&["up", "--detach"]);
    let visited = visited(&site, "web", "/api/order?sku=tea");
    assert_eq!(visited, ["web", "catalog", "cart", "orders", "payments", "shipping"]);
    site.ok(&["down"]);
    site.assert_nothing_left();
}

#[test]
fn the_boutique_opens() {
    let site = site("boutique", Some("    port: 8089\n"));
    site.ok(&["up", "--detach"]);
    let visited = visited(&site, "frontend", "/");
    assert_eq!(visited.first().map(String::as_str), Some("frontend"));
    site.ok(&["down"]);
    site.assert_nothing_left();
}
