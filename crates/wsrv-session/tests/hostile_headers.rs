//! Whatever the headers: no panic, and nothing is found that the key has not vouched for.

use proptest::prelude::*;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};
use wsrv_session::cookie::*;
use wsrv_session::{IdPolicy, SessionError};

/// An extractor, and a header from which it gets a session.
type Case = (Box<dyn Extractor>, &'static str, &'static str);

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

/// All extractors whose features are there. Their cookies were made by other software.
static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let mut cases: Vec<Case> = Vec::new();
    let mut add = |extractor: Box<dyn Extractor>, name, value| cases.push((extractor, name, value));
    add(Box::new(Plain::php("PHPSESSID")), "cookie", "PHPSESSID=abc%2Cdef");
    add(Box::new(Plain::new("s", IdPolicy::express(), CookieDialect::Keygrip)), "cookie", "s=\"abc\"");
    add(Box::new(Plain::tower("id")), "cookie", "id=AQIDBAUGBwgJCgsMDQ4PEA");
    #[cfg(any(feature = "django", feature = "express", feature = "itsdangerous", feature = "rails"))]
    let secret = |text: &str| Secret::new(text).unwrap();
    #[cfg(feature = "cookie-jar")]
    {
        let key = Secret::new([7; 64]).unwrap();
        let signed = "id=ktuvB5zWTlT0rc7p+GHSVmxo5uHH2ZMJO/x7O1s6c4Q=AQIDBAUGBwgJCgsMDQ4PEA";
        let private = "id=AAECAwQFBgcICQoLWdCgNF9IjA41xYLWoT8ft6Vtgt5dI50AGfETghX2MVEaBlG5tkM=";
        add(Box::new(JarCookie::signed(key.clone()).unwrap()), "cookie", signed);
        add(Box::new(JarCookie::private(key).unwrap()), "cookie", private);
    }
    #[cfg(feature = "django")]
    add(
        Box::new(DjangoCookie::new(DjangoSigner::cookies(secret("a django key of our own")))),
        "cookie",
        "sessionid=.eJyrVipJrShRslJKTE_MzFNIzEtRgLKozFeqBQDNuiTy:1r31eq:EF4ymeaiBSJo4GhJvht9UkHpVIHSGyGSY_2DpQxuJRY",
    );
    #[cfg(feature = "express")]
    {
        let header = "connect.sid=s%3Aq0-T_zJbkWv3.ZdYvig19yRiofpfgphFjhr44yztCXtfa%2B9gI%2B9PZUEk";
        add(Box::new(ExpressCookie::new(secret("garden gnome"))), "cookie", header);
        let header = "session=eyJ1c2VyIjoiem/DqyIsIm4iOlsxLG51bGxdfQ==; session.sig=YKLnOP5plxsKYwMS0mVtUHtNckA";
        add(Box::new(KeygripCookie::new(secret("a key of our own"))), "cookie", header);
    }
    #[cfg(feature = "itsdangerous")]
    {
        let header = "session=.eJyrVipJrShRslJKTE_MzFNIzEtRgLKozFeqBQDNuiTy.ZVPxAA.uMTvRv9U_dUbMknHml-vyHAUJaM";
        add(Box::new(ItsdangerousCookie::flask(secret("a flask key of our own"))), "cookie", header);
        let header =
            "session=eyJ1c2VyIjogInpvXHUwMGViIiwgIm4iOiBbMSwgbnVsbCwgMi41XX0=.ZVPxAA.D0FkLmzjcy3htsCkwXN7Dq6sWCQ";
        add(Box::new(ItsdangerousCookie::starlette(secret("a starlette key of our own"))), "cookie", header);
    }
    #[cfg(feature = "jwt")]
    {
        let token = "Bearer eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ1NyIsImV4cCI6MTcwMDAwMzYwMCwibmJmIjoxNzAwMDAwMDAwLCJpc3MiOiJodHRwczovL2xvZ2luLmV4YW1wbGUiLCJhdWQiOlsiY2hhdCIsIndzcnYiXX0.1e3J4tJ01VrpOHv5iV-oc5ikgX-OH00VDtfjny4QkiWunu_DPYyaLU3WGL9SBB1Hm_7Q0Fibv6O15I_4wSRuDA";
        let key = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAAiaAoDSBolPeA0Kb5FP43YCqLT6gI6lpN3DYBIUMwgg=\n-----END PUBLIC KEY-----\n";
        let jwt = Jwt::new(JwtKey::eddsa_pem(key).unwrap()).with_audience("chat");
        add(Box::new(jwt.bearer().cookie("token").subprotocol("t.")), "authorization", token);
    }
    #[cfg(feature = "laravel")]
    for (cipher, header) in [
        (
            LaravelCipher::Aes256Cbc,
            "laravel_session=eyJpdiI6IkFBRUNBd1FGQmdjSUNRb0xEQTBPRHc9PSIsInZhbHVlIjoia3lSdHZ6TzdEeUF5bk5ORDFlMWlZcGZsUEMrSk9rRDhXTytCUUd3NHFsL3dobGs5ZEhyclg1YldNbUltQjFwNDA1SUUzdnF6M1ZMWjJUVkh6QWRRVDAzSkZja2w0UkFqSjBvZWNsUVVRcmlJUHNkdWl1NWk0SzRrVHhWT2tvaS8iLCJtYWMiOiIzMzczZWZmOWE3OTljYzkxNTdiYzBhYThjNzhkZGZmZDZkODBmMmEyMzhmM2U2Yjc5MGFjNzc1ZGFmNzk0YTJkIiwidGFnIjoiIn0%3D",
        ),
        (
            LaravelCipher::Aes256Gcm,
            "laravel_session=eyJpdiI6IkFBRUNBd1FGQmdjSUNRb0wiLCJ2YWx1ZSI6ImpaR25FVUxIUGsyWUNOUDlRVi93eDVqeURtL0FwbjA0US9sYTQ1SGlENE5yNUx5VFIvVWxtM1kyWnZhVlplYmtQcDQ2VENyT0dlcTBqcWh6dFJkUDRSOUt1WTdsMFNSNU9za3hZV0ZVTXFwZSIsIm1hYyI6IiIsInRhZyI6InVuVXNWRzRUb1BWS280WkViRGtQdlE9PSJ9",
        ),
    ] {
        let keys = LaravelKeys::new(cipher, "base64:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=").unwrap();
        add(Box::new(LaravelCookie::new(keys)), "cookie", header);
    }
    #[cfg(feature = "rails")]
    {
        let base = secret("a secret key base of our own, which Rails makes of 128 hexadecimal digits");
        add(
            Box::new(RailsCookie::new("_app_session", &base)),
            "cookie",
            "_app_session=xyHq8CNqsgCqZHSulNwkzXcZMlSiBCYyLKD6XPRr14%2FitQbnLZReDlM55UizM62GrjjuKEzSG%2Fdl8ljGTN3zvxCMaLTDJut%2FxJcHorIWmgd%2FNtNNthRGDDKU--AAECAwQFBgcICQoL--f2RHGvpG5W9BNIn10pvr9w%3D%3D",
        );
    }
    cases
});

