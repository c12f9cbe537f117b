//! PHP itself as the judge: what is read here is what it reads. It is stricter here, so it may accept more.
//!
//! Without a program `php` (8.1 or later) there is nothing to compare with, which the test says.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use wsrv_session::{Codec, Key, Kind, Limits, Property, Value, Visibility};

/// Sessions that are tried.
const CASES: usize = 20_000;

/// Payloads of custom values, and how many values there are in each. `Custom` in dump.php reads none of what is not
/// serialized.
const PAYLOADS: [(&str, usize); 4] = [("i:1;", 1), ("a:1:{i:0;i:1;}", 2), ("?", 0), ("", 0)];

/// Pseudo-random numbers: the same ones each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    fn one_of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }
}

/// Writes values that PHP could have written, and some that it could not.
struct Writer {
    dice: Dice,
    out: Vec<u8>,
    /// How many values there are that references can mean.
    slots: usize,
}

impl Writer {
    fn put(&mut self, text: &str) {
        self.out.extend(text.bytes());
    }

    fn string(&mut self, text: &str) {
        self.put(&format!("s:{}:\"{text}\";", text.len()));
    }

    fn value(&mut self, depth: usize) {
        let kinds = if depth == 0 { 9 } else { 14 };
        let kind = self.dice.below(kinds);
        if kind != 7 {
            self.slots += 1;
        }
        match kind {
            0 => {
                let scalar = self.dice.one_of(&["N;", "b:0;", "b:1;", "S:3:\"a\\ff\\00\";"]);
                self.put(scalar);
            }
            1 => {
                let number = self.dice.one_of(&["0", "-1", "7", "9223372036854775807", "-9223372036854775808", "08"]);
                self.put(&format!("i:{number};"));
            }
            2 => {
                let numbers =
                    ["0.1", "-0", "1.0E+25", "1.5E-10", "INF", "-INF", "NAN", "2", "0.10000000000000001", "5e-324"];
                let number = self.dice.one_of(&numbers);
                self.put(&format!("d:{number};"));
            }
            3 | 4 => {
                let text = self.dice.one_of(&["", "a", "\";}", "é", "a|b", "\0"]);
                self.string(text);
            }
            5 => {
                let suit = self.dice.one_of(&["E:11:\"Suit:Hearts\";", "E:11:\"Suit:Spades\";"]);
                self.put(suit);
            }
            6 => {
                let (payload, slots) = PAYLOADS[self.dice.below(PAYLOADS.len())];
                self.put(&format!("C:6:\"Custom\":{}:{{{payload}}}", payload.len()));
                self.slots += slots;
            }
            7 | 8 => {
                let slot = self.dice.below(self.slots + 1) + 1;
                self.put(&format!("{}:{slot};", if kind == 7 { 'R' } else { 'r' }));
            }
            9..=11 => {
                let entries = self.dice.below(5);
                self.put(&format!("a:{entries}:{{"));
                for at in 0..entries {
                    self.key(at);
                    self.value(depth - 1);
                }
                self.put("}");
            }
            _ => {
                let entries = self.dice.below(4);
                let class = self.dice.one_of(&["A", "App\\B", "stdClass"]);
                self.put(&format!("O:{}:\"{class}\":{entries}:{{", class.len()));
                for at in 0..entries {
                    let name =
                        self.dice.one_of(&["{}", "\0*\0{}", "\0A\0{}", "\0C\0{}"]).replace("{}", &format!("p{at}"));
                    self.string(&name);
                    self.value(depth - 1);
                }
                self.put("}");
            }
        }
    }

    /// Another key for each `at`: PHP writes none twice, and what a reference to the first of two means is nothing to
    /// rely on.
    fn key(&mut self, at: usize) {
        match self.dice.below(8) {
            0 => self.put(&format!("i:-5{at};")),
            1 => {
                let text = self.dice.one_of(&["a", "8", "0", "-", "é", "922337203685477581"]);
                self.string(&format!("{text}{at}"));
            }
            _ => self.put(&format!("i:{at};")),
        }
    }

    /// A session, now and then with a byte of it changed.
    fn session(&mut self) -> (&'static str, Vec<u8>) {
        (self.out, self.slots) = (Vec::new(), 0);
        let handler = self.dice.one_of(&["value", "php", "php_binary", "php_serialize"]);
        match handler {
            "value" => self.value(4),
            "php_serialize" => {
                let entries = self.dice.below(4);
                self.slots = 1;
                self.put(&format!("a:{entries}:{{"));
                for at in 0..entries {
                    self.string(&format!("k{at}"));
                    self.value(3);
                }
                self.put("}");
            }
            _ => {
                for at in 0..self.dice.below(5) {
                    let key = self.dice.one_of(&["k{}", "a b{}", "é{}", "{}"]).replace("{}", &at.to_string());
                    match handler {
                        "php" => self.put(&format!("{key}|")),
                        _ => {
                            self.out.push(key.len() as u8);
                            self.put(&key);
                        }
                    }
                    self.value(3);
                }
            }
        }
        let mut session = std::mem::take(&mut self.out);
        // With a reference, the change could make two keys the same.
        let has_references = session.windows(2).any(|pair| pair == b"R:" || pair == b"r:");
        if self.dice.below(3) == 0 && !session.is_empty() && !has_references {
            let at = self.dice.below(session.len());
            match self.dice.below(3) {
                0 => session.truncate(at),
                1 => drop(session.remove(at)),
                _ => session[at] = b"0123456789;:{}\"aNRr|"[self.dice.below(20)],
            }
        }
        (handler, session)
    }
}

