//! Sessions in files, as PHP, Laravel, Django and express keep them.

use super::{Change, RawSession, Store, StoreError, clamped};
use crate::{Limits, SessionError, SessionId};
use bytes::Bytes;
use rustix::fs::{FlockOperation, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_NOW, flock, fstat, futimens, open};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::Semaphore;
use tokio::time::sleep;

/// What a session's file is called.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileNames {
    /// `sess_` and the id, as PHP has it, in so many levels of directories that are called by the id's first characters
    /// (`session.save_path = "N;/path"`).
    Php {
        /// 0 unless `session.save_path` begins with a number.
        levels: u8,
    },
    /// The id, as Laravel has it.
    Id,
    /// This and the id, as Django's backend `file` has it: `sessionid`, or what `SESSION_COOKIE_NAME` says.
    Prefixed(String),
    /// The id and `.json`, as express's `session-file-store` has it. It locks nothing, removes a file that it finds half
    /// written, and has the end of a session in the file: such sessions can only be read.
    Json,
}

/// Sessions in files of a directory.
///
/// A file is read under a shared lock, as the front ends take one themselves, which is given back at once. PHP keeps its
/// lock for as long as a request takes: after [`lock_wait`](FilesStore::lock_wait) the file is read without one, twice,
/// and believed if nothing has changed in between.
///
/// It is written under an exclusive lock, and never without one: after the same time it is
/// [`Busy`](StoreError::Busy). Files of [`FileNames::Json`] are neither written nor touched:
/// [`Unsupported`](StoreError::Unsupported).
///
/// The process needs the right to read the files: it runs as the web server's user, or `session.save_path` says a mode
/// that lets its group read. To write and to touch, it needs the right to write them. Links are not followed. Files are
/// read and written by threads that may wait (`spawn_blocking`), 64 at once.
#[derive(Clone, Debug)]
pub struct FilesStore {
    files: Files,
    places: Arc<Semaphore>,
}

#[derive(Clone, Debug)]
struct Files {
    dir: PathBuf,
    names: FileNames,
    lifetime: Duration,
    lock_wait: Duration,
    max_input: usize,
}

const AT_ONCE: usize = 64;
/// How long before a lock is tried again.
const AGAIN: Duration = Duration::from_millis(5);
/// What file systems allow.
const LONGEST_NAME: usize = 255;

impl FilesStore {
    /// Sessions in this directory that end when their file was not touched for so long: `session.gc_maxlifetime` of PHP
    /// (1,440 s unless it is set), `lifetime` of Laravel (120 min), `SESSION_COOKIE_AGE` of Django (two weeks). Of
    /// `session-file-store` it is the cookie's `maxAge`, or `ttl` (an hour) where the cookie has none; an end that the
    /// record names counts beside it.
    pub fn new(dir: impl Into<PathBuf>, names: FileNames, lifetime: Duration) -> Self {
        let (lock_wait, max_input) = (Duration::from_millis(500), Limits::default().max_input);
        let files = Files { dir: dir.into(), names, lifetime, lock_wait, max_input };
        FilesStore { files, places: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// How long a lock is waited for. Default 500 ms.
    /// No longer than [`Sessions::store_timeout`](crate::Sessions::store_timeout), which ends all.
    pub fn lock_wait(mut self, time: Duration) -> Self {
        self.files.lock_wait = time;
        self
    }

    /// How large a file may be: 2 GiB at most. Default: as [`Limits`] says.
    pub fn max_input(mut self, bytes: usize) -> Self {
        self.files.max_input = clamped(bytes);
        self
    }
}

impl Store for FilesStore {
    async fn load(&self, id: &SessionId) -> Result<Option<RawSession>, StoreError> {
        let Some(path) = self.files.path(id.as_str()) else { return Ok(None) };
        let began = Instant::now();
        loop {
            let is_last = began.elapsed() >= self.files.lock_wait;
            match self.attempt(path.clone(), is_last).await? {
                Attempt::Read(found) => return Ok(found),
                // Without a place meanwhile, so that one visitor's slow page keeps nobody else waiting.
                Attempt::Locked => sleep(AGAIN).await,
            }
        }
    }

    async fn touch(&self, id: &SessionId) -> Result<bool, StoreError> {
        self.files.check_writable()?;
        let Some(path) = self.files.path(id.as_str()) else { return Ok(false) };
        self.blocking(move |files| files.touch(&path)).await
    }

    async fn update(&self, id: &SessionId, change: &mut Change<'_>) -> Result<bool, StoreError> {
        self.files.check_writable()?;
        let Some(path) = self.files.path(id.as_str()) else { return Ok(false) };
        let began = Instant::now();
        loop {
            let path = path.clone();
            match self.blocking(move |files| files.hold(&path)).await? {
                Hold::Gone => return Ok(false),
                Hold::Locked => {}
                // The lock is given back when the file is dropped, wherever that is.
                Hold::Held(file, before) => match change(&before) {
                    None => return Ok(true),
                    Some(after) if after.len() > self.files.max_input => return Err(SessionError::Limit.into()),
                    Some(after) => {
                        let write = move |_: &Files| write(&file, &before.bytes, &after);
                        if self.blocking(write).await? {
                            return Ok(true);
                        }
                    }
                },
            }
            if began.elapsed() >= self.files.lock_wait {
                return Err(StoreError::Busy);
            }
            sleep(AGAIN).await;
        }
    }
}

enum Attempt {
    Read(Option<RawSession>),
    Locked,
}

/// A file for writing.
enum Hold {
    Gone,
    Locked,
    Held(File, RawSession),
}

impl FilesStore {
    async fn attempt(&self, path: PathBuf, is_last: bool) -> Result<Attempt, StoreError> {
        self.blocking(move |files| files.read(&path, is_last)).await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Files) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let place = self.places.clone().acquire_owned().await.map_err(StoreError::failed)?;
        let files = self.files.clone();
        let act = tokio::task::spawn_blocking(move || {
            // Also when nobody waits for it any more.
            let _place = place;
            act(&files)
        });
        act.await.map_err(StoreError::failed)?
    }
}

impl Files {
    /// Where nobody locks, a page may read what is half written; and what times say is not what the front end goes by.
    fn check_writable(&self) -> Result<(), StoreError> {
        if self.names == FileNames::Json { Err(StoreError::Unsupported) } else { Ok(()) }
    }

