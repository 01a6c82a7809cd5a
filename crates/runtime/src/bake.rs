//! Artifacts as releases run them: files by content hash, kept once, never changed.
//!
//! Baking copies what is there now; whatever happens to the original afterwards, a release that runs
//! does not change under it. Equal files of different releases share one copy on disk: a store of
//! objects, hard-linked (or, where the file system can, cloned) into a folder per release.
//!
//! `.pelagoignore` and `.dockerignore` in the artifact are respected and `.git` is left out;
//! `.gitignore` is not asked, since what is built (`node_modules`, `dist`) is what must run.

mod entries;
mod ignored;
mod store;
mod venv;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use model::release::Digest;

use entries::{Entry, Found, Kind, Mode};
use store::Store;

/// Files and folders an artifact may have: a large `node_modules` has a hundred thousand.
pub const ENTRIES_MAX: usize = 500_000;
/// Bytes an artifact may have.
pub const ARTIFACT_BYTES_MAX: u64 = 8 << 30;

/// The extension of a release that is not whole yet.
const DRAFT: &str = "tmp";

/// Why an artifact could not be baked.
#[derive(Debug, thiserror::Error)]
pub enum BakeError {
    /// There is nothing there.
    #[error("the artifact {0} does not exist; build it first, or correct `artifact`")]
    Missing(PathBuf),
    /// It could not be read.
    #[error("the artifact's {path} cannot be read")]
    Read {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An ignore file in it is not right.
    #[error("{path} cannot be followed: {why}; correct or remove it")]
    Ignore {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// It has folders in folders without an end.
    #[error("the artifact's {0} is too many folders deep; put it into .pelagoignore")]
    TooDeep(PathBuf),
    /// The copy could not be written.
    #[error("the copy {path} cannot be written")]
    Write {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The disk has no room for the copy.
    #[error(
        "no room for the artifact's {path}: its copy would leave less than what is kept free, and {} MiB can be had; \
         make room on the disk of {folder}, or put what is not needed into .pelagoignore",
        spare_bytes >> 20
    )]
    NoRoom {
        /// Which file.
        path: PathBuf,
        /// Where it would be kept.
        folder: PathBuf,
        /// Bytes that can be had.
        spare_bytes: u64,
    },
    /// It is or holds a socket, a device or a pipe.
    #[error("the artifact's {0} is neither a file, a folder nor a link; put it into .pelagoignore")]
    Special(PathBuf),
    /// It holds a link to something outside.
    #[error(
        "the link {0} leads out of the artifact; put it into .pelagoignore or copy what it means"
    )]
    LinkOutside(PathBuf),
    /// It holds too many files.
    #[error(
        "the artifact {0} has more than {ENTRIES_MAX} files; put what is not needed into .pelagoignore"
    )]
    TooManyEntries(PathBuf),
    /// It is too large.
    #[error("the artifact {0} is larger than 8 GiB; put what is not needed into .pelagoignore")]
    TooLarge(PathBuf),
    /// A name in it is not text.
    #[error("the name of the artifact's {0} is not UTF-8; rename it")]
    Name(PathBuf),
}

/// How the files of an artifact came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Made {
    /// They are there, and some of them perhaps not meant to run.
    ByHand,
    /// A command made them: all of it is meant, whatever `.dockerignore` says of the command's input.
    ByBuild,
}

/// An artifact that was kept.
#[derive(Clone, Debug)]
pub struct Baked {
    /// What it is found by.
    pub digest: Digest,
    /// Files in it.
    pub files: usize,
    /// Bytes in them.
    pub bytes: u64,
    /// What was not taken along.
    pub left_out: LeftOut,
}

/// What ignore files have left out.
#[derive(Clone, Debug, Default)]
pub struct LeftOut {
    /// Files and folders; what is in such a folder does not count.
    pub count: usize,
    /// The first of them that were found, and the name of the file that left them out.
    pub shown: BTreeMap<String, &'static str>,
}

/// Where baked artifacts are kept.
#[derive(Clone, Debug)]
pub struct Bakery {
    folder: PathBuf,
}

impl Bakery {
    /// A bakery in `folder`.
    pub const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The folder with the files of a baked artifact.
    pub fn release_folder(&self, digest: &Digest) -> PathBuf {
        self.folder.join("releases").join(digest.as_str())
    }

    /// Keeps the file or folder at `artifact` as it is now. A file is kept under its own name.
    /// Of a bake that fails nothing stays.
    pub fn bake(&self, artifact: &Path, made: Made) -> Result<Baked, BakeError> {
        let mut store = Store::open(self.folder.join("objects"))?;
        let baked = self.bake_into(&mut store, artifact, made);
        if baked.is_err() {
            store.take_back();
        }
        baked
    }

