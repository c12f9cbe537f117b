//! The front ends, where they keep their sessions, and how they are read.

use crate::front::{Front, free_port};
use crate::services::Service;
use crate::site::Place;
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;
use wsrv_session::cookie::{
    DjangoCookie, DjangoSigner, ExpressCookie, ItsdangerousCookie, JarCookie, LaravelCipher, LaravelCookie,
    LaravelKeys, Plain, Secret,
};
use wsrv_session::{
    Codec, FileNames, FilesStore, MySqlStore, PostgresStore, RedisStore, Session, SessionTable, Sessions, SqliteStore,
};

/// A front end with its sessions in one place.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) kept: Kept,
    /// Whether a cookie that was changed is known to be of no use before any store is asked.
    pub(crate) signed: bool,
    pub(crate) front: fn(&Place) -> Front,
    pub(crate) sessions: fn(&Place) -> Sessions,
    /// What the page `/whoami` tells, from what the session has.
    pub(crate) values: fn(&Session) -> Value,
}

/// Where sessions are.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kept {
    Files,
    Redis,
    Postgres,
    MariaDb,
    Sqlite,
    Cookie,
}

impl Kept {
    /// What has to run for it.
    pub(crate) fn service(self) -> Option<Service> {
        match self {
            Kept::Redis => Some(Service::redis()),
            Kept::Postgres => Some(Service::postgres()),
            Kept::MariaDb => Some(Service::mariadb()),
            Kept::Files | Kept::Sqlite | Kept::Cookie => None,
        }
    }
}

/// What cookies are signed with. tower-sessions wants 64 bytes.
const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Laravel's, of 32 bytes.
const APP_KEY: &str = "base64:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

