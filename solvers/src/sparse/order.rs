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
        let (order, columns) = minimum_degree(nodes, edges, last);
        let mut position = vec![0; nodes];
        for (step, &node) in order.iter().enumerate() {
            position[node] = step;
        }
        let mut begins = Vec::with_capacity(nodes + 1);
        let mut rows = Vec::new();
        begins.push(0);
        for column in columns {
            let from = rows.len();
            rows.extend(column.iter().map(|&node| position[node]));
            rows[from..].sort_unstable();
            begins.push(rows.len());
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

/// Minimum degree on the quotient graph (George and Liu 1989): an eliminated node becomes an element that stands for
/// the clique of its neighbours, and the elements that it meets are absorbed. Degrees are exact and ties go to the
/// lower node. Returns the order and, by step, the nodes below the diagonal of that column.
fn minimum_degree(nodes: usize, edges: &[(usize, usize)], last: &[usize]) -> (Vec<usize>, Vec<Vec<usize>>) {
    let mut near: Vec<Vec<usize>> = vec![Vec::new(); nodes];
    for &(i, j) in edges {
        near[i].push(j);
        near[j].push(i);
    }
    let mut degree: Vec<usize> = near.iter().map(Vec::len).collect();
    let mut elements: Vec<Vec<usize>> = vec![Vec::new(); nodes];
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); nodes];
    let mut gone = vec![false; nodes];
    let mut absorbed = vec![false; nodes];
    let mut seen = vec![0_usize; nodes];
    let mut round = 0;
    let mut wait = vec![0; nodes];
    last.iter().for_each(|&node| wait[node] = nodes);
    let mut queue: BinaryHeap<_> = (0..nodes).map(|node| Reverse((degree[node] + wait[node], node))).collect();
    let (mut order, mut columns) = (Vec::with_capacity(nodes), Vec::with_capacity(nodes));
    while let Some(Reverse((known, pivot))) = queue.pop() {
        if gone[pivot] || known != degree[pivot] + wait[pivot] {
            continue;
        }
        gone[pivot] = true;
        round += 1;
        seen[pivot] = round;
        let mut clique = Vec::new();
        let mut take = |node: usize| {
            if !gone[node] && seen[node] != round {
                seen[node] = round;
                clique.push(node);
            }
        };
        near[pivot].iter().for_each(|&node| take(node));
        for &element in &elements[pivot] {
            members[element].iter().for_each(|&node| take(node));
            absorbed[element] = true;
            members[element].clear();
        }
        let inside = round;
        for &node in &clique {
            near[node].retain(|&other| seen[other] != inside);
            elements[node].retain(|&element| !absorbed[element]);
            elements[node].push(pivot);
        }
        members[pivot].clone_from(&clique);
        for &node in &clique {
            round += 1;
            seen[node] = round;
            let mut count = near[node].len();
            near[node].iter().for_each(|&other| seen[other] = round);
            for &element in &elements[node] {
                for &other in &members[element] {
                    if !gone[other] && seen[other] != round {
                        seen[other] = round;
                        count += 1;
                    }
                }
            }
            degree[node] = count;
            queue.push(Reverse((count + wait[node], node)));
        }
        order.push(pivot);
        columns.push(clique);
    }
    (order, columns)
}
