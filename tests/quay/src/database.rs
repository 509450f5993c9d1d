//! The users, in the one file that stands where Quay has its SQLite database. It knows which version of the image has
//! written it last: a newer one takes it over for good, and an older one then refuses it, as after a migration.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::site::Image;

/// As in Quay; low enough for a test that logs in a few times.
const COST: u32 = 10;

#[derive(Debug)]
pub struct Database {
    path: PathBuf,
    content: Content,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    written_by: String,
    /// Of DATABASE_SECRET_KEY; the 3.x line has none.
    secret_key_digest: Option<String>,
    users: Vec<User>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct User {
    name: String,
    email: Option<String>,
    password_hash: String,
}

impl Database {
    /// Opens it, or makes it, and takes it over for this version.
    pub fn open(path: &Path, image: &Image, secret_key_digest: Option<&str>) -> Result<Self, Failure> {
        let wrong = |why: String| format!("the database {}: {why}", path.display());
        let old = Self::read(path)?;
        if let Some(old) = &old {
            if Image::order(&old.written_by) > Image::order(&image.version) {
                return Err(wrong(format!(
                    "{} has migrated it, and this is {}, which does not know that schema",
                    old.written_by, image.version
                ))
                .into());
            }
            if old.secret_key_digest.as_deref() != secret_key_digest {
                return Err(wrong("it was encrypted with another DATABASE_SECRET_KEY".to_owned()).into());
            }
        }
        let mut content = old.clone().unwrap_or_default();
        content.written_by.clone_from(&image.version);
        content.secret_key_digest = secret_key_digest.map(str::to_owned);
        let database = Self { path: path.to_owned(), content };
        if old.as_ref() != Some(&database.content) {
            database.write()?;
        }
        Ok(database)
    }

    fn read(path: &Path) -> Result<Option<Content>, Failure> {
        match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| format!("the database {} is damaged: {error}", path.display()).into()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("cannot read the database {}: {error}", path.display()).into()),
        }
    }

    fn write(&self) -> Result<(), Failure> {
        let new = self.path.with_extension("new");
        let write = || -> std::io::Result<()> {
            let mut file = File::options().write(true).create(true).truncate(true).mode(0o644).open(&new)?;
            file.write_all(&serde_json::to_vec_pretty(&self.content)?)?;
            file.sync_all()?;
            fs::rename(&new, &self.path)
        };
        write().map_err(|error| format!("cannot write the database {}: {error}", self.path.display()).into())
    }

    pub fn has_users(&self) -> bool {
        !self.content.users.is_empty()
    }

    pub fn add(&mut self, name: &str, email: Option<&str>, password: &str) -> Result<(), Failure> {
        let password_hash = bcrypt::hash(password, COST)?;
        self.content.users.push(User { name: name.to_owned(), email: email.map(str::to_owned), password_hash });
        self.write()
    }

    pub fn has(&self, name: &str) -> bool {
        self.content.users.iter().any(|user| user.name == name)
    }

    pub fn knows(&self, name: &str, password: &str) -> bool {
        let mut users = self.content.users.iter();
        users.any(|user| user.name == name && bcrypt::verify(password, &user.password_hash).unwrap_or(false))
    }

    /// Whether the file still is what was written.
    pub fn is_there(&self) -> bool {
        Self::read(&self.path).is_ok_and(|content| content.as_ref() == Some(&self.content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(version: &str) -> Image {
        Image { version: version.to_owned(), fault: None }
    }

    #[test]
    fn a_newer_version_takes_it_over_and_an_older_one_refuses_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("quay.db");
        let mut database = Database::open(&path, &image("v3.12.1"), Some("digest")).unwrap();
        assert!(!database.has_users());
        database.add("init", None, "password").unwrap();

        let database = Database::open(&path, &image("v3.12.10"), Some("digest")).unwrap();
        assert!(database.has_users() && database.is_there());
        assert!(database.knows("init", "password"));
        assert!(!database.knows("init", "passwort") && !database.knows("admin", "password"));

        let older = Database::open(&path, &image("v3.12.2"), Some("digest")).unwrap_err().to_string();
        assert!(older.contains("v3.12.10 has migrated it, and this is v3.12.2"), "{older}");
        let key = Database::open(&path, &image("v3.12.10"), Some("other")).unwrap_err().to_string();
        assert!(key.contains("another DATABASE_SECRET_KEY"), "{key}");
        fs::write(&path, "SQLite format 3").unwrap();
        let damaged = Database::open(&path, &image("v3.12.10"), Some("digest")).unwrap_err().to_string();
        assert!(damaged.contains("is damaged"), "{damaged}");
    }
}