pub(crate) static ROWS: &[Row] = &[
    Row {
        name: "PHP, files",
        kept: Kept::Files,
        signed: false,
        front: |place| php("front.php", place, "php"),
        sessions: |place| Sessions::php(place.counted(files(place))),
        values: plain,
    },
    Row {
        name: "PHP, Redis",
        kept: Kept::Redis,
        signed: false,
        front: |place| php("front.php", place, "php_serialize"),
        sessions: |place| {
            let store = place.counted(redis(place, "PHPREDIS_SESSION:"));
            Sessions::new(Plain::php("PHPSESSID"), store, Codec::php_serialize())
        },
        values: plain,
    },
    Row {
        name: "PHP, Redis, php",
        kept: Kept::Redis,
        signed: false,
        front: |place| php("front.php", place, "php"),
        sessions: |place| Sessions::php(place.counted(redis(place, "PHPREDIS_SESSION:"))),
        values: plain,
    },
    Row {
        name: "PHP, Redis, php_binary",
        kept: Kept::Redis,
        signed: false,
        front: |place| php("front.php", place, "php_binary"),
        sessions: |place| Sessions::php(place.counted(redis(place, "PHPREDIS_SESSION:"))).codec(Codec::php_binary()),
        values: plain,
    },
    Row {
        name: "Symfony, files",
        kept: Kept::Files,
        signed: false,
        front: |place| php("symfony.php", place, "php"),
        sessions: |place| Sessions::symfony(place.counted(files(place))),
        values: symfony,
    },
    Row {
        name: "Symfony, Redis",
        kept: Kept::Redis,
        signed: false,
        front: |place| php("symfony.php", place, "php"),
        sessions: |place| Sessions::symfony(place.counted(redis(place, "sf_s"))),
        values: symfony,
    },
    Row {
        name: "Symfony, PostgreSQL",
        kept: Kept::Postgres,
        signed: false,
        front: |place| php("symfony.php", place, "php"),
        sessions: |place| Sessions::symfony(place.counted(postgres(place, SessionTable::symfony()))),
        values: symfony,
    },
    Row {
        name: "Symfony, MariaDB",
        kept: Kept::MariaDb,
        signed: false,
        front: |place| php("symfony.php", place, "php"),
        sessions: |place| Sessions::symfony(place.counted(mysql(place, SessionTable::symfony()))),
        values: symfony,
    },
    Row {
        name: "Symfony, SQLite",
        kept: Kept::Sqlite,
        signed: false,
        front: |place| php("symfony.php", place, "php"),
        sessions: |place| Sessions::symfony(place.counted(sqlite(place, SessionTable::symfony()))),
        values: symfony,
    },
    Row {
        name: "Symfony, PostgreSQL, php_binary",
        kept: Kept::Postgres,
        signed: false,
        front: |place| php("symfony.php", place, "php_binary"),
        sessions: |place| {
            let store = place.counted(postgres(place, SessionTable::symfony()));
            Sessions::symfony(store).codec(Codec::php_binary())
        },
        values: symfony,
    },
    Row {
        name: "Symfony, SQLite, php_serialize",
        kept: Kept::Sqlite,
        signed: false,
        front: |place| php("symfony.php", place, "php_serialize"),
        sessions: |place| {
            let store = place.counted(sqlite(place, SessionTable::symfony()));
            Sessions::symfony(store).codec(Codec::php_serialize())
        },
        values: symfony,
    },
    Row {
        name: "Laravel, files",
        kept: Kept::Files,
        signed: true,
        front: laravel_front,
        sessions: |place| {
            let files = FilesStore::new(place.dir(), FileNames::Id, Duration::from_secs(7200));
            Sessions::laravel(laravel_cookie(), place.counted(files))
        },
        values: laravel,
    },
    Row {
        name: "Laravel, Redis",
        kept: Kept::Redis,
        signed: true,
        front: laravel_front,
        sessions: |place| {
            let store = place.counted(redis(place, "laravel_database_laravel_cache:"));
            Sessions::laravel(laravel_cookie(), store).codec(Codec::php_serialize().in_php_string())
        },
        values: laravel,
    },
    Row {
        name: "Laravel, PostgreSQL",
        kept: Kept::Postgres,
        signed: true,
        front: laravel_front,
        sessions: |place| {
            let table = SessionTable::laravel(Duration::from_secs(7200));
            let sessions = Sessions::laravel(laravel_cookie(), place.counted(postgres(place, table)));
            sessions.codec(Codec::php_serialize().in_base64())
        },
        values: laravel,
    },
    Row {
        name: "Laravel, MariaDB",
        kept: Kept::MariaDb,
        signed: true,
        front: laravel_front,
        sessions: |place| {
            let table = SessionTable::laravel(Duration::from_secs(7200));
            let sessions = Sessions::laravel(laravel_cookie(), place.counted(mysql(place, table)));
            sessions.codec(Codec::php_serialize().in_base64())
        },
        values: laravel,
    },
    Row {
        name: "Laravel, SQLite",
        kept: Kept::Sqlite,
        signed: true,
        front: laravel_front,
        sessions: |place| {
            let table = SessionTable::laravel(Duration::from_secs(7200));
            let sessions = Sessions::laravel(laravel_cookie(), place.counted(sqlite(place, table)));
            sessions.codec(Codec::php_serialize().in_base64())
        },
        values: laravel,
    },
    Row {
        name: "Laravel, cookies",
        kept: Kept::Cookie,
        signed: true,
        front: laravel_front,
        sessions: |_| {
            let cookie = laravel_cookie().with_cookie_driver();
            Sessions::in_cookie(cookie, Codec::php_serialize().in_laravel_cookie())
        },
        values: laravel,
    },
    Row {
        name: "express, Redis",
        kept: Kept::Redis,
        signed: true,
        front: |place| {
            let mut node = Command::new("node");
            node.arg("express.js").env("NODE_PACKAGES", tools("fronts-node"));
            start(node, place, "connect.sid")
        },
        sessions: |place| Sessions::express(ExpressCookie::new(secret()), place.counted(redis(place, "sess:"))),
        values: |session| with_notices(session, session.path("flash.notice").unwrap().unwrap_or_default()),
    },
    Row {
        name: "Django, PostgreSQL",
        kept: Kept::Postgres,
        signed: false,
        front: |place| python("django_front.py", place, "sessionid"),
        sessions: |place| {
            let store = place.counted(postgres(place, SessionTable::django()));
            Sessions::django(DjangoSigner::records(secret()), store)
        },
        values: django,
    },
    Row {
        name: "Django, SQLite",
        kept: Kept::Sqlite,
        signed: false,
        front: |place| python("django_front.py", place, "sessionid"),
        sessions: |place| {
            let store = place.counted(sqlite(place, SessionTable::django()));
            Sessions::django(DjangoSigner::records(secret()), store)
        },
        values: django,
    },
    Row {
        name: "Django, signed cookies",
        kept: Kept::Cookie,
        signed: true,
        front: |place| python("django_front.py", place, "sessionid"),
        sessions: |_| Sessions::django_cookies(DjangoCookie::new(DjangoSigner::cookies(secret()))),
        values: django,
    },
    Row {
        name: "Flask",
        kept: Kept::Cookie,
        signed: true,
        front: |place| python("flask_front.py", place, "session"),
        sessions: |_| Sessions::flask(ItsdangerousCookie::flask(secret())),
        values: |session| {
            // Tuples of a category and a text.
            let flashes = session.get::<Vec<Value>>("_flashes").unwrap().unwrap_or_default();
            with_notices(session, flashes.iter().map(|flash| flash[" t"][1].as_str().unwrap().to_owned()).collect())
        },
    },
    Row {
        name: "Starlette",
        kept: Kept::Cookie,
        signed: true,
        front: |place| python("starlette_front.py", place, "session"),
        sessions: |_| Sessions::starlette(ItsdangerousCookie::starlette(secret())),
        values: listed,
    },
    Row {
        name: "tower-sessions, Redis",
        kept: Kept::Redis,
        signed: false,
        front: |place| start(Command::new(tools("fronts-tower/bin/front-tower")), place, "id"),
        sessions: |place| Sessions::tower_sessions(place.counted(redis(place, ""))),
        values: listed,
    },
    Row {
        name: "tower-sessions, signed ids, Redis",
        kept: Kept::Redis,
        signed: true,
        front: |place| {
            let mut tower = Command::new(tools("fronts-tower/bin/front-tower"));
            tower.env("SIGNED", "yes");
            start(tower, place, "id")
        },
        sessions: |place| {
            let cookie = JarCookie::signed(secret()).unwrap();
            Sessions::tower_sessions_in(cookie, place.counted(redis(place, "")))
        },
        values: listed,
    },
];