/// How many of them are plain ids, which come first. Plain ids are what they are.
const PLAIN: usize = 3;

fn extract(case: &Case, header: &[u8]) -> Result<Extracted, SessionError> {
    case.0.extract(&Credentials::new([(case.1, header)]), now())
}

#[test]
fn each_extractor_finds_its_session() {
    for case in CASES.iter() {
        assert!(!matches!(extract(case, case.2.as_bytes()), Ok(Extracted::None) | Err(_)), "{}", case.2);
    }
}

/// Text that looks a little like cookies.
fn header() -> impl Strategy<Value = Vec<u8>> {
    let name =
        "(PHPSESSID|s|id|sessionid|connect\\.sid|session|session\\.sig|token|laravel_session|_app_session|Bearer )";
    let value = "(s:|s%3A|\\.|e30|eyJ)?[A-Za-z0-9+/=_.:%\" -]{0,60}(--[A-Za-z0-9=]{0,24}){0,3}";
    let cookie = proptest::string::string_regex(&format!("{name}={value}")).unwrap();
    let cookies = proptest::collection::vec(cookie, 0..4).prop_map(|parts| parts.join("; ").into_bytes());
    prop_oneof![cookies, proptest::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_header_panics_and_none_is_believed_without_a_signature(header in header()) {
        for (at, case) in CASES.iter().enumerate() {
            for name in ["cookie", "authorization", "sec-websocket-protocol"] {
                let found = case.0.extract(&Credentials::new([(name, &header[..])]), now());
                prop_assert!(at < PLAIN || matches!(found, Ok(Extracted::None) | Err(_)), "{}", header.escape_ascii());
            }
        }
    }

    #[cfg(any(
        feature = "cookie-jar",
        feature = "django",
        feature = "express",
        feature = "itsdangerous",
        feature = "jwt",
        feature = "laravel",
        feature = "rails"
    ))]
    #[test]
    fn a_changed_cookie_is_refused_or_is_the_same(
        case in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        byte: u8,
    ) {
        let case = case.get(&CASES[PLAIN..]);
        let mut header = case.2.as_bytes().to_vec();
        header[at.index(case.2.len())] = byte;
        let found = extract(case, &header);
        prop_assert!(
            matches!(found, Ok(Extracted::None) | Err(_)) || found == extract(case, case.2.as_bytes()),
            "{}",
            header.escape_ascii()
        );
    }

    #[test]
    fn any_bytes_are_an_id_or_are_not(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let policies =
            [IdPolicy::php(), IdPolicy::laravel(), IdPolicy::express(), IdPolicy::django(), IdPolicy::tower()];
        for policy in policies {
            if let Ok(id) = policy.check(&bytes) {
                prop_assert_eq!(id.as_str().as_bytes(), &bytes[..]);
                prop_assert!(id.as_str().bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/' && byte != b'.'));
            }
        }
    }
}
