//! Sealed plans as files: read where a plan was expected, and written so that nobody ever sees half of one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};

use camino::{Utf8Path, Utf8PathBuf};
use provision_core::seal::Seal;

use crate::error::Error;

/// How much of a file is looked at to tell what it is.
const BEGINNING: u64 = 4096;

/// The sealed plan at a path; none where something else is, which is then for others to read.
///
/// # Errors
/// When it begins like one and cannot be used.
pub fn read(path: &Utf8Path) -> Result<Option<Seal>, Error> {
    // What cannot be read is no sealed plan; whoever reads it as a plan says why.
    let mut text = Vec::new();
    let Ok(mut file) = File::open(path) else { return Ok(None) };
    // A bundle is too long to be looked at whole.
    let begun = Read::by_ref(&mut file).take(BEGINNING).read_to_end(&mut text);
    if begun.is_err() || !Seal::is_meant(&text) || file.read_to_end(&mut text).is_err() {
        return Ok(None);
    }
    let seal = Seal::read(&text).map_err(|reason| Error::Seal { path: path.to_owned(), reason })?;
    Ok(Some(seal))
}

/// Writes one, for whoever runs the command alone: what it shows of hosts is not for everybody.
///
/// # Errors
/// When the file cannot be written; then what was there before is as it was.
pub fn write(path: &Utf8Path, seal: &Seal) -> Result<(), Error> {
    let failed = |source: io::Error| Error::Here { what: format!("write {path}"), source };
    let name = path.file_name().ok_or_else(|| failed(io::Error::other("it is no name of a file")))?;
    let beside = path.with_file_name(format!(".{name}.{}.provision-new", std::process::id()));
    let written = put(&beside, seal.text().as_bytes()).and_then(|()| fs::rename(&beside, path));
    written.map_err(|error| {
        let _nothing_there = fs::remove_file(&beside);
        failed(error)
    })
}

fn put(path: &Utf8PathBuf, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