// --- front ends -------------------------------------------------------------------------------------------

fn start(mut program: Command, place: &Place, cookie: &'static str) -> Front {
    program.env("SECRET", SECRET);
    Front::start(program, free_port(), &place.url, place.dir(), cookie)
}

fn php(script: &str, place: &Place, serializer: &str) -> Front {
    Front::php(script, &place.url, place.dir(), "PHPSESSID", &[("SERIALIZER", serializer)])
}

fn laravel_front(place: &Place) -> Front {
    Front::php("laravel.php", &place.url, place.dir(), "laravel_session", &[("APP_KEY", APP_KEY)])
}

fn python(script: &str, place: &Place, cookie: &'static str) -> Front {
    let mut python = Command::new(tools("fronts-python/bin/python"));
    python.arg(script);
    start(python, place, cookie)
}

/// Where `scripts/test install` has put it.
fn tools(name: &str) -> String {
    format!("{}/../.tools/{name}", env!("CARGO_MANIFEST_DIR"))
}

// --- how their sessions are read --------------------------------------------------------------------------

fn secret() -> Secret {
    Secret::new(SECRET).unwrap()
}

fn laravel_cookie() -> LaravelCookie {
    LaravelCookie::new(LaravelKeys::new(LaravelCipher::Aes256Cbc, APP_KEY).unwrap())
}

fn files(place: &Place) -> FilesStore {
    FilesStore::new(place.dir(), FileNames::Php { levels: 0 }, Duration::from_secs(1440))
        .lock_wait(Duration::from_millis(300))
}

fn redis(place: &Place, prefix: &str) -> RedisStore {
    RedisStore::new(&place.url, prefix).unwrap()
}

fn postgres(place: &Place, table: SessionTable) -> PostgresStore {
    PostgresStore::new(&place.url, table).unwrap()
}

fn mysql(place: &Place, table: SessionTable) -> MySqlStore {
    MySqlStore::new(&place.url, table).unwrap()
}

fn sqlite(place: &Place, table: SessionTable) -> SqliteStore {
    SqliteStore::new(place.sqlite(), table)
}

// --- what is in them --------------------------------------------------------------------------------------

fn with_notices(session: &Session, notices: Vec<String>) -> Value {
    let user = session.get::<String>("user").unwrap();
    let roles = session.get::<Vec<String>>("roles").unwrap().unwrap_or_default();
    json!({ "user": user, "roles": roles, "notices": notices })
}

/// PHP alone has no notices.
fn plain(session: &Session) -> Value {
    let mut values = with_notices(session, Vec::new());
    values.as_object_mut().unwrap().remove("notices");
    values
}

/// Notices as a list of their own.
fn listed(session: &Session) -> Value {
    with_notices(session, session.get("notices").unwrap().unwrap_or_default())
}

fn symfony(session: &Session) -> Value {
    let symfony = session.symfony();
    let token = symfony.token("main").unwrap().map(|token| {
        let user = token.user_property::<String>("username").unwrap();
        json!({ "user": user, "roles": token.roles().unwrap() })
    });
    json!({
        "user": symfony.attribute::<String>("user").unwrap(),
        "roles": symfony.attribute::<Vec<String>>("roles").unwrap().unwrap_or_default(),
        "notices": symfony.flashes("notice").unwrap(),
        "token": token,
    })
}

fn laravel(session: &Session) -> Value {
    let laravel = session.laravel();
    json!({
        "user": laravel.user_id::<String>("web").unwrap(),
        "roles": session.get::<Vec<String>>("roles").unwrap().unwrap_or_default(),
        "notices": laravel.flash::<Vec<String>>("notices").unwrap().unwrap_or_default(),
    })
}

/// Django's messages are JSON in a text: a mark, whether they are safe, a level, the message.
fn django(session: &Session) -> Value {
    let messages = session.get::<String>("_messages").unwrap().unwrap_or("[]".into());
    let messages: Vec<Value> = serde_json::from_str(&messages).unwrap();
    with_notices(session, messages.iter().map(|message| message[3].as_str().unwrap().to_owned()).collect())
}
