//! The careful factorisation, for matrices whose blocks cannot be eliminated in the order that the graph suggests: the
//! multifrontal method (Duff and Reid 1983). Every front is a small dense matrix of the unknowns eliminated there and of
//! those they touch; a pivot that is too small beside its column waits for the next front up the tree, where it stands
//! among more rows. Slower than [`super::ldl`] by a small factor, and it takes what there is.

use super::{B, Matrix, Part, Pattern};

/// What depends on the graph alone: a front eliminates `nodes` and touches others, all in the order of elimination.
#[derive(Clone, Debug, Default)]
struct Shape {
    nodes: Vec<usize>,
    touches: Vec<usize>,
    children: Vec<usize>,
    /// Edges whose block is assembled here.
    edges: Vec<usize>,
}

/// The numbers of a front.
#[derive(Clone, Debug, Default)]
struct Front {
    /// Unknowns, `4 · node + row`: those eliminated, in their order, those that wait, those touched.
    unknowns: Vec<u32>,
    /// Of the first so many columns `panel` has all rows.
    full: usize,
    /// So many of them were eliminated: their columns are those of `L`.
    pivots: usize,
    panel: Vec<f64>,
    /// What is left for the rows that are touched, lower triangle.
    rest: Vec<f64>,
    /// The inverse of `D`: its diagonal, and what stands below it in a pivot of two rows.
    inverse: Vec<(f64, f64)>,
}

/// A factorisation.
#[derive(Clone, Debug)]
pub(super) struct Fronts {
    shapes: Vec<Shape>,
    fronts: Vec<Front>,
    /// By unknown, its place in the front at work.
    place: Vec<u32>,
    /// Columns as they were before they were divided by their pivots.
    whole: Vec<f64>,
    local: Vec<f64>,
    /// Negative eigenvalues, or more than there can be when the matrix is singular.
    pub negative: usize,
}

/// A pivot of one row this large beside its column is taken before one of two rows is looked for.
const GOOD: f64 = 0.1;
/// A node joins the front of its parent when its column is shorter than theirs by no more than this many nodes.
const ZEROS: usize = 1;

impl Fronts {
    /// Lays out the tree of the fronts.
    pub fn new(pattern: &Pattern, edges: &[(usize, usize)]) -> Self {
        let steps = pattern.order.len();
        let below = |step: usize| &pattern.rows[pattern.begins[step]..pattern.begins[step + 1]];
        // From the root down: a step joins its parent's front where their columns are alike.
        let mut front_of = vec![usize::MAX; steps];
        let (mut heads, mut heights): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
        for step in (0..steps).rev() {
            let own = below(step).len();
            let above = below(step).first().map(|parent| front_of[*parent]);
            if let Some(front) = above.filter(|front| heights[*front] <= own + ZEROS) {
                front_of[step] = front;
                heights[front] += 1;
            } else {
                front_of[step] = heads.len();
                heads.push(step);
                heights.push(own + 1);
            }
        }
        // Fronts were numbered from the root: children must come first.
        let count = heads.len();
        let mut shapes = vec![Shape::default(); count];
        front_of.iter_mut().for_each(|front| *front = count - 1 - *front);
        for step in 0..steps {
            shapes[front_of[step]].nodes.push(pattern.order[step]);
        }
        for (k, &head) in heads.iter().enumerate() {
            let front = count - 1 - k;
            shapes[front].touches = below(head).iter().map(|row| pattern.order[*row]).collect();
            if let Some(&parent) = below(head).first() {
                shapes[front_of[parent]].children.push(front);
            }
        }
        for (edge, &(i, j)) in edges.iter().enumerate() {
            let first = pattern.position[i].min(pattern.position[j]);
            shapes[front_of[first]].edges.push(edge);
        }
        let fronts = vec![Front::default(); count];
        Self { shapes, fronts, place: vec![0; steps * B], whole: Vec::new(), local: Vec::new(), negative: 0 }
    }

    /// Factors a matrix. No entry of `L` is larger than about `1 / threshold`, but at the roots.
    pub fn factor(&mut self, a: &Matrix, threshold: f64) {
        self.negative = 0;
        for at in 0..self.shapes.len() {
            let mut front = std::mem::take(&mut self.fronts[at]);
            self.assemble(at, &mut front, a);
            let root = self.shapes[at].touches.is_empty();
            self.negative = self.negative.saturating_add(front.eliminate(&mut self.whole, threshold, root));
            self.fronts[at] = front;
        }
    }

