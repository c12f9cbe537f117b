//! The steps with keys: from the `Cookie` header to the session's id, and from a sealed record to its bytes.

use crate::Vector;
use bytes::Bytes;
use serde_json::Value as Json;
use std::time::{Duration, SystemTime};
use wsrv_session::cookie::{
    CookieDialect, Credentials, DjangoCookie, DjangoSigner, ExpressCookie, Extracted, Extractor, ItsdangerousCookie,
    JarCookie, Jwt, JwtKey, KeygripCookie, LaravelCipher, LaravelCookie, LaravelKeys, Plain, RailsCookie, Secret,
};
use wsrv_session::{IdPolicy, SessionError};

/// What a request's cookies say.
pub(crate) enum Cookie {
    /// No session.
    None,
    /// The id of one.
    Id(String),
    /// The session itself, in the format of the vector's codec, or else in that of its scheme.
    Inline(Bytes),
    /// This program does not know the scheme.
    NotRead,
}

/// A store's record without its signature or encryption.
pub(crate) enum Opened {
    Data(Bytes),
    /// This program does not know how it is sealed.
    NotRead,
}

/// Reads the vector's `Cookie` header by its scheme.
pub(crate) fn cookie(vector: &Vector) -> Result<Cookie, SessionError> {
    let cookie = &vector.json["cookie"];
    let Some(extractor) = extractor(vector) else { return Ok(Cookie::NotRead) };
    let mut headers: Vec<_> =
        list(&cookie["headers"]).chain(cookie["header"].as_str()).map(|one| ("cookie", one)).collect();
    headers.extend(cookie["authorization"].as_str().map(|value| ("authorization", value)));
    let credentials = Credentials::new(headers.into_iter().map(|(name, value)| (name, value.as_bytes())));
    Ok(match extractor.extract(&credentials, now(vector))? {
        Extracted::None => Cookie::None,
        Extracted::Id(id) => Cookie::Id(id.as_str().to_owned()),
        Extracted::Inline { data, .. } => Cookie::Inline(data),
    })
}

/// The extractor that the vector describes.
fn extractor(vector: &Vector) -> Option<Box<dyn Extractor>> {
    let cookie = &vector.json["cookie"];
    let name = cookie["name"].as_str().expect("a cookie's name");
    Some(match cookie["scheme"].as_str().expect("a scheme") {
        "plain" => match cookie["id_policy"].as_str().unwrap_or(vector.text("family")) {
            "django" => Box::new(Plain::django(name)),
            "laravel" => Box::new(Plain::new(name, IdPolicy::laravel(), CookieDialect::Php)),
            "express" => Box::new(Plain::new(name, IdPolicy::express(), CookieDialect::Node)),
            "tower" | "tower-sessions" => Box::new(Plain::tower(name)),
            _ => Box::new(Plain::php(name)),
        },
        "tower-plain" => Box::new(Plain::tower(name)),
        "tower-signed" => Box::new(JarCookie::signed(hex(&cookie["key_hex"])).expect("a key").with_name(name)),
        "tower-private" => Box::new(JarCookie::private(hex(&cookie["key_hex"])).expect("a key").with_name(name)),
        "express-signed" => {
            let (first, others) = secrets(&cookie["secrets"]);
            Box::new(others.fold(ExpressCookie::new(first).with_name(name), ExpressCookie::with_previous))
        }
        "express-cookie-session" => {
            let (first, others) = secrets(&cookie["keys"]);
            Box::new(others.fold(KeygripCookie::new(first).with_name(name), KeygripCookie::with_previous))
        }
        "django-signed" => {
            let age = seconds(&cookie["max_age"]).expect("an age");
            Box::new(DjangoCookie::new(django(cookie)).with_name(name).with_max_age(age))
        }
        "flask-itsdangerous" | "starlette-itsdangerous" => {
            let secret = hex(&cookie["secret_hex"]);
            let is_flask = cookie["scheme"] == "flask-itsdangerous";
            let extractor =
                if is_flask { ItsdangerousCookie::flask(secret) } else { ItsdangerousCookie::starlette(secret) };
            Box::new(extractor.with_name(name).with_max_age(seconds(&cookie["max_age"])))
        }
        "laravel-encrypted" => {
            let extractor = LaravelCookie::new(laravel(cookie)).with_name(name);
            let in_cookie = vector.json["store"]["type"] == "laravel-cookie";
            Box::new(if in_cookie { extractor.with_cookie_driver() } else { extractor })
        }
        "rails-aes-256-gcm" => Box::new(RailsCookie::new(name, &secret(&cookie["secret_key_base"]))),
        "jwt" => {
            let mut keys = list(&cookie["algorithms"]).map(|algorithm| {
                let secret = secret(&cookie["secret"]);
                match algorithm {
                    "HS256" => JwtKey::hs256(secret),
                    "HS384" => JwtKey::hs384(secret),
                    "HS512" => JwtKey::hs512(secret),
                    other => panic!("the algorithm {other} is not known"),
                }
            });
            let jwt = Jwt::new(keys.next().expect("an algorithm"));
            let text = |field: &str| cookie[field].as_str().expect("a text");
            let jwt = jwt.bearer().cookie(name).with_issuer(text("issuer")).with_audience(text("audience"));
            Box::new(keys.fold(jwt, Jwt::with_key))
        }
        _ => return None,
    })
}

