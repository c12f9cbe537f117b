//! The header of the PROXY protocol, by which a proxy tells whom a connection comes from.

use crate::RemoteAddr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// What a proxy says in front of everything else on a connection that it forwards: versions 1 (a line of text) and 2
/// (binary) of the PROXY protocol.
///
/// Only peers that are [trusted](crate::TrustedNetworks::trusts_peer) are asked for it, and those must send it: a peer
/// that could choose would be believed either way.
///
/// ```
/// use wsrv_http::ProxyHeader;
///
/// let received = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\nGET / HTTP/1.1\r\n";
/// let (header, length) = ProxyHeader::parse(received)?.expect("it is whole");
/// assert_eq!(header.source, Some("192.0.2.7:56324".parse()?));
/// assert!(received[length..].starts_with(b"GET"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Source
///
/// The PROXY protocol, versions 1 and 2, by W. Tarreau (HAProxy), revision of 2020/03/05.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyHeader {
    /// The client. `None`: the proxy speaks for itself (a health check), or what it forwards has no TCP address; then
    /// the addresses of the socket count.
    pub source: Option<SocketAddr>,
    /// Where the client has connected to.
    pub destination: Option<SocketAddr>,
    /// Whether the client has used TLS, if a header of version 2 tells (`PP2_TYPE_SSL`).
    pub secure: Option<bool>,
}

/// A connection does not begin with a header of the PROXY protocol. There is nobody to whom an answer would make sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyHeaderError {
    /// These are other bytes: neither version begins so.
    #[error("the connection does not begin with a PROXY header")]
    Missing,
    /// It is longer than [`ProxyHeader::MAX_LENGTH`], or a line longer than 107 bytes.
    #[error("the PROXY header is too long")]
    TooLong,
    /// It breaks a rule of its version.
    #[error("the PROXY header is malformed")]
    Malformed,
    /// Its checksum (`PP2_TYPE_CRC32C`) is wrong.
    #[error("the checksum of the PROXY header is wrong")]
    Checksum,
}

use ProxyHeaderError::{Checksum, Malformed, Missing, TooLong};

const TEXT: &[u8] = b"PROXY ";
const BINARY: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Of a line with its end (§2.1).
const MAX_LINE: usize = 107;

impl ProxyHeader {
    /// The most bytes that a header may have: 4,096. One with addresses and a few names has less than a tenth of that;
    /// the rest is room for a client's certificate.
    pub const MAX_LENGTH: usize = 4096;

    /// Reads a header from the first bytes of a connection. Returns it with its length; what follows belongs to the
    /// connection. `None`: it is not whole, read on.
    ///
    /// However the bytes arrive, the outcome is the same. Bytes that no header begins with are an error at once, and at
    /// [`MAX_LENGTH`](Self::MAX_LENGTH) bytes the outcome is certain; nothing is allocated.
    ///
    /// # Errors
    ///
    /// See [`ProxyHeaderError`]. The connection is to be closed, since what follows cannot be told from the header.
    pub fn parse(received: &[u8]) -> Result<Option<(Self, usize)>, ProxyHeaderError> {
        let begins = |begin: &[u8]| received.iter().zip(begin).all(|(byte, expected)| byte == expected);
        let parse = match received.first() {
            None => return Ok(None),
            Some(_) if begins(TEXT) => Self::parse_text,
            Some(_) if begins(BINARY) => Self::parse_binary,
            Some(_) => return Err(Missing),
        };
        parse(received)
    }

    /// How many bytes are missing at least from a header that begins so and is not whole. Who never asks a socket for more
    /// reads nothing of what follows the header.
    pub fn missing(received: &[u8]) -> usize {
        /// The shortest of all, `PROXY UNKNOWN` and the end of its line.
        const SHORTEST: usize = 15;
        let have = received.len();
        let whole = match (received, received.get(14..16)) {
            // A line tells its length only at its end.
            ([b'P', ..], _) => SHORTEST.max(have + if received.ends_with(b"\r") { 1 } else { 2 }),
            ([], _) => SHORTEST,
            (_, Some(&[high, low])) => 16 + usize::from(u16::from_be_bytes([high, low])),
            _ => 16,
        };
        whole.saturating_sub(have).max(1)
    }

