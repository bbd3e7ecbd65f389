//! The kernel's requests, one by one: decode, call the volume, reply.

use std::ffi::OsStr;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fuser::{
    Errno, FileAttr, FileHandle, FileType, FopenFlags, Generation, INodeNo, InitFlags,
    KernelConfig, LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyDirectoryPlus,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyXattr, Request,
};

use super::dispatcher::Dispatcher;
use crate::error::Error;
use crate::filesystem::{Attributes, Filesystem, Freshness, Listed};

/// Attributes of a number never change: another version of an object has another number.
const ATTRIBUTES_TTL: Duration = Duration::from_secs(3600);
/// How long a reader of a replaced file waits for the kernel to forget its name, so that it finds
/// the new one when it reopens.
const INVALIDATION_PATIENCE: Duration = Duration::from_millis(500);

impl fuser::Filesystem for Dispatcher {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        for wish in [
            InitFlags::FUSE_PARALLEL_DIROPS,
            InitFlags::FUSE_DO_READDIRPLUS,
            InitFlags::FUSE_READDIRPLUS_AUTO,
            InitFlags::FUSE_ASYNC_DIO,
        ] {
            if config.add_capabilities(wish).is_err() {
                tracing::debug!(?wish, "the kernel does not offer this");
            }
        }
        // The limit is the mount's: those who wait for a bucket that stands still must not use it
        // up for the others. The default is 16.
        if config.set_max_background(1024).is_err() {
            tracing::debug!("the kernel limits background requests");
        }
        Ok(())
    }

    fn destroy(&mut self) {
        self.repeats.end();
        self.ended.send_replace(true);
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let span = tracing::debug_span!("lookup", parent = parent.0, ?name);
        let (volume, name) = (self.volume.clone(), name.to_owned());
        self.dispatch(
            parent,
            span,
            async move { volume.lookup(parent.0, &name).await },
            |outcome| match outcome {
                Ok(found) => match found.node {
                    Some((number, attributes)) => {
                        let attributes = file_attr(number, &attributes);
                        reply.entry(&found.fresh_for, &attributes, Generation(0));
                    }
                    None => reply.entry(&found.fresh_for, &no_entry(), Generation(0)),
                },
                Err(errno) => reply.error(errno),
            },
        );
    }

    fn forget(&self, _req: &Request, ino: INodeNo, nlookup: u64) {
        self.volume.forget(ino.0, nlookup);
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        let span = tracing::debug_span!("getattr", ino = ino.0);
        self.answer(
            ino,
            span,
            move |volume| volume.attributes(ino.0),
            move |outcome| match outcome {
                Ok(attributes) => reply.attr(&ATTRIBUTES_TTL, &file_attr(ino.0, &attributes)),
                Err(errno) => reply.error(errno),
            },
        );
    }

    fn open(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let span = tracing::debug_span!("open", ino = ino.0);
        self.answer(
            ino,
            span,
            move |volume| volume.open(ino.0),
            |outcome| match outcome {
                // The inode is this version's own, so the pages that the kernel has of it are
                // right.
                Ok(handle) => reply.opened(
                    FileHandle(handle),
                    FopenFlags::FOPEN_KEEP_CACHE | FopenFlags::FOPEN_NOFLUSH,
                ),
                Err(errno) => reply.error(errno),
            },
        );
    }

    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let span = tracing::debug_span!("read", ino = ino.0, offset, size);
        let (volume, kernel) = (self.volume.clone(), self.kernel.clone());
        let work = async move {
            let outcome = volume.read(fh.0, offset, size).await;
            if let Err(Error::Replaced(_)) = &outcome {
                // As far as the kernel will at once: whoever reopens the file should find the new
                // one.
                let _ = tokio::time::timeout(INVALIDATION_PATIENCE, kernel.refresh(volume, ino.0))
                    .await;
            }
            outcome
        };
        self.dispatch(ino, span, work, |outcome| match outcome {
            Ok(pieces) => reply_pieces(reply, &pieces),
            Err(errno) => reply.error(errno),
        });
    }

    fn release(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.volume.release(fh.0);
        reply.ok();
    }

    fn opendir(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let span = tracing::debug_span!("opendir", ino = ino.0);
        self.answer(
            ino,
            span,
            move |volume| volume.open_directory(ino.0),
            |outcome| match outcome {
                Ok((handle, is_same)) => {
                    let kept =
                        if is_same { FopenFlags::FOPEN_KEEP_CACHE } else { FopenFlags::empty() };
                    reply.opened(FileHandle(handle), FopenFlags::FOPEN_CACHE_DIR | kept);
                }
                Err(errno) => reply.error(errno),
            },
        );
    }

    fn readdir(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let span = tracing::debug_span!("readdir", ino = ino.0, offset);
        let volume = self.volume.clone();
        self.dispatch(ino, span, list(self.volume.clone(), fh.0, offset), move |outcome| {
            match outcome {
                Ok((listed, _)) => {
                    let mut full = DOTS.iter().any(|(name, at)| {
                        offset < *at && reply.add(ino, *at, FileType::Directory, name)
                    });
                    for name in listed {
                        let number = volume.number(&name);
                        let kind = file_type(name.shown.entry.is_directory());
                        full = full
                            || reply.add(
                                INodeNo(number),
                                name.next + DOTS_END,
                                kind,
                                &*name.shown.name,
                            );
                        if full {
                            break;
                        }
                    }
                    reply.ok();
                }
                Err(errno) => reply.error(errno),
            }
        });
    }

    fn readdirplus(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let span = tracing::debug_span!("readdirplus", ino = ino.0, offset);
        let volume = self.volume.clone();
        self.dispatch(ino, span, list(self.volume.clone(), fh.0, offset), move |outcome| {
            match outcome {
                Ok((listed, freshness)) => {
                    // The kernel takes no lookup of these two, and no attributes with a time to
                    // live of zero.
                    let dot = volume
                        .attributes(ino.0)
                        .map(|attributes| file_attr(ino.0, &attributes))
                        .unwrap_or_else(|_| no_entry());
                    let mut full = DOTS.iter().any(|(name, at)| {
                        offset < *at
                            && reply.add(ino, *at, name, &Duration::ZERO, &dot, Generation(0))
                    });
                    for name in listed {
                        if full {
                            break;
                        }
                        let (number, attributes, fresh_for) = volume.remember(&name, freshness);
                        let attributes = file_attr(number, &attributes);
                        let next = name.next + DOTS_END;
                        full = reply.add(
                            INodeNo(number),
                            next,
                            &*name.shown.name,
                            &fresh_for,
                            &attributes,
                            Generation(0),
                        );
                        if full {
                            volume.forget(number, 1);
                        }
                    }
                    reply.ok();
                }
                Err(errno) => reply.error(errno),
            }
        });
    }

    fn releasedir(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.volume.release_directory(fh.0);
        reply.ok();
    }

    fn statfs(&self, _req: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        // An archive has no size that would mean something; zero blocks keep it out of df.
        reply.statfs(0, 0, 0, 0, 0, BLOCK_SIZE, NAME_MAX, BLOCK_SIZE);
    }

    fn getxattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let span = tracing::debug_span!("getxattr", ino = ino.0, ?name);
        let reply = move |outcome: Result<String, Errno>| match outcome {
            Ok(value) => reply_xattr(reply, value.as_bytes(), size),
            Err(errno) => reply.error(errno),
        };
        if name == REFRESH {
            let (volume, kernel) = (self.volume.clone(), self.kernel.clone());
            let work = async move { kernel.refresh(volume, ino.0).await.map(|()| String::new()) };
            return self.dispatch(ino, span, work, reply);
        }
        let name = name.to_owned();
        self.answer(ino, span, move |volume| volume.xattr(ino.0, &name), reply);
    }

    fn listxattr(&self, _req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        let span = tracing::debug_span!("listxattr", ino = ino.0);
        self.answer(
            ino,
            span,
            move |volume| volume.xattr_names(ino.0),
            move |outcome| match outcome {
                Ok(names) => {
                    let list: String = names.iter().map(|name| format!("{name}\0")).collect();
                    reply_xattr(reply, list.as_bytes(), size);
                }
                Err(errno) => reply.error(errno),
            },
        );
    }
}

