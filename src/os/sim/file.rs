//! Files: each is what a name led to when it was opened.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use tempfile::TempDir;

use super::super::unix;
pub(crate) use super::super::unix::file::Mode;
use super::world::{self, Kind, Open, effect};
use crate::error::{Error, Untrusted};

/// An open file, or an end of a pipe, or nothing. Dropping it closes it.
#[derive(Debug)]
pub(crate) enum File {
    Open(u64),
    Pipe(super::net::Endpoint),
    Nowhere,
}

pub(crate) struct Metadata(u64);

impl Metadata {
    pub(crate) fn len(&self) -> u64 {
        self.0
    }
}

impl File {
    pub(super) fn id(&self) -> io::Result<u64> {
        match self {
            File::Open(id) if world::with(|world| world.open.contains_key(id)) => Ok(*id),
            _ => Err(world::dead()),
        }
    }

    /// Names it for the log.
    pub(super) fn name(&self, more: &str) -> String {
        world::with(|world| {
            let name = match self {
                File::Open(id) => world.open.get(id).map(|open| world.name_of(open.inode)),
                _ => None,
            };
            format!("{} {more}", name.unwrap_or_default())
        })
    }

    pub(crate) fn metadata(&self) -> io::Result<Metadata> {
        let id = self.id()?;
        Ok(Metadata(world::with(|world| world.inodes[world.open[&id].inode].bytes.len() as u64)))
    }

    pub(crate) fn set_len(&self, len: u64) -> io::Result<()> {
        let id = self.id()?;
        effect("set_len", || self.name(&len.to_string()))?;
        world::with(|world| {
            let open = &world.open[&id];
            world.inodes[open.inode].bytes.resize(len as usize, 0);
        });
        Ok(())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if let File::Open(id) = self {
            world::with(|world| world.open.remove(id));
        }
    }
}

impl Read for File {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let id = self.id()?;
        effect("read", || self.name(""))?;
        Ok(world::with(|world| {
            let Some(open) = world.open.get_mut(&id) else { return 0 };
            let bytes = &world.inodes[open.inode].bytes;
            let from = open.at.min(bytes.len());
            let len = buf.len().min(bytes.len() - from);
            buf[..len].copy_from_slice(&bytes[from..from + len]);
            open.at = from + len;
            len
        }))
    }
}

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let id = match self {
            File::Pipe(end) => return end.send(bytes),
            File::Nowhere => return Ok(bytes.len()),
            File::Open(_) => self.id()?,
        };
        effect("write", || self.name(""))?;
        world::with(|world| {
            let Some(open) = world.open.get_mut(&id) else { return Err(world::dead()) };
            let content = &mut world.inodes[open.inode].bytes;
            if open.appends {
                open.at = content.len();
            }
            let until = open.at + bytes.len();
            if content.len() < until {
                content.resize(until, 0);
            }
            content[open.at..until].copy_from_slice(bytes);
            open.at = until;
            Ok(bytes.len())
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for File {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let id = self.id()?;
        world::with(|world| {
            let Some(open) = world.open.get_mut(&id) else { return Err(world::dead()) };
            let len = world.inodes[open.inode].bytes.len() as i64;
            let to = match to {
                SeekFrom::Start(at) => at as i64,
                SeekFrom::End(from) => len + from,
                SeekFrom::Current(from) => open.at as i64 + from,
            };
            open.at = usize::try_from(to).map_err(|_| io::ErrorKind::InvalidInput)?;
            Ok(open.at as u64)
        })
    }
}

/// Opens a file. There are no permissions in this world.
pub(crate) fn open(path: &Path, mode: Mode) -> Result<Option<File>, Error> {
    let failed = |error| Error::file(path, error);
    effect("open", || world::short(path)).map_err(failed)?;
    let creates = matches!(mode, Mode::Create | Mode::Append);
    world::with(|world| {
        let inode = match world.names.get(path) {
            Some(inode) if world.inodes[*inode].kind != Kind::File => {
                return Err(Error::untrusted(path, Untrusted::Directory));
            }
            Some(inode) => *inode,
            None if !creates => {
                let (me, is_life) = (world.me(), path == world.life);
                if is_life {
                    world.process(me).probed = Some(true);
                }
                return Ok(None);
            }
            None if path.parent().is_none_or(|home| !world.names.contains_key(home)) => {
                return Err(failed(io::ErrorKind::NotFound.into()));
            }
            None => {
                let inode = world.inode(Kind::File);
                world.names.insert(path.to_owned(), inode);
                inode
            }
        };
        let (id, owner) = (world.id(), world.me());
        world.open.insert(id, Open { owner, inode, at: 0, appends: mode == Mode::Append, lock: None });
        Ok(Some(File::Open(id)))
    })
}

/// Empties a file, if it is not empty.
pub(crate) fn empty(_path: &Path, file: &File) -> io::Result<()> {
    if file.metadata()?.len() > 0 { file.set_len(0) } else { Ok(()) }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FileId(usize);

impl FileId {
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        effect("lookup", || world::short(path))?;
        world::with(|world| world.names.get(path).copied()).map(FileId).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(crate) fn of(file: &File) -> io::Result<Self> {
        let id = file.id()?;
        Ok(FileId(world::with(|world| world.open[&id].inode)))
    }
}

pub(crate) fn len_at(path: &Path) -> io::Result<u64> {
    let len = world::with(|world| world.at(path).map(|inode| inode.bytes.len() as u64));
    len.ok_or_else(|| io::ErrorKind::NotFound.into())
}

pub(crate) fn exists(path: &Path) -> io::Result<bool> {
    effect("look", || world::short(path))?;
    Ok(world::with(|world| world.at(path).is_some()))
}

pub(crate) fn is_directory(path: &Path) -> bool {
    world::with(|world| world.at(path).is_some_and(|inode| inode.kind == Kind::Directory))
}

pub(crate) fn is_gone(directory: &Path) -> bool {
    world::with(|world| world.at(directory).is_none())
}

pub(crate) fn create_home(home: &Path) -> Result<(), Error> {
    effect("mkdir", || world::short(home)).map_err(|error| Error::file(home, error))?;
    world::with(|world| {
        if !world.names.contains_key(home) {
            let inode = world.inode(Kind::Directory);
            world.names.insert(home.to_owned(), inode);
        }
    });
    Ok(())
}

/// Ephemeral contexts are not simulated: their directory is a real one.
pub(crate) fn create_temporary(name: &str) -> Result<TempDir, Error> {
    unix::file::create_temporary(name)
}