    fn bake_into(
        &self,
        store: &mut Store,
        artifact: &Path,
        made: Made,
    ) -> Result<Baked, BakeError> {
        let Found { entries, left_out } = entries::list(artifact, made)?;
        let mut kept = Vec::with_capacity(entries.len());
        let mut hasher = blake3::Hasher::new();
        let (mut files, mut bytes) = (0, 0);
        for entry in entries.into_values() {
            // A file may grow while it is read, or have no end, whatever its size is said to be.
            let room = ARTIFACT_BYTES_MAX.saturating_sub(bytes);
            let content = match &entry.kind {
                Kind::Folder => String::new(),
                Kind::Link(target) => target.clone(),
                Kind::File(mode) => {
                    let too_large = || BakeError::TooLarge(artifact.to_owned());
                    let object = store.keep(&entry.source, *mode, room)?.ok_or_else(too_large)?;
                    (files, bytes) = (files + 1, bytes.saturating_add(object.bytes));
                    object.name
                }
                Kind::Script(mode, script) => {
                    (files, bytes) = (files + 1, bytes.saturating_add(script.len() as u64));
                    store.keep_bytes(&entry.source, script, *mode)?
                }
            };
            let tag = match entry.kind {
                Kind::Folder => "folder",
                Kind::Link(_) => "link",
                Kind::File(Mode::Plain) | Kind::Script(Mode::Plain, _) => "file",
                Kind::File(Mode::Program) | Kind::Script(Mode::Program, _) => "program",
            };
            for field in [entry.path.as_str(), tag, &content] {
                hasher.update(&(field.len() as u64).to_le_bytes());
                hasher.update(field.as_bytes());
            }
            kept.push((entry, content));
        }
        let text = hasher.finalize().to_hex().to_string();
        let digest = text.parse().map_err(|error| BakeError::Write {
            path: self.folder.clone(),
            source: io::Error::other(error),
        })?;
        self.lay_out(&digest, &kept, store)?;
        Ok(Baked { digest, files, bytes, left_out })
    }

    fn lay_out(
        &self,
        digest: &Digest,
        entries: &[(Entry, String)],
        store: &Store,
    ) -> Result<(), BakeError> {
        let folder = self.release_folder(digest);
        if folder.is_dir() {
            return Ok(());
        }
        let write = |path: &Path| {
            let path = path.to_owned();
            move |source| BakeError::Write { path, source }
        };
        // Beside its place, under a name of this process: whole, or not there.
        let draft = folder.with_extension(format!("{}.{DRAFT}", store::draft_name()));
        let laid_out = Self::fill(&draft, entries, store).and_then(|()| {
            match fs::rename(&draft, &folder) {
                // Somebody else was faster.
                Err(_) if folder.is_dir() => fs::remove_dir_all(&draft).map_err(write(&draft)),
                result => result.map_err(write(&folder)),
            }
        });
        if laid_out.is_err() {
            // What matters is why it failed. A full disk, above all, must not be left fuller.
            drop(fs::remove_dir_all(&draft));
        }
        laid_out
    }

    fn fill(draft: &Path, entries: &[(Entry, String)], store: &Store) -> Result<(), BakeError> {
        let write = |path: &Path| {
            let path = path.to_owned();
            move |source| BakeError::Write { path, source }
        };
        fs::create_dir_all(draft).map_err(write(draft))?;
        for (entry, content) in entries {
            let path = draft.join(&entry.path);
            match &entry.kind {
                Kind::Folder => fs::create_dir_all(&path).map_err(write(&path))?,
                Kind::Link(target) => {
                    std::os::unix::fs::symlink(target, &path).map_err(write(&path))?;
                }
                Kind::File(_) | Kind::Script(..) => {
                    store.place(content, &path).map_err(write(&path))?;
                }
            }
        }
        let handle = fs::File::open(draft).map_err(write(draft))?;
        rustix::fs::syncfs(&handle).map_err(io::Error::from).map_err(write(draft))
    }

