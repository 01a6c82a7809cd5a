//! Places for the nodes of a graph in layers: callers to the left of callees, few crossings, short edges.
//!
//! The usual four steps (Sugiyama, Tagawa, Toda 1981): circles are broken, nodes get the layer of the longest way to
//! them, each layer is ordered by the mean place of its neighbours, and then everything is moved as near to its neighbours
//! as the distances allow (which is an isotonic regression). Edges across several layers pass each of them at a place of
//! their own. The same graph always gets the same layout.

use std::collections::{BTreeMap, BTreeSet};

use crate::figure::float;

/// A graph: nodes are numbers below `nodes`, edges go from caller to callee.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    pub(crate) nodes: usize,
    pub(crate) edges: Vec<(usize, usize)>,
}

/// Where everything is: the layer, and a distance from the top of the drawing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Layout {
    /// Of each node.
    pub(crate) nodes: Vec<(usize, f64)>,
    /// Of each edge: the places it passes, from caller to callee. Nothing of those from a node to itself.
    pub(crate) edges: Vec<Vec<(usize, f64)>>,
    /// How many layers there are.
    pub(crate) layers: usize,
    /// The lowest place.
    pub(crate) height: f64,
}

/// Room a node takes, and an edge that passes.
const NODE_ROOM: f64 = 66.0;
const EDGE_ROOM: f64 = 18.0;
/// How often layers are ordered, and places improved. Further rounds change nothing that one sees.
const ROUNDS: usize = 12;

/// Something that has a place: a node, or an edge where it passes a layer.
#[derive(Clone, Debug)]
struct Item {
    layer: usize,
    room: f64,
    left: Vec<usize>,
    right: Vec<usize>,
    y: f64,
}

impl Layout {
    /// Lays a graph out.
    pub(crate) fn of(graph: &Graph) -> Self {
        let edges = forward(graph);
        let layers = layers(graph.nodes, &edges);
        let mut items: Vec<Item> = layers.iter().map(|it| Item::new(*it, NODE_ROOM)).collect();
        let chains: Vec<Vec<usize>> = edges
            .iter()
            .map(|edge| edge.map_or_else(Vec::new, |(from, to)| chain(&mut items, from, to)))
            .collect();
        let mut order = ordered(&items);
        for round in 0..ROUNDS {
            order_by_neighbours(&mut items, &mut order, round);
        }
        for _round in 0..ROUNDS {
            improve(&mut items, &order);
        }
        let top = items.iter().map(|it| it.y - it.room / 2.0).fold(f64::INFINITY, f64::min);
        let top = if top.is_finite() { top } else { 0.0 };
        let at = |item: &usize| items.get(*item).map_or((0, 0.0), |it| (it.layer, it.y - top));
        let mut passed = Vec::with_capacity(chains.len());
        for (chain, edge) in chains.iter().zip(&graph.edges) {
            let mut places: Vec<(usize, f64)> = chain.iter().map(at).collect();
            if chain.first() != Some(&edge.0) {
                places.reverse();
            }
            passed.push(places);
        }
        Self {
            nodes: (0..graph.nodes).map(|it| at(&it)).collect(),
            edges: passed,
            layers: layers.iter().max().map_or(0, |it| it + 1),
            height: items.iter().map(|it| it.y - top + it.room / 2.0).fold(0.0, f64::max),
        }
    }
}

impl Item {
    const fn new(layer: usize, room: f64) -> Self {
        Self { layer, room, left: Vec::new(), right: Vec::new(), y: 0.0 }
    }
}

