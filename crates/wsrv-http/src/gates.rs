//! Gates one behind the other.

use crate::gate::wants_connection;
use crate::{Gate, Opening, Rejection, Stage};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

/// Gates one behind the other, in the order of their [stages](Stage). Clones share them.
///
/// As a [`Gate`] it asks about an upgrade all of them, about another request only those whose stage is for every
/// request. A server that finds out in between which route a request belongs to keeps those that are
/// [for every request](Stage::is_for_every_request) and those for upgrades apart.
#[derive(Clone, Default)]
pub struct Gates(Vec<Entry>);

#[derive(Clone)]
struct Entry {
    name: Arc<str>,
    stage: Stage,
    gate: Arc<dyn DynGate>,
}

/// What a gate says about a request: a line of [`Gates::explain`].
#[derive(Clone, Debug)]
pub struct Explained {
    /// The gate's name.
    pub gate: Arc<str>,
    /// When it is asked.
    pub stage: Stage,
    /// What it has said.
    pub said: Said,
}

/// What a gate has said about a request.
#[derive(Clone, Debug)]
pub enum Said {
    /// The request may pass.
    Passed,
    /// The request is refused.
    Refused(Rejection),
    /// It was not asked: another had refused before it, or the request asks for no upgrade.
    NotAsked,
}

impl Gates {
    /// No gate: everybody passes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a gate behind those of the same [stage](Gate::stage). Its name is that of its type.
    pub fn push<G: Gate>(&mut self, gate: G) {
        self.push_as(type_name::<G>(), gate.stage(), gate);
    }

    /// Adds a gate under this name, behind those of this stage, in place of its own stage.
    pub fn push_as(&mut self, name: impl Into<Arc<str>>, stage: Stage, gate: impl Gate) {
        let at = self.0.partition_point(|entry| entry.stage <= stage);
        self.0.insert(at, Entry { name: name.into(), stage, gate: Arc::new(gate) });
    }

    /// Asks the gates as [`admit`](Gate::admit) does, and puts down behind `lines` what each has said, in their order and
    /// at once: if one panics, what was said before is there.
    ///
    /// The gates do not know that it is only a question: one that counts or writes something down does so.
    ///
    /// # Errors
    ///
    /// A gate refuses the request.
    pub async fn explain(&self, opening: &mut Opening, lines: &mut Vec<Explained>) -> Result<(), Rejection> {
        let (is_upgrade, mut outcome) = (wants_connection(opening.request()), Ok(()));
        for entry in &self.0 {
            let said = if outcome.is_err() || !entry.is_for(is_upgrade) {
                Said::NotAsked
            } else {
                match entry.gate.admit_boxed(opening).await {
                    Ok(()) => Said::Passed,
                    Err(rejection) => Said::Refused(rejection),
                }
            };
            if let Said::Refused(rejection) = &said {
                outcome = Err(rejection.clone());
            }
            lines.push(Explained { gate: entry.name.clone(), stage: entry.stage, said });
        }
        outcome
    }
}

impl Gate for Gates {
    /// Asks the gates in their order, up to the first that refuses.
    async fn admit(&self, opening: &mut Opening) -> Result<(), Rejection> {
        let is_upgrade = wants_connection(opening.request());
        for entry in self.0.iter().filter(|entry| entry.is_for(is_upgrade)) {
            entry.gate.admit_boxed(opening).await?;
        }
        Ok(())
    }

    /// That of its first gate, so that it is asked whenever one of them wants to be.
    fn stage(&self) -> Stage {
        self.0.first().map_or(Stage::default(), |first| first.stage)
    }
}

impl Entry {
    fn is_for(&self, is_upgrade: bool) -> bool {
        is_upgrade || self.stage.is_for_every_request()
    }
}

/// The gates' names, in their order.
impl fmt::Debug for Gates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|entry| &*entry.name)).finish()
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.gate)?;
        match &self.said {
            Said::Passed => f.write_str("passed"),
            Said::NotAsked => f.write_str("not asked"),
            Said::Refused(rejection) => {
                let answer = if rejection.is_silent() { "dropped, else " } else { "refused, " };
                write!(f, "{answer}{rejection}")?;
                rejection.log_note().map_or(Ok(()), |note| write!(f, " ({note})"))
            }
        }
    }
}

/// The type's name without its path and parameters; a closure's with its path, which is all it has.
fn type_name<G>() -> &'static str {
    let whole = std::any::type_name::<G>();
    let plain = whole.split('<').next().unwrap_or(whole);
    match plain.rsplit("::").next() {
        Some(name) if !name.starts_with('{') => name,
        _ => plain,
    }
}

/// [`Gate`] behind a pointer: one box per gate and opening.
trait DynGate: Send + Sync {
    fn admit_boxed<'a>(
        &'a self,
        opening: &'a mut Opening,
    ) -> Pin<Box<dyn Future<Output = Result<(), Rejection>> + Send + 'a>>;
}

