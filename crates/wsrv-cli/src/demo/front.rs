//! A web front end in small: pages to log in and out, which keep the visitor's session in memory. Where there is a real
//! one, it is another program, and its sessions are in its files, its database or its cookie.

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use wsrv_app::wsrv_session::cookie::{CookieDialect, Credentials, Plain};
use wsrv_app::wsrv_session::{Codec, IdPolicy, MemoryStore, Session, Sessions, UpdateError};

pub(crate) const PATH: &str = "/front/";
const COOKIE: &str = "wsrv-demo";
const LIFETIME: Duration = Duration::from_secs(20 * 60);
const MAX_SESSIONS: usize = 1000;
const MAX_NAME: usize = 32;
const MAX_BODY: usize = 1024;

pub(crate) struct FrontEnd {
    store: MemoryStore,
    /// The ids in the store, the oldest first, so that it does not grow without end.
    ids: Mutex<VecDeque<String>>,
    sessions: Sessions,
}

impl FrontEnd {
    pub(crate) fn new() -> Self {
        let store = MemoryStore::new().lifetime(LIFETIME);
        let cookie = Plain::new(COOKIE, IdPolicy::custom("0123456789abcdef", 32..=32), CookieDialect::Rust);
        let sessions = Sessions::new(cookie, store.clone(), Codec::json());
        FrontEnd { store, ids: Mutex::default(), sessions }
    }

    /// How its sessions are read.
    pub(crate) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// One of its pages, by what stands behind [`PATH`].
    pub(crate) async fn answer(&self, page: &str, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let method = match page {
            "whoami" => Method::GET,
            "login" | "basket" | "logout" => Method::POST,
            _ => return told(StatusCode::NOT_FOUND, "there is nothing here"),
        };
        if request.method() != method {
            let mut answer = told(StatusCode::METHOD_NOT_ALLOWED, "not this method");
            answer.headers_mut().insert(header::ALLOW, HeaderValue::from_str(method.as_str()).expect("a token"));
            return answer;
        }
        // Another site's page could log its visitor in or out here.
        if method == Method::POST && !is_own_page(request.headers()) {
            return told(StatusCode::FORBIDDEN, "not from a page of another site");
        }
        let Some(session) = self.session(request.headers()).await else {
            return told(StatusCode::SERVICE_UNAVAILABLE, "the session cannot be read");
        };
        let id = session.id().map(|id| id.as_str().to_owned()).filter(|_| session.is_present());
        let user = session.get::<String>("user").ok().flatten();
        let basket = session.get::<u32>("basket").ok().flatten().unwrap_or(0);
        match (page, id, user) {
            ("login", id, _) => match name_of(request).await {
                // A new id at every log-in: whoever knew the one of before is not logged in by it.
                Some(user) => self.log_in(id.as_deref(), &user),
                None => told(StatusCode::BAD_REQUEST, "say who you are, in 32 characters"),
            },
            ("logout", Some(id), _) => {
                self.forget(&id);
                who(None, 0)
            }
            ("basket", Some(_), Some(user)) => match add_to_basket(&session).await {
                Ok(basket) => who(Some(&user), basket),
                Err(UpdateError::Gone) => told(StatusCode::UNAUTHORIZED, "log in first"),
                Err(_) => told(StatusCode::SERVICE_UNAVAILABLE, "the session cannot be written"),
            },
            ("basket", ..) => told(StatusCode::UNAUTHORIZED, "log in first"),
            (_, _, user) => who(user.as_deref(), basket),
        }
    }

    async fn session(&self, headers: &HeaderMap) -> Option<Session> {
        let cookies = headers.get_all(header::COOKIE).iter().map(|value| ("cookie", value.as_bytes()));
        self.sessions.find(&Credentials::new(cookies)).await.ok()
    }

    fn log_in(&self, before: Option<&str>, user: &str) -> Response<Full<Bytes>> {
        let mut random = [0; 16];
        if getrandom::fill(&mut random).is_err() {
            return told(StatusCode::SERVICE_UNAVAILABLE, "no random number for an id");
        }
        let id = format!("{:032x}", u128::from_ne_bytes(random));
        if let Some(before) = before {
            self.forget(before);
        }
        let record = json!({ "user": user, "basket": 0 }).to_string();
        self.store.insert(&*id, record, Some(SystemTime::now() + LIFETIME));
        self.ids().push_back(id.clone());
        while let Some(oldest) = self.one_too_many() {
            self.store.remove(&oldest);
        }
        let mut answer = who(Some(user), 0);
        let cookie = format!("{COOKIE}={id}; Path=/; HttpOnly; SameSite=Strict");
        answer.headers_mut().insert(header::SET_COOKIE, HeaderValue::try_from(cookie).expect("an id is ASCII"));
        answer
    }

