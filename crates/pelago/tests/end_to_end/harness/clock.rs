//! A calendar that a test sets, with libfaketime.

use std::fs;

use super::Site;

impl Site {
    /// Gives whatever is started from here on a calendar that can be set ([`Site::set_clock`]). Its monotonic clock is the
    /// machine's.
    #[track_caller]
    pub(crate) fn settable_clock(&mut self) {
        let folders = fs::read_dir("/usr/lib").unwrap().map(|it| it.unwrap().path());
        let mut libraries = folders.map(|it| it.join("faketime/libfaketime.so.1"));
        let library = libraries.find(|it| it.exists());
        let library = library.expect("no libfaketime; `scripts/setup libfaketime` installs it");
        self.set_clock(0);
        let file = self.folder.path().join("clock");
        self.environment.extend([
            ("LD_PRELOAD".to_owned(), library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE".to_owned(), file.display().to_string()),
            ("FAKETIME_DONT_FAKE_MONOTONIC".to_owned(), "1".to_owned()),
            ("FAKETIME_NO_CACHE".to_owned(), "1".to_owned()),
        ]);
    }

    /// Sets the calendar to so many seconds from the machine's.
    pub(crate) fn set_clock(&self, ahead_s: i64) {
        let whole = self.folder.path().join("clock.new");
        fs::write(&whole, format!("{ahead_s:+}\n")).unwrap();
        fs::rename(whole, self.folder.path().join("clock")).unwrap();
    }
}