impl<G: Gate> DynGate for G {
    fn admit_boxed<'a>(
        &'a self,
        opening: &'a mut Opening,
    ) -> Pin<Box<dyn Future<Output = Result<(), Rejection>> + Send + 'a>> {
        Box::pin(self.admit(opening))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{opening, plain};
    use crate::{Addresses, AllowedOrigins, Network, TrustedNetworks, TrustedProxies, gate_fn};

    #[derive(Clone, Default)]
    struct Visits(Vec<&'static str>);

    /// Leaves its name behind.
    fn visit(name: &'static str) -> impl Gate {
        gate_fn(move |opening| {
            Box::pin(async move {
                // A gate may wait.
                tokio::task::yield_now().await;
                opening.extensions_mut().get_or_insert_default::<Visits>().0.push(name);
                Ok(())
            })
        })
    }

    fn visits(opening: &Opening) -> Vec<&'static str> {
        opening.extensions().get::<Visits>().cloned().unwrap_or_default().0
    }

    fn gates() -> Gates {
        let mut gates = Gates::new();
        gates.push(visit("application"));
        for (name, stage) in [
            ("session", Stage::Session),
            ("limit", Stage::Limit),
            ("proxy", Stage::Proxy),
            ("origin", Stage::Origin),
            ("address", Stage::Address),
            ("another address", Stage::Address),
        ] {
            gates.push_as(name, stage, visit(name));
        }
        gates
    }

    const EVERY: [&str; 4] = ["proxy", "address", "another address", "limit"];
    const UPGRADE: [&str; 3] = ["origin", "session", "application"];

    #[tokio::test]
    async fn gates_are_asked_by_stage_whatever_the_order_in_which_they_were_added() {
        let mut upgrade = opening("");
        gates().admit(&mut upgrade).await.unwrap();
        assert_eq!(visits(&upgrade), [&EVERY[..], &UPGRADE].concat());
        let mut page = plain("");
        gates().admit(&mut page).await.unwrap();
        assert_eq!(visits(&page), EVERY);
    }

    /// What a server could have, in a confused order.
    fn configured() -> Gates {
        let (trusted, addresses) = (TrustedNetworks::loopback(), Addresses::new());
        addresses.block("192.0.2.0/24".parse::<Network>().unwrap());
        let mut gates = Gates::new();
        gates.push(|_: &mut Opening| Ok(()));
        gates.push(AllowedOrigins::same_origin());
        gates.push(addresses);
        gates.push(TrustedProxies::new(trusted));
        gates
    }

    async fn explained(opening: &mut Opening) -> Vec<String> {
        opening.set_remote_addr(Some("127.0.0.1:4000".parse().unwrap()));
        let mut lines = Vec::new();
        let outcome = configured().explain(opening, &mut lines).await;
        assert_eq!(outcome.is_err(), lines.iter().any(|line| matches!(line.said, Said::Refused(_))));
        let lines: Vec<_> = lines.iter().map(ToString::to_string).collect();
        let (ours, closure) = lines.split_at(3);
        assert!(closure[0].starts_with("wsrv_http::gates::tests::configured::{{closure}}: "), "{closure:?}");
        ours.to_vec()
    }

    #[tokio::test]
    async fn explaining_asks_the_same_gates_and_tells_what_each_has_said() {
        let refused = "X-Forwarded-For: 192.0.2.7\r\nOrigin: http://localhost\r\n";
        assert_eq!(
            explained(&mut opening(refused)).await,
            [
                "TrustedProxies: passed",
                "Addresses: refused, 403 Forbidden: this address may not connect (192.0.2.7 is on the block list)",
                "AllowedOrigins: not asked",
            ]
        );
        let passes = refused.replace("192.0.2.7", "192.0.3.7");
        let all = ["TrustedProxies: passed", "Addresses: passed", "AllowedOrigins: passed"];
        assert_eq!(explained(&mut opening(&passes)).await, all);
        let page = explained(&mut plain(&passes)).await;
        assert_eq!(page, [all[0], all[1], "AllowedOrigins: not asked"]);
        for headers in [refused, &passes, ""] {
            let mut asked = opening(headers);
            asked.set_remote_addr(Some("127.0.0.1:4000".parse().unwrap()));
            let admitted = configured().admit(&mut asked).await.is_ok();
            let lines = explained(&mut opening(headers)).await;
            assert_eq!(admitted, !lines.iter().any(|line| line.contains("refused")), "{lines:?}");
        }
    }

    #[test]
    fn a_gate_is_called_as_its_type() {
        assert_eq!(type_name::<AllowedOrigins>(), "AllowedOrigins");
        assert_eq!(type_name::<crate::GateFn<Vec<Gates>>>(), "GateFn");
        assert_eq!(
            format!("{:?}", {
                let mut gates = Gates::new();
                gates.push(AllowedOrigins::same_origin());
                gates.push_as("office", Stage::Address, Addresses::new());
                gates
            }),
            r#"["office", "AllowedOrigins"]"#
        );
    }
}