/// The edges without circles: those that would close one are turned round, those to oneself are none.
fn forward(graph: &Graph) -> Vec<Option<(usize, usize)>> {
    let mut callees: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut called = BTreeSet::new();
    for (from, to) in graph.edges.iter().filter(|it| it.0 != it.1) {
        callees.entry(*from).or_default().push(*to);
        called.insert(*to);
    }
    let roots = (0..graph.nodes).filter(|it| !called.contains(it));
    let mut open = BTreeSet::new();
    let mut done = BTreeSet::new();
    let mut back = BTreeSet::new();
    for root in roots.chain(0..graph.nodes) {
        // What is to be entered, or left again.
        let mut next = vec![(root, false)];
        while let Some((node, is_left)) = next.pop() {
            if is_left {
                open.remove(&node);
                done.insert(node);
                continue;
            }
            if done.contains(&node) || !open.insert(node) {
                continue;
            }
            next.push((node, true));
            for callee in callees.get(&node).into_iter().flatten().rev() {
                if open.contains(callee) {
                    back.insert((node, *callee));
                } else {
                    next.push((*callee, false));
                }
            }
        }
    }
    let turned = |edge: &(usize, usize)| match *edge {
        (from, to) if from == to => None,
        (from, to) if back.contains(edge) => Some((to, from)),
        edge => Some(edge),
    };
    graph.edges.iter().map(turned).collect()
}

/// The length of the longest way to each node.
fn layers(nodes: usize, edges: &[Option<(usize, usize)>]) -> Vec<usize> {
    let mut layers = vec![0_usize; nodes];
    // Without circles, no way is longer than there are nodes.
    for _round in 0..nodes {
        let mut is_changed = false;
        for (from, to) in edges.iter().flatten() {
            let least = layers.get(*from).map_or(0, |it| it + 1);
            if let Some(layer) = layers.get_mut(*to).filter(|it| **it < least) {
                *layer = least;
                is_changed = true;
            }
        }
        if !is_changed {
            break;
        }
    }
    layers
}

/// Items from one node to another, the new ones between them included.
fn chain(items: &mut Vec<Item>, from: usize, to: usize) -> Vec<usize> {
    let layer = |items: &[Item], it: usize| items.get(it).map_or(0, |it| it.layer);
    let mut chain = vec![from];
    for between in layer(items, from) + 1..layer(items, to) {
        chain.push(items.len());
        items.push(Item::new(between, EDGE_ROOM));
    }
    chain.push(to);
    for (left, right) in chain.iter().zip(chain.iter().skip(1)) {
        if let Some(item) = items.get_mut(*left) {
            item.right.push(*right);
        }
        if let Some(item) = items.get_mut(*right) {
            item.left.push(*left);
        }
    }
    chain
}

/// Items of each layer, in their order; their places follow from it.
fn ordered(items: &[Item]) -> Vec<Vec<usize>> {
    let layers = items.iter().map(|it| it.layer + 1).max().unwrap_or(0);
    let mut order = vec![Vec::new(); layers];
    for (at, item) in items.iter().enumerate() {
        if let Some(layer) = order.get_mut(item.layer) {
            layer.push(at);
        }
    }
    order
}

/// Orders layers by the mean place of neighbours: those to the left and to the right by turns.
fn order_by_neighbours(items: &mut [Item], order: &mut [Vec<usize>], round: usize) {
    let looks_left = round.is_multiple_of(2);
    let layers = order.len();
    for step in 0..layers {
        let Some(layer) = order.get_mut(if looks_left { step } else { layers - 1 - step }) else {
            continue;
        };
        let mut keyed: Vec<(f64, usize)> = layer
            .iter()
            .filter_map(|at| {
                let item = items.get(*at)?;
                let neighbours = if looks_left { &item.left } else { &item.right };
                Some((mean(items, neighbours).unwrap_or(item.y), *at))
            })
            .collect();
        keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
        *layer = keyed.into_iter().map(|it| it.1).collect();
        let mut y = 0.0;
        for at in layer.iter() {
            if let Some(item) = items.get_mut(*at) {
                y += item.room / 2.0;
                item.y = y;
                y += item.room / 2.0;
            }
        }
        for at in layer.iter() {
            if let Some(item) = items.get_mut(*at) {
                item.y -= y / 2.0;
            }
        }
    }
}