    /// Version 1: `PROXY TCP4 source destination port port`, or `PROXY UNKNOWN` and anything.
    fn parse_text(received: &[u8]) -> Result<Option<(Self, usize)>, ProxyHeaderError> {
        let window = &received[..received.len().min(MAX_LINE)];
        let Some(end) = window.windows(2).position(|bytes| bytes == b"\r\n") else {
            return if window.len() == MAX_LINE { Err(TooLong) } else { Ok(None) };
        };
        let line = received.get(TEXT.len()..end).ok_or(Malformed)?;
        let line = std::str::from_utf8(line).map_err(|_| Malformed)?;
        if line.contains(|c: char| c.is_ascii_control()) {
            return Err(Malformed);
        }
        let mut fields = line.split(' ');
        let header = match fields.next() {
            Some("TCP4") => Self::of_fields::<Ipv4Addr>(fields),
            Some("TCP6") => Self::of_fields::<Ipv6Addr>(fields),
            Some("UNKNOWN") => Some(Self::default()),
            _ => None,
        };
        Ok(Some((header.ok_or(Malformed)?, end + 2)))
    }

    fn of_fields<'a, A: FromStr + Into<IpAddr>>(mut fields: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut addr = || fields.next()?.parse::<A>().ok().map(Into::into);
        let (source, destination) = (addr()?, addr()?);
        let mut port = || {
            let digits = fields.next()?;
            // `parse` alone would let a sign and more zeros pass.
            let is_plain =
                digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
            digits.parse::<u16>().ok().filter(|_| is_plain)
        };
        let header = Self::of((source, port()?), (destination, port()?));
        fields.next().is_none().then_some(header)
    }

    /// Version 2: a signature, a command, a kind of addresses, a length; addresses, and records of type and length.
    fn parse_binary(received: &[u8]) -> Result<Option<(Self, usize)>, ProxyHeaderError> {
        // Looked at as soon as they are there, so that nobody waits for what cannot become a header.
        let is_local = match received.get(12) {
            None => return Ok(None),
            Some(0x20) => true,
            Some(0x21) => false,
            Some(_) => return Err(Malformed),
        };
        let (addresses, is_tcp) = match received.get(13) {
            None => return Ok(None),
            Some(0x00) => (0, false),
            Some(0x11) => (12, true),
            Some(0x12) => (12, false),
            Some(0x21) => (36, true),
            Some(0x22) => (36, false),
            Some(0x31 | 0x32) => (216, false),
            Some(_) => return Err(Malformed),
        };
        let Some(&[high, low]) = received.get(14..16) else { return Ok(None) };
        let whole = 16 + usize::from(u16::from_be_bytes([high, low]));
        if whole > Self::MAX_LENGTH {
            return Err(TooLong);
        }
        let Some(header) = received.get(..whole) else { return Ok(None) };
        // §2.2: with these, whatever is said besides does not count.
        if is_local || received[13] == 0 {
            return Ok(Some((Self::default(), whole)));
        }
        let (addresses, records) = header[16..].split_at_checked(addresses).ok_or(Malformed)?;
        let mut told = if is_tcp { Self::of_bytes(addresses).ok_or(Malformed)? } else { Self::default() };
        told.secure = secure(header, records)?;
        Ok(Some((told, whole)))
    }

    /// Both addresses and then both ports.
    fn of_bytes(bytes: &[u8]) -> Option<Self> {
        fn split<A: Into<IpAddr> + From<[u8; N]>, const N: usize>(bytes: &[u8]) -> Option<(IpAddr, IpAddr, &[u8])> {
            let (source, rest) = bytes.split_first_chunk::<N>()?;
            let (destination, ports) = rest.split_first_chunk::<N>()?;
            Some((A::from(*source).into(), A::from(*destination).into(), ports))
        }
        let (source, destination, ports) =
            if bytes.len() == 12 { split::<Ipv4Addr, 4>(bytes)? } else { split::<Ipv6Addr, 16>(bytes)? };
        let &[s1, s2, d1, d2] = ports else { return None };
        Some(Self::of((source, u16::from_be_bytes([s1, s2])), (destination, u16::from_be_bytes([d1, d2]))))
    }

    fn of(source: (IpAddr, u16), destination: (IpAddr, u16)) -> Self {
        let addr = |(ip, port): (IpAddr, u16)| Some(RemoteAddr::canonical(SocketAddr::new(ip, port)));
        Self { source: addr(source), destination: addr(destination), secure: None }
    }
}

