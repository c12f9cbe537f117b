//! Which records of a store are still valid.

use serde_json::Value as Json;
use std::time::{Duration, SystemTime};

/// Absolute times are larger than this, and durations are smaller: ten years of seconds.
const TEN_YEARS: u64 = 315_576_000;

/// Whether what the store tells of a record says that it is valid at a time, in seconds since 1970. What the record
/// says itself is another matter.
pub(crate) fn is_live(store: &Json, now: u64) -> bool {
    let number = |value: &Json| value.as_f64().unwrap_or_else(|| panic!("a number is missing in {store}"));
    let row = &store["row"];
    let minutes = || number(&store["lifetime_minutes"]) * 60.0;
    let seconds = now as f64;
    match store["type"].as_str() {
        Some("php-files") => number(&store["mtime"]) + number(&store["gc_maxlifetime"]) >= seconds,
        Some("laravel-file") => number(&store["mtime"]) + minutes() >= seconds,
        Some("laravel-database") => number(&row["last_activity"]) + minutes() >= seconds,
        Some("symfony-pdo-sqlite" | "symfony-pdo-pgsql") => {
            let lifetime = number(&row["sess_lifetime"]);
            // Symfony before 4.4 has stored a duration.
            let is_duration = lifetime <= TEN_YEARS as f64;
            let end = if is_duration { number(&row["sess_time"]) + lifetime } else { lifetime };
            end >= seconds
        }
        Some("express-pg") => number(&store["expire_epoch"]) >= seconds,
        Some("django-db") => time(&row["expire_date"]) > at(now),
        Some("tower-sqlite" | "tower-postgres") => time(&row["expiry_date"]) > at(now),
        // These drop what is too old by themselves, or the record tells it.
        None | Some("redis" | "memcached" | "memory" | "express-file" | "django-file" | "laravel-cookie" | "none") => {
            true
        }
        Some(other) => panic!("the store {other} is not known"),
    }
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// A time in UTC as databases print it.
fn time(text: &Json) -> SystemTime {
    let text = text.as_str().expect("a time");
    humantime::parse_rfc3339_weak(text.trim_end_matches("+00:00")).unwrap_or_else(|error| panic!("{text}: {error}"))
}