    /// Fills a front with what the matrix has for it and what its children left.
    fn assemble(&mut self, at: usize, front: &mut Front, a: &Matrix) {
        let shape = &self.shapes[at];
        front.unknowns.clear();
        front.unknowns.extend(shape.nodes.iter().flat_map(unknowns));
        for &child in &shape.children {
            let child = &self.fronts[child];
            front.unknowns.extend(&child.unknowns[child.pivots..child.full]);
        }
        front.full = front.unknowns.len();
        front.unknowns.extend(shape.touches.iter().flat_map(unknowns));
        let (rows, full) = (front.unknowns.len(), front.full);
        let left = rows - full;
        front.panel.clear();
        front.panel.resize(rows * full, 0.0);
        front.rest.clear();
        front.rest.resize(left * left, 0.0);
        for (k, unknown) in front.unknowns.iter().enumerate() {
            self.place[*unknown as usize] = u32::try_from(k).unwrap_or(u32::MAX);
        }
        for (k, &node) in shape.nodes.iter().enumerate() {
            for (c, column) in front.panel.chunks_exact_mut(rows).skip(k * B).take(B).enumerate() {
                (0..B).for_each(|r| column[k * B + r] += a.diagonal[node][r * B + c]);
            }
        }
        for &edge in &shape.edges {
            let (i, j) = a.edges[edge];
            for (cell, v) in a.off[edge].iter().enumerate() {
                let row = self.place[unknown(i, cell / B) as usize] as usize;
                let column = self.place[unknown(j, cell % B) as usize] as usize;
                front.add(row, column, *v);
            }
        }
        for &child in &shape.children {
            let child = &self.fronts[child];
            let places: Vec<usize> = child.unknowns.iter().map(|u| self.place[*u as usize] as usize).collect();
            let rows = child.unknowns.len();
            for column in child.pivots..child.full {
                for row in column..rows {
                    front.add(places[row], places[column], child.panel[column * rows + row]);
                }
            }
            front.extend(&places[child.full..], &child.rest);
        }
    }

    /// `x = A⁻¹ b`.
    pub fn apply(&mut self, b: &[Part], x: &mut [Part]) {
        x.copy_from_slice(b);
        let at = |unknown: &u32| (*unknown as usize / B, *unknown as usize % B);
        for front in &self.fronts {
            let rows = front.unknowns.len();
            self.local.clear();
            self.local.extend(front.unknowns.iter().map(at).map(|(node, k)| x[node][k]));
            for (p, column) in front.panel.chunks_exact(rows).take(front.pivots).enumerate() {
                let (before, after) = self.local.split_at_mut(p + 1);
                let y = before[p];
                after.iter_mut().zip(&column[p + 1..]).for_each(|(v, l)| *v -= l * y);
            }
            for (unknown, v) in front.unknowns.iter().zip(&self.local) {
                let (node, k) = at(unknown);
                x[node][k] = *v;
            }
        }
        for front in self.fronts.iter().rev() {
            let rows = front.unknowns.len();
            self.local.clear();
            self.local.extend(front.unknowns.iter().map(at).map(|(node, k)| x[node][k]));
            for p in 0..front.pivots {
                let (own, below) = front.inverse[p];
                let above = if p > 0 { front.inverse[p - 1].1 } else { 0.0 };
                // A pivot of two rows is met at its second: both need each other as they were.
                if below == 0.0 {
                    let y = self.local[p];
                    if above != 0.0 {
                        let first = self.local[p - 1];
                        self.local[p - 1] = front.inverse[p - 1].0 * first + above * y;
                        self.local[p] = above * first + own * y;
                    } else {
                        self.local[p] = own * y;
                    }
                }
            }
            for p in (0..front.pivots).rev() {
                let column = &front.panel[p * rows..][..rows];
                let (before, after) = self.local.split_at_mut(p + 1);
                before[p] -= dot(&column[p + 1..], after);
            }
            for (unknown, v) in front.unknowns[..front.pivots].iter().zip(&self.local) {
                let (node, k) = at(unknown);
                x[node][k] = *v;
            }
        }
    }
}

fn unknown(node: usize, k: usize) -> u32 {
    u32::try_from(node * B + k).unwrap_or(u32::MAX)
}

fn unknowns(node: &usize) -> [u32; B] {
    std::array::from_fn(|k| unknown(*node, k))
}