    /// Removes what a process that was killed had begun. Nobody may be baking.
    pub fn clear_drafts(&self) -> io::Result<()> {
        for entry in entries_of(&self.folder.join("releases"))? {
            if entry.path().extension().is_some_and(|it| it == DRAFT) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        for entry in entries_of(&self.folder.join("objects"))? {
            if entry.file_name().to_str().is_some_and(store::is_draft) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Removes every release folder that is not `known`, and every object no release has any more.
    pub fn sweep(&self, known: &dyn Fn(&Digest) -> bool) -> Result<(), BakeError> {
        let releases = self.folder.join("releases");
        if !releases.is_dir() {
            return Ok(());
        }
        let write = |source| BakeError::Write { path: releases.clone(), source };
        for entry in fs::read_dir(&releases).map_err(write)? {
            let entry = entry.map_err(write)?;
            let name = entry.file_name();
            let digest = name.to_str().and_then(|it| it.parse::<Digest>().ok());
            if !digest.is_some_and(|it| known(&it)) {
                fs::remove_dir_all(entry.path()).map_err(write)?;
            }
        }
        Store::open(self.folder.join("objects"))?.sweep()
    }
}

/// What is in a folder; nothing if there is none.
fn entries_of(folder: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    struct Kitchen {
        folder: tempfile::TempDir,
        bakery: Bakery,
    }

    impl Kitchen {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let bakery = Bakery::new(folder.path().join("data"));
            Self { folder, bakery }
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.folder.path().join("app").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn bake(&self) -> Result<PathBuf, BakeError> {
            self.bake_made(Made::ByHand).map(|it| it.0)
        }

        fn bake_made(&self, made: Made) -> Result<(PathBuf, Baked), BakeError> {
            let baked = self.bakery.bake(&self.folder.path().join("app"), made)?;
            Ok((self.bakery.release_folder(&baked.digest), baked))
        }

        fn link(&self, target: &str, path: &str) {
            let path = self.folder.path().join("app").join(path);
            std::os::unix::fs::symlink(target, path).unwrap();
        }
    }

    #[test]
    fn a_release_does_not_change_when_its_source_does() {
        let kitchen = Kitchen::new();
        kitchen.write("app.py", "one");
        kitchen.write("lib/util.py", "util");
        let first = kitchen.bake().unwrap();
        assert_eq!(kitchen.bake().unwrap(), first);
        kitchen.write("app.py", "two");
        let second = kitchen.bake().unwrap();
        assert_ne!(first, second);
        assert_eq!(fs::read_to_string(first.join("app.py")).unwrap(), "one");
        assert_eq!(fs::read_to_string(second.join("app.py")).unwrap(), "two");
        let inode = |folder: &Path| fs::metadata(folder.join("lib/util.py")).unwrap().ino();
        assert_eq!(inode(&first), inode(&second), "equal files are kept once");
    }

    /// Every file below a folder.
    fn files(folder: &Path) -> Vec<PathBuf> {
        let entries = entries_of(folder).unwrap().into_iter().map(|it| it.path());
        entries.flat_map(|it| if it.is_dir() { files(&it) } else { vec![it] }).collect()
    }

    #[test]
    fn issue_12_of_a_bake_that_fails_nothing_stays() {
        let kitchen = Kitchen::new();
        kitchen.write("a", "kept");
        kitchen.bake().unwrap();
        let data = kitchen.folder.path().join("data");
        let before = files(&data);
        kitchen.write("b", "new");
        // It takes no room itself.
        let large = fs::File::create(kitchen.folder.path().join("app/large")).unwrap();
        large.set_len(2 << 20).unwrap();
        let mut store = Store::open(data.join("objects")).unwrap();
        store.spare_bytes = |_| Ok(1_000);
        let artifact = kitchen.folder.path().join("app");
        let error = kitchen.bakery.bake_into(&mut store, &artifact, Made::ByHand).unwrap_err();
        assert!(matches!(&error, BakeError::NoRoom { path, .. } if path.ends_with("large")));
        assert!(error.to_string().contains("make room"), "{error}");
        store.take_back();
        assert_eq!(files(&data), before);
    }

    #[test]
    fn issue_12_what_a_killed_process_had_begun_is_removed() {
        let kitchen = Kitchen::new();
        kitchen.write("a", "one");
        kitchen.bakery.clear_drafts().unwrap();
        let release = kitchen.bake().unwrap();
        let data = kitchen.folder.path().join("data");
        let before = files(&data);
        fs::write(data.join("objects/draft-1"), "half").unwrap();
        fs::write(data.join("objects/draft-1-7"), "half").unwrap();
        let draft = data.join("releases/aa.1-0.tmp");
        fs::create_dir(&draft).unwrap();
        fs::write(draft.join("a"), "half").unwrap();
        kitchen.bakery.clear_drafts().unwrap();
        assert_eq!(files(&data), before);
        assert!(release.is_dir() && !draft.exists());
    }

    #[test]
    fn modes_links_and_empty_folders_are_kept() {
        let kitchen = Kitchen::new();
        kitchen.write("run.sh", "#!/bin/sh");
        let app = kitchen.folder.path().join("app");
        let before = kitchen.bake().unwrap();
        fs::set_permissions(app.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(app.join("empty")).unwrap();
        std::os::unix::fs::symlink("run.sh", app.join("start")).unwrap();
        let after = kitchen.bake().unwrap();
        assert_ne!(before, after);
        let mode = |it: &Path| fs::metadata(it.join("run.sh")).unwrap().mode() & 0o777;
        assert_eq!((mode(&before), mode(&after)), (0o400, 0o500));
        assert!(after.join("empty").is_dir());
        assert_eq!(fs::read_link(after.join("start")).unwrap(), Path::new("run.sh"));
    }

    #[test]
    fn ignore_files_are_respected() {
        let kitchen = Kitchen::new();
        for path in ["app.py", "debug.log", ".git/HEAD", "node_modules/x.js", "secret/key"] {
            kitchen.write(path, path);
        }
        kitchen.write(".pelagoignore", "*.log\n");
        kitchen.write(".dockerignore", "secret\n");
        kitchen.write(".gitignore", "node_modules\n");
        let release = kitchen.bake().unwrap();
        assert!(release.join("app.py").exists());
        assert!(release.join("node_modules/x.js").exists());
        for left_out in ["debug.log", ".git", "secret"] {
            assert!(!release.join(left_out).exists(), "{left_out}");
        }
    }

    #[test]
    fn a_single_file_keeps_its_name() {
        let kitchen = Kitchen::new();
        kitchen.write("orders", "elf");
        let orders = kitchen.folder.path().join("app/orders");
        let baked = kitchen.bakery.bake(&orders, Made::ByHand).unwrap();
        assert_eq!((baked.files, baked.bytes), (1, 3));
        let folder = kitchen.bakery.release_folder(&baked.digest);
        assert_eq!(fs::read_to_string(folder.join("orders")).unwrap(), "elf");
    }

    #[test]
    fn what_cannot_be_kept_is_named() {
        let kitchen = Kitchen::new();
        assert!(matches!(kitchen.bake(), Err(BakeError::Missing(_))));
        kitchen.write("a", "a");
        let app = kitchen.folder.path().join("app");
        std::os::unix::fs::symlink("../../etc/passwd", app.join("out")).unwrap();
        assert!(matches!(kitchen.bake(), Err(BakeError::LinkOutside(_))));
        fs::remove_file(app.join("out")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(app.join("socket")).unwrap();
        assert!(matches!(kitchen.bake(), Err(BakeError::Special(_))));
    }

    /// Issue 12: `.dockerignore` was read as Git reads its files, and what a build had made was lost to it.
    #[test]
    fn docker_leaves_out_what_docker_would() {
        let kitchen = Kitchen::new();
        for path in ["client.js", "lib/client.js", "node_modules/a/x.js", "b/secret", "b/open"] {
            kitchen.write(path, "12");
        }
        kitchen.write(".dockerignore", "client.js\nnode_modules\nb\n!b/open\n.dockerignore\n");
        let (release, baked) = kitchen.bake_made(Made::ByHand).unwrap();
        for (path, is_there) in
            [("client.js", false), ("lib/client.js", true), ("node_modules", false)]
                .into_iter()
                .chain([("b/secret", false), ("b/open", true)])
        {
            assert_eq!(release.join(path).exists(), is_there, "{path}");
        }
        assert_eq!((baked.files, baked.bytes, baked.left_out.count), (2, 4, 4));
        let shown: Vec<_> = baked.left_out.shown.into_iter().collect();
        let by = ignored::DOCKER;
        let names = [".dockerignore", "b/secret", "client.js", "node_modules/"];
        assert_eq!(shown, names.map(|it| (it.to_owned(), by)));

        // What a build has made is meant, and what we leave out is left out all the same.
        kitchen.write(".pelagoignore", "b/secret\n!client.js\n");
        let (release, baked) = kitchen.bake_made(Made::ByBuild).unwrap();
        assert!(release.join("node_modules/a/x.js").exists() && release.join("client.js").exists());
        assert!(!release.join("b/secret").exists());
        assert_eq!(baked.left_out.shown["b/secret"], ignored::PELAGO);
        let (release, _) = kitchen.bake_made(Made::ByHand).unwrap();
        assert!(release.join("client.js").exists(), ".pelagoignore wins");
        // A folder that is taken back in brings along what is in it, but for what we leave out there.
        for ours in ["!node_modules\nx.map\n", "!/node_modules/\nx.map\n"] {
            kitchen.write("node_modules/a/x.map", "y");
            kitchen.write(".pelagoignore", ours);
            let (release, _) = kitchen.bake_made(Made::ByHand).unwrap();
            assert!(release.join("node_modules/a/x.js").exists(), "{ours}");
            assert!(!release.join("node_modules/a/x.map").exists(), "{ours}");
        }
    }

    /// Issue 12: a device in place of a file was read without an end.
    #[test]
    fn what_has_no_end_is_refused() {
        let kitchen = Kitchen::new();
        let bake = |path: &Path| kitchen.bakery.bake(path, Made::ByHand);
        assert!(matches!(bake(Path::new("/dev/zero")), Err(BakeError::Special(_))));
        let pipe = kitchen.folder.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .unwrap();
        assert!(matches!(bake(&pipe), Err(BakeError::Special(_))));
        kitchen.write("a", "a");
        for name in [".pelagoignore", ".dockerignore"] {
            let path = kitchen.folder.path().join("app").join(name);
            for target in ["/dev/zero", pipe.to_str().unwrap()] {
                kitchen.link(target, name);
                assert!(matches!(kitchen.bake(), Err(BakeError::Ignore { .. })), "{name}");
                fs::remove_file(&path).unwrap();
            }
            fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
            assert!(matches!(kitchen.bake(), Err(BakeError::Ignore { .. })), "{name}");
            fs::remove_file(&path).unwrap();
        }
        // Its size is said to be nothing.
        let endless = bake(Path::new("/proc/self/pagemap"));
        assert!(matches!(endless, Err(BakeError::TooLarge(_) | BakeError::Read { .. })));
    }

    /// Issue 12: a link may lead out through another.
    #[test]
    fn chains_of_links_stay_inside() {
        let kitchen = Kitchen::new();
        kitchen.write("sub/deep/a", "a");
        kitchen.link("sub/deep", "deep");
        kitchen.link("deep/../deep/a", "inside");
        kitchen.link("circle", "circle");
        kitchen.bake().unwrap();
        kitchen.link(".", "here");
        kitchen.link("here/../secret", "out");
        assert!(matches!(kitchen.bake(), Err(BakeError::LinkOutside(it)) if it.ends_with("out")));
    }

    /// Issue 12: the programs of a virtual environment ran the original.
    #[test]
    fn programs_of_a_virtual_environment_run_beside_its_copy() {
        let kitchen = Kitchen::new();
        kitchen.write(".venv/pyvenv.cfg", "home = /usr/bin");
        let bin = kitchen.folder.path().join("app/.venv/bin");
        fs::create_dir(&bin).unwrap();
        kitchen.link("/bin/sh", ".venv/bin/python3");
        let own = format!("#!{}/python3\necho ran\n", bin.display());
        kitchen.write(".venv/bin/tool", &own);
        fs::set_permissions(bin.join("tool"), fs::Permissions::from_mode(0o755)).unwrap();
        kitchen.write(".venv/bin/other", "#!/usr/bin/python3\n");
        let release = kitchen.bake().unwrap();
        let text = |it: &str| fs::read_to_string(release.join(".venv/bin").join(it)).unwrap();
        assert_eq!(text("other"), "#!/usr/bin/python3\n");
        let tool = text("tool");
        assert!(!tool.contains(&bin.display().to_string()), "{tool}");
        let first: Vec<_> = tool.lines().take(2).collect();
        let second = "'''exec' \"$(dirname -- \"$(realpath -- \"$0\")\")\"/'python3' \"$0\" \"$@\"";
        assert_eq!(first, ["#!/bin/sh", second]);
        assert_eq!(fs::metadata(release.join(".venv/bin/tool")).unwrap().mode() & 0o777, 0o500);
    }

    #[test]
    fn sweeping_keeps_what_is_known() {
        let kitchen = Kitchen::new();
        kitchen.write("a", "old");
        kitchen.write("same", "same");
        let old = kitchen.bake().unwrap();
        kitchen.write("a", "new");
        let new = kitchen.bake().unwrap();
        let name = new.file_name().unwrap().to_str().unwrap().to_owned();
        kitchen.bakery.sweep(&|it| it.as_str() == name).unwrap();
        assert!(!old.exists());
        assert_eq!(fs::read_to_string(new.join("a")).unwrap(), "new");
        let objects = fs::read_dir(kitchen.folder.path().join("data/objects")).unwrap().count();
        assert_eq!(objects, 2);
    }
}
