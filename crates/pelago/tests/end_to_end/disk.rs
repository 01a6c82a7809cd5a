//! A disk that is full or read-only: what runs goes on, what must be written down waits, and people are told.
//!
//! The data folder is a small file system of its own, which only root can make; others are told that these tests
//! say nothing.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::harness::{Site, count, http, processes, until};

/// A file system of 32 MiB at the data folder of a site, for as long as this lives.
struct Small {
    folder: PathBuf,
}

impl Small {
    /// In memory. Nothing where this machine does not let us mount anything.
    fn mount(site: &Site) -> Option<Self> {
        Self::at(site, &["-t", "tmpfs", "-o", "size=32m", "none"])
    }

    /// On a disk of its own, which turns read-only when it finds an error.
    fn on_disk(site: &Site) -> Option<Self> {
        let image = site.app().join("image");
        File::create(&image).unwrap().set_len(32 << 20).unwrap();
        let made = Command::new("mkfs.ext4").arg("-q").arg(&image).output();
        if !made.is_ok_and(|it| it.status.success()) {
            println!("there is no mkfs.ext4 here, so this test says nothing");
            return None;
        }
        Self::at(site, &["-o", "loop,errors=remount-ro", image.to_str().unwrap()])
    }

    fn at(site: &Site, arguments: &[&str]) -> Option<Self> {
        let folder = site.data();
        fs::create_dir_all(&folder).unwrap();
        let mut mount = Command::new("mount");
        mount.args(arguments).arg(&folder);
        if !mount.output().is_ok_and(|it| it.status.success()) {
            println!("nothing can be mounted here, so this test says nothing");
            return None;
        }
        Some(Self { folder })
    }

    /// What a disk does that finds an error.
    fn turn_read_only(&self) {
        let found = Command::new("findmnt").args(["-no", "SOURCE"]).arg(&self.folder).output();
        let source = String::from_utf8(found.unwrap().stdout).unwrap();
        let device = Path::new(source.trim()).file_name().unwrap().to_str().unwrap().to_owned();
        fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "a test").unwrap();
    }

    /// Waits until the room for what must be written down is set aside.
    fn until_reserved(&self) {
        until("the reserve", || self.folder.join("reserve").exists().then_some(()));
    }

    /// Fills it to the last byte.
    fn fill(&self, name: &str) {
        let mut file = File::create(self.folder.join(name)).unwrap();
        for size in [1 << 20, 4 << 10, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }
}

/// The data folder of a site as it was, for reading only, for as long as this lives.
struct Sealed {
    folder: PathBuf,
}

impl Sealed {
    /// By a mount on top: what has files open for writing keeps them.
    fn over(site: &Site) -> Option<Self> {
        let folder = site.data();
        let mount = |arguments: &[&str]| {
            let done = Command::new("mount").args(arguments).arg(&folder).output();
            done.is_ok_and(|it| it.status.success())
        };
        if !mount(&["--bind", folder.to_str().unwrap()]) {
            println!("nothing can be mounted here, so this test says nothing");
            return None;
        }
        assert!(mount(&["-o", "remount,bind,ro"]));
        Some(Self { folder })
    }
}

impl Drop for Sealed {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.folder).status());
    }
}

/// Starts a control process on a data folder that can only be read, and waits until it answers.
fn start_read_only(site: &mut Site) {
    site.spawn_control();
    until("the control process to answer elsewhere", || {
        let socket = cli::substitute::find(&site.data())?.join(cli::substitute::SOCKET);
        http::ask(&socket, &http::Request::get("/health")).ok()
    });
}

impl Drop for Small {
    fn drop(&mut self) {
        // Whatever still has files in it is about to end.
        drop(Command::new("umount").arg("-l").arg(&self.folder).status());
    }
}

/// Brings up a service that talks and one that does not; the process that talks.
fn up(site: &Site) -> Value {
    site.write("a/talk.sh", "while :; do echo word; sleep 0.02; done\n");
    site.manifest(
        "name: disk\nservices:\n  talk: {artifact: ./a, command: sh talk.sh}\n  quiet: {command: sleep \
         1000, restart: {backoff: 10ms}}\n",
    );
    site.ok(&["up", "--detach"]);
    pid(site, "talk")
}

fn problems(site: &Site) -> String {
    site.get("/v1/status").ok()["recording_problems"].to_string()
}

fn until_said(site: &Site, words: &str) {
    until(words, || problems(site).contains(words).then_some(()));
}

fn until_well(site: &Site) {
    until("all to be as before", || (problems(site) == "null").then_some(()));
}

fn pid(site: &Site, service: &str) -> Value {
    site.service(service)["instances"][0]["pid"].clone()
}

fn kill(site: &Site, service: &str) {
    let (pid, _) = site.instance(service);
    processes::kill(processes::identify(pid).unwrap());
}

fn lines_of(site: &Site, instance: &str) -> String {
    fs::read_to_string(site.instance_folder("disk", instance).join("log.1")).unwrap()
}

#[test]
fn issue_12_a_full_disk_costs_lines_and_nothing_else() {
    let mut site = Site::new();
    let Some(small) = Small::mount(&site) else { return };
    site.start();
    let talks = up(&site);
    small.until_reserved();

    small.fill("fill");
    until_said(&site, "lines of disk/talk.1 are lost");
    let doctor = site.run(&["doctor"]);
    assert!(doctor.out.contains("recording") && doctor.code == Some(1), "{doctor:?}");
    assert!(site.ok(&["status"]).out.contains("so lines of instances are dropped"));
    site.text(0, "alert PelagoRecordingFails fires");
    // What the reserve is for.
    kill(&site, "quiet");
    site.text(0, "quiet.2 is ready");
    site.ok(&["restart", "quiet"]);
    assert_eq!(pid(&site, "talk"), talks, "it says lines that cannot be kept, and goes on");

    fs::remove_file(small.folder.join("fill")).unwrap();
    until_well(&site);
    site.text(0, "alert PelagoRecordingFails has ended");
    small.until_reserved();
    until("the log to go on", || {
        let log = lines_of(&site, "talk.1");
        let (_, after) = log.split_once("could not be kept")?;
        after.contains("word").then_some(())
    });
    assert_eq!(pid(&site, "talk"), talks);
    assert_eq!(count(&site.events(), "talk.1 ended"), 0);
}