/// In four sums, so that it need not wait for itself.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 4];
    let (a4, b4) = (a.chunks_exact(4), b.chunks_exact(4));
    let rest: f64 = a4.remainder().iter().zip(b4.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a4.zip(b4) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(s, (a, b))| *s += a * b);
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
}

impl Front {
    fn add(&mut self, row: usize, column: usize, v: f64) {
        let rows = self.unknowns.len();
        let (low, high) = (row.min(column), row.max(column));
        if low >= self.full {
            self.rest[(low - self.full) * (rows - self.full) + high - self.full] += v;
            return;
        }
        self.panel[low * rows + high] += v;
        if high < self.full && low != high {
            self.panel[high * rows + low] += v;
        }
    }

    /// Adds the lower triangle that a child leaves, whose places here ascend.
    fn extend(&mut self, places: &[usize], rest: &[f64]) {
        let (rows, full, count) = (self.unknowns.len(), self.full, places.len());
        let inside = places.partition_point(|place| *place < full);
        for (c, &column) in places.iter().enumerate() {
            let from = &rest[c * count..][..count];
            if c < inside {
                let to = &mut self.panel[column * rows..][..rows];
                places[c..].iter().zip(&from[c..]).for_each(|(row, v)| to[*row] += v);
                for (row, v) in places[c..inside].iter().zip(&from[c..inside]).skip(1) {
                    self.panel[row * rows + column] += v;
                }
            } else {
                let to = &mut self.rest[(column - full) * (rows - full)..][..rows - full];
                places[c..].iter().zip(&from[c..]).for_each(|(row, v)| to[row - full] += v);
            }
        }
    }

    /// Eliminates what can be; returns how many pivots are negative.
    fn eliminate(&mut self, whole: &mut Vec<f64>, threshold: f64, root: bool) -> usize {
        let (rows, full) = (self.unknowns.len(), self.full);
        whole.clear();
        whole.resize(rows * full, 0.0);
        self.inverse.clear();
        self.pivots = 0;
        let mut negative = 0;
        // Columns from `end` on were looked at since the last pass in vain.
        let (mut end, mut progress, mut last) = (full, false, false);
        while self.pivots < full {
            let k = self.pivots;
            if k >= end {
                if !progress {
                    if !root || last {
                        break;
                    }
                    // Nothing is left above a root: what is there has to do.
                    last = true;
                }
                (end, progress) = (full, false);
            }
            match self.choose(k, if last { 0.0 } else { threshold }) {
                Choice::One => {
                    negative += usize::from(self.panel[k * rows + k] < 0.0);
                    self.one(k, whole);
                    progress = true;
                }
                Choice::Two(other) => {
                    self.swap(k + 1, other);
                    // The second may have been set back; all from there on are looked at again.
                    end = end.max(k + 2);
                    let [a, b, c] = self.corner(k, k + 1);
                    negative += if a * c - b * b < 0.0 { 1 } else { 2 * usize::from(a + c < 0.0) };
                    self.two(k, whole);
                    progress = true;
                }
                Choice::Wait if last => return usize::MAX / 2,
                Choice::Wait => {
                    end -= 1;
                    self.swap(k, end);
                }
            }
        }
        self.rest(whole);
        negative
    }

    fn corner(&self, k: usize, r: usize) -> [f64; 3] {
        let rows = self.unknowns.len();
        [self.panel[k * rows + k], self.panel[k * rows + r], self.panel[r * rows + r]]
    }

    /// A pivot in column `k`, and a second row for it if one is not enough (Duff and Reid 1996).
    fn choose(&self, k: usize, threshold: f64) -> Choice {
        let rows = self.unknowns.len();
        let column = &self.panel[k * rows..][..rows];
        let (mut inside, mut r) = (0.0_f64, k);
        for (row, v) in column.iter().enumerate().take(self.full).skip(k + 1) {
            if v.abs() > inside {
                (inside, r) = (v.abs(), row);
            }
        }
        let outside = column[self.full..].iter().fold(0.0_f64, |most, v| most.max(v.abs()));
        let own = column[k].abs();
        let most = inside.max(outside);
        if own > 0.0 && own >= GOOD * most {
            return Choice::One;
        }
        if r != k {
            let other = &self.panel[r * rows..][..rows];
            let beside = |column: &[f64]| {
                let rest = column.iter().enumerate().skip(k + 1).filter(|(row, _)| *row != r);
                rest.fold(0.0_f64, |most, (_, v)| most.max(v.abs()))
            };
            let (first, second) = (beside(column), beside(other));
            let [a, b, c] = self.corner(k, r);
            let determinant = (a * c - b * b).abs();
            let growth = (c.abs() * first + b.abs() * second).max(b.abs() * first + a.abs() * second);
            // Where it is the difference of two numbers much alike it is not known.
            if determinant >= threshold * growth && determinant > 1e-10 * b * b {
                return Choice::Two(r);
            }
        }
        if own > 0.0 && own >= threshold * most { Choice::One } else { Choice::Wait }
    }

