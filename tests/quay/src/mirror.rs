//! The commands of the 3.x line: `init` and `serve`, on one data directory.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::config::{Of, Settings};
use crate::database::Database;
use crate::listen::Listen;
use crate::options::{Takes, parse};
use crate::site::{Image, Line, Namespaces, Site};
use crate::{Failure, certificate, say, user};

/// Where things are.
struct Data {
    directory: PathBuf,
    database: PathBuf,
    storage: PathBuf,
}

impl Data {
    fn below(directory: &str) -> Result<Self, Failure> {
        let directory = PathBuf::from(directory);
        let data = Self { database: directory.join("quay.db"), storage: directory.join("storage"), directory };
        for path in [&data.directory, &data.storage] {
            made(path, 0o750)?;
        }
        Ok(data)
    }

    /// Of `--config FILE`: the database's directory is the data directory.
    fn of_settings(settings: &Settings, file: &Path) -> Result<Self, Failure> {
        let beside = file.parent().unwrap_or(Path::new("/"));
        let database = beside.join(&settings.database);
        let directory = database.parent().unwrap_or(beside).to_owned();
        let data = Self { directory, storage: beside.join(&settings.storage), database };
        made(&data.storage, 0o750)?;
        Ok(data)
    }
}

/// Makes a directory that is not there; one that is stays as it is.
fn made(path: &Path, mode: u32) -> Result<(), Failure> {
    let new = !path.exists();
    let make = || {
        DirBuilder::new().recursive(true).mode(mode).create(path)?;
        // Whatever the umask.
        if new { fs::set_permissions(path, Permissions::from_mode(mode)) } else { Ok(()) }
    };
    make().map_err(|error| format!("cannot make the directory {}: {error}", path.display()).into())
}

/// Writes a file that only its owner reads.
pub fn write_private(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let write = || -> std::io::Result<()> {
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(content)
    };
    write().map_err(|error| format!("cannot write {}: {error}", path.display()).into())
}

/// `init`: the database and its first user, once.
pub fn init(image: &Image, arguments: &[String]) -> Result<(), Failure> {
    let known = [
        ("config", Takes::Value),
        ("data-dir", Takes::Value),
        ("hostname", Takes::Value),
        ("init-user", Takes::Value),
        ("init-password-stdin", Takes::Nothing),
    ];
    let given = parse(arguments, &known)?;
    let user = given.get("init-user").map_or("admin", String::as_str);
    let password = match given.get("init-password-stdin").map(String::as_str) {
        None | Some("false") => None,
        Some(_) => Some(password_of(std::io::stdin())?),
    };
    user::check_name(user)?;
    let data = match given.get("config") {
        Some(file) => Data::of_settings(&Settings::read(Path::new(file), Of::Three)?, Path::new(file))?,
        None => Data::below(given.get("data-dir").map_or(".", String::as_str))?,
    };
    let mut database = Database::open(&data.database, image, None)?;
    if database.has_users() {
        return match password {
            None => {
                say("there are users already, nothing is to be done");
                Ok(())
            }
            Some(_) => Err("there are users already: the given password was not set".into()),
        };
    }
    let authentication = data.directory.join("auth");
    made(&authentication, 0o700)?;
    let password = match password {
        Some(password) => password,
        None => generated()?,
    };
    let file = authentication.join("admin-password");
    write_private(&file, password.as_bytes())?;
    database.add(user, Some(&format!("{user}@localhost")), &password)?;
    say(&format!("user {user} created, its password is in {}", file.display()));
    Ok(())
}

/// Up to the end of the line, blanks included.
fn password_of(input: impl Read) -> Result<String, Failure> {
    let mut text = String::new();
    // One byte more than is allowed, and a line end of two.
    input.take(4096).read_to_string(&mut text).map_err(|error| format!("read initial password: {error}"))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let password = text.strip_suffix('\r').unwrap_or(text);
    user::check_init_password(password)?;
    Ok(password.to_owned())
}

fn generated() -> Result<String, Failure> {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut bytes = [0; 26];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().filter_map(|byte| LETTERS.get(usize::from(byte % 32))).map(|letter| char::from(*letter)).collect())
}

