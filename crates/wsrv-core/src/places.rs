//! How many may be there at once.

use crate::site::Site;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// A number of places, in all and for each address. Who takes one holds it until it is dropped. Clones are the same
/// places.
///
/// Without limits, which is how it begins, it only counts. The limits may be changed at any time; a lower one sends
/// nobody away.
///
/// ```
/// use wsrv_core::{NoPlace, Places};
///
/// let places = Places::new();
/// places.set_per_address(Some(1));
/// let home = Some("192.0.2.7".parse().unwrap());
/// let first = places.take(home).unwrap();
/// assert_eq!(places.take(home).unwrap_err(), NoPlace::Address);
/// drop(first);
/// assert!(places.take(home).is_ok());
/// ```
#[derive(Clone, Default)]
pub struct Places(Arc<Inner>);

#[derive(Default)]
struct Inner {
    taken: Mutex<Taken>,
    emptied: Notify,
}

#[derive(Default)]
struct Taken {
    total: usize,
    by_site: HashMap<Site, usize>,
    max_total: Option<usize>,
    max_per_address: Option<usize>,
}

/// There is no place left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoPlace {
    /// All are taken.
    #[error("too many connections")]
    Total,
    /// This address has taken as many as one may.
    #[error("too many connections from one address")]
    Address,
}

impl Places {
    /// Places without limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many places there are in all. Default `None`: as many as are asked for.
    pub fn set_total(&self, places: Option<usize>) {
        self.lock().max_total = places;
    }

    /// How many places one address may take. Default `None`: as many as there are. IPv6 addresses with the same first
    /// 64 bits count as one, and an IPv4 address is the same in IPv6 clothes.
    pub fn set_per_address(&self, places: Option<usize>) {
        self.lock().max_per_address = places;
    }

    /// How many places one address may take now.
    pub fn per_address(&self) -> Option<usize> {
        self.lock().max_per_address
    }

    /// Takes a place for a peer at `addr`. `None`: its transport has no addresses, and only the total counts.
    ///
    /// # Errors
    ///
    /// [`NoPlace`].
    pub fn take(&self, addr: Option<IpAddr>) -> Result<Place, NoPlace> {
        let taken = self.lock();
        if taken.max_total.is_some_and(|max| taken.total >= max) {
            return Err(NoPlace::Total);
        }
        let site = addr.map(Site::from);
        taken.check_site(site)?;
        Ok(self.occupy(taken, site))
    }

    /// Takes a place whatever the limits are.
    pub(crate) fn take_anyway(&self, addr: Option<IpAddr>) -> Place {
        self.occupy(self.lock(), addr.map(Site::from))
    }

    fn occupy(&self, mut taken: MutexGuard<'_, Taken>, site: Option<Site>) -> Place {
        taken.total += 1;
        taken.add(site);
        Place { places: self.clone(), site }
    }

    /// How many places are taken.
    pub fn taken(&self) -> usize {
        self.lock().total
    }

    /// Waits until no place is taken.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again at any time.
    pub async fn empty(&self) {
        loop {
            let emptied = self.0.emptied.notified();
            if self.taken() == 0 {
                return;
            }
            emptied.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let taken = self.lock();
        f.debug_struct("Places")
            .field("taken", &taken.total)
            .field("total", &taken.max_total)
            .field("per_address", &taken.max_per_address)
            .finish()
    }
}

/// One of the [`Places`]; free again when it is dropped.
#[must_use = "a place that is dropped is free again"]
pub struct Place {
    places: Places,
    site: Option<Site>,
}

impl Place {
    /// Has this place count for a peer at `addr` from now on: for somebody who is known only after it was taken. In all, it
    /// counts as before.
    ///
    /// # Errors
    ///
    /// [`NoPlace::Address`] if that address has as many as it may; then nothing changes.
    pub fn assign(&mut self, addr: Option<IpAddr>) -> Result<(), NoPlace> {
        let site = addr.map(Site::from);
        if site != self.site {
            let mut taken = self.places.lock();
            taken.check_site(site)?;
            taken.add(site);
            taken.remove(self.site);
            self.site = site;
        }
        Ok(())
    }
}

impl Taken {
    fn check_site(&self, site: Option<Site>) -> Result<(), NoPlace> {
        let of_site = site.and_then(|site| self.by_site.get(&site)).copied().unwrap_or(0);
        match self.max_per_address {
            Some(max) if site.is_some() && of_site >= max => Err(NoPlace::Address),
            _ => Ok(()),
        }
    }

    fn add(&mut self, site: Option<Site>) {
        if let Some(site) = site {
            *self.by_site.entry(site).or_default() += 1;
        }
    }

    fn remove(&mut self, site: Option<Site>) {
        if let Some(site) = site
            && let Entry::Occupied(mut count) = self.by_site.entry(site)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.total -= 1;
        taken.remove(self.site);
        let emptied = taken.total == 0;
        drop(taken);
        if emptied {
            self.places.0.emptied.notify_waiters();
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Place")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn places_are_limited_in_all_and_per_address_and_given_back() {
        let places = Places::new();
        places.set_total(Some(3));
        places.set_per_address(Some(2));
        let first = places.take(addr("192.0.2.1")).unwrap();
        let second = places.take(addr("::ffff:192.0.2.1")).unwrap();
        assert_eq!(places.take(addr("192.0.2.1")).unwrap_err(), NoPlace::Address);
        let third = places.take(addr("192.0.2.2")).unwrap();
        assert_eq!(places.take(addr("192.0.2.3")).unwrap_err(), NoPlace::Total);
        drop(first);
        let fourth = places.take(addr("192.0.2.1")).unwrap();
        assert_eq!(places.taken(), 3);
        drop((second, third, fourth));
        assert_eq!(places.taken(), 0);
        assert!(places.lock().by_site.is_empty());
    }

    #[test]
    fn a_place_can_be_taken_before_it_is_known_for_whom() {
        let places = Places::new();
        places.set_total(Some(2));
        places.set_per_address(Some(1));
        let (mut first, mut second) = (places.take(None).unwrap(), places.take(None).unwrap());
        first.assign(addr("192.0.2.1")).unwrap();
        first.assign(addr("192.0.2.1")).unwrap();
        assert_eq!(second.assign(addr("192.0.2.1")), Err(NoPlace::Address));
        assert_eq!(places.taken(), 2);
        first.assign(addr("192.0.2.2")).unwrap();
        second.assign(addr("192.0.2.1")).unwrap();
        drop((first, second));
        assert!(places.taken() == 0 && places.lock().by_site.is_empty());
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let places = Places::new();
        places.set_per_address(Some(1));
        let _first = places.take(addr("2001:db8:0:1::1")).unwrap();
        assert_eq!(places.take(addr("2001:db8:0:1:ffff::2")).unwrap_err(), NoPlace::Address);
        assert!(places.take(addr("2001:db8:0:2::1")).is_ok());
    }

    #[test]
    fn who_has_no_address_counts_in_all_only() {
        let places = Places::new();
        places.set_per_address(Some(0));
        places.set_total(Some(1));
        let _first = places.take(None).unwrap();
        assert_eq!(places.take(None).unwrap_err(), NoPlace::Total);
    }
}