#[test]
fn issue_12_on_a_disk_without_any_room_control_starts_and_what_ends_waits() {
    let mut site = Site::new();
    let Some(small) = Small::mount(&site) else { return };
    site.start();
    let talks = up(&site);
    small.until_reserved();
    small.fill("fill");
    until("the reserve to be given up", || (!small.folder.join("reserve").exists()).then_some(()));
    site.kill_control();
    small.fill("fill2");
    site.start();
    // How much that is depends on what the new one gives back while it opens the journal.
    until_said(&site, "the disk of the data folder has only");
    kill(&site, "quiet");
    assert_eq!(pid(&site, "talk"), talks);

    fs::remove_file(small.folder.join("fill")).unwrap();
    site.text(0, "quiet.1 ended: killed by SIGKILL");
    site.text(0, "quiet.2 is ready");
    until_well(&site);
    assert_eq!(pid(&site, "talk"), talks);
}

#[test]
fn issue_12_on_a_read_only_disk_what_runs_goes_on_and_what_crashes_waits() {
    let mut site = Site::new();
    let Some(small) = Small::on_disk(&site) else { return };
    site.start();
    let talks = up(&site);
    small.turn_read_only();
    until_said(&site, "nothing can be recorded");
    kill(&site, "quiet");
    until("what is dead not to be shown as ready", || {
        let quiet = site.service("quiet");
        let detail = quiet["instances"][0]["detail"].as_str()?.to_owned();
        (detail.contains("which cannot be recorded")
            && quiet["ready"] == 0
            && quiet["state"] == "unready")
            .then_some(())
    });
    until_said(&site, "lines of disk/talk.1");
    assert!(site.ok(&["status"]).out.contains("what ends waits"));
    let refused = site.run(&["scale", "quiet=3"]);
    assert!(
        refused.code == Some(1) && refused.err.contains("cannot write the journal"),
        "{refused:?}"
    );
    assert_eq!(pid(&site, "talk"), talks);
    assert!(site.run(&["doctor"]).out.contains("nothing can be recorded"));
}

#[test]
fn issue_12_control_starts_on_a_disk_that_is_read_only_and_says_so() {
    let mut site = Site::new();
    let Some(small) = Small::on_disk(&site) else { return };
    site.start();
    let talks = up(&site);
    small.turn_read_only();
    site.kill_control();

    start_read_only(&mut site);
    let status = site.ok(&["status"]).out;
    assert!(status.contains("can only be read; make it writable"), "{status}");
    let shown = site.json(&["ps"]).out;
    assert!(shown.contains("talk.1") && shown.contains(&talks.to_string()), "{shown}");
    assert!(site.ok(&["events"]).out.contains("talk.1 is ready"));
    assert!(site.ok(&["logs", "talk"]).out.contains("word"));
    let doctor = site.run(&["doctor"]);
    assert!(doctor.code == Some(1) && doctor.out.contains("can only be read"), "{doctor:?}");
    for wish in [&["scale", "quiet=3"][..], &["restart", "talk"], &["up", "--detach"], &["down"]] {
        let refused = site.run(wish);
        assert!(
            refused.code == Some(1) && refused.err.contains("can only be read"),
            "{wish:?}: {refused:?}"
        );
    }
    assert!(site.json(&["ps"]).out.contains(&talks.to_string()), "nothing was stopped");
}

#[test]
fn issue_12_control_becomes_an_ordinary_one_when_its_disk_can_be_written_again() {
    let mut site = Site::serving();
    let talks = up(&site);
    let (quiet, _) = site.instance("quiet");
    let quiet = processes::identify(quiet).unwrap();
    site.kill_control();
    let Some(sealed) = Sealed::over(&site) else { return };

    start_read_only(&mut site);
    processes::kill(quiet);
    assert!(site.ok(&["status"]).out.contains("can only be read"));
    drop(sealed);
    site.wait_for_control();
    site.text(0, "quiet.1 ended: killed by SIGKILL");
    site.text(0, "quiet.2 is ready");
    assert_eq!(problems(&site), "null");
    assert_eq!(pid(&site, "talk"), talks);
    assert_eq!(cli::substitute::find(&site.data()), None, "nothing is left of it");
    // It is the process it was, for whoever started it.
    site.end_control();
}

#[test]
fn issue_12_an_artifact_larger_than_the_room_is_refused_and_leaves_nothing() {
    let mut site = Site::new();
    let Some(small) = Small::mount(&site) else { return };
    site.start();
    let talks = up(&site);
    let large = File::create(site.app().join("a/large")).unwrap();
    large.set_len(64 << 20).unwrap();
    let refused = site.run(&["up", "--detach"]);
    assert!(refused.code == Some(1) && refused.err.contains("no room"), "{refused:?}");
    let objects = fs::read_dir(small.folder.join("artifacts/objects")).unwrap();
    assert_eq!(objects.count(), 1, "the script");
    assert_eq!(problems(&site), "null", "the disk was not filled");
    assert_eq!(pid(&site, "talk"), talks);
    fs::remove_file(site.app().join("a/large")).unwrap();
    site.write("a/more", "");
    site.ok(&["up", "--detach"]);
    assert_eq!(site.service("talk")["release"], "r2");
}
