//! The kernel's requests, one by one: decode, call the filesystem, reply.

use std::ffi::OsStr;
use std::future::ready;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use fuser::{
    Errno, FileHandle, INodeNo, InitFlags, KernelConfig, LockOwner, OpenFlags, ReplyAttr,
    ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs,
    ReplyXattr, Request,
};

use super::Refresher;
use super::dispatcher::Dispatcher;
use super::replies::{self, DOTS_END, Dots, XattrValue};
use super::status::STATUS;
use crate::error::Error;
use crate::filesystem::{DirectoryEntry, EntryTtl, Filesystem};

/// Asking for this extended attribute of a directory or file makes granulefs and the kernel forget
/// what they know of the names there; its value is empty, and comes when that is done. The list of
/// extended attributes does not have it.
pub const REFRESH: &str = "user.granulefs.refresh";
/// How long a reader of a replaced file waits for the kernel to forget its name, so that opening
/// it again finds the new version.
const INVALIDATION_TIMEOUT: Duration = Duration::from_millis(500);
/// How many background requests the kernel sends before it makes programs wait; its default is 16.
/// The limit is one for the mount, and requests that wait for a bucket that stands still must not
/// use it up for the others.
const MAX_BACKGROUND: u16 = 1024;

impl fuser::Filesystem for Dispatcher {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        for capability in [
            InitFlags::FUSE_PARALLEL_DIROPS,
            InitFlags::FUSE_DO_READDIRPLUS,
            InitFlags::FUSE_READDIRPLUS_AUTO,
            InitFlags::FUSE_ASYNC_DIO,
        ] {
            if config.add_capabilities(capability).is_err() {
                tracing::debug!(?capability, "the kernel does not offer this");
            }
        }
        if config.set_max_background(MAX_BACKGROUND).is_err() {
            tracing::debug!("the kernel limits background requests");
        }
        Ok(())
    }

    fn destroy(&mut self) {
        self.log_dedup.flush();
        self.ended.send_replace(true);
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let span = tracing::debug_span!("lookup", parent = parent.0, ?name);
        let (filesystem, name) = (self.filesystem.clone(), name.to_owned());
        let operation = async move { filesystem.lookup(parent.0, &name).await };
        self.dispatch(parent, span, operation, |outcome| replies::entry(reply, outcome));
    }

    fn forget(&self, _req: &Request, ino: INodeNo, nlookup: u64) {
        self.filesystem.forget(ino.0, nlookup);
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        let span = tracing::debug_span!("getattr", ino = ino.0);
        let filesystem = self.filesystem.clone();
        let operation = async move { filesystem.attributes(ino.0) };
        self.dispatch(ino, span, operation, move |outcome| {
            replies::attributes(reply, ino, outcome)
        });
    }

    fn open(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let span = tracing::debug_span!("open", ino = ino.0);
        let (filesystem, refresher) = (self.filesystem.clone(), self.refresher.clone());
        let operation = async move {
            let outcome = filesystem.open(ino.0).await;
            forget_replaced(&outcome, refresher, ino).await;
            outcome
        };
        self.dispatch(ino, span, operation, |outcome| replies::opened_file(reply, outcome));
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
        let (filesystem, refresher) = (self.filesystem.clone(), self.refresher.clone());
        let operation = async move {
            let outcome = filesystem.read(fh.0, offset, size).await;
            forget_replaced(&outcome, refresher, ino).await;
            outcome
        };
        self.dispatch(ino, span, operation, |outcome| replies::data(reply, outcome));
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
        self.filesystem.release(fh.0);
        reply.ok();
    }

    fn opendir(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let span = tracing::debug_span!("opendir", ino = ino.0);
        let filesystem = self.filesystem.clone();
        let operation = async move { filesystem.open_directory(ino.0).await };
        self.dispatch(ino, span, operation, |outcome| replies::opened_directory(reply, outcome));
    }

    fn readdir(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        reply: ReplyDirectory,
    ) {
        let span = tracing::debug_span!("readdir", ino = ino.0, offset);
        let filesystem = self.filesystem.clone();
        let operation = entries(filesystem.clone(), fh, offset);
        let dots = self.dots(ino);
        self.dispatch(ino, span, operation, move |outcome| {
            if outcome.as_ref().is_ok_and(|(entries, _)| !entries.is_empty()) {
                filesystem.mark_read_without_attributes(fh.0);
            }
            replies::directory(reply, dots, offset, outcome, &filesystem);
        });
    }

    fn readdirplus(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        reply: ReplyDirectoryPlus,
    ) {
        let span = tracing::debug_span!("readdirplus", ino = ino.0, offset);
        let filesystem = self.filesystem.clone();
        let operation = entries(filesystem.clone(), fh, offset);
        let dots = self.dots(ino);
        self.dispatch(ino, span, operation, move |outcome| {
            replies::directory_plus(reply, dots, offset, outcome, &filesystem);
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
        self.filesystem.release_directory(fh.0);
        reply.ok();
    }

    fn statfs(&self, _req: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        replies::statfs(reply);
    }

    fn getxattr(&self, req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let is_owner = [0, rustix::process::geteuid().as_raw()].contains(&req.uid());
        if name == STATUS {
            // What others read, and the accounts that it is refused with, is not everybody's.
            let outcome = if is_owner { self.status() } else { return reply.error(Errno::EPERM) };
            let value = outcome.and_then(|value| XattrValue::new(value, size));
            return self.dispatch(ino, tracing::Span::none(), ready(value), |outcome| {
                replies::xattr(reply, outcome);
            });
        }
        let span = tracing::debug_span!("getxattr", ino = ino.0, ?name);
        let (filesystem, refresher) = (self.filesystem.clone(), self.refresher.clone());
        let name = name.to_owned();
        let operation = async move {
            let value = if name == REFRESH {
                // Others may refresh names, but not make the owner log in.
                let refreshed = match is_owner {
                    true => refresher.refresh_for_user(ino.0).await,
                    false => refresher.refresh(ino.0).await,
                };
                refreshed.map(|()| String::new())
            } else {
                filesystem.xattr(ino.0, &name)
            };
            XattrValue::new(value?, size)
        };
        self.dispatch(ino, span, operation, |outcome| replies::xattr(reply, outcome));
    }

    fn listxattr(&self, _req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        let span = tracing::debug_span!("listxattr", ino = ino.0);
        let filesystem = self.filesystem.clone();
        let operation = async move {
            let names = filesystem.xattr_names(ino.0)?;
            let list: String = names.iter().map(|name| format!("{name}\0")).collect();
            XattrValue::new(list, size)
        };
        self.dispatch(ino, span, operation, |outcome| replies::xattr(reply, outcome));
    }
}

impl Dispatcher {
    /// Returns what the first two names of the directory `ino` stand for.
    fn dots(&self, ino: INodeNo) -> Dots {
        // An error comes again, and is told, when the directory is read.
        let parent = self.filesystem.parent_number(ino.0).unwrap_or_default();
        Dots { own: ino.0, parent: parent.unwrap_or(self.above_root) }
    }
}

/// Makes the kernel forget the name of a file that turned out to be replaced. Whether or not it
/// does in time, the operation has failed.
async fn forget_replaced<T>(outcome: &Result<T, Error>, refresher: Refresher, ino: INodeNo) {
    if let Err(Error::Replaced(_)) = outcome {
        let _ = tokio::time::timeout(INVALIDATION_TIMEOUT, refresher.refresh(ino.0)).await;
    }
}

async fn entries(
    filesystem: Arc<Filesystem>,
    fh: FileHandle,
    offset: u64,
) -> Result<(Vec<DirectoryEntry>, EntryTtl), Error> {
    filesystem.read_directory(fh.0, offset.saturating_sub(DOTS_END)).await
}