/// Checks the records, which end the header, and finds whether one of them tells of TLS.
fn secure(header: &[u8], records: &[u8]) -> Result<Option<bool>, ProxyHeaderError> {
    const CRC32C: u8 = 0x03;
    const SSL: u8 = 0x20;
    let (mut secure, mut rest) = (None, records);
    while !rest.is_empty() {
        let (&[kind, high, low], behind) = rest.split_first_chunk().ok_or(Malformed)?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (value, behind) = behind.split_at_checked(length).ok_or(Malformed)?;
        match kind {
            CRC32C => {
                let said: [u8; 4] = value.try_into().map_err(|_| Malformed)?;
                let at = header.len() - behind.len() - said.len();
                // §2.2.3: the checksum itself counts as zeros.
                let zeroed = header[..at].iter().chain(&[0; 4]).chain(behind);
                if crc32c(zeroed) != u32::from_be_bytes(said) {
                    return Err(Checksum);
                }
            }
            // §2.2.6: flags, of which the lowest is TLS, and the outcome of a verification.
            SSL => secure = Some(value.get(..5).ok_or(Malformed)?[0] & 1 != 0),
            _ => {}
        }
        rest = behind;
    }
    Ok(secure)
}

/// The checksum of RFC 9260, appendix A. A header has few bytes, so there is no table.
fn crc32c<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    let add_bit = |crc: u32, _| if crc & 1 == 0 { crc >> 1 } else { crc >> 1 ^ 0x82f6_3b78 };
    !bytes.fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), add_bit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(source: &str, destination: &str) -> ProxyHeader {
        ProxyHeader {
            source: Some(source.parse().unwrap()),
            destination: Some(destination.parse().unwrap()),
            secure: None,
        }
    }

    fn record(kind: u8, value: &[u8]) -> Vec<u8> {
        [&[kind][..], &u16::try_from(value.len()).unwrap().to_be_bytes(), value].concat()
    }

    fn binary(command: u8, kind: u8, rest: &[u8]) -> Vec<u8> {
        [BINARY, &[command, kind], &u16::try_from(rest.len()).unwrap().to_be_bytes(), rest].concat()
    }

    const V4: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0x10, 0x01, 0x01, 0xbb];

    fn with_checksum(records: &[u8]) -> Vec<u8> {
        let rest = [&V4, &record(3, &[0; 4])[..], records].concat();
        let mut bytes = binary(0x21, 0x11, &rest);
        let crc = crc32c(bytes.iter());
        bytes[31..35].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    #[test]
    fn lines_of_version_1_are_read() {
        let longest = format!("PROXY UNKNOWN {}", "f".repeat(91));
        assert_eq!(longest.len() + 2, MAX_LINE);
        for (line, told) in [
            ("PROXY TCP4 192.0.2.7 198.51.100.1 4097 443", header("192.0.2.7:4097", "198.51.100.1:443")),
            ("PROXY TCP4 192.0.2.7 198.51.100.1 0 65535", header("192.0.2.7:0", "198.51.100.1:65535")),
            ("PROXY TCP6 2001:db8::7 ::1 4097 443", header("[2001:db8::7]:4097", "[::1]:443")),
            ("PROXY TCP6 ::ffff:192.0.2.7 ::1 4097 443", header("192.0.2.7:4097", "[::1]:443")),
            ("PROXY UNKNOWN", ProxyHeader::default()),
            ("PROXY UNKNOWN ffff::f ffff::f 65535 65535", ProxyHeader::default()),
            (&longest, ProxyHeader::default()),
        ] {
            let bytes = format!("{line}\r\nGET /");
            assert_eq!(ProxyHeader::parse(bytes.as_bytes()), Ok(Some((told, line.len() + 2))), "{line}");
        }
    }

    #[test]
    fn lines_that_break_a_rule_are_malformed() {
        for line in [
            "PROXY ",
            "PROXY  TCP4 192.0.2.7 198.51.100.1 1 2",
            "PROXY TCP4",
            "PROXY TCP4 192.0.2.7 198.51.100.1 1",
            "PROXY TCP",
            "PROXY TCP4 192.0.2.7 198.51.100.1 1 2 ",
            "PROXY TCP4 192.0.2.7 198.51.100.1 1 2 3",
            "PROXY TCP4 192.0.2.7  198.51.100.1 1 2",
            "PROXY TCP4 192.0.2.7 198.51.100.1 01 2",
            "PROXY TCP4 192.0.2.7 198.51.100.1 +1 2",
            "PROXY TCP4 192.0.2.7 198.51.100.1 65536 2",
            "PROXY TCP4 192.0.2.7 198.51.100.1 1 -2",
            "PROXY TCP4 ::1 ::1 1 2",
            "PROXY TCP6 192.0.2.7 198.51.100.1 1 2",
            "PROXY tcp4 1.1.1.1 2.2.2.2 1 2",
            "PROXY TCP4 192.0.2.07 198.51.100.1 1 2",
            "PROXY UNKNOWNX",
            "PROXY TCP6 fe80::1%eth0 ::1 1 2",
            "PROXY UNKNOWN \n",
            "PROXY UNKNOWN \0",
            "PROXY UNKNOWN\rGET",
            "PROXY UDP4 192.0.2.7 198.51.100.1 1 2",
        ] {
            assert_eq!(ProxyHeader::parse(format!("{line}\r\n").as_bytes()), Err(Malformed), "{line:?}");
        }
        assert_eq!(ProxyHeader::parse(b"PROXY UNKNOWN \xff\r\n"), Err(Malformed));
        let line = format!("PROXY UNKNOWN {}\r\n", "f".repeat(92));
        assert_eq!(ProxyHeader::parse(line.as_bytes()), Err(TooLong));
        assert_eq!(ProxyHeader::parse(&line.as_bytes()[..MAX_LINE]), Err(TooLong));
        assert_eq!(ProxyHeader::parse(&line.as_bytes()[..MAX_LINE - 1]), Ok(None));
    }

    #[test]
    fn other_bytes_are_an_error_at_the_first_that_is_wrong() {
        for bytes in [&b"G"[..], b"p", b"PROXY\r", b"PROXX", b"\n", b"\r\n\r\n\0\r\nQUIT\r", b"\0", b"\x16"] {
            assert_eq!(ProxyHeader::parse(bytes), Err(Missing), "{bytes:?}");
            assert_eq!(ProxyHeader::parse(&bytes[..bytes.len() - 1]), Ok(None), "{bytes:?}");
        }
    }

    #[test]
    fn headers_of_version_2_are_read() {
        let v4 = header("192.0.2.7:4097", "198.51.100.1:443");
        let mut v6 = [0; 36];
        (v6[0], v6[1], v6[15], v6[31], v6[33], v6[35]) = (0x20, 0x01, 7, 1, 5, 6);
        let mut mapped = [0; 36];
        mapped[10..16].copy_from_slice(&[0xff, 0xff, 192, 0, 2, 7]);
        let tls = |flags| record(0x20, &[flags, 0, 0, 0, 0]);
        let secure = |secure| ProxyHeader { secure: Some(secure), ..v4 };
        for (bytes, told) in [
            (binary(0x21, 0x11, &V4), v4),
            (binary(0x21, 0x21, &v6), header("[2001::7]:5", "[::1]:6")),
            (binary(0x21, 0x21, &mapped), header("192.0.2.7:0", "[::]:0")),
            (binary(0x21, 0x11, &[&V4[..], &record(0xea, b"vpc-1"), &record(4, b"")].concat()), v4),
            (binary(0x21, 0x11, &[&V4[..], &tls(5)].concat()), secure(true)),
            (binary(0x21, 0x11, &[&V4[..], &tls(4)].concat()), secure(false)),
            (with_checksum(&tls(1)), secure(true)),
            // What is forwarded has no address of this kind, or nobody's is meant.
            (binary(0x20, 0x00, b""), ProxyHeader::default()),
            (binary(0x20, 0x11, &V4), ProxyHeader::default()),
            (binary(0x20, 0x11, b"?"), ProxyHeader::default()),
            (binary(0x21, 0x00, b"anything"), ProxyHeader::default()),
            (binary(0x21, 0x12, &V4), ProxyHeader::default()),
            (binary(0x21, 0x31, &[0; 216]), ProxyHeader::default()),
        ] {
            let followed = [&bytes[..], b"GET /"].concat();
            assert_eq!(ProxyHeader::parse(&followed), Ok(Some((told, bytes.len()))), "{bytes:?}");
        }
    }

    #[test]
    fn headers_of_version_2_that_break_a_rule_are_errors() {
        // Before the checksum, in it, and behind it.
        for at in [20, 31, 37] {
            let mut wrong = with_checksum(&record(0xea, b"vpc-1"));
            assert!(ProxyHeader::parse(&wrong).is_ok());
            wrong[at + 2] ^= 1;
            assert_eq!(ProxyHeader::parse(&wrong), Err(Checksum), "{at}");
        }
        for bytes in [
            binary(0x11, 0x11, &V4),
            binary(0x22, 0x11, &V4),
            binary(0x21, 0x10, &V4),
            binary(0x21, 0x41, &V4),
            binary(0x21, 0x13, &V4),
            binary(0x21, 0x11, &V4[..11]),
            binary(0x21, 0x21, &V4),
            binary(0x21, 0x12, &V4[..11]),
            binary(0x21, 0x31, &[0; 215]),
            binary(0x21, 0x11, &[&V4[..], &[4]].concat()),
            binary(0x21, 0x11, &[&V4[..], &[4, 0, 1]].concat()),
            binary(0x21, 0x11, &[&V4[..], &record(3, &[0; 3])].concat()),
            binary(0x21, 0x11, &[&V4[..], &record(0x20, &[1; 4])].concat()),
        ] {
            assert_eq!(ProxyHeader::parse(&bytes), Err(Malformed), "{bytes:?}");
        }
    }

    #[test]
    fn a_long_header_is_refused_from_its_length() {
        let most = ProxyHeader::MAX_LENGTH - 16;
        let length = |length: usize| [BINARY, &[0x21, 0x00], &u16::try_from(length).unwrap().to_be_bytes()].concat();
        assert_eq!(ProxyHeader::parse(&length(most)), Ok(None));
        assert_eq!(ProxyHeader::parse(&length(most + 1)), Err(TooLong));
        assert!(matches!(ProxyHeader::parse(&binary(0x21, 0x00, &vec![0; most])), Ok(Some((_, 4096)))));
    }

    #[test]
    fn the_checksum_is_that_of_the_rfc() {
        assert_eq!(crc32c(b"123456789".iter()), 0xe306_9283);
        assert_eq!(crc32c([0; 32].iter()), 0x8a91_36aa);
    }

    /// Headers, whole or broken.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let text = (
            prop_oneof!["TCP4", "TCP6", "UNKNOWN", "[A-Z0-9]{0,4}"],
            prop_oneof!["( 192\\.0\\.2\\.7){2}", "( ::1){2}", "[ 0-9.:\r\n]{0,110}"],
            prop_oneof!["( [0-9]{1,5}){2}", "[ 0-9\n]{0,9}"],
        );
        let text = text.prop_map(|(kind, addrs, ports)| format!("PROXY {kind}{addrs}{ports}\r\nGET").into_bytes());
        let kind = prop_oneof![Just(0x11), Just(0x21), Just(0x31), any::<u8>()];
        let rest = proptest::collection::vec(any::<u8>(), 0..260);
        let record = proptest::collection::vec((prop_oneof![Just(3u8), Just(0x20)], 0u8..8), 0..4);
        let binary = (0x1fu8..=0x22, kind, rest, record).prop_map(|(command, kind, mut rest, records)| {
            records.iter().for_each(|&(kind, length)| rest.extend(record_of(kind, length)));
            binary(command, kind, &rest)
        });
        prop_oneof![text, binary, proptest::collection::vec(any::<u8>(), 0..40)]
    }

    fn record_of(kind: u8, length: u8) -> Vec<u8> {
        record(kind, &vec![1; usize::from(length)])
    }

    proptest! {
        #[test]
        fn the_outcome_does_not_depend_on_how_the_bytes_arrive(bytes in bytes()) {
            let whole = ProxyHeader::parse(&bytes);
            let first = (0..=bytes.len()).map(|end| (end, ProxyHeader::parse(&bytes[..end])));
            // The first outcome, of whatever kind, is the last word.
            let mut decided = first.skip_while(|(_, outcome)| *outcome == Ok(None));
            if let Some((end, outcome)) = decided.next() {
                prop_assert_eq!(outcome, whole);
                if let Ok(Some((_, length))) = outcome {
                    prop_assert_eq!(end, length);
                }
                prop_assert!(decided.all(|(_, later)| later == whole));
            } else {
                prop_assert_eq!(whole, Ok(None));
                prop_assert!(bytes.len() < ProxyHeader::MAX_LENGTH);
            }
        }
    }
}
