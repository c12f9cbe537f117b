//! Tokens made by jose for Node, and tokens that nobody should believe.

use super::*;
use crate::cookie::mac::hmac;
use crate::cookie::{InvalidKey, Secret};
use sha2::{Sha256, Sha512};

const SECRET: &str = "a shared secret of our own, long enough for sixty-four bytes of it";
const ISSUER: &str = "https://login.example";
const NOW: u64 = 1_700_000_000;
const CLAIMS: &str =
    r#"{"sub":"u7","exp":1700003600,"nbf":1700000000,"iss":"https://login.example","aud":["chat","wsrv"]}"#;
/// [`CLAIMS`] in base64url.
const PAYLOAD: &str = "eyJzdWIiOiJ1NyIsImV4cCI6MTcwMDAwMzYwMCwibmJmIjoxNzAwMDAwMDAwLCJpc3MiOiJodHRwczovL2xvZ2luLmV4YW1wbGUiLCJhdWQiOlsiY2hhdCIsIndzcnYiXX0";
const RSA_KEY: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAphidv+gae0nfyjZWEVAZ
e3X16q+qiQUnTvxp+Z7bD+hD3JKxF1cqdspNnZXMMwXAxw/M/d8cQSxrMgGbQ1B0
0+FOoGg7FT4F9repNcGNlrScXS1IJPZ+k+rK+WRkZbZAwEVu6KK75kJgDeGrc8V6
1+jJEn2JtPs3wsC47tIIkT6b8bAne5YVcZT+rkhQ8b+x2SOHyN9J8XXM9138MQho
6zYkxujAA6LwaGqk1WHeWthooFhk/euyiTjzNNnGPaYrYfuCIuf/1u3+e2iRfCKV
0zwG9vnYrln0xK29vbEB4Fc0Kh5tBOkoQucTYr3MlbQJXCIHpKHVme5dCqdrYDAA
EQIDAQAB
-----END PUBLIC KEY-----
";
const P256_KEY: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEUGN+x/fLoKbdya1y90O5OMse723D
fsJB30/4DibSAyl2SYeu+ZWQ+7H/LnF3Aol9Zf5VD5pPPGZCDuRA4YAOkg==
-----END PUBLIC KEY-----
";
const ED25519_KEY: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAAiaAoDSBolPeA0Kb5FP43YCqLT6gI6lpN3DYBIUMwgg=
-----END PUBLIC KEY-----
";
const COMPRESSED_P256_KEY: &str = "-----BEGIN PUBLIC KEY-----
MDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgACjL9C9LNFTCs0U2P0hFvDa5i3mxRy
gz1Xs+HZifMVx/M=
-----END PUBLIC KEY-----
";
const P384_KEY: &str = "-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEzNhw/UE+SWvVUm32uAG6bkHGePqVrGZ9
kuNxvIok3a0S74dNXp5lWqtfLUE/rDWIDp1hShmsCXBNp3MIPVafNEerWZn8CYN2
3N9G5y6kJCN1v6QmaKCm/dx8bcC941uj
-----END PUBLIC KEY-----
";
/// Header and signature around [`PAYLOAD`].
const RS256: (&str, &str) = (
    "eyJhbGciOiJSUzI1NiJ9",
    "jX6czn7MJs7GBGIHRUgr1rCixt5itj5kN7Zx7GNwLLzUrwOTdumyDk9X-QSMcBfd8HmDjgZuqEL-04riYMJKuxunxvi832__-j57nVYyvOTG0y5O1HEecey7zgu2mGv79x5zSNpZJZ7OWphW-gQGOyPzKqpQbIlUTB3RGROlaILlt0KJ6B_0XPvWPgvSAVa043K0rCiMWcXaAsfqE_1V9Uhn2_ihHulFYhqMJ20_6xCI0Vnoq5rdef7MXJlLBz8vaNv4DvUht_NVISXbXSw1147QBtce1H3GkZvdjIoau_paOj-ZvH04uhrREQw6hB_-0oJedpNLUfRVw17eLpF1hQ",
);
const ES256: (&str, &str) =
    ("eyJhbGciOiJFUzI1NiJ9", "hRndPHcOc6CXesR062UDCft1004XeZFSqwYmFRj177WP9FqnUekWm8BtkFqbpFRSX6-Uf57max-NJu8mrT7Aeg");
