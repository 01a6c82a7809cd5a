//! What is in a data folder is its owner's alone: journals and logs hold what people typed, and environments.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::harness::{Site, http::Request, http::ask_tcp, until};

/// Files and folders that somebody else may look into, below `folder`; what instances made for themselves apart.
fn open_to_others(folder: &Path, found: &mut Vec<(PathBuf, u32)>) -> usize {
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap().flatten() {
        // It may have been removed since.
        let Ok(metadata) = fs::symlink_metadata(entry.path()) else { continue };
        count += 1;
        let mode = metadata.permissions().mode() & 0o777;
        if !metadata.is_symlink() && mode & 0o077 != 0 {
            found.push((entry.path(), mode));
        }
        if metadata.is_dir() && entry.file_name() != "tmp" {
            count += open_to_others(&entry.path(), found);
        }
    }
    count
}

/// The folder is somebody's own, and was there before: its permissions are not ours to change.
#[test]
fn files_are_private_in_a_folder_that_is_not() {
    let mut site = Site::new();
    fs::create_dir(site.data()).unwrap();
    fs::set_permissions(site.data(), fs::Permissions::from_mode(0o755)).unwrap();
    site.gateway_at("127.0.0.1:0");
    site.telemetry_at("127.0.0.1:0");
    site.serve = vec!["--access-log", "access.log"];
    site.start();
    site.write("cart/app.py", "print('begun', flush=True)\nimport time\ntime.sleep(1000)\n");
    site.manifest(
        "
name: shop
services:
  web: {behaviour: {work: 1ms}}
  cart: {artifact: ./cart, command: python3 app.py}
routes: [{service: web}]
",
    );
    site.ok(&["up", "--detach"]);
    ask_tcp(&site.gateway(), &Request::get("/")).unwrap();
    until("a line in the log", || site.ok(&["logs", "cart"]).out.contains("begun").then_some(()));
    site.end_control();
    site.start();
    let mut found = Vec::new();
    assert!(30 < open_to_others(&site.data(), &mut found));
    assert_eq!(found, []);
    let mode = fs::metadata(site.data()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o755);
}

#[test]
fn a_folder_made_for_data_is_private() {
    let site = Site::serving();
    let mode = fs::metadata(site.data()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o700);
}
