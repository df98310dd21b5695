//! The order of elimination and the layout of the factor.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Everything about a factorisation that depends on the graph alone.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    /// The node eliminated at each step.
    pub order: Vec<usize>,
    /// The step at which each node is eliminated.
    pub position: Vec<usize>,
    /// Columns of `L` in steps: where each begins in `rows`.
    pub begins: Vec<usize>,
    /// The steps of the blocks below the diagonal, ascending in each column.
    pub rows: Vec<usize>,
    /// For each column and each pair `a > b` of its rows, in that order: the block that `L_a W_bᵀ` is taken from.
    pub targets: Vec<u32>,
    /// By edge: the block it is scattered to, and whether it is turned over on its way.
    pub slots: Vec<(u32, bool)>,
}

impl Pattern {
    /// `edges` are pairs of different nodes below `nodes`, each pair at most once. The nodes in `last` are eliminated
    /// after all others: those whose own block may be singular.
    pub fn new(nodes: usize, edges: &[(usize, usize)], last: &[usize]) -> Self {
        let Elimination { order, begins, cliques } = minimum_degree(nodes, edges, last);
        let mut position = vec![0; nodes];
        for (step, &node) in order.iter().enumerate() {
            position[node] = step;
        }
        let mut rows: Vec<usize> = cliques.iter().map(|&node| position[node]).collect();
        for column in begins.windows(2) {
            rows[column[0]..column[1]].sort_unstable();
        }
        let (targets, slots) = (Vec::new(), Vec::new());
        let mut pattern = Self { order, position, begins, rows, targets, slots };
        for step in 0..nodes {
            let range = pattern.begins[step]..pattern.begins[step + 1];
            for a in range.clone() {
                for b in range.start..a {
                    let at = pattern.find(pattern.rows[a], pattern.rows[b]);
                    pattern.targets.push(at);
                }
            }
        }
        pattern.slots = edges
            .iter()
            .map(|&(i, j)| {
                let (row, column) = (pattern.position[i], pattern.position[j]);
                (pattern.find(row.max(column), row.min(column)), row < column)
            })
            .collect();
        pattern
    }

    /// Where the block in `row` of `column`, both in steps, is stored; it is there by construction.
    fn find(&self, row: usize, column: usize) -> u32 {
        let range = self.begins[column]..self.begins[column + 1];
        let at = range.start + self.rows[range].partition_point(|&r| r < row);
        u32::try_from(at).unwrap_or(u32::MAX)
    }
}

/// What was eliminated: the nodes in order, and the nodes below the diagonal of each column, one column after the other.
struct Elimination {
    order: Vec<usize>,
    begins: Vec<usize>,
    cliques: Vec<usize>,
}

/// What a node touches, in as much room as it had neighbours: those it still has from the front, elements from the back.
struct Touching {
    begins: Vec<usize>,
    cells: Vec<usize>,
    near: Vec<usize>,
    elements: Vec<usize>,
}

impl Touching {
    fn new(nodes: usize, edges: &[(usize, usize)]) -> Self {
        let mut begins = vec![0; nodes + 1];
        edges.iter().flat_map(|&(i, j)| [i, j]).for_each(|node| begins[node + 1] += 1);
        (0..nodes).for_each(|node| begins[node + 1] += begins[node]);
        let mut touching =
            Self { begins, cells: vec![0; 2 * edges.len()], near: vec![0; nodes], elements: vec![0; nodes] };
        for &(i, j) in edges {
            for (node, other) in [(i, j), (j, i)] {
                let at = touching.begins[node] + touching.near[node];
                touching.cells[at] = other;
                touching.near[node] += 1;
            }
        }
        touching
    }

    fn near(&self, node: usize) -> &[usize] {
        &self.cells[self.begins[node]..][..self.near[node]]
    }

    fn elements(&self, node: usize) -> &[usize] {
        let end = self.begins[node + 1];
        &self.cells[end - self.elements[node]..end]
    }

    /// Lets go of neighbours and elements, and takes another element for them.
    fn replace(&mut self, node: usize, leaves: impl Fn(usize) -> bool, absorbed: &[bool], element: usize) {
        let (from, end) = (self.begins[node], self.begins[node + 1]);
        let mut kept = from;
        for at in from..from + self.near[node] {
            let other = self.cells[at];
            if !leaves(other) {
                self.cells[kept] = other;
                kept += 1;
            }
        }
        self.near[node] = kept - from;
        let mut kept = end;
        for at in (end - self.elements[node]..end).rev() {
            let other = self.cells[at];
            if !absorbed[other] {
                kept -= 1;
                self.cells[kept] = other;
            }
        }
        // The one eliminated was a neighbour, or in an element that is absorbed: there is room.
        kept -= 1;
        self.cells[kept] = element;
        self.elements[node] = end - kept;
    }
}

/// Minimum degree on the quotient graph (George and Liu 1989): an eliminated node becomes an element that stands for
/// the clique of its neighbours, and the elements that it meets are absorbed. Degrees are exact and ties go to the
/// lower node. Elements are named by the step that made them.
fn minimum_degree(nodes: usize, edges: &[(usize, usize)], last: &[usize]) -> Elimination {
    let mut touching = Touching::new(nodes, edges);
    let mut degree = touching.near.clone();
    let mut gone = vec![false; nodes];
    let mut absorbed = vec![false; nodes];
    let mut seen = vec![0_usize; nodes];
    let mut round = 0;
    let mut wait = vec![0; nodes];
    last.iter().for_each(|&node| wait[node] = nodes);
    let mut queue: BinaryHeap<_> = (0..nodes).map(|node| Reverse((degree[node] + wait[node], node))).collect();
    let (mut order, mut begins) = (Vec::with_capacity(nodes), Vec::with_capacity(nodes + 1));
    let mut cliques: Vec<usize> = Vec::with_capacity(2 * edges.len());
    begins.push(0);
    while let Some(Reverse((known, pivot))) = queue.pop() {
        if gone[pivot] || known != degree[pivot] + wait[pivot] {
            continue;
        }
        let (step, from) = (order.len(), cliques.len());
        gone[pivot] = true;
        round += 1;
        seen[pivot] = round;
        for &node in touching.near(pivot) {
            if !gone[node] && seen[node] != round {
                seen[node] = round;
                cliques.push(node);
            }
        }
        for &element in touching.elements(pivot) {
            for at in begins[element]..begins[element + 1] {
                let node = cliques[at];
                if !gone[node] && seen[node] != round {
                    seen[node] = round;
                    cliques.push(node);
                }
            }
            absorbed[element] = true;
        }
        order.push(pivot);
        begins.push(cliques.len());
        for &node in &cliques[from..] {
            touching.replace(node, |other| seen[other] == round, &absorbed, step);
        }
        for &node in &cliques[from..] {
            round += 1;
            seen[node] = round;
            let mut count = touching.near[node];
            touching.near(node).iter().for_each(|&other| seen[other] = round);
            for &element in touching.elements(node) {
                for &other in &cliques[begins[element]..begins[element + 1]] {
                    if !gone[other] && seen[other] != round {
                        seen[other] = round;
                        count += 1;
                    }
                }
            }
            degree[node] = count;
            queue.push(Reverse((count + wait[node], node)));
        }
    }
    Elimination { order, begins, cliques }
}
