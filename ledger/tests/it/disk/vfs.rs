//! A layer under SQLite that hands every call on to the real file and notes those that change a disk.
//!
//! SQLite has one place through which all its file accesses go, so a layer there sees exactly the writes and syncs that
//! the ledger relies on, in their order, without touching the product. It is the default for the whole process, and does
//! nothing for files outside a [`Lab`].
#![allow(unsafe_code, reason = "SQLite's VFS is a C interface")]

use super::{Lab, Op};
use rusqlite::ffi;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, Once};

static LABS: Mutex<Vec<(PathBuf, Arc<Lab>)>> = Mutex::new(Vec::new());
static REAL: AtomicPtr<ffi::sqlite3_vfs> = AtomicPtr::new(std::ptr::null_mut());

/// Watches everything in the lab's folder from now on.
pub fn watch(lab: &Arc<Lab>) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: SQLite's own default VFS lives for ever, and so does what is leaked here.
        unsafe {
            let real = ffi::sqlite3_vfs_find(std::ptr::null());
            REAL.store(real, Ordering::SeqCst);
            let mut ours = std::ptr::read(real);
            ours.iVersion = 2;
            ours.szOsFile = c_int::try_from(size_of::<File>()).unwrap() + (*real).szOsFile;
            ours.pNext = std::ptr::null_mut();
            ours.zName = c"power".as_ptr();
            ours.xOpen = Some(open);
            ours.xDelete = Some(delete);
            ffi::sqlite3_vfs_register(Box::leak(Box::new(ours)), 1);
        }
    });
    LABS.lock().unwrap().push((lab.dir.clone(), Arc::clone(lab)));
}

/// Watches it no more.
pub fn forget(lab: &Path) {
    LABS.lock().unwrap().retain(|(dir, _)| dir != lab);
}

fn lab_of(path: &Path) -> Option<Arc<Lab>> {
    LABS.lock().unwrap().iter().find(|(dir, _)| path.parent() == Some(dir)).map(|(_, lab)| Arc::clone(lab))
}

/// What SQLite holds for an open file; the real one's follows behind it.
#[repr(C)]
struct File {
    base: ffi::sqlite3_file,
    /// Null for a file that is not watched.
    watched: *mut Watched,
}

struct Watched {
    lab: Arc<Lab>,
    inode: usize,
}

unsafe fn real(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: `szOsFile` leaves room for it there.
    unsafe { file.cast::<File>().add(1).cast() }
}

unsafe fn watched<'a>(file: *mut ffi::sqlite3_file) -> Option<&'a Watched> {
    // SAFETY: set by `open`, freed by `close` only.
    unsafe { (*file.cast::<File>()).watched.as_ref() }
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite's side of the contract; `file` has `szOsFile` bytes.
    unsafe {
        let ours = file.cast::<File>();
        (*ours).base.pMethods = std::ptr::null();
        (*ours).watched = std::ptr::null_mut();
        let vfs = REAL.load(Ordering::SeqCst);
        let path = (!name.is_null()).then(|| PathBuf::from(CStr::from_ptr(name).to_str().unwrap()));
        let there = path.as_ref().is_some_and(|p| p.exists());
        let rc = (*vfs).xOpen.unwrap()(vfs, name, real(file), flags, out);
        if rc != ffi::SQLITE_OK {
            return rc;
        }
        (*ours).base.pMethods = &raw const METHODS;
        if let Some(path) = path
            && let Some(lab) = lab_of(&path)
        {
            let inode = lab.opened(path.file_name().unwrap().to_str().unwrap(), there);
            (*ours).watched = Box::into_raw(Box::new(Watched { lab, inode }));
        }
        rc
    }
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, name: *const c_char, sync_dir: c_int) -> c_int {
    // SAFETY: SQLite's side of the contract.
    unsafe {
        let path = PathBuf::from(CStr::from_ptr(name).to_str().unwrap());
        let vfs = REAL.load(Ordering::SeqCst);
        let lab = lab_of(&path);
        let rc = (*vfs).xDelete.unwrap()(vfs, name, if lab.is_some() { 0 } else { sync_dir });
        if let (Some(lab), ffi::SQLITE_OK) = (lab, rc) {
            lab.note(Op::Delete(path.file_name().unwrap().to_str().unwrap().to_owned()));
            if sync_dir != 0 {
                lab.note(Op::SyncFolder);
            }
        }
        rc
    }
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: as for `open`; SQLite closes once.
    unsafe {
        let watched = std::mem::replace(&mut (*file.cast::<File>()).watched, std::ptr::null_mut());
        if !watched.is_null() {
            drop(Box::from_raw(watched));
        }
        (*(*real(file)).pMethods).xClose.unwrap()(real(file))
    }
}

unsafe extern "C" fn write(file: *mut ffi::sqlite3_file, data: *const c_void, n: c_int, at: i64) -> c_int {
    // SAFETY: SQLite hands over `n` bytes.
    unsafe {
        if let Some(w) = watched(file) {
            let bytes = std::slice::from_raw_parts(data.cast::<u8>(), usize::try_from(n).unwrap());
            if !w.lab.takes(bytes.len()) {
                return ffi::SQLITE_FULL;
            }
            w.lab.note(Op::Write(w.inode, usize::try_from(at).unwrap(), bytes.to_vec()));
        }
        (*(*real(file)).pMethods).xWrite.unwrap()(real(file), data, n, at)
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    // SAFETY: SQLite's side of the contract.
    unsafe {
        if let Some(w) = watched(file) {
            w.lab.note(Op::Truncate(w.inode, usize::try_from(size).unwrap()));
        }
        (*(*real(file)).pMethods).xTruncate.unwrap()(real(file), size)
    }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: SQLite's side of the contract.
    unsafe {
        match watched(file) {
            // Noted instead of done: what the real disk holds is not what is tried here, and waiting for it takes long.
            Some(w) => {
                w.lab.note(Op::Sync(w.inode));
                ffi::SQLITE_OK
            }
            None => (*(*real(file)).pMethods).xSync.unwrap()(real(file), flags),
        }
    }
}

macro_rules! hand_on {
    ($name:ident, $method:ident, ($($arg:ident: $kind:ty),*) $(-> $out:ty)?) => {
        unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file, $($arg: $kind),*) $(-> $out)? {
            // SAFETY: handed on as it came.
            unsafe { (*(*real(file)).pMethods).$method.unwrap()(real(file), $($arg),*) }
        }
    };
}
hand_on!(read, xRead, (into: *mut c_void, n: c_int, at: i64) -> c_int);
hand_on!(size, xFileSize, (size: *mut i64) -> c_int);
hand_on!(lock, xLock, (level: c_int) -> c_int);
hand_on!(unlock, xUnlock, (level: c_int) -> c_int);
hand_on!(reserved, xCheckReservedLock, (out: *mut c_int) -> c_int);
hand_on!(control, xFileControl, (op: c_int, argument: *mut c_void) -> c_int);
hand_on!(sector, xSectorSize, () -> c_int);
hand_on!(traits, xDeviceCharacteristics, () -> c_int);
hand_on!(shm_map, xShmMap, (page: c_int, size: c_int, extend: c_int, out: *mut *mut c_void) -> c_int);
hand_on!(shm_lock, xShmLock, (offset: c_int, n: c_int, flags: c_int) -> c_int);
hand_on!(shm_barrier, xShmBarrier, ());
hand_on!(shm_unmap, xShmUnmap, (delete: c_int) -> c_int);

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(reserved),
    xFileControl: Some(control),
    xSectorSize: Some(sector),
    xDeviceCharacteristics: Some(traits),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};