/// Opens the record.
pub(crate) fn open(vector: &Vector, record: Bytes) -> Result<Opened, SessionError> {
    let store = &vector.json["store"];
    let signing = &store["signing"];
    if !signing.is_null() {
        let data = django(signing).open(&record, now(vector), seconds(&signing["max_age"]))?;
        return Ok(Opened::Data(data));
    }
    if store["payload_encrypted"] == true {
        return laravel(&vector.json["cookie"]).open_record(&record).map(Opened::Data);
    }
    // Inside the cookie, and not in a store.
    let is_elsewhere = matches!(store["type"].as_str(), Some("laravel-cookie" | "none"));
    Ok(if is_elsewhere { Opened::NotRead } else { Opened::Data(record) })
}

fn django(keys: &Json) -> DjangoSigner {
    let signer = DjangoSigner::new(secret(&keys["secret_key"]), keys["salt"].as_str().expect("a salt"));
    let fallbacks = list(&keys["secret_key_fallbacks"]).map(|key| Secret::new(key).expect("a key"));
    fallbacks.fold(signer, DjangoSigner::with_previous)
}

fn laravel(keys: &Json) -> LaravelKeys {
    let cipher = match keys["cipher"].as_str() {
        Some("AES-128-CBC") => LaravelCipher::Aes128Cbc,
        Some("AES-256-CBC") => LaravelCipher::Aes256Cbc,
        Some("AES-128-GCM") => LaravelCipher::Aes128Gcm,
        Some("AES-256-GCM") => LaravelCipher::Aes256Gcm,
        other => panic!("the cipher {other:?} is not known"),
    };
    let app_key = |key: &str| format!("base64:{key}");
    let first = LaravelKeys::new(cipher, &app_key(keys["key_b64"].as_str().expect("a key")));
    let previous = list(&keys["previous_keys_b64"]).map(app_key);
    previous.fold(first.expect("a key"), |keys, key| keys.with_previous(&key).expect("a key"))
}

fn now(vector: &Vector) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(vector.now())
}

fn seconds(number: &Json) -> Option<Duration> {
    number.as_u64().map(Duration::from_secs)
}

fn list(texts: &Json) -> impl Iterator<Item = &str> {
    texts.as_array().into_iter().flatten().map(|text| text.as_str().expect("a text"))
}

fn secret(text: &Json) -> Secret {
    Secret::new(text.as_str().expect("a secret")).expect("a secret")
}

fn secrets(texts: &Json) -> (Secret, impl Iterator<Item = Secret>) {
    let mut secrets = list(texts).map(|text| Secret::new(text).expect("a secret"));
    (secrets.next().expect("a secret"), secrets)
}

fn hex(digits: &Json) -> Secret {
    let digits = digits.as_str().expect("hexadecimal digits").as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).expect("ASCII"), 16).expect("two digits");
    Secret::new(digits.map(byte).collect::<Vec<_>>()).expect("a key")
}

/// The bytes of an id as tower-sessions writes it, the least significant first.
pub(crate) fn tower_id(id: &str) -> Option<[u8; 16]> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bits = 0;
    let mut number = 0u32;
    let mut bytes = Vec::with_capacity(16);
    for digit in id.bytes() {
        number = number << 6 & 0xffff | DIGITS.iter().position(|&known| known == digit)? as u32;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((number >> bits) as u8);
        }
    }
    let has_no_rest = number & ((1 << bits) - 1) == 0;
    bytes.try_into().ok().filter(|_| has_no_rest)
}
