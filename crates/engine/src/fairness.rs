//! Fair scheduling between workspaces: deficit round robin (Shreedhar, Varghese, *Efficient Fair Queuing Using Deficit
//! Round-Robin*, IEEE/ACM Transactions on Networking 4(3), 1996), with runs as the unit.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Clients that have work, each with a weight.
#[derive(Debug)]
pub(crate) struct Ring<K> {
    order: VecDeque<K>,
    members: HashMap<K, Member>,
}

#[derive(Debug, Clone, Copy)]
struct Member {
    weight: u32,
    deficit: u32,
}

/// How much a client of weight 1 may take in one turn.
const QUANTUM: u32 = 8;

impl<K> Default for Ring<K> {
    fn default() -> Self {
        Self { order: VecDeque::new(), members: HashMap::new() }
    }
}

impl<K: Copy + Eq + Hash> Ring<K> {
    /// Adds a client at the end of the ring. A client that is already in it keeps its place and gets the new weight.
    pub(crate) fn insert(&mut self, client: K, weight: u32) {
        let weight = weight.max(1);
        let order = &mut self.order;
        self.members.entry(client).and_modify(|member| member.weight = weight).or_insert_with(|| {
            order.push_back(client);
            Member { weight, deficit: 0 }
        });
    }

    /// Removes a client, because it has no more work.
    pub(crate) fn remove(&mut self, client: K) {
        if self.members.remove(&client).is_some() {
            self.order.retain(|member| *member != client);
        }
    }

    pub(crate) fn contains(&self, client: K) -> bool {
        self.members.contains_key(&client)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Distributes `capacity` among the clients. If it ends within a client's turn, that client continues first the
    /// next time.
    pub(crate) fn share(&mut self, capacity: u32) -> Vec<(K, u32)> {
        let mut left = capacity;
        let mut shares = Vec::new();
        let mut seen = 0;
        // One round at most: whether a client has work beyond its share is unknown until the claim returns.
        while left > 0 && seen < self.order.len() {
            let Some(client) = self.order.pop_front() else { break };
            let Some(member) = self.members.get_mut(&client) else { continue };
            if member.deficit == 0 {
                member.deficit = member.weight.saturating_mul(QUANTUM);
            }
            let taken = member.deficit.min(left);
            member.deficit -= taken;
            left -= taken;
            shares.push((client, taken));
            if member.deficit > 0 {
                self.order.push_front(client);
                break;
            }
            self.order.push_back(client);
            seen += 1;
        }
        // Nobody else needs the remaining capacity, so the clients of this round get it by weight.
        let total: u64 =
            shares.iter().filter_map(|(client, _)| self.members.get(client)).map(|m| u64::from(m.weight)).sum();
        if left > 0 && total > 0 {
            for (client, share) in &mut shares {
                let weight = self.members.get(client).map_or(0, |member| u64::from(member.weight));
                *share += u32::try_from(u64::from(left) * weight / total).unwrap_or(0);
            }
        }
        shares
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn service_is_in_proportion_to_weight(weights in prop::collection::vec(1u32..10, 2..8), capacity in 1u32..200) {
            let mut ring = Ring::default();
            for (client, weight) in weights.iter().enumerate() {
                ring.insert(client, *weight);
            }
            let mut served = vec![0u64; weights.len()];
            for _ in 0..400 {
                let shares = ring.share(capacity);
                prop_assert!(shares.iter().map(|(_, n)| n).sum::<u32>() <= capacity);
                for (client, share) in shares {
                    served[client] += u64::from(share);
                }
            }
            let per_weight: Vec<f64> = served.iter().zip(&weights).map(|(n, w)| *n as f64 / f64::from(*w)).collect();
            let (low, high) = per_weight.iter().fold((f64::MAX, 0.0_f64), |(l, h), x| (l.min(*x), h.max(*x)));
            prop_assert!(high <= low * 1.25 + f64::from(2 * QUANTUM), "{per_weight:?}");
        }
    }

    #[test]
    fn one_client_alone_gets_everything() {
        let mut ring = Ring::default();
        ring.insert('a', 1);
        assert_eq!(ring.share(100), [('a', 100)]);
    }

    #[test]
    fn a_client_without_work_takes_nothing() {
        let mut ring = Ring::default();
        ring.insert('a', 1);
        ring.insert('b', 1);
        ring.remove('a');
        assert_eq!(ring.share(10), [('b', 10)]);
        ring.remove('b');
        assert!(ring.is_empty());
    }
}