    /// `None` for what can be no file's name, whatever the policy of ids says.
    fn path(&self, id: &str) -> Option<PathBuf> {
        let is_name =
            !id.is_empty() && !id.starts_with('.') && !id.bytes().any(|byte| matches!(byte, b'/' | b'\\' | 0));
        let (name, levels) = match &self.names {
            FileNames::Php { levels } => (format!("sess_{id}"), *levels),
            FileNames::Id => (id.to_owned(), 0),
            FileNames::Prefixed(prefix) => (format!("{prefix}{id}"), 0),
            FileNames::Json => (format!("{id}.json"), 0),
        };
        let dirs: Vec<char> = id.chars().take(levels.into()).collect();
        let is_good = is_name
            && name.len() <= LONGEST_NAME
            && dirs.len() == usize::from(levels)
            && dirs.iter().all(|dir| dir.is_ascii_alphanumeric() || matches!(dir, ',' | '-'));
        is_good.then(|| {
            let mut path = self.dir.clone();
            path.extend(dirs.iter().map(char::to_string));
            path.join(name)
        })
    }

    /// The file of a session that has not expired, and when it does.
    fn find(&self, path: &Path, access: OFlags) -> Result<Option<(File, SystemTime)>, StoreError> {
        // Not blocking: it may be a pipe that somebody has put there.
        let flags = access | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file: File = match open(path, flags, Mode::empty()) {
            Ok(file) => file.into(),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => return Ok(None),
            Err(error) => return Err(StoreError::failed(error)),
        };
        if !file.metadata().map_err(StoreError::failed)?.is_file() {
            return Err(StoreError::failed(io::Error::other("not a regular file")));
        }
        Ok(self.expires(&file)?.map(|expires| (file, expires)))
    }

    fn touch(&self, path: &Path) -> Result<bool, StoreError> {
        let Some((file, expires)) = self.find(path, OFlags::RDONLY)? else { return Ok(false) };
        let is_later = SystemTime::now().checked_add(self.lifetime).is_some_and(|end| end > expires);
        if is_later {
            // Both times, which is for everybody who may write it. Others are for its owner alone.
            let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
            let times = Timestamps { last_access: now, last_modification: now };
            futimens(&file, &times).map_err(StoreError::failed)?;
        }
        is_there(&file)
    }

