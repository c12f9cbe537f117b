//! Where Symfony and Laravel have what in their sessions.

use crate::{Codec, Limits, Session, SessionData, SessionError, Value, ValueError};
use bytes::Bytes;
use serde::de::DeserializeOwned;

impl Session {
    /// The session as Symfony has it.
    pub fn symfony(&self) -> Symfony<'_> {
        Symfony(self.data())
    }

    /// The session as Laravel has it.
    pub fn laravel(&self) -> Laravel<'_> {
        Laravel(self.data())
    }
}

/// A session of Symfony: attributes, flashes and security tokens.
#[derive(Clone, Copy, Debug)]
pub struct Symfony<'a>(&'a SessionData);

impl<'a> Symfony<'a> {
    /// All attributes. `None`: there are none, since an empty bag is not written.
    pub fn attributes(self) -> Option<Value<'a>> {
        self.0.get("_sf2_attributes")
    }

    /// The attribute of this name, which may have dots and slashes in it.
    ///
    /// # Errors
    ///
    /// It is not of this type.
    pub fn attribute<T: DeserializeOwned>(self, name: &str) -> Result<Option<T>, ValueError> {
        self.attributes().and_then(|all| all.get(name)).map(Value::to).transpose()
    }

    /// The flash messages of this type. They are looked at and stay: the next page shows them.
    ///
    /// # Errors
    ///
    /// They are no texts.
    pub fn flashes(self, kind: &str) -> Result<Vec<String>, ValueError> {
        let found = self.0.get("_symfony_flashes").and_then(|all| all.get(kind));
        Ok(found.map(Value::to).transpose()?.unwrap_or_default())
    }

    /// The security token of this firewall. `None`: nobody is logged in there. It is PHP's object, whose layout differs
    /// from version to version; [`SymfonyToken`] knows that of Symfony 5.4 to 7.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn token(self, firewall: &str) -> Result<Option<SymfonyToken>, SessionError> {
        let name = format!("_security_{firewall}");
        let Some(text) = self.attributes().and_then(|all| all.get(&name)) else { return Ok(None) };
        let text = text.as_bytes().ok_or(SessionError::CorruptData)?;
        let token = Codec::php_value().decode(Bytes::copy_from_slice(text), &Limits::default())?;
        Ok(Some(SymfonyToken(token.data)))
    }
}

/// Levels of a token that are looked at. Symfony's have two or three; one that contains itself has no end of them.
const MAX_LEVELS: usize = 8;

/// A security token of Symfony.
#[derive(Clone, Debug)]
pub struct SymfonyToken(SessionData);

impl SymfonyToken {
    /// All of it: an object, as PHP has serialized it.
    pub fn data(&self) -> &SessionData {
        &self.0
    }

    /// The user's object, as the application has defined it.
    pub fn user(&self) -> Option<Value<'_>> {
        self.states().find_map(|state| state.get("0").filter(|user| user.class().is_some()))
    }

    /// The token, and what the classes that it extends have written. Each puts something before what the one above it
    /// has, which is the last of its lists; the uppermost has the roles there.
    fn states(&self) -> impl Iterator<Item = Value<'_>> {
        fn above<'a>(state: &Value<'a>) -> Option<Value<'a>> {
            state.entries().map(|(_, value)| value).filter(|value| value.is_list()).last()
        }
        std::iter::successors(Some(self.0.root()), above).take(MAX_LEVELS)
    }

    /// What the user's object has under this name, whoever may see it there: `username` of Symfony's own, `email` or
    /// `id` of many others.
    ///
    /// # Errors
    ///
    /// It is not of this type.
    pub fn user_property<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, ValueError> {
        self.user().and_then(|user| user.get(name)).map(Value::to).transpose()
    }

    /// The names of the roles.
    ///
    /// # Errors
    ///
    /// The token's layout is another one.
    pub fn roles(&self) -> Result<Vec<String>, ValueError> {
        let mut lists = self.states().skip(1).map(Value::to);
        lists.find(Result::is_ok).unwrap_or_else(|| Err(ValueError::Mismatch("no roles".into())))
    }
}

/// A session of Laravel.
#[derive(Clone, Copy, Debug)]
pub struct Laravel<'a>(&'a SessionData);