/// Whoever asks for this extended attribute of a directory or file makes granulefs and the kernel
/// forget what they know of the names there, and gets an empty value when that is done. No list of
/// attributes shows it.
pub const REFRESH: &str = "user.granulefs.refresh";
/// The bytes that stat(2) and statfs(2) call a block.
const BLOCK_SIZE: u32 = 4096;
/// The kernel's FUSE_NAME_MAX, and S3's limit for a whole key.
const NAME_MAX: u32 = 1024;
/// The names that every directory starts with, and the offsets behind them.
const DOTS: [(&str, u64); 2] = [(".", 1), ("..", 2)];
const DOTS_END: u64 = 2;

async fn list(
    volume: Arc<Filesystem>,
    handle: u64,
    offset: u64,
) -> Result<(Vec<Listed>, Freshness), Error> {
    volume.read_directory(handle, offset.saturating_sub(DOTS_END)).await
}

fn reply_pieces(reply: ReplyData, pieces: &[Bytes]) {
    match pieces {
        [whole] => reply.data(whole),
        pieces => reply.data(&pieces.concat()),
    }
}

fn reply_xattr(reply: ReplyXattr, value: &[u8], size: u32) {
    match u32::try_from(value.len()) {
        Ok(length) if size == 0 => reply.size(length),
        Ok(length) if length <= size => reply.data(value),
        _ => reply.error(Errno::ERANGE),
    }
}

fn file_type(is_directory: bool) -> FileType {
    if is_directory { FileType::Directory } else { FileType::RegularFile }
}

fn file_attr(number: u64, attributes: &Attributes) -> FileAttr {
    FileAttr {
        ino: INodeNo(number),
        size: attributes.size,
        blocks: attributes.size.div_ceil(512),
        atime: attributes.modified,
        mtime: attributes.modified,
        ctime: attributes.modified,
        crtime: attributes.modified,
        kind: file_type(attributes.is_directory),
        perm: attributes.mode,
        nlink: 1,
        uid: attributes.uid,
        gid: attributes.gid,
        rdev: 0,
        blksize: BLOCK_SIZE,
        flags: 0,
    }
}

/// An entry with number 0: the kernel remembers that there is no such name.
fn no_entry() -> FileAttr {
    let nothing = Attributes {
        is_directory: false,
        size: 0,
        modified: SystemTime::UNIX_EPOCH,
        mode: 0,
        uid: 0,
        gid: 0,
    };
    file_attr(0, &nothing)
}
