//! Reports of changes, where there are none.

use std::io;
use std::path::{Path, PathBuf};

use crate::proto::serving::{Seen, Watched};

pub(crate) enum Instance {}

impl Instance {
    pub(crate) fn new() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// The files of a server.
#[expect(dead_code, reason = "nothing reads them here")]
pub(crate) struct Files<'a> {
    pub(crate) point: &'a Path,
    pub(crate) others: &'a [PathBuf],
    pub(crate) log: Option<&'a Path>,
}

pub(crate) enum Changes {}

impl Changes {
    pub(crate) fn by(instance: Instance) -> io::Result<Self> {
        match instance {}
    }

    pub(crate) fn watch(&mut self, _files: &Files<'_>) -> Watched {
        match *self {}
    }

    pub(crate) fn stop(&mut self) {
        match *self {}
    }

    pub(crate) async fn next(&mut self) -> Seen {
        match *self {}
    }
}