const EDDSA: (&str, &str) =
    ("eyJhbGciOiJFZERTQSJ9", "1e3J4tJ01VrpOHv5iV-oc5ikgX-OH00VDtfjny4QkiWunu_DPYyaLU3WGL9SBB1Hm_7Q0Fibv6O15I_4wSRuDA");
const HS256: (&str, &str) = ("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9", "UQQo9AudkcXF7GrbeROlfi4u2NkEGq12tgVkilQMqt0");
const HS384: (&str, &str) =
    ("eyJhbGciOiJIUzM4NCIsInR5cCI6IkpXVCJ9", "13wr9Kye5m7r8nL4sTy3MYJwmPKtEtaoc1Kp1PHmK9Xd3eRiaEgJcN0XNehZTZb-");
const HS512: (&str, &str) = (
    "eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9",
    "2SY6om9UvQN2g32w38Xv7EkRdRgtgfKgl1qQJoaBcT-Nzq3NH1kqg66BduGkFa_-hhO0qSdg79F5tr2F7_34Iw",
);

fn secret() -> Secret {
    Secret::new(SECRET).unwrap()
}

fn hs256() -> Jwt {
    Jwt::new(JwtKey::hs256(secret())).cookie("token").with_issuer(ISSUER).with_audience("wsrv")
}

fn genuine((header, signature): (&str, &str)) -> String {
    format!("{header}.{PAYLOAD}.{signature}")
}

/// A token with this header and these claims that is rightly signed by HS256.
fn signed(header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(hmac::<Sha256>(SECRET.as_bytes(), &[signed.as_bytes()])))
}

fn extract(jwt: &Jwt, token: &str, now: u64) -> Result<Extracted, SessionError> {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now);
    jwt.extract(&Credentials::new([("cookie", format!("token={token}").as_bytes())]), now)
}

fn claims() -> Result<Extracted, SessionError> {
    claims_until(3600)
}

/// [`CLAIMS`], which are good for so many seconds.
fn claims_until(seconds: u64) -> Result<Extracted, SessionError> {
    let expires = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW + seconds));
    Ok(Extracted::Inline { data: CLAIMS.into(), expires })
}

#[test]
fn tokens_of_each_algorithm_are_read_with_its_key() {
    let keys = [
        (RS256, JwtKey::rs256_pem(RSA_KEY).unwrap()),
        (ES256, JwtKey::es256_pem(P256_KEY).unwrap()),
        (EDDSA, JwtKey::eddsa_pem(ED25519_KEY).unwrap()),
        (HS256, JwtKey::hs256(secret())),
        (HS384, JwtKey::hs384(secret())),
        (HS512, JwtKey::hs512(secret())),
    ];
    for (token, _) in &keys {
        for (fitting, key) in &keys {
            let jwt = Jwt::new(key.clone()).cookie("token").with_issuer(ISSUER).with_audience("chat");
            let expected = if token == fitting { claims() } else { Err(SessionError::BadSignature) };
            assert_eq!(extract(&jwt, &genuine(*token), NOW), expected, "{} {}", token.0, fitting.0);
        }
        let all = keys[1..].iter().fold(Jwt::new(keys[0].1.clone()), |jwt, (_, key)| jwt.with_key(key.clone()));
        assert_eq!(extract(&all.cookie("token").with_audience("chat"), &genuine(*token), NOW), claims());
    }
}

#[test]
fn a_public_key_of_another_kind_is_refused() {
    for (at, pem) in [RSA_KEY, P256_KEY, ED25519_KEY, "", "-----BEGIN PUBLIC KEY-----\n"].into_iter().enumerate() {
        let made = [JwtKey::rs256_pem(pem), JwtKey::es256_pem(pem), JwtKey::eddsa_pem(pem)];
        for (right, key) in made.into_iter().enumerate() {
            assert_eq!(key.err(), (at != right).then_some(InvalidKey::Format), "{at} {right}");
        }
    }
}

#[test]
fn a_key_of_another_curve_or_form_is_refused() {
    for pem in [COMPRESSED_P256_KEY, P384_KEY] {
        assert_eq!(JwtKey::es256_pem(pem).err(), Some(InvalidKey::Format));
    }
}