    /// Locks a file for writing, and reads it.
    fn hold(&self, path: &Path) -> Result<Hold, StoreError> {
        let Some((mut file, expires)) = self.find(path, OFlags::RDWR)? else { return Ok(Hold::Gone) };
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK | Errno::INTR) => return Ok(Hold::Locked),
            Err(error) => return Err(StoreError::failed(error)),
        }
        if !is_there(&file)? {
            // Ended, or replaced, after it was opened: the next look tells.
            return Ok(Hold::Locked);
        }
        let bytes = self.all(&mut file)?;
        Ok(Hold::Held(file, RawSession::new(bytes, Some(expires)).estimated()))
    }

    /// `is_last`: reads it without a lock if it does not get one.
    fn read(&self, path: &Path, is_last: bool) -> Result<Attempt, StoreError> {
        let Some((mut file, expires)) = self.find(path, OFlags::RDONLY)? else { return Ok(Attempt::Read(None)) };
        let is_locked = match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => true,
            Err(Errno::WOULDBLOCK | Errno::INTR) if is_last => false,
            Err(Errno::WOULDBLOCK | Errno::INTR) => return Ok(Attempt::Locked),
            Err(error) => return Err(StoreError::failed(error)),
        };
        let before = fstat(&file).map_err(StoreError::failed)?;
        if before.st_nlink == 0 {
            // Ended, or replaced, after it was opened.
            return Ok(if is_last { Attempt::Read(None) } else { Attempt::Locked });
        }
        let bytes = self.all(&mut file)?;
        if is_locked {
            // Closing it would give the lock back as well, a little later.
            let _ = flock(&file, FlockOperation::Unlock);
        } else {
            io::Seek::rewind(&mut file).map_err(StoreError::failed)?;
            let again = self.all(&mut file)?;
            let after = fstat(&file).map_err(StoreError::failed)?;
            // One that is empty may be about to be written: first it is cut, and then it is filled.
            if bytes.is_empty() || again != bytes || state(&after) != state(&before) {
                return Err(StoreError::Busy);
            }
        }
        Ok(Attempt::Read(Some(RawSession::new(bytes, Some(expires)).estimated())))
    }

    /// `None`: it has expired.
    fn expires(&self, file: &File) -> Result<Option<SystemTime>, StoreError> {
        let modified = file.metadata().and_then(|data| data.modified()).map_err(StoreError::failed)?;
        // One that is too far off for the clock is never over.
        let expires = modified.checked_add(self.lifetime).unwrap_or(SystemTime::now() + Duration::from_secs(1 << 32));
        Ok((expires >= SystemTime::now()).then_some(expires))
    }

    fn all(&self, file: &mut File) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::new();
        let most = self.max_input as u64 + 1;
        file.take(most).read_to_end(&mut bytes).map_err(StoreError::failed)?;
        if bytes.len() > self.max_input { Err(SessionError::Limit.into()) } else { Ok(bytes) }
    }
}

/// Writes a file that is locked. Whether that is the session's file still.
fn write(file: &File, before: &Bytes, after: &Bytes) -> Result<bool, StoreError> {
    let (head, tail) = after.split_at(before.len().min(after.len()));
    // What is beyond the old end first: if there is no space, all is as it was.
    if let Err(error) = file.write_all_at(tail, before.len() as u64) {
        let _ = file.set_len(before.len() as u64);
        return Err(StoreError::failed(error));
    }
    file.write_all_at(head, 0).and_then(|()| file.set_len(after.len() as u64)).map_err(StoreError::failed)?;
    is_there(file)
}

/// Whether it has a name still, and was not taken away or replaced.
fn is_there(file: &File) -> Result<bool, StoreError> {
    Ok(fstat(file).map_err(StoreError::failed)?.st_nlink > 0)
}

