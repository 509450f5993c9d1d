//! Quay's config.yaml: what of it counts here, checked as strictly as Quay's own validation does.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::listen::Listen;
use crate::redis::Redis;
use crate::site::{Image, Initialize, Line, Namespaces, Site, Two, environment};
use crate::{Failure, yaml};

/// Where the 2.x image looks; `ssl.cert` and `ssl.key` stand beside it.
const STACK: &str = "/quay-registry/conf/stack";
const HTTPS: u16 = 8443;
const HTTP: u16 = 8080;

/// Which fields must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    Two,
    Three,
}

#[derive(Debug, Clone)]
pub struct Settings {
    pub hostname: String,
    pub scheme: String,
    /// May be relative to the file.
    pub database: PathBuf,
    pub storage: PathBuf,
    pub namespaces: Namespaces,
    /// For a port, once it is known whether there is a certificate.
    listen: fn(u16) -> Listen,
    two: Option<Two>,
}

/// The 2.x line.
pub fn site(image: Image) -> Result<Site, Failure> {
    let directory = Path::new(STACK);
    let settings = Settings::read(&directory.join("config.yaml"), Of::Two)?;
    let (certificate, key) = (directory.join("ssl.cert"), directory.join("ssl.key"));
    let certificate = match (certificate.exists(), key.exists()) {
        (true, true) => Some((certificate, key)),
        (false, false) => None,
        (true, false) => return Err(format!("{STACK}: there is ssl.cert, and no ssl.key").into()),
        (false, true) => return Err(format!("{STACK}: there is ssl.key, and no ssl.cert").into()),
    };
    let Settings { hostname, scheme, database, storage, namespaces, listen, two } = settings;
    let mut two = two.ok_or("config.yaml lacks what the 2.x line needs")?;
    two.worker_count = environment("WORKER_COUNT");
    Ok(Site {
        image,
        line: Line::Two(two),
        hostname,
        scheme,
        database,
        storage,
        namespaces,
        // As Quay's nginx: no certificate, no port for it.
        listen: listen(if certificate.is_some() { HTTPS } else { HTTP }),
        certificate,
    })
}

impl Settings {
    pub fn read(file: &Path, of: Of) -> Result<Self, Failure> {
        let text = fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        Self::parse(&text, of).map_err(|findings| {
            let lines: Vec<_> = findings.iter().map(|finding| format!("{}: {finding}", file.display())).collect();
            lines.join("\n").into()
        })
    }

    fn parse(text: &str, of: Of) -> Result<Self, Vec<String>> {
        let value = yaml::parse(text).map_err(|error| vec![error.to_string()])?;
        let Value::Object(map) = value else { return Err(vec!["it is no mapping".to_owned()]) };
        let mut fields = Fields { map: &map, place: String::new(), findings: Vec::new() };
        let settings = fields.settings(of);
        if fields.findings.is_empty() { Ok(settings) } else { Err(fields.findings) }
    }
}

/// A mapping, and what is wrong with it so far. Whatever is wrong has a value that is never used.
struct Fields<'a> {
    map: &'a Map<String, Value>,
    /// Before the name of a field, in what is said of it.
    place: String,
    findings: Vec<String>,
}