#[test]
fn a_token_is_looked_for_where_it_may_be() {
    let token = genuine(HS256);
    let (bearer, cookie) = (format!("Bearer {token}"), format!("a=b; token={token}"));
    let offer = format!("chat, bearer.{token}");
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
    let jwt = Jwt::new(JwtKey::hs256(secret())).with_audience("chat");
    let places = [
        (jwt.clone().bearer(), ("authorization", bearer.as_bytes())),
        (jwt.clone().cookie("token"), ("cookie", cookie.as_bytes())),
        (jwt.clone().subprotocol("bearer."), ("sec-websocket-protocol", offer.as_bytes())),
    ];
    for (at, (jwt, _)) in places.iter().enumerate() {
        for (with, (_, header)) in places.iter().enumerate() {
            let expected = if at == with { claims() } else { Ok(Extracted::None) };
            assert_eq!(jwt.extract(&Credentials::new([*header]), now), expected, "{at} {with}");
        }
    }
    let all = Credentials::new(places.iter().map(|(_, header)| *header));
    assert_eq!(jwt.extract(&all, now), Ok(Extracted::None), "no place was named");
    // A bad token in the first place is not mended by a good one in the second.
    let credentials = Credentials::new([("authorization", &b"Bearer x"[..]), ("cookie", cookie.as_bytes())]);
    assert_eq!(jwt.bearer().cookie("token").extract(&credentials, now), Err(SessionError::MalformedCookie));
}

