//! What Quay answers besides the registry: health, and the first user.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::database::Database;
use crate::site::{Initialize, Line, Site, Two};
use crate::{Failure, user};

/// A status and a document.
pub type Answer = (u16, Value);

/// POST /api/v1/user/initialize. The messages are those of Quay's `endpoints/web.py`; it gives 400 for all of them.
pub fn initialize(two: &Two, database: &mut Database, body: &[u8]) -> Result<Answer, Failure> {
    let refused = |message: &str| Ok((400, json!({ "message": message })));
    let failed = |message: &str| Ok((400, json!({ "message": format!("Failed to initialize user: {message}") })));
    if two.user_initialize == Initialize::Off {
        return refused("Cannot initialize user, FEATURE_USER_INITIALIZE is False");
    }
    if database.has_users() {
        return refused("Cannot initialize user in a non-empty database");
    }
    let Ok(Value::Object(request)) = serde_json::from_slice(body) else {
        return refused("The browser (or proxy) sent a request that this server could not understand.");
    };
    let text = |key: &str| request.get(key).and_then(Value::as_str);
    let (Some(name), Some(password)) = (text("username"), text("password")) else {
        return refused("username and password are required");
    };
    if let Err(message) = user::check_password(password).and_then(|()| user::check_name(name)) {
        return failed(&message);
    }
    if text("email").is_some_and(|email| !is_address(email)) {
        return failed(&format!("Invalid email address: {}", text("email").unwrap_or_default()));
    }
    database.add(name, text("email"), password)?;
    let mut result = json!({ "username": name, "email": text("email"), "encrypted_password": random()? });
    if request.get("access_token").is_some_and(|wanted| *wanted != json!(false) && !wanted.is_null())
        && let Some(result) = result.as_object_mut()
    {
        result.insert("access_token".to_owned(), random()?.into());
    }
    Ok((200, result))
}

/// GET /api/v1/users/NAME, which Quay answers to anybody (`endpoints/api/user.py`).
pub fn user(database: &Database, name: &str) -> Answer {
    if database.has(name) {
        (200, json!({ "anonymous": false, "username": name }))
    } else {
        (404, json!({ "status": 404, "title": "not_found", "error_type": "not_found" }))
    }
}

/// `[^@]+@[^@]+\.[^@]+`
fn is_address(email: &str) -> bool {
    match email.split_once('@') {
        Some((user, domain)) => {
            let dot = domain.rsplit_once('.');
            !user.is_empty() && !domain.contains('@') && dot.is_some_and(|(a, b)| !a.is_empty() && !b.is_empty())
        }
        None => false,
    }
}

fn random() -> Result<String, Failure> {
    let mut bytes = [0; 30];
    getrandom::fill(&mut bytes)?;
    Ok(STANDARD.encode(bytes))
}

/// Whether what it depends on is well.
#[derive(Debug, Clone, Copy)]
pub struct Health {
    pub database: bool,
    pub registry: bool,
    pub storage: bool,
    /// The 2.x line's.
    pub redis: bool,
}

impl Health {
    pub fn answer(self, line: &Line) -> Answer {
        let Self { database, registry, storage, redis } = self;
        match line {
            Line::Three if database && registry && storage => (200, json!({ "status": "ok" })),
            Line::Three => (503, json!({ "status": "unhealthy" })),
            Line::Two(_) => {
                let status = if database && registry && storage && redis { 200 } else { 503 };
                let services = json!({
                    "auth": database,
                    "database": database,
                    "disk_space": true,
                    "redis": redis,
                    "registry_gunicorn": registry,
                    "service_key": true,
                    "storage": storage,
                    "web_gunicorn": true,
                });
                (status, json!({ "data": { "services": services }, "status_code": status }))
            }
        }
    }
}

/// Whether files can be made below it, tried.
pub fn is_writable(storage: &Path) -> bool {
    let file = storage.join(format!(".health-{}", std::process::id()));
    std::fs::write(&file, b"").and_then(|()| std::fs::remove_file(&file)).is_ok()
}

/// GET /stand-in, which Quay has not: for tests that want to know what they talk to.
pub fn about(site: &Site) -> Answer {
    let (line, worker_count) = match &site.line {
        Line::Two(two) => ("2", two.worker_count.as_deref()),
        Line::Three => ("3", None),
    };
    let about = json!({
        "stand_in": true,
        "line": line,
        "version": site.image.version,
        "hostname": site.hostname,
        "worker_count": worker_count,
        "storage": site.storage,
    });
    (200, about)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::Redis;
    use crate::site::Image;

    fn two(user_initialize: Initialize) -> Two {
        let redis = Redis { host: "localhost".to_owned(), port: 6379, password: "p".to_owned() };
        Two { redis: [redis.clone(), redis], user_initialize, secret_key_digest: String::new(), worker_count: None }
    }

    #[test]
    fn each_refusal_has_its_message() {
        let directory = tempfile::tempdir().unwrap();
        let image = Image { version: "1".to_owned(), fault: None };
        let mut database = Database::open(&directory.path().join("db"), &image, None).unwrap();
        let mut ask = |feature, name: &str, password: &str| {
            let body = json!({"username": name, "password": password, "email": "a@b.c", "access_token": true});
            initialize(&two(feature), &mut database, body.to_string().as_bytes()).unwrap()
        };
        for (feature, name, password, expected) in [
            (Initialize::Off, "init", "password", "Cannot initialize user, FEATURE_USER_INITIALIZE is False"),
            (
                Initialize::On,
                "init",
                "short",
                "Failed to initialize user: Invalid password, password must be at least 8",
            ),
            (Initialize::On, "Init", "password", "Failed to initialize user: Invalid namespace Init: "),
        ] {
            let (status, answer) = ask(feature, name, password);
            assert_eq!(status, 400);
            assert!(answer["message"].as_str().unwrap().starts_with(expected), "{answer}");
        }
        let (status, answer) = ask(Initialize::On, "init", "password");
        assert_eq!((status, &answer["username"], &answer["email"]), (200, &json!("init"), &json!("a@b.c")));
        assert!(answer["access_token"].is_string());
        let (status, answer) = ask(Initialize::On, "init", "password");
        assert_eq!((status, answer), (400, json!({"message": "Cannot initialize user in a non-empty database"})));
    }

    #[test]
    fn one_service_that_is_not_well_is_enough() {
        let well = Health { database: true, registry: true, storage: true, redis: true };
        let line = Line::Two(two(Initialize::On));
        assert_eq!(well.answer(&line).0, 200);
        let (status, answer) = Health { redis: false, ..well }.answer(&line);
        assert_eq!((status, &answer["data"]["services"]["redis"]), (503, &json!(false)));
        assert_eq!(Health { redis: false, ..well }.answer(&Line::Three).0, 200);
        assert_eq!(Health { registry: false, ..well }.answer(&Line::Three).0, 503);
    }
}
