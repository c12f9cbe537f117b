//! Values that chance makes, and how PHP writes them.

// Shared by several test programs, each of which uses a part.
#![allow(dead_code, unreachable_pub)]

use proptest::collection::vec;
use proptest::prelude::*;
use wsrv_session::{Key, Kind, Property, Value, Visibility};

/// A value as a test has it.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    String(Vec<u8>),
    Array(Vec<(TreeKey, Tree)>),
    Object(String, Vec<(String, Tree)>),
    Enum(String, String),
    Custom(String, Vec<u8>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum TreeKey {
    Int(i64),
    Text(Vec<u8>),
}

pub fn trees() -> impl Strategy<Value = Tree> {
    let names = || "[A-Za-z_][A-Za-z0-9_]{0,6}";
    let leaf = prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::Bool),
        any::<i64>().prop_map(Tree::Int),
        any::<f64>().prop_map(|number| Tree::Float(if number.is_nan() { f64::NAN } else { number })),
        vec(any::<u8>(), 0..20).prop_map(Tree::String),
        "\\PC{0,10}".prop_map(|text| Tree::String(text.into_bytes())),
        (names(), names()).prop_map(|(class, case)| Tree::Enum(class, case)),
        (names(), vec(any::<u8>(), 0..20)).prop_map(|(class, payload)| Tree::Custom(class, payload)),
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        let keys = prop_oneof![
            any::<i64>().prop_map(TreeKey::Int),
            // Text that is an integer is an integer, and so is no text.
            vec(any::<u8>(), 0..8).prop_map(|mut text| {
                text.push(b'x');
                TreeKey::Text(text)
            }),
        ];
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(|values| { Tree::Array((0..).map(TreeKey::Int).zip(values).collect()) }),
            vec((keys, inner.clone()), 0..6).prop_map(|entries| Tree::Array(unique(entries))),
            (names(), vec(("\0\\*\0[a-z]{1,3}|\0[A-Z]\0[a-z]{1,3}|[a-z]{0,3}", inner), 0..6))
                .prop_map(|(class, entries)| Tree::Object(class, unique(entries))),
        ]
    })
}

pub fn unique<K: PartialEq>(entries: Vec<(K, Tree)>) -> Vec<(K, Tree)> {
    let mut unique: Vec<(K, Tree)> = Vec::new();
    for (key, value) in entries {
        if unique.iter().all(|(other, _)| *other != key) {
            unique.push((key, value));
        }
    }
    unique
}

pub fn serialize(tree: &Tree, out: &mut Vec<u8>) {
    match tree {
        Tree::Null => out.extend(b"N;"),
        Tree::Bool(value) => out.extend(format!("b:{};", u8::from(*value)).bytes()),
        Tree::Int(value) => out.extend(format!("i:{value};").bytes()),
        Tree::Float(value) => {
            let text = match value {
                value if value.is_nan() => "NAN".into(),
                value if value.is_infinite() => if *value > 0.0 { "INF" } else { "-INF" }.into(),
                value => format!("{value:E}"),
            };
            out.extend(format!("d:{text};").bytes());
        }
        Tree::String(text) => string(text, out),
        Tree::Array(entries) => {
            out.extend(format!("a:{}:{{", entries.len()).bytes());
            for (key, value) in entries {
                match key {
                    TreeKey::Int(key) => out.extend(format!("i:{key};").bytes()),
                    TreeKey::Text(key) => string(key, out),
                }
                serialize(value, out);
            }
            out.push(b'}');
        }
        Tree::Object(class, entries) => {
            out.extend(format!("O:{}:\"{class}\":{}:{{", class.len(), entries.len()).bytes());
            for (key, value) in entries {
                string(key.as_bytes(), out);
                serialize(value, out);
            }
            out.push(b'}');
        }
        Tree::Enum(class, case) => {
            out.extend(format!("E:{}:\"{class}:{case}\";", class.len() + case.len() + 1).bytes());
        }
        Tree::Custom(class, payload) => {
            out.extend(format!("C:{}:\"{class}\":{}:{{", class.len(), payload.len()).bytes());
            out.extend(payload);
            out.push(b'}');
        }
    }
}

pub fn string(text: &[u8], out: &mut Vec<u8>) {
    out.extend(format!("s:{}:\"", text.len()).bytes());
    out.extend(text);
    out.extend(b"\";");
}

pub fn tree(value: Value<'_>) -> Tree {
    let name = |text: Option<wsrv_session::Text<'_>>| text.unwrap().to_string();
    match value.kind() {
        Kind::Bool => Tree::Bool(value.as_bool().unwrap()),
        Kind::Int => Tree::Int(value.as_i64().unwrap()),
        Kind::Float => Tree::Float(value.as_f64().unwrap()),
        Kind::String => Tree::String(value.as_bytes().unwrap().to_vec()),
        Kind::Array => Tree::Array(
            value
                .entries()
                .map(|(key, value)| match key {
                    Key::Int(key) => (TreeKey::Int(key), tree(value)),
                    Key::Text(key) => (TreeKey::Text(key.as_bytes().to_vec()), tree(value)),
                })
                .collect(),
        ),
        Kind::Object => {
            let mangled = |property: Property<'_>| {
                let Key::Text(name) = property.name else { panic!("{property:?}") };
                match property.visibility {
                    Visibility::Public => name.to_string(),
                    Visibility::Protected => format!("\0*\0{name}"),
                    Visibility::Private { class } => format!("\0{class}\0{name}"),
                }
            };
            let properties = value.properties().map(|property| (mangled(property), tree(property.value)));
            Tree::Object(name(value.class()), properties.collect())
        }
        Kind::Enum => Tree::Enum(name(value.class()), name(value.case())),
        Kind::Custom => Tree::Custom(name(value.class()), value.payload().unwrap().to_vec()),
        _ => Tree::Null,
    }
}

/// As `assert_eq`, with all that is not a number the same.
pub fn same(left: &Tree, right: &Tree) -> bool {
    format!("{left:?}") == format!("{right:?}")
}

pub fn json_values() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<u64>().prop_map(serde_json::Value::from),
        // Halves, which serde_json reads exactly.
        any::<i32>().prop_map(|number| serde_json::Value::from(f64::from(number) / 2.0 + 0.5)),
        any::<String>().prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(4, 30, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(serde_json::Value::from),
            prop::collection::hash_map(any::<String>(), inner, 0..5)
                .prop_map(|entries| serde_json::Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// Pieces of the formats, so that chance makes something of them that is nearly right.
pub const PIECES: &[&[u8]] = &[
    b"N;",
    b"b:1;",
    b"i:0;",
    b"i:1;",
    b"i:2;",
    b"d:0.5;",
    b"s:1:\"a\";",
    b"s:0:\"\";",
    b"a:1:{",
    b"a:2:{",
    b"a:0:{}",
    b"}",
    b"}}",
    b"O:1:\"A\":1:{",
    b"E:3:\"A:B\";",
    b"C:1:\"A\":4:{i:1;}",
    b"C:1:\"A\":6:{a:0:{}}",
    b"R:1;",
    b"R:2;",
    b"R:3;",
    b"r:1;",
    b"r:2;",
    b"a|",
    b"b|",
    b"|",
    b"\x01a",
    b"\x00",
    b"{",
    b"\"a\":",
    b",",
    b"[",
    b"]",
    b"1",
    b"\"\\n\"",
    b"\x93\xc4\x10",
    b"0123456789abcdef",
    b"\x81\xa1a",
    b"\xc0",
    b"\x99\xcd\x07\xe8\x3c\x0e\x1e\x00\x00\x02\x1e\x00",
];