/// As `dump` of dump.php. `None` if there is too much of it, or a class or a payload that dump.php does not know: PHP
/// refuses enums and custom values that it has no class for.
fn dump(value: Value<'_>, out: &mut String, left: &mut usize, depth: usize) -> Option<()> {
    *left = left.checked_sub(1)?;
    let inside = depth.checked_sub(1);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let is_known = match value.kind() {
        Kind::Enum => value.class()? == "Suit" && (value.case()? == "Hearts" || value.case()? == "Spades"),
        Kind::Custom => {
            let payload = value.payload()?;
            value.class()? == "Custom" && PAYLOADS.iter().any(|(known, _)| known.as_bytes() == payload)
        }
        _ => true,
    };
    is_known.then_some(())?;
    match value.kind() {
        Kind::Null => *out += "N",
        Kind::Bool => *out += if value.as_bool()? { "b1" } else { "b0" },
        Kind::Int => write!(out, "i{}", value.as_i64()?).ok()?,
        Kind::Float => write!(out, "d{:016x}", value.as_f64()?.to_bits()).ok()?,
        Kind::String => write!(out, "s{}", hex(value.as_bytes()?)).ok()?,
        Kind::Enum => write!(out, "E{}", hex(value.case()?.as_bytes())).ok()?,
        Kind::Custom => write!(out, "C{}", hex(value.payload()?)).ok()?,
        Kind::Array => {
            *out += "a{";
            for (key, member) in value.entries() {
                match key {
                    Key::Int(key) => write!(out, "i{key}=").ok()?,
                    Key::Text(key) => write!(out, "s{}=", hex(key.as_bytes())).ok()?,
                }
                dump(member, out, left, inside?)?;
                *out += ",";
            }
            *out += "}";
        }
        _ => {
            write!(out, "O{}{{", hex(value.class()?.as_bytes())).ok()?;
            for property in value.properties() {
                write!(out, "s{}=", hex(&mangled(property))).ok()?;
                dump(property.value, out, left, inside?)?;
                *out += ",";
            }
            *out += "}";
        }
    }
    Some(())
}

fn mangled(property: Property<'_>) -> Vec<u8> {
    let name = match property.name {
        Key::Int(name) => name.to_string().into_bytes(),
        Key::Text(name) => name.as_bytes().to_vec(),
    };
    match property.visibility {
        Visibility::Public => name,
        Visibility::Protected => [b"\0*\0", &name[..]].concat(),
        Visibility::Private { class } => [b"\0", class.as_bytes(), b"\0", &name].concat(),
    }
}

#[test]
fn sessions_are_read_as_php_reads_them() {
    let mut writer = Writer { dice: Dice(1), out: Vec::new(), slots: 0 };
    let cases: Vec<_> = (0..CASES).map(|_| writer.session()).collect();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/php_interop/dump.php");
    let php = Command::new("php").args(["-n", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut php = php.expect("php is installed");
    let lines: String = cases
        .iter()
        .map(|(handler, session)| {
            let hex: String = session.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{handler} {hex}\n")
        })
        .collect();
    let mut stdin = php.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || stdin.write_all(lines.as_bytes()).unwrap());
    let output = php.wait_with_output().unwrap();
    feeder.join().unwrap();
    let answers: Vec<&str> = std::str::from_utf8(&output.stdout).unwrap().lines().collect();
    assert_eq!(answers.len(), CASES, "{:?}", output.status);

    let (mut same, mut stricter) = (0, 0);
    for ((handler, session), answer) in cases.iter().zip(answers) {
        let codec = match *handler {
            "php" => Codec::php(),
            "php_binary" => Codec::php_binary(),
            "php_serialize" => Codec::php_serialize(),
            _ => Codec::php_value(),
        };
        let Ok(record) = codec.decode(bytes::Bytes::copy_from_slice(session), &Limits::default()) else {
            stricter += usize::from(answer != "-");
            continue;
        };
        let mut dumped = String::new();
        if dump(record.data.root(), &mut dumped, &mut 3000, 60).is_none() || answer == "!" {
            continue;
        }
        assert_eq!(dumped, answer, "{handler} {}", session.escape_ascii());
        same += 1;
    }
    eprintln!("{same} of {CASES} sessions are read as PHP reads them, {stricter} are refused that PHP takes");
    assert!(same > CASES / 3, "too few sessions are good ones: {same}");
}