impl Fields<'_> {
    fn settings(&mut self, of: Of) -> Settings {
        let hostname = self.text("SERVER_HOSTNAME");
        let (name, port) = hostname.rsplit_once(':').unwrap_or((&hostname, "443"));
        if name.is_empty() || hostname.contains(['/', ' ', '@']) || port.trim_end_matches(']').parse::<u16>().is_err() {
            self.find("SERVER_HOSTNAME", "NAME or NAME:PORT is meant");
        }
        let scheme = match (of, self.map.get("PREFERRED_URL_SCHEME")) {
            (Of::Three, None) => "https".to_owned(),
            _ => self.text("PREFERRED_URL_SCHEME"),
        };
        if !["http", "https"].contains(&scheme.as_str()) {
            self.find("PREFERRED_URL_SCHEME", "http or https is meant");
        }
        let uri = self.text("DB_URI");
        let database = PathBuf::from(uri.strip_prefix("sqlite:///").unwrap_or_default());
        if database.as_os_str().is_empty() {
            self.find("DB_URI", "only sqlite:///PATH is known here");
        } else if of == Of::Two && database.is_relative() {
            self.find("DB_URI", "sqlite:////ABSOLUTE is meant, with four slashes");
        }
        let storage = self.storage(of);
        let namespaces = match self.flag("CREATE_NAMESPACE_ON_PUSH") {
            Some(true) => Namespaces::MadeOnPush,
            _ => Namespaces::Own,
        };
        let listen = match self.optional("FEATURE_LISTEN_IP_VERSION").as_deref() {
            None | Some("IPv4") => Listen::ipv4,
            Some("IPv6") => Listen::ipv6,
            Some("dual-stack") => Listen::both,
            Some(_) => {
                self.find("FEATURE_LISTEN_IP_VERSION", "IPv4, IPv6 or dual-stack is meant");
                Listen::ipv4
            }
        };
        let two = (of == Of::Two).then(|| self.two());
        Settings { hostname, scheme, database, storage, namespaces, listen, two }
    }

    fn two(&mut self) -> Two {
        if self.text("AUTHENTICATION_TYPE") != "Database" {
            self.find("AUTHENTICATION_TYPE", "only Database is known here");
        }
        if self.flag("SETUP_COMPLETE") != Some(true) {
            self.find("SETUP_COMPLETE", "it is not true");
        }
        self.text("SECRET_KEY");
        if let Some(users) = self.map.get("SUPER_USERS") {
            let named = |users: &Vec<Value>| users.iter().all(Value::is_string);
            if !users.as_array().is_some_and(named) {
                self.find("SUPER_USERS", "a list of names is meant");
            }
        }
        let user_initialize = match self.flag("FEATURE_USER_INITIALIZE") {
            Some(true) => Initialize::On,
            _ => Initialize::Off,
        };
        let digest = Sha256::digest(self.text("DATABASE_SECRET_KEY"));
        let secret_key_digest = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let redis = ["BUILDLOGS_REDIS", "USER_EVENTS_REDIS"].map(|key| self.redis(key));
        Two { redis, user_initialize, secret_key_digest, worker_count: None }
    }

    fn redis(&mut self, key: &str) -> Redis {
        let mut redis = Redis { host: String::new(), port: 0, password: String::new() };
        let Some(Value::Object(map)) = self.map.get(key) else {
            self.find(key, "a mapping of host, port and password is meant");
            return redis;
        };
        let mut inner = Fields { map, place: format!("{key}."), findings: Vec::new() };
        redis.host = inner.text("host");
        redis.password = inner.text("password");
        match map.get("port").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok()) {
            Some(port) => redis.port = port,
            None => inner.find("port", "a port is meant"),
        }
        self.findings.append(&mut inner.findings);
        redis
    }

    /// Of the place that is preferred: `default: [LocalStorage, {storage_path: /datastorage}]`.
    fn storage(&mut self, of: Of) -> PathBuf {
        let (config, preference) = ("DISTRIBUTED_STORAGE_CONFIG", "DISTRIBUTED_STORAGE_PREFERENCE");
        let Some(Value::Object(places)) = self.map.get(config) else {
            self.find(config, "a mapping is meant");
            return PathBuf::new();
        };
        let preferred = self.map.get(preference).and_then(|list| list.get(0)).and_then(Value::as_str);
        let preferred = match (of, preferred, places.keys().next()) {
            (_, Some(name), _) => name,
            (Of::Three, None, Some(name)) => name,
            _ => {
                self.find(preference, "a list of names is meant");
                return PathBuf::new();
            }
        };
        let Some(place) = places.get(preferred) else {
            self.find(preference, &format!("{config} has no `{preferred}`"));
            return PathBuf::new();
        };
        let path = place.get(1).and_then(|settings| settings.get("storage_path")).and_then(Value::as_str);
        match (place.get(0).and_then(Value::as_str), path) {
            (Some("LocalStorage"), Some(path)) if path.starts_with('/') || of == Of::Three => path.into(),
            _ => {
                self.find(config, &format!("`{preferred}`: [LocalStorage, {{storage_path: /ABSOLUTE}}] is meant"));
                PathBuf::new()
            }
        }
    }

    fn find(&mut self, key: &str, what: &str) {
        let finding = format!("{}{key}: {what}", self.place);
        // What is not there is not also wrong.
        if !self.findings.iter().any(|known| known.starts_with(&format!("{}{key}: ", self.place))) {
            self.findings.push(finding);
        }
    }

    fn text(&mut self, key: &str) -> String {
        match self.map.get(key) {
            Some(Value::String(text)) if !text.is_empty() => text.clone(),
            None | Some(Value::Null) => {
                self.find(key, "it is required, and not there");
                String::new()
            }
            Some(other) => {
                self.find(key, &format!("text is meant, not {}", sort(other)));
                String::new()
            }
        }
    }

    fn optional(&mut self, key: &str) -> Option<String> {
        self.map.contains_key(key).then(|| self.text(key))
    }

    fn flag(&mut self, key: &str) -> Option<bool> {
        match self.map.get(key) {
            None => None,
            Some(Value::Bool(value)) => Some(*value),
            Some(other) => {
                self.find(key, &format!("true or false is meant, not {}", sort(other)));
                None
            }
        }
    }
}