/// What changes with a file's content.
fn state(stat: &Stat) -> (i64, i64, i64) {
    (stat.st_size, stat.st_mtime, stat.st_mtime_nsec as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::IdPolicy;

    fn store(names: FileNames) -> (tempfile::TempDir, FilesStore) {
        let dir = tempfile::tempdir().unwrap();
        let store = FilesStore::new(dir.path(), names, Duration::from_secs(60)).lock_wait(Duration::from_millis(50));
        (dir, store)
    }

    fn id(text: &str) -> SessionId {
        IdPolicy::express().check(text.as_bytes()).unwrap()
    }

    async fn load(store: &FilesStore, text: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(store.load(&id(text)).await?.map(|raw| raw.bytes.to_vec()))
    }

    #[tokio::test]
    async fn files_are_found_by_each_front_ends_names() {
        for (names, path) in [
            (FileNames::Php { levels: 0 }, "sess_abc"),
            (FileNames::Php { levels: 2 }, "a/b/sess_abc"),
            (FileNames::Id, "abc"),
            (FileNames::Prefixed("sessionid".to_owned()), "sessionidabc"),
            (FileNames::Json, "abc.json"),
        ] {
            let (dir, store) = store(names);
            assert_eq!(load(&store, "abc").await.unwrap(), None);
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "x").unwrap();
            assert_eq!(load(&store, "abc").await.unwrap().unwrap(), b"x");
        }
    }

    #[test]
    fn what_is_no_name_is_looked_for_nowhere_whatever_ids_may_be() {
        let (_dir, store) = store(FileNames::Id);
        for id in ["", ".", "..", "../outside", "/etc/passwd", "a\\b", "a\0b", ".hidden", &"a".repeat(256)] {
            assert_eq!(store.files.path(id), None, "{id:?}");
        }
        let php = Files { names: FileNames::Php { levels: 2 }, ..store.files };
        for id in ["a", "a.b", "é1"] {
            assert_eq!(php.path(id), None, "{id:?}");
        }
        assert_eq!(php.path("a-").unwrap(), php.dir.join("a/-/sess_a-"));
        assert_eq!(php.path(&"a".repeat(251)), None, "longer than a name may be");
    }

    #[tokio::test]
    async fn links_pipes_and_directories_are_not_read() {
        let (dir, store) = store(FileNames::Id);
        std::fs::write(dir.path().join("real"), "x").unwrap();
        std::os::unix::fs::symlink("real", dir.path().join("link")).unwrap();
        std::fs::create_dir(dir.path().join("dir")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, dir.path().join("pipe"), Mode::RUSR | Mode::WUSR).unwrap();
        for id in ["link", "dir", "pipe"] {
            assert!(matches!(load(&store, id).await, Err(StoreError::Failed(_))), "{id}");
        }
    }

    #[tokio::test]
    async fn old_files_are_no_sessions_and_large_ones_are_too_large() {
        let (dir, store) = store(FileNames::Id);
        let old = File::create(dir.path().join("old")).unwrap();
        old.set_modified(SystemTime::now() - Duration::from_secs(61)).unwrap();
        assert_eq!(load(&store, "old").await.unwrap(), None);
        old.set_modified(SystemTime::now() - Duration::from_secs(50)).unwrap();
        let expires = store.load(&id("old")).await.unwrap().unwrap().expires.unwrap();
        assert!(expires.duration_since(SystemTime::now()).unwrap() <= Duration::from_secs(10));
        std::fs::write(dir.path().join("large"), [b'x'; 11]).unwrap();
        let store = store.max_input(10);
        assert!(matches!(load(&store, "large").await, Err(StoreError::Data(SessionError::Limit))));
        std::fs::write(dir.path().join("large"), [b'x'; 10]).unwrap();
        assert_eq!(load(&store, "large").await.unwrap().unwrap().len(), 10);
        assert_eq!(load(&store.max_input(usize::MAX), "large").await.unwrap().unwrap().len(), 10);
    }

    #[tokio::test]
    async fn a_locked_file_is_waited_for_and_then_read_if_it_rests() {
        let (dir, store) = store(FileNames::Id);
        let path = dir.path().join("s");
        std::fs::write(&path, "before").unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        flock(&file, FlockOperation::LockExclusive).unwrap();
        let began = Instant::now();
        assert_eq!(load(&store, "s").await.unwrap().unwrap(), b"before");
        assert!(began.elapsed() >= Duration::from_millis(50), "it has waited for the lock");
        let (loaded, ()) = tokio::join!(load(&store, "s"), async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            std::fs::write(&path, "after").unwrap();
            flock(&file, FlockOperation::Unlock).unwrap();
        });
        assert_eq!(loaded.unwrap().unwrap(), b"after", "given back in time");
        // One that ends while it is locked.
        flock(&file, FlockOperation::LockExclusive).unwrap();
        let (loaded, ()) = tokio::join!(load(&store, "s"), async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            std::fs::remove_file(&path).unwrap();
            flock(&file, FlockOperation::Unlock).unwrap();
        });
        assert_eq!(loaded.unwrap(), None);
        // One that is empty and locked is about to be written.
        let file = File::create(&path).unwrap();
        flock(&file, FlockOperation::LockExclusive).unwrap();
        assert!(matches!(load(&store, "s").await, Err(StoreError::Busy)));
        flock(&file, FlockOperation::Unlock).unwrap();
        assert_eq!(load(&store, "s").await.unwrap().unwrap(), b"");
        // Nothing is left locked.
        flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
    }

    /// Puts this at the end.
    async fn add(store: &FilesStore, text: &str, more: &'static str) -> Result<bool, StoreError> {
        let mut add = |raw: &RawSession| Some([&raw.bytes[..], more.as_bytes()].concat().into());
        store.update(&id(text), &mut add).await
    }

    #[tokio::test]
    async fn a_file_is_written_in_its_place_and_only_if_it_is_there() {
        let (dir, store) = store(FileNames::Id);
        let path = dir.path().join("s");
        assert!(!add(&store, "s", "x").await.unwrap());
        assert!(!store.touch(&id("s")).await.unwrap());
        assert!(!path.exists(), "none is made");
        std::fs::write(&path, "before").unwrap();
        let file = File::open(&path).unwrap();
        assert!(add(&store, "s", "!").await.unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"before!");
        assert_eq!(io::read_to_string(&file).unwrap(), "before!", "the same file");
        assert!(store.update(&id("s"), &mut |_| Some("x".into())).await.unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"x", "shorter");
        assert!(store.update(&id("s"), &mut |_| None).await.unwrap());
        let small = store.clone().max_input(2);
        assert!(matches!(add(&small, "s", "yz").await, Err(StoreError::Data(SessionError::Limit))));
        assert_eq!(std::fs::read(&path).unwrap(), b"x");
        std::os::unix::fs::symlink("s", dir.path().join("link")).unwrap();
        assert!(matches!(add(&store, "link", "y").await, Err(StoreError::Failed(_))));
        assert!(matches!(store.touch(&id("link")).await, Err(StoreError::Failed(_))));
        // Nothing is left locked.
        flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
    }

    #[tokio::test]
    async fn what_has_expired_is_neither_touched_nor_written() {
        let (dir, store) = store(FileNames::Id);
        let file = File::create(dir.path().join("s")).unwrap();
        let modified = || file.metadata().unwrap().modified().unwrap();
        let now = SystemTime::now();
        for (age, is_live) in [(50, true), (61, false)] {
            let before = now - Duration::from_secs(age);
            file.set_modified(before).unwrap();
            assert_eq!(store.touch(&id("s")).await.unwrap(), is_live);
            assert_eq!(modified() > before, is_live);
            file.set_modified(before).unwrap();
            assert_eq!(add(&store, "s", "x").await.unwrap(), is_live);
        }
        assert_eq!(std::fs::read(dir.path().join("s")).unwrap(), b"x");
        // Whoever has said that it is to live longer.
        let later = now + Duration::from_secs(1000);
        file.set_modified(later).unwrap();
        assert!(store.touch(&id("s")).await.unwrap());
        assert_eq!(modified(), later);
    }

    #[tokio::test]
    async fn files_of_express_are_neither_written_nor_touched() {
        let (dir, store) = store(FileNames::Json);
        let file = File::create(dir.path().join("s.json")).unwrap();
        let modified = SystemTime::now() - Duration::from_secs(50);
        file.set_modified(modified).unwrap();
        assert!(matches!(add(&store, "s", "{}").await, Err(StoreError::Unsupported)));
        assert!(matches!(store.touch(&id("s")).await, Err(StoreError::Unsupported)));
        assert_eq!(load(&store, "s").await.unwrap().unwrap(), b"");
        assert_eq!(file.metadata().unwrap().modified().unwrap(), modified);
    }

    #[tokio::test]
    async fn nothing_is_written_without_the_lock() {
        let (dir, store) = store(FileNames::Id);
        let path = dir.path().join("s");
        std::fs::write(&path, "before").unwrap();
        let file = File::open(&path).unwrap();
        flock(&file, FlockOperation::LockShared).unwrap();
        let began = Instant::now();
        assert!(matches!(add(&store, "s", "x").await, Err(StoreError::Busy)));
        assert!(began.elapsed() >= Duration::from_millis(50) && began.elapsed() < Duration::from_secs(5));
        assert_eq!(std::fs::read(&path).unwrap(), b"before");
        let (added, ()) = tokio::join!(add(&store, "s", "x"), async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            flock(&file, FlockOperation::Unlock).unwrap();
        });
        assert!(added.unwrap(), "given back in time");
        // Somebody puts another file in its place while it is changed: that one is changed then.
        let mut runs = 0;
        let mut replace = |raw: &RawSession| {
            runs += 1;
            if runs == 1 {
                std::fs::write(dir.path().join("new"), "new").unwrap();
                std::fs::rename(dir.path().join("new"), &path).unwrap();
            }
            Some([&raw.bytes[..], b"+"].concat().into())
        };
        assert!(store.update(&id("s"), &mut replace).await.unwrap());
        assert_eq!((std::fs::read(&path).unwrap(), runs), (b"new+".to_vec(), 2));
        // A change that panics leaves nothing behind.
        let store_of_task = store.clone();
        let task = tokio::spawn(async move { store_of_task.update(&id("s"), &mut |_| panic!("on purpose")).await });
        assert!(task.await.unwrap_err().is_panic());
        assert!(add(&store, "s", "!").await.unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"new+!");
    }
}