/// `serve`.
pub fn site(image: Image, arguments: &[String]) -> Result<Site, Failure> {
    let known =
        [("config", Takes::Value), ("data-dir", Takes::Value), ("hostname", Takes::Value), ("addr", Takes::Value)];
    let given = parse(arguments, &known)?;
    let listen = Listen::of_option(given.get("addr").map_or(":8443", String::as_str))?;
    let (data, hostname, scheme, namespaces) = match given.get("config") {
        Some(file) => {
            let settings = Settings::read(Path::new(file), Of::Three)?;
            let data = Data::of_settings(&settings, Path::new(file))?;
            (data, settings.hostname, settings.scheme, settings.namespaces)
        }
        None => {
            let hostname = given.get("hostname").map_or("localhost:8443", String::as_str);
            let data = Data::below(given.get("data-dir").map_or(".", String::as_str))?;
            (data, hostname.to_owned(), "https".to_owned(), Namespaces::MadeOnPush)
        }
    };
    if !Database::open(&data.database, &image, None)?.has_users() {
        return Err("registry is not initialized: run init first".into());
    }
    let pair = (data.directory.join("ssl.cert"), data.directory.join("ssl.key"));
    let certificate = (scheme == "https").then_some(pair);
    if let Some((certificate, key)) = &certificate {
        match (certificate.exists(), key.exists()) {
            (true, true) => {}
            (false, false) => {
                let (certificate_pem, key_pem) = certificate::self_signed(&hostname)?;
                write_private(key, key_pem.as_bytes())?;
                write_private(certificate, certificate_pem.as_bytes())?;
            }
            _ => return Err(format!("{}: one of ssl.cert and ssl.key is missing", data.directory.display()).into()),
        }
    }
    Ok(Site {
        image,
        line: Line::Three,
        hostname,
        scheme,
        database: data.database,
        storage: data.storage,
        namespaces,
        listen,
        certificate,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(directory: &Path, more: &str) -> Result<(), Failure> {
        let image = Image { version: "1".to_owned(), fault: None };
        let line = format!("--data-dir {} {more}", directory.display());
        init(&image, &line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn init_makes_a_user_once() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        assert!(run(&data, "--init-user Admin").is_err());
        assert!(!data.exists(), "something was made for a name that is refused");

        run(&data, "").unwrap();
        let mode = |path: &str| fs::metadata(data.join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("auth"), mode("auth/admin-password"), mode("storage")), (0o700, 0o600, 0o750));
        let password = fs::read_to_string(data.join("auth/admin-password")).unwrap();
        let database = fs::read(data.join("quay.db")).unwrap();
        run(&data, "").unwrap();
        run(&data, "--init-user other").unwrap();
        assert_eq!(fs::read_to_string(data.join("auth/admin-password")).unwrap(), password);
        assert_eq!(fs::read(data.join("quay.db")).unwrap(), database);
    }

    #[test]
    fn a_password_is_a_line_with_its_blanks() {
        for (input, expected) in [
            ("  a b \n", Some("  a b ")),
            ("x", Some("x")),
            ("x\r\n", Some("x")),
            ("\n", None),
            ("", None),
            (&*"x".repeat(72), Some(&*"x".repeat(72))),
            (&*"x".repeat(73), None),
        ] {
            assert_eq!(password_of(input.as_bytes()).ok().as_deref(), expected, "{input}");
        }
    }

    #[test]
    fn serve_wants_an_init_and_makes_a_certificate() {
        let directory = tempfile::tempdir().unwrap();
        let image = Image { version: "1".to_owned(), fault: None };
        let line = format!("--data-dir {} --hostname mirror.example.com:9443", directory.path().display());
        let arguments: Vec<_> = line.split(' ').map(str::to_owned).collect();
        let error = site(image.clone(), &arguments).unwrap_err().to_string();
        assert!(error.contains("not initialized"), "{error}");
        run(directory.path(), "").unwrap();
        let made = site(image.clone(), &arguments).unwrap();
        let (certificate, key) = made.certificate.unwrap();
        certificate::server(&certificate, &key).unwrap();
        let first = fs::read(&certificate).unwrap();
        site(image.clone(), &arguments).unwrap();
        assert_eq!(fs::read(&certificate).unwrap(), first, "another certificate was made");
        fs::remove_file(key).unwrap();
        assert!(site(image, &arguments).is_err());
    }
}