    /// The visitor's cookie goes on naming it, and there is nothing behind it any more.
    fn forget(&self, id: &str) {
        self.store.remove(id);
        self.ids().retain(|known| known != id);
    }

    fn one_too_many(&self) -> Option<String> {
        let mut ids = self.ids();
        if ids.len() > MAX_SESSIONS { ids.pop_front() } else { None }
    }

    fn ids(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One more. Who has logged out meanwhile stays so: no session is made.
async fn add_to_basket(session: &Session) -> Result<u32, UpdateError> {
    let mut basket = 0;
    session
        .update(|draft| {
            basket = draft.get::<u32>("basket")?.unwrap_or(0).saturating_add(1);
            draft.set("basket", &basket)
        })
        .await?;
    if session.touch().await? { Ok(basket) } else { Err(UpdateError::Gone) }
}

/// Whether the request is of a page of this host, or of no browser.
fn is_own_page(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let host = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host.as_bytes());
    host.is_some() && host == headers.get(header::HOST).map(HeaderValue::as_bytes)
}

/// The `user` of a form that was sent.
async fn name_of(request: Request<Incoming>) -> Option<String> {
    let body = Limited::new(request.into_body(), MAX_BODY).collect().await.ok()?.to_bytes();
    let user = form_urlencoded::parse(&body).find(|(key, _)| key == "user")?.1.trim().to_owned();
    (1..=MAX_NAME).contains(&user.chars().count()).then_some(user)
}

/// Who the front end takes the visitor for.
fn who(user: Option<&str>, basket: u32) -> Response<Full<Bytes>> {
    as_json(StatusCode::OK, &json!({ "user": user, "basket": basket }))
}

fn told(status: StatusCode, why: &'static str) -> Response<Full<Bytes>> {
    as_json(status, &json!({ "error": why }))
}

fn as_json(status: StatusCode, what: &Value) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::from(what.to_string()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie(answer: &Response<Full<Bytes>>) -> String {
        let set = answer.headers()[header::SET_COOKIE].to_str().unwrap();
        set.split(';').next().unwrap().to_owned()
    }

    async fn user(front: &FrontEnd, cookie: &str) -> Option<String> {
        let headers = HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(cookie).unwrap())]);
        front.session(&headers).await.unwrap().get("user").unwrap()
    }

    #[tokio::test]
    async fn each_log_in_has_an_id_of_its_own_and_the_oldest_make_room() {
        let front = FrontEnd::new();
        let first = cookie(&front.log_in(None, "ada"));
        assert_eq!(user(&front, &first).await.as_deref(), Some("ada"));
        let second = cookie(&front.log_in(first.strip_prefix("wsrv-demo="), "bob"));
        assert_eq!((user(&front, &first).await, user(&front, &second).await), (None, Some("bob".into())));
        for _ in 1..MAX_SESSIONS {
            front.log_in(None, "eve");
        }
        assert_eq!(user(&front, &second).await.as_deref(), Some("bob"), "there is room for all");
        front.log_in(None, "eve");
        assert_eq!(user(&front, &second).await, None);
        assert_eq!(front.ids().len(), MAX_SESSIONS);
    }

    #[tokio::test]
    async fn a_page_that_comes_too_late_does_not_log_its_visitor_in_again() {
        let front = FrontEnd::new();
        let cookie = cookie(&front.log_in(None, "ada"));
        let headers = HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(&cookie).unwrap())]);
        let session = front.session(&headers).await.unwrap();
        assert_eq!((add_to_basket(&session).await.unwrap(), add_to_basket(&session).await.unwrap()), (1, 2));
        front.forget(session.id().unwrap().as_str());
        assert!(matches!(add_to_basket(&session).await, Err(UpdateError::Gone)));
        assert_eq!(user(&front, &cookie).await, None);
    }

    #[test]
    fn pages_of_other_sites_are_told_from_our_own() {
        for (origin, own) in [
            (None, true),
            (Some("http://localhost:8080"), true),
            (Some("http://localhost:8081"), false),
            (Some("https://evil.example"), false),
            (Some("null"), false),
        ] {
            let mut headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("localhost:8080"))]);
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            }
            assert_eq!(is_own_page(&headers), own, "{origin:?}");
        }
    }
}
