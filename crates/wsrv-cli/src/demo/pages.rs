//! The page; the way into a room for those who have no WebSocket, `POST /say/{room}`; the pages of the front end where
//! visitors log in; and `/healthz` for those who send others here.

use super::chat::Rooms;
use super::front::{self, FrontEnd};
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_service::Service;
use wsrv_app::Readiness;

/// Everything comes from this server, and nothing from within the page's text.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const MAX_BODY: usize = 4096;

const FILES: [(&str, &str, &str); 10] = [
    ("/", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/app.js", "text/javascript; charset=utf-8", include_str!("page/app.js")),
    ("/connection.js", "text/javascript; charset=utf-8", include_str!("page/connection.js")),
    ("/dom.js", "text/javascript; charset=utf-8", include_str!("page/dom.js")),
    ("/frames.js", "text/javascript; charset=utf-8", include_str!("page/frames.js")),
    ("/session.js", "text/javascript; charset=utf-8", include_str!("page/session.js")),
    ("/status.js", "text/javascript; charset=utf-8", include_str!("page/status.js")),
    ("/wamp.js", "text/javascript; charset=utf-8", include_str!("page/wamp.js")),
    ("/style.css", "text/css; charset=utf-8", include_str!("page/style.css")),
    ("/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
];

#[derive(Clone)]
pub(crate) struct Pages {
    rooms: Arc<Rooms>,
    front: Arc<FrontEnd>,
    readiness: Readiness,
}

impl Pages {
    pub(crate) fn new(rooms: Arc<Rooms>, front: Arc<FrontEnd>, readiness: Readiness) -> Self {
        Pages { rooms, front, readiness }
    }
}

impl Service<Request<Incoming>> for Pages {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let pages = self.clone();
        Box::pin(async move { Ok(answer(request, &pages).await) })
    }
}

async fn answer(request: Request<Incoming>, Pages { rooms, front, readiness }: &Pages) -> Response<Full<Bytes>> {
    if let Some(page) = request.uri().path().strip_prefix(front::PATH) {
        let page = page.to_owned();
        return front.answer(&page, request).await;
    }
    if request.uri().path() == "/healthz" {
        return match readiness.is_ready() {
            true => plain(StatusCode::OK, "ready\n"),
            false => plain(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        };
    }
    if let Some(room) = request.uri().path().strip_prefix("/say/") {
        return match rooms.get(room) {
            Some(_) if request.method() != Method::POST => method_not_allowed("POST"),
            Some(room) => say(request, room).await,
            None => plain(StatusCode::NOT_FOUND, "there is no such room\n"),
        };
    }
    let Some((_, content_type, text)) = FILES.iter().find(|(path, ..)| *path == request.uri().path()) else {
        return plain(StatusCode::NOT_FOUND, "there is nothing here\n");
    };
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return method_not_allowed("GET, HEAD");
    }
    let mut response = Response::new(Full::from(*text));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Says the request's body in a room: a push from outside every connection.
async fn say(request: Request<Incoming>, room: &super::chat::Room) -> Response<Full<Bytes>> {
    // A page of another site could post here with the visitor's browser. Programs that are no browser send no origin.
    if request.headers().contains_key(header::ORIGIN) {
        return plain(StatusCode::FORBIDDEN, "not from a page\n");
    }
    let Ok(body) = Limited::new(request.into_body(), MAX_BODY).collect().await else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE, "too long\n");
    };
    if room.say("terminal", 0, &String::from_utf8_lossy(&body.to_bytes())) {
        plain(StatusCode::OK, "said\n")
    } else {
        plain(StatusCode::BAD_REQUEST, "say something\n")
    }
}

fn method_not_allowed(allow: &'static str) -> Response<Full<Bytes>> {
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "not this method\n");
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