#[test]
fn the_token_does_not_choose_the_algorithm() {
    for header in
        [r#"{"alg":"none"}"#, r#"{"alg":"HS512"}"#, r#"{"alg":"hs256"}"#, r#"{"alg":"RS256"}"#, r#"{"alg":""}"#]
    {
        assert_eq!(extract(&hs256(), &signed(header, CLAIMS), NOW), Err(SessionError::BadSignature), "{header}");
    }
    let unsigned = format!("{}.{PAYLOAD}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#));
    assert_eq!(extract(&hs256(), &unsigned, NOW), Err(SessionError::BadSignature));
    // The public key, which everybody knows, as the secret of an HMAC.
    let head = format!("{}.{PAYLOAD}", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#));
    let token = format!("{head}.{}", URL_SAFE_NO_PAD.encode(hmac::<Sha256>(RSA_KEY.as_bytes(), &[head.as_bytes()])));
    let rsa = Jwt::new(JwtKey::rs256_pem(RSA_KEY).unwrap()).cookie("token").with_audience("wsrv");
    assert_eq!(extract(&rsa, &token, NOW), Err(SessionError::BadSignature));
    // A right signature by another algorithm of the same family.
    let head = format!("{}.{PAYLOAD}", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS512"}"#));
    let token = format!("{head}.{}", URL_SAFE_NO_PAD.encode(hmac::<Sha512>(SECRET.as_bytes(), &[head.as_bytes()])));
    assert_eq!(extract(&hs256(), &token, NOW), Err(SessionError::BadSignature));
}

#[test]
fn what_is_not_signed_so_is_refused() {
    let good = genuine(HS256);
    let other = URL_SAFE_NO_PAD.encode(CLAIMS.replace("u7", "u1"));
    for bad in [good.replace(PAYLOAD, &other), good[..good.len() - 1].to_owned(), format!("{good}="), "..".to_owned()] {
        assert_eq!(extract(&hs256(), &bad, NOW), Err(SessionError::BadSignature), "{bad}");
    }
    for bad in ["", "a", "a.b", &format!("{good}."), "a.b.c.d.e"] {
        assert_eq!(extract(&hs256(), bad, NOW), Err(SessionError::MalformedCookie), "{bad}");
    }
}

#[test]
fn a_critical_extension_is_refused() {
    for crit in [r#"["exp2"]"#, "null", "[]"] {
        let header = format!(r#"{{"alg":"HS256","crit":{crit}}}"#);
        assert_eq!(extract(&hs256(), &signed(&header, CLAIMS), NOW), Err(SessionError::BadSignature), "{crit}");
    }
    let harmless = r#"{"alg":"HS256","kid":"1","x":[{}]}"#;
    assert_eq!(extract(&hs256(), &signed(harmless, CLAIMS), NOW), claims());
}

#[test]
fn a_signed_token_must_still_make_sense() {
    for header in ["", "x", "[]", "{}", r#"{"alg":1}"#, r#"{"alg":"HS256","alg":"HS256"}"#] {
        assert_eq!(extract(&hs256(), &signed(header, CLAIMS), NOW), Err(SessionError::MalformedCookie), "{header}");
    }
    for claims in ["", "x", "{", r#"{"exp":1}x"#] {
        let token = signed(r#"{"alg":"HS256"}"#, claims);
        assert_eq!(extract(&hs256(), &token, NOW), Err(SessionError::CorruptData), "{claims}");
    }
    for claims in ["{}", "[]", "5", r#"{"exp":"4100000000"}"#, r#"{"exp":null}"#, r#"{"exp":1,"exp":4100000000}"#] {
        let token = signed(r#"{"alg":"HS256"}"#, claims);
        assert_eq!(extract(&hs256(), &token, NOW), Err(SessionError::MalformedCookie), "{claims}");
    }
}

#[test]
fn a_token_lives_from_nbf_to_exp() {
    let (token, lax) = (genuine(HS256), hs256().with_leeway(Duration::from_secs(10)));
    for (now, strictly, laxly) in [
        (NOW - 11, false, false),
        (NOW - 10, false, true),
        (NOW - 1, false, true),
        (NOW, true, true),
        (NOW + 3599, true, true),
        (NOW + 3600, false, true),
        (NOW + 3609, false, true),
        (NOW + 3610, false, false),
    ] {
        let expected = |is_alive, end| if is_alive { claims_until(end) } else { Err(SessionError::Expired) };
        assert_eq!(extract(&hs256(), &token, now), expected(strictly, 3600), "{now}");
        assert_eq!(extract(&lax, &token, now), expected(laxly, 3610), "{now}");
    }
}

#[test]
fn a_token_whose_end_no_clock_reaches_has_none() {
    for claims in [r#"{"exp":1e300}"#, r#"{"exp":9223372036854775807}"#, r#"{"exp":18446744073709551615}"#] {
        let jwt = Jwt::new(JwtKey::hs256(secret())).cookie("token").with_leeway(Duration::from_secs(60));
        let found = extract(&jwt, &signed(r#"{"alg":"HS256"}"#, claims), NOW);
        assert_eq!(found, Ok(Extracted::Inline { data: claims.into(), expires: None }), "{claims}");
    }
}

#[test]
fn a_token_from_or_for_somebody_else_is_refused() {
    let read = |jwt: &Jwt, claims: &str| extract(jwt, &signed(r#"{"alg":"HS256"}"#, claims), NOW).is_ok();
    let plain = Jwt::new(JwtKey::hs256(secret())).cookie("token");
    let (ours, addressed) = (plain.clone().with_issuer("us"), plain.clone().with_audience("me"));
    assert!(read(&plain, r#"{"exp":4100000000}"#));
    assert!(read(&plain, r#"{"exp":4100000000,"iss":"anybody"}"#));
    assert!(!read(&plain, r#"{"exp":4100000000,"aud":"me"}"#));
    assert!(read(&ours, r#"{"exp":4100000000,"iss":"us"}"#));
    assert!(!read(&ours, r#"{"exp":4100000000,"iss":"them"}"#));
    assert!(!read(&ours, r#"{"exp":4100000000,"iss":["us"]}"#));
    assert!(!read(&ours, r#"{"exp":4100000000}"#));
    assert!(read(&addressed, r#"{"exp":4100000000,"aud":"me"}"#));
    assert!(read(&addressed, r#"{"exp":4100000000,"aud":["you","me"]}"#));
    assert!(!read(&addressed, r#"{"exp":4100000000,"aud":"you"}"#));
    assert!(!read(&addressed, r#"{"exp":4100000000,"aud":[]}"#));
    assert!(!read(&addressed, r#"{"exp":4100000000}"#));
}

#[test]
fn too_long_a_token_is_not_looked_at() {
    let token = genuine(HS256);
    let jwt = hs256().with_limits(Limits { max_input: token.len() - 1, ..Limits::default() });
    assert_eq!(extract(&jwt, &token, NOW), Err(SessionError::Limit));
}
