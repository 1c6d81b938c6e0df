//! The topological order of steps.

use std::collections::{BTreeSet, VecDeque};

/// The indexes in topological order, ties in document order. If there is a cycle, returns it instead, from its first
/// index back to the same index.
pub(super) fn order(needs: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut open: Vec<usize> = needs.iter().map(|needs| needs.iter().collect::<BTreeSet<_>>().len()).collect();
    let mut dependents = vec![BTreeSet::new(); needs.len()];
    for (step, needs) in needs.iter().enumerate() {
        for need in needs {
            if let Some(set) = dependents.get_mut(*need) {
                set.insert(step);
            }
        }
    }
    let mut ready: BTreeSet<usize> = (0..needs.len()).filter(|step| open.get(*step) == Some(&0)).collect();
    let mut order = Vec::with_capacity(needs.len());
    while let Some(step) = ready.pop_first() {
        order.push(step);
        for dependent in dependents.get(step).into_iter().flatten() {
            if let Some(open) = open.get_mut(*dependent) {
                *open -= 1;
                if *open == 0 {
                    ready.insert(*dependent);
                }
            }
        }
    }
    if order.len() == needs.len() { Ok(order) } else { Err(cycle(needs, &order)) }
}

/// A shortest cycle among the steps that are not in `ordered`.
fn cycle(needs: &[Vec<usize>], ordered: &[usize]) -> Vec<usize> {
    let left: BTreeSet<usize> = (0..needs.len()).filter(|step| !ordered.contains(step)).collect();
    let mut best: Vec<usize> = Vec::new();
    for start in &left {
        let mut from = vec![None; needs.len()];
        let mut queue = VecDeque::from([*start]);
        'search: while let Some(step) = queue.pop_front() {
            for need in needs.get(step).into_iter().flatten().filter(|need| left.contains(need)) {
                if need == start {
                    let mut path = vec![*start];
                    let mut at = Some(step);
                    while let Some(step) = at {
                        path.push(step);
                        at = from.get(step).copied().flatten();
                    }
                    if best.is_empty() || path.len() < best.len() {
                        best = path;
                    }
                    break 'search;
                }
                if let Some(place) = from.get_mut(*need).filter(|place| place.is_none()) {
                    *place = Some(step);
                    queue.push_back(*need);
                }
            }
        }
    }
    best.reverse();
    best
}

/// For each step, all steps that it needs directly or indirectly. `order` is the result of [`order`].
pub(super) fn ancestors(needs: &[Vec<usize>], order: &[usize]) -> Vec<BTreeSet<usize>> {
    let mut all = vec![BTreeSet::new(); needs.len()];
    for step in order {
        let mut mine = BTreeSet::new();
        for need in needs.get(*step).into_iter().flatten() {
            mine.insert(*need);
            mine.extend(all.get(*need).into_iter().flatten().copied());
        }
        if let Some(place) = all.get_mut(*step) {
            *place = mine;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_cycle_is_named_from_a_step_back_to_it() {
        assert_eq!(order(&[vec![], vec![0, 3], vec![1], vec![2], vec![3]]), Err(vec![1, 3, 2, 1]));
        assert_eq!(order(&[vec![2], vec![], vec![1]]), Ok(vec![1, 2, 0]));
    }

    proptest! {
        #[test]
        fn an_order_has_every_step_after_its_needs(edges in proptest::collection::vec((0usize..30, 0usize..30), 0..60)) {
            let mut needs = vec![Vec::new(); 30];
            for (a, b) in edges {
                if a != b {
                    needs[a.max(b)].push(a.min(b));
                }
            }
            let order = order(&needs).unwrap();
            let ancestors = ancestors(&needs, &order);
            for (place, step) in order.iter().enumerate() {
                prop_assert!(ancestors[*step].iter().all(|need| order[..place].contains(need)));
                prop_assert!(needs[*step].iter().all(|need| ancestors[*step].contains(need)));
            }
        }
    }
}