    /// Exchanges two unknowns that are not eliminated yet.
    fn swap(&mut self, a: usize, b: usize) {
        if a == b {
            return;
        }
        let (low, high) = (a.min(b), a.max(b));
        let rows = self.unknowns.len();
        self.unknowns.swap(a, b);
        self.panel.chunks_exact_mut(rows).for_each(|column| column.swap(a, b));
        let (before, after) = self.panel.split_at_mut(high * rows);
        before[low * rows..][..rows].swap_with_slice(&mut after[..rows]);
    }

    fn one(&mut self, k: usize, whole: &mut [f64]) {
        let rows = self.unknowns.len();
        let (before, after) = self.panel.split_at_mut((k + 1) * rows);
        let column = &mut before[k * rows..];
        let inverse = 1.0 / column[k];
        whole[k * rows..][..rows].copy_from_slice(column);
        for other in after.chunks_exact_mut(rows) {
            let factor = other[k] * inverse;
            if factor != 0.0 {
                other[k + 1..].iter_mut().zip(&column[k + 1..]).for_each(|(v, c)| *v -= factor * c);
            }
        }
        column[k + 1..].iter_mut().for_each(|v| *v *= inverse);
        self.inverse.push((inverse, 0.0));
        self.pivots += 1;
    }

    fn two(&mut self, k: usize, whole: &mut [f64]) {
        let rows = self.unknowns.len();
        let [a, b, c] = self.corner(k, k + 1);
        // Divided by the entry off the diagonal, which is the largest: the determinant does not overflow.
        let (p, q) = (a / b, c / b);
        let scale = 1.0 / (b * (p * q - 1.0));
        let (ia, ib, ic) = (q * scale, -scale, p * scale);
        whole[k * rows..][..2 * rows].copy_from_slice(&self.panel[k * rows..][..2 * rows]);
        let (before, after) = self.panel.split_at_mut((k + 2) * rows);
        let (first, second) = before[k * rows..].split_at_mut(rows);
        for other in after.chunks_exact_mut(rows) {
            let (x, y) = (other[k] * ia + other[k + 1] * ib, other[k] * ib + other[k + 1] * ic);
            if x != 0.0 || y != 0.0 {
                for ((v, f), s) in other[k + 2..].iter_mut().zip(&first[k + 2..]).zip(&second[k + 2..]) {
                    *v -= x * f + y * s;
                }
            }
        }
        for (f, s) in first[k + 2..].iter_mut().zip(&mut second[k + 2..]) {
            (*f, *s) = (*f * ia + *s * ib, *f * ib + *s * ic);
        }
        first[k + 1] = 0.0;
        self.inverse.push((ia, ib));
        self.inverse.push((ic, 0.0));
        self.pivots += 2;
    }

    /// `C −= L D Lᵀ` for the rows that are touched, four columns of `L` at a time.
    fn rest(&mut self, whole: &[f64]) {
        let (rows, full, pivots) = (self.unknowns.len(), self.full, self.pivots);
        let left = rows - full;
        let lower = |p: usize, from: usize| &self.panel[p * rows + full + from..(p + 1) * rows];
        for (j, to) in self.rest.chunks_exact_mut(left.max(1)).enumerate() {
            let to = &mut to[j..];
            let w = |p: usize| whole[p * rows + full + j];
            let mut p = 0;
            while p + 4 <= pivots {
                let f = [w(p), w(p + 1), w(p + 2), w(p + 3)];
                let (a, b, c, d) = (lower(p, j), lower(p + 1, j), lower(p + 2, j), lower(p + 3, j));
                for ((((v, a), b), c), d) in to.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                    *v -= (f[0] * a + f[1] * b) + (f[2] * c + f[3] * d);
                }
                p += 4;
            }
            while p < pivots {
                let f = w(p);
                to.iter_mut().zip(lower(p, j)).for_each(|(v, l)| *v -= f * l);
                p += 1;
            }
        }
    }
}

/// What is eliminated next.
enum Choice {
    One,
    /// With this row.
    Two(usize),
    Wait,
}