/// Never the value, which may be a password.
fn sort(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "an empty text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "
AUTHENTICATION_TYPE: Database
BUILDLOGS_REDIS: {host: localhost, port: 6379, password: \"it's\"}
USER_EVENTS_REDIS:
  host: localhost
  port: 6379
  password: 'p'
DB_URI: sqlite:////sqlite/quay_sqlite.db
DATABASE_SECRET_KEY: 'k'
SECRET_KEY: 's'
DISTRIBUTED_STORAGE_CONFIG:
  default: [LocalStorage, {storage_path: /datastorage}]
DISTRIBUTED_STORAGE_PREFERENCE: [default]
SERVER_HOSTNAME: mirror.example.com:8443
PREFERRED_URL_SCHEME: https
FEATURE_USER_INITIALIZE: true
CREATE_NAMESPACE_ON_PUSH: true
SETUP_COMPLETE: true
SUPER_USERS: [init]
SOMETHING_ELSE: 1
";

    #[test]
    fn fields_are_taken_over() {
        let settings = Settings::parse(GOOD, Of::Two).unwrap();
        assert_eq!(settings.hostname, "mirror.example.com:8443");
        assert_eq!(settings.database, Path::new("/sqlite/quay_sqlite.db"));
        assert_eq!(settings.storage, Path::new("/datastorage"));
        assert_eq!(settings.namespaces, Namespaces::MadeOnPush);
        assert_eq!((settings.listen)(1), Listen::ipv4(1));
        let two = settings.two.unwrap();
        assert_eq!(two.redis[0], Redis { host: "localhost".to_owned(), port: 6379, password: "it's".to_owned() });
        assert_eq!(two.user_initialize, Initialize::On);
    }

    #[test]
    fn the_family_is_what_the_feature_says() {
        for (value, expected) in [
            ("IPv4", Some(Listen::ipv4(1))),
            ("IPv6", Some(Listen::ipv6(1))),
            ("dual-stack", Some(Listen::both(1))),
            ("both", None),
        ] {
            let settings = Settings::parse(&format!("{GOOD}FEATURE_LISTEN_IP_VERSION: {value}\n"), Of::Two);
            assert_eq!(settings.ok().map(|settings| (settings.listen)(1)), expected, "{value}");
        }
    }

    #[test]
    fn every_field_that_is_missing_or_wrong_is_named() {
        for (old, new, expected) in [
            ("AUTHENTICATION_TYPE: Database", "AUTHENTICATION_TYPE: LDAP", "AUTHENTICATION_TYPE: only Database"),
            ("SECRET_KEY: 's'", "", "SECRET_KEY: it is required"),
            ("DATABASE_SECRET_KEY: 'k'", "DATABASE_SECRET_KEY: 12", "DATABASE_SECRET_KEY: text is meant, not a number"),
            ("port: 6379, ", "", "BUILDLOGS_REDIS.port: a port is meant"),
            ("password: 'p'", "password: 12345678", "USER_EVENTS_REDIS.password: text is meant, not a number"),
            ("sqlite:////", "sqlite:///", "DB_URI: sqlite:////ABSOLUTE is meant"),
            ("sqlite:////", "postgresql://", "DB_URI: only sqlite"),
            ("LocalStorage", "S3Storage", "DISTRIBUTED_STORAGE_CONFIG: `default`"),
            ("[default]", "[other]", "DISTRIBUTED_STORAGE_PREFERENCE: DISTRIBUTED_STORAGE_CONFIG has no `other`"),
            ("mirror.example.com:8443", "https://mirror", "SERVER_HOSTNAME: NAME or NAME:PORT"),
            ("SCHEME: https", "SCHEME: ftp", "PREFERRED_URL_SCHEME: http or https"),
            ("SETUP_COMPLETE: true", "SETUP_COMPLETE: 'true'", "SETUP_COMPLETE: true or false is meant"),
            ("[init]", "init", "SUPER_USERS: a list"),
        ] {
            assert!(GOOD.contains(old), "{old}");
            let findings = Settings::parse(&GOOD.replacen(old, new, 1), Of::Two).unwrap_err();
            assert!(findings.len() == 1 && findings[0].starts_with(expected), "{new}: {findings:?}");
        }
        assert_eq!(Settings::parse("{}", Of::Two).unwrap_err().len(), 10);
    }
}
