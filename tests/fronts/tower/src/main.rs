//! A log-in with tower-sessions in Redis. `STORE` is the Redis, `PORT` where to listen, `SECRET` what ids are signed
//! with, which they are if there is `SIGNED`.
#![forbid(unsafe_code)]

use axum::extract::Query;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::env::var;
use std::time::Duration;
use tower_sessions::cookie::Key;
use tower_sessions::{Session, SessionManagerLayer};
use tower_sessions_redis_store::RedisStore;
use tower_sessions_redis_store::fred::prelude::{ClientLike, Config, Pool, ReconnectPolicy};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let again = ReconnectPolicy::new_constant(0, 100);
    let redis = Pool::new(Config::from_url(&var("STORE")?)?, None, None, Some(again), 1)?;
    redis.init().await?;
    let sessions = SessionManagerLayer::new(RedisStore::new(redis)).with_secure(false);
    let pages = Router::new()
        .route("/login", get(log_in))
        .route("/whoami", get(who_am_i))
        .route("/logout", get(log_out))
        .route("/slow", get(slow));
    let pages = match var("SIGNED") {
        Ok(_) => pages.layer(sessions.with_signed(Key::from(var("SECRET")?.as_bytes()))),
        Err(_) => pages.layer(sessions),
    };
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", var("PORT")?.parse()?)).await?;
    Ok(axum::serve(listener, pages).await?)
}

async fn log_in(session: Session, Query(query): Query<HashMap<String, String>>) -> Json<Value> {
    session.cycle_id().await.unwrap();
    session.insert("user", &query["u"]).await.unwrap();
    session.insert("roles", ["admin", "staff"]).await.unwrap();
    session.insert("notices", ["Welcome"]).await.unwrap();
    Json(json!({ "user": query["u"] }))
}

async fn who_am_i(session: Session) -> Json<Value> {
    let user: Option<String> = session.get("user").await.unwrap();
    let roles: Option<Value> = session.get("roles").await.unwrap();
    let notices: Option<Value> = session.remove("notices").await.unwrap();
    Json(json!({ "user": user, "roles": roles.unwrap_or(json!([])), "notices": notices.unwrap_or(json!([])) }))
}

async fn log_out(session: Session) -> Json<Value> {
    session.flush().await.unwrap();
    Json(json!({}))
}

/// With the session in use for as long.
async fn slow(session: Session) -> Json<Value> {
    let user: Option<String> = session.get("user").await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    Json(json!({ "user": user }))
}