fn mean(items: &[Item], of: &[usize]) -> Option<f64> {
    let mut sum = 0.0;
    let mut count = 0.0;
    for item in of.iter().filter_map(|it| items.get(*it)) {
        sum += item.y;
        count += 1.0;
    }
    (0.0 < count).then(|| sum / count)
}

/// Moves every item as near to the mean of its neighbours as order and distances allow.
fn improve(items: &mut [Item], order: &[Vec<usize>]) {
    for layer in order.iter().chain(order.iter().rev()) {
        // Less what stands above, distances are zero: what is sought is a rising sequence near the wishes.
        let mut above = 0.0;
        let mut wishes = Vec::with_capacity(layer.len());
        let mut offsets = Vec::with_capacity(layer.len());
        for item in layer.iter().filter_map(|it| items.get(*it)) {
            above += item.room / 2.0;
            let neighbours: Vec<usize> = item.left.iter().chain(&item.right).copied().collect();
            wishes.push(mean(items, &neighbours).unwrap_or(item.y) - above);
            offsets.push(above);
            above += item.room / 2.0;
        }
        for ((at, offset), y) in layer.iter().zip(offsets).zip(rising(&wishes)) {
            if let Some(item) = items.get_mut(*at) {
                item.y = y + offset;
            }
        }
    }
}

/// The rising sequence nearest to another: neighbours that fall are pooled at their mean.
fn rising(wishes: &[f64]) -> Vec<f64> {
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for wish in wishes {
        let (mut sum, mut count) = (*wish, 1);
        while let Some((before, members)) = pools.last().copied() {
            if before * float(count) <= sum * float(members) {
                break;
            }
            pools.pop();
            sum += before;
            count += members;
        }
        pools.push((sum, count));
    }
    let of = |(sum, count): (f64, usize)| std::iter::repeat_n(sum / float(count), count);
    pools.into_iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(nodes: usize, edges: &[(usize, usize)], layers: &[usize]) {
        let layout = Layout::of(&Graph { nodes, edges: edges.to_vec() });
        let found: Vec<usize> = layout.nodes.iter().map(|it| it.0).collect();
        assert_eq!(found, layers);
    }

    #[test]
    fn callers_stand_left_of_callees() {
        check(0, &[], &[]);
        check(1, &[(0, 0)], &[0]);
        check(4, &[(0, 1), (1, 2), (0, 2), (3, 2)], &[0, 1, 2, 0]);
        check(3, &[(0, 1), (1, 2), (2, 1)], &[0, 1, 2]);
        check(2, &[(0, 1), (1, 0)], &[0, 1]);
    }

    #[test]
    fn a_sequence_becomes_rising() {
        assert_eq!(rising(&[1.0, 3.0, 2.0, 4.0]), [1.0, 2.5, 2.5, 4.0]);
        assert_eq!(rising(&[3.0, 2.0, 1.0]), [2.0; 3]);
    }

    proptest! {
        #[test]
        fn nothing_overlaps(edges in proptest::collection::vec((0_usize..9, 0_usize..9), 0..30)) {
            let graph = Graph { nodes: 9, edges };
            let layout = Layout::of(&graph);
            prop_assert_eq!(&layout, &Layout::of(&graph));
            for (at, a) in layout.nodes.iter().enumerate() {
                prop_assert!(a.1.is_finite() && 0.0 <= a.1 && a.1 <= layout.height);
                for b in layout.nodes.iter().skip(at + 1).filter(|it| it.0 == a.0) {
                    prop_assert!(NODE_ROOM - 1e-6 <= (a.1 - b.1).abs(), "{layout:?}");
                }
            }
            for (path, edge) in layout.edges.iter().zip(&graph.edges) {
                prop_assert_eq!(edge.0 == edge.1, path.is_empty());
                if let (Some(first), Some(last)) = (path.first(), path.last()) {
                    prop_assert_eq!((first, last), (&layout.nodes[edge.0], &layout.nodes[edge.1]));
                }
            }
        }
    }
}