impl Laravel<'_> {
    /// The id of who is logged in by this guard, which is `web` unless the application says otherwise. `None`: nobody.
    ///
    /// # Errors
    ///
    /// It is not of this type: ids are numbers in most applications, and texts in some.
    pub fn user_id<T: DeserializeOwned>(self, guard: &str) -> Result<Option<T>, ValueError> {
        // The hash is that of the class's name.
        let name = format!("login_{guard}_59ba36addc2b2f9401580f014c7f58ea4e30989d");
        self.0.get(&name).map(Value::to).transpose()
    }

    /// The token against forged requests.
    pub fn csrf_token(self) -> Option<String> {
        self.0.get("_token")?.as_str().map(str::to_owned)
    }

    /// What was put under this name for the next request. It is looked at and stays.
    ///
    /// # Errors
    ///
    /// It is not of this type.
    pub fn flash<T: DeserializeOwned>(self, name: &str) -> Result<Option<T>, ValueError> {
        let names = ["_flash.old", "_flash.new"].map(|list| self.0.path(list).map(Value::to::<Vec<String>>));
        let mut names = names.into_iter().flatten().flatten().flatten();
        if !names.any(|flashed| flashed == name) {
            return Ok(None);
        }
        self.0.path(name).map(Value::to).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(codec: &Codec, text: &[u8]) -> SessionData {
        codec.decode(Bytes::copy_from_slice(text), &Limits::default()).unwrap().data
    }

    /// Strings of PHP, whose lengths nobody wants to count.
    fn s(text: &str) -> String {
        format!("s:{}:\"{text}\";", text.len())
    }

    #[test]
    fn symfony_has_attributes_flashes_and_tokens() {
        let user = format!("O:8:\"App\\User\":2:{{{}i:7;{}{}}}", s("\0App\\User\0id"), s("email"), s("ada@x.example"));
        let abstract_token = format!(
            "a:5:{{i:0;{user}i:1;b:1;i:2;N;i:3;a:0:{{}}i:4;a:2:{{i:0;{}i:1;{}}}}}",
            s("ROLE_USER"),
            s("ROLE_ADMIN")
        );
        let token = format!("O:5:\"Token\":3:{{i:0;N;i:1;{}i:2;{abstract_token}}}", s("main"));
        let session = format!(
            "_sf2_attributes|a:2:{{{}i:3;{}{}}}_symfony_flashes|a:1:{{{}a:1:{{i:0;{}}}}}",
            s("cart/size.of"),
            s("_security_main"),
            s(&token),
            s("notice"),
            s("saved")
        );
        let data = decode(&Codec::php(), session.as_bytes());
        let symfony = Symfony(&data);
        assert_eq!(symfony.attribute::<u32>("cart/size.of").unwrap(), Some(3));
        assert_eq!(symfony.attribute::<u32>("none").unwrap(), None);
        assert_eq!(symfony.flashes("notice").unwrap(), ["saved"]);
        assert_eq!(symfony.flashes("error").unwrap(), [""; 0]);
        let token = symfony.token("main").unwrap().unwrap();
        assert_eq!(token.user_property::<String>("email").unwrap().as_deref(), Some("ada@x.example"));
        assert_eq!(token.user_property::<u32>("id").unwrap(), Some(7));
        assert_eq!(token.roles().unwrap(), ["ROLE_USER", "ROLE_ADMIN"]);
        assert!(symfony.token("admin").unwrap().is_none());
        let broken =
            decode(&Codec::php(), format!("_sf2_attributes|a:1:{{{}{}}}", s("_security_main"), s("O:")).as_bytes());
        assert_eq!(Symfony(&broken).token("main").unwrap_err(), SessionError::CorruptData);
        assert!(Symfony(&SessionData::default()).attributes().is_none());
    }

    #[test]
    fn a_token_that_contains_itself_has_no_user_and_no_roles() {
        for text in ["O:5:\"Token\":1:{i:0;a:1:{i:0;R:2;}}", "O:5:\"Token\":1:{i:0;a:1:{i:0;a:1:{i:1;R:2;}}}"] {
            let token = SymfonyToken(decode(&Codec::php_value(), text.as_bytes()));
            assert!(token.user().is_none());
            assert!(token.user_property::<u32>("id").unwrap().is_none());
            assert!(token.roles().is_err());
        }
        assert!(SymfonyToken(decode(&Codec::php_value(), b"O:5:\"Token\":0:{}")).roles().is_err(), "none in it");
    }

    #[test]
    fn laravel_has_ids_by_guard_and_flashes() {
        let text = br#"{"_token":"abc","login_web_59ba36addc2b2f9401580f014c7f58ea4e30989d":42,
            "_flash":{"old":[],"new":["status"]},"status":"saved","other":1}"#;
        let data = decode(&Codec::json(), text);
        let laravel = Laravel(&data);
        assert_eq!(laravel.user_id::<u64>("web").unwrap(), Some(42));
        assert_eq!(laravel.user_id::<u64>("admin").unwrap(), None);
        assert!(laravel.user_id::<String>("web").is_err());
        assert_eq!(laravel.csrf_token().as_deref(), Some("abc"));
        assert_eq!(laravel.flash::<String>("status").unwrap().as_deref(), Some("saved"));
        assert_eq!(laravel.flash::<u32>("other").unwrap(), None, "no flash");
    }
}
