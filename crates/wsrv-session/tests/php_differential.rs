//! What PHP writes, read by us and by `phpserz`, which was written by others.

mod trees;

use phpserz::{PhpParser, PhpToken};
use proptest::prelude::*;
use trees::{Tree, TreeKey, same, serialize, tree, trees};
use wsrv_session::{Codec, Limits};

/// What the other one does not know, or leaves to its caller.
#[derive(Debug)]
enum Unlike {
    /// It finds this to be damaged.
    Damaged,
    /// References, the same key twice, and properties whose names are numbers or no text.
    Beyond,
}

impl From<phpserz::Error> for Unlike {
    fn from(_: phpserz::Error) -> Self {
        Unlike::Damaged
    }
}

/// The value as the other one reads it. It tells tokens; that they fit together is for its caller to see.
fn theirs(input: &[u8]) -> Result<Tree, Unlike> {
    let mut parser = PhpParser::new(input);
    let token = parser.read_token()?;
    let tree = value(&mut parser, token)?;
    if parser.next_token()?.is_some() { Err(Unlike::Damaged) } else { Ok(tree) }
}

fn value(parser: &mut PhpParser<'_>, token: PhpToken<'_>) -> Result<Tree, Unlike> {
    Ok(match token {
        PhpToken::Null => Tree::Null,
        PhpToken::Boolean(value) => Tree::Bool(value),
        PhpToken::Integer(value) => Tree::Int(value),
        PhpToken::Float(value) => Tree::Float(value),
        PhpToken::String(text) => Tree::String(text.as_bytes().to_vec()),
        PhpToken::Array { elements } => Tree::Array(entries(parser, elements, |token| match token {
            PhpToken::Integer(key) => Ok(TreeKey::Int(key)),
            PhpToken::String(key) => Ok(array_key(key.as_bytes())),
            _ => Err(Unlike::Damaged),
        })?),
        PhpToken::Object { class, properties } => {
            let properties = entries(parser, properties, |token| match token {
                PhpToken::String(name) => text(name.as_bytes()),
                PhpToken::Integer(_) => Err(Unlike::Beyond),
                _ => Err(Unlike::Damaged),
            });
            Tree::Object(text(class.as_bytes())?, properties?)
        }
        PhpToken::CustomObject { class, payload } => Tree::Custom(text(class.as_bytes())?, payload.as_bytes().to_vec()),
        PhpToken::Reference { .. } => return Err(Unlike::Beyond),
        PhpToken::End => return Err(Unlike::Damaged),
    })
}

fn entries<K: PartialEq>(
    parser: &mut PhpParser<'_>,
    count: u32,
    key: impl Fn(PhpToken<'_>) -> Result<K, Unlike>,
) -> Result<Vec<(K, Tree)>, Unlike> {
    let mut entries: Vec<(K, Tree)> = Vec::new();
    for _ in 0..count {
        let key = key(parser.read_token()?)?;
        let token = parser.read_token()?;
        let value = value(parser, token)?;
        if entries.iter().any(|(other, _)| *other == key) {
            return Err(Unlike::Beyond);
        }
        entries.push((key, value));
    }
    if parser.read_token()? == PhpToken::End { Ok(entries) } else { Err(Unlike::Damaged) }
}

fn text(bytes: &[u8]) -> Result<String, Unlike> {
    String::from_utf8(bytes.to_vec()).map_err(|_| Unlike::Beyond)
}

/// A text that is an integer is one, as a key of an array.
fn array_key(key: &[u8]) -> TreeKey {
    let number = std::str::from_utf8(key).ok().and_then(|key| key.parse::<i64>().ok());
    match number.filter(|number| number.to_string().as_bytes() == key) {
        Some(number) => TreeKey::Int(number),
        None => TreeKey::Text(key.to_vec()),
    }
}

/// Whether there is a case of an enum in it, of which the other one does not know.
fn has_enum(tree: &Tree) -> bool {
    match tree {
        Tree::Enum(..) => true,
        Tree::Array(entries) => entries.iter().any(|(_, value)| has_enum(value)),
        Tree::Object(_, entries) => entries.iter().any(|(_, value)| has_enum(value)),
        _ => false,
    }
}

/// What PHP reads and the other one does not: strings of PHP 6, numbers with a plus, and longer ones than there have to be.
fn is_unknown_to_others(input: &[u8]) -> bool {
    let has = |piece: &[u8]| input.windows(piece.len()).any(|window| window == piece);
    has(b"S:") || has(b":+") || input.split(|byte| !byte.is_ascii_digit()).any(|digits| digits.len() > 18)
}

/// What PHP writes.
fn written() -> impl Strategy<Value = Vec<u8>> {
    trees().prop_filter("without enums", |tree| !has_enum(tree)).prop_map(|tree| {
        let mut input = Vec::new();
        serialize(&tree, &mut input);
        input
    })
}

proptest! {
    #[test]
    fn others_read_the_same_from_what_php_writes(input in written()) {
        let ours = Codec::php_value().decode(input.clone().into(), &Limits::default()).unwrap();
        let (ours, theirs) = (tree(ours.data.root()), theirs(&input).unwrap());
        prop_assert!(same(&ours, &theirs), "{ours:?} and not {theirs:?}");
    }

    #[test]
    fn others_read_the_same_from_what_is_damaged_or_one_of_us_refuses_it(
        input in written(),
        at in any::<prop::sample::Index>(),
        byte in prop_oneof![any::<u8>(), prop::sample::select(b"0123456789:;{}\"-.EabdisNOC".as_slice())],
        how in 0..3,
    ) {
        let (mut input, at) = (input.clone(), at.index(input.len()));
        match how {
            0 => input[at] = byte,
            1 => input.insert(at, byte),
            _ => drop(input.remove(at)),
        }
        let ours = Codec::php_value().decode(input.clone().into(), &Limits::default());
        match (ours, theirs(&input)) {
            (Ok(ours), Ok(theirs)) => {
                let ours = tree(ours.data.root());
                prop_assert!(same(&ours, &theirs), "{ours:?} and not {theirs:?}");
            }
            (Ok(ours), Err(Unlike::Damaged)) => {
                let known = is_unknown_to_others(&input) || has_enum(&tree(ours.data.root()));
                prop_assert!(known, "damaged for others: {:?}", String::from_utf8_lossy(&input));
            }
            _ => {}
        }
    }
}
