//! What is found in cookies, by each of the extractors.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};
use wsrv_session::cookie::*;
use wsrv_session::{IdPolicy, Limits};

/// A genuine cookie for each extractor, made by other software.
const COOKIES: &str = include_str!("genuine_cookies.tsv");

/// Those whose cookies are only what they say come first.
const UNSIGNED: usize = 2;

struct Case {
    extractor: Box<dyn Extractor>,
    genuine: Extracted,
}

static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let cases = COOKIES.lines().map(|line| {
        let (name, header) = line.split_once('\t').expect("a name and a header");
        let extractor = extractor(name);
        let genuine = extractor.extract(&cookies([header.as_bytes()]), now()).expect(name);
        assert!(genuine != Extracted::None, "{name}");
        Case { extractor, genuine }
    });
    cases.collect()
});

fn extractor(name: &str) -> Box<dyn Extractor> {
    let secret = |text: &str| Secret::new(text).unwrap();
    let laravel = |cipher| {
        LaravelCookie::new(LaravelKeys::new(cipher, "base64:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=").unwrap())
    };
    match name {
        "php" => Box::new(Plain::php("PHPSESSID")),
        "tower" => Box::new(Plain::tower("id")),
        "jar-signed" => Box::new(JarCookie::signed(Secret::new([7; 64]).unwrap()).unwrap()),
        "jar-private" => Box::new(JarCookie::private(Secret::new([7; 64]).unwrap()).unwrap()),
        "django" => Box::new(DjangoCookie::new(DjangoSigner::cookies(secret("a django key of our own")))),
        "express" => Box::new(ExpressCookie::new(secret("garden gnome"))),
        "keygrip" => Box::new(KeygripCookie::new(secret("a key of our own"))),
        "flask" => Box::new(ItsdangerousCookie::flask(secret("a flask key of our own"))),
        "starlette" => Box::new(ItsdangerousCookie::starlette(secret("a starlette key of our own"))),
        "jwt" => {
            let key = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAAiaAoDSBolPeA0Kb5FP43YCqLT6gI6lpN3DYBIUMwgg=\n-----END PUBLIC KEY-----\n";
            Box::new(Jwt::new(JwtKey::eddsa_pem(key).unwrap()).with_audience("chat").cookie("token"))
        }
        "laravel-cbc" => Box::new(laravel(LaravelCipher::Aes256Cbc)),
        "laravel-gcm" => Box::new(laravel(LaravelCipher::Aes256Gcm)),
        "rails" => {
            let base = secret("a secret key base of our own, which Rails makes of 128 hexadecimal digits");
            Box::new(RailsCookie::new("_app_session", &base))
        }
        name => panic!("no extractor for {name}"),
    }
}

/// When none of them is too old.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

fn cookies<const N: usize>(lines: [&[u8]; N]) -> Credentials<'_> {
    Credentials::new(lines.map(|line| ("cookie", line)))
}

/// Whatever the `Cookie` header, nothing is found in it that the key has not vouched for. What is an id looks like one,
/// and a cookie behind others is found as if it were alone.
///
/// The first byte says which extractor is asked first, the others are the header; all the others are asked too.
pub fn session_cookie(data: &[u8]) {
    let Some((&chosen, header)) = data.split_first() else { return };
    let first = usize::from(chosen) % CASES.len();
    check(first, header);
    // The expensive ones only when they are meant, so that a run is a fast one.
    for at in 0..CASES.len() {
        if at != first && header.len() < 200 {
            check(at, header);
        }
    }
}

fn check(at: usize, header: &[u8]) {
    let case = &CASES[at];
    let found = case.extractor.extract(&cookies([header]), now());
    match &found {
        Ok(Extracted::None) | Err(_) => {}
        Ok(Extracted::Id(id)) if at < UNSIGNED => {
            let policy = if at == 0 { IdPolicy::php() } else { IdPolicy::tower() };
            assert!(policy.check(id.as_str().as_bytes()).is_ok());
        }
        Ok(found) => assert!(*found == case.genuine, "{} is believed", header.escape_ascii()),
    }
    // Where it is does not matter, and neither does how many lines there are.
    let behind = case.extractor.extract(&cookies([b"another=cookie", header]), now());
    assert_eq!(behind, found, "{}", header.escape_ascii());
    // Time makes none of them good.
    let later = case.extractor.extract(&cookies([header]), now() + Duration::from_secs(1 << 40));
    assert!(at < UNSIGNED || matches!(&later, Ok(Extracted::None) | Err(_)) || later == found);
    if let Ok(Extracted::Inline { data, .. }) = found {
        assert!(data.len() <= Limits::default().max_inflated);
    }
}
