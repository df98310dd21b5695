use super::*;
use nalgebra::{DMatrix, DVector, SymmetricEigen};
use proptest::prelude::*;

/// A connected graph: a tree and some more edges.
fn graph(nodes: usize, more: usize, random: &mut fastrand::Rng) -> Vec<(usize, usize)> {
    let mut edges: Vec<(usize, usize)> = (1..nodes).map(|i| (random.usize(..i), i)).collect();
    for _ in 0..more {
        let (a, b) = (random.usize(..nodes), random.usize(..nodes));
        if a != b && !edges.contains(&(a, b)) && !edges.contains(&(b, a)) {
            edges.push((a, b));
        }
    }
    edges
}

/// Shaped as in an interior point: Hessians over constraints, two of each per node; some have no lower right corner.
fn saddle(nodes: usize, edges: Vec<(usize, usize)>, random: &mut fastrand::Rng) -> Matrix {
    let mut a = Matrix::new(nodes, edges);
    let mut cell = || random.f64() * 2.0 - 1.0;
    for block in &mut a.diagonal {
        let free = cell() > 0.0;
        for r in 0..B {
            for c in 0..=r {
                let value = match (r, c) {
                    (2.., 2..) if r != c || free => 0.0,
                    (2.., 2..) => -cell().abs(),
                    _ if r == c => 4.0 * cell(),
                    _ => cell(),
                };
                (block[r * B + c], block[c * B + r]) = (value, value);
            }
        }
    }
    for block in &mut a.off {
        for (k, value) in block.iter_mut().enumerate() {
            *value = if k / B < 2 || k % B < 2 { 0.5 * cell() } else { 0.0 };
        }
    }
    a
}

fn dense(a: &Matrix) -> DMatrix<f64> {
    let n = a.diagonal.len() * B;
    let mut full = DMatrix::zeros(n, n);
    for (i, block) in a.diagonal.iter().enumerate() {
        for (k, v) in block.iter().enumerate() {
            full[(i * B + k / B, i * B + k % B)] = *v;
        }
    }
    for (block, &(i, j)) in a.off.iter().zip(&a.edges) {
        for (k, v) in block.iter().enumerate() {
            full[(i * B + k / B, j * B + k % B)] = *v;
            full[(j * B + k % B, i * B + k / B)] = *v;
        }
    }
    full
}

fn right(nodes: usize, random: &mut fastrand::Rng) -> Vec<Part> {
    (0..nodes).map(|_| std::array::from_fn(|_| random.f64() - 0.5)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn solutions_and_inertia_are_those_of_the_dense_matrix(seed in any::<u64>(), nodes in 1_usize..24, more in 0_usize..30) {
        let mut random = fastrand::Rng::with_seed(seed);
        let edges = graph(nodes, more, &mut random);
        let pattern = Pattern::new(nodes, &edges, &[]);
        let a = saddle(nodes, edges, &mut random);
        let b = right(nodes, &mut random);
        let full = dense(&a);
        let eigenvalues = SymmetricEigen::new(full.clone()).eigenvalues;
        let smallest = eigenvalues.iter().fold(f64::INFINITY, |least, v| least.min(v.abs()));
        prop_assume!(smallest > 1e-6);
        let mut factor = Factor::new(&pattern);
        let mut x = vec![[0.0; B]; nodes];
        // Twice: nothing of the first time may be left.
        for _ in 0..2 {
            factor.factor(&pattern, &a);
            let quality = factor.solve(&pattern, &a, &b, &[1.0; B], &mut x, 1e-12);
            prop_assert!(quality.residual < 1e-9, "{quality:?}");
        }
        let negative = eigenvalues.iter().filter(|v| **v < 0.0).count();
        prop_assert_eq!(factor.negative, negative);
        let wanted = full.lu().solve(&DVector::from_iterator(nodes * B, b.iter().flatten().copied())).unwrap();
        let near = |x: &[Part]| {
            let close = |(got, wanted): (&f64, &f64)| (got - wanted).abs() < 1e-7 * (1.0 + wanted.abs()) / smallest;
            x.iter().flatten().zip(wanted.iter()).all(close)
        };
        prop_assert!(near(&x));
        // And with ever more care.
        while factor.again(&pattern, &a) {
            prop_assert!(factor.solve(&pattern, &a, &b, &[1.0; B], &mut x, 1e-12).residual < 1e-9);
            prop_assert!(near(&x));
            prop_assert_eq!(factor.negative, negative);
        }
    }

    #[test]
    fn pairs_of_a_symmetric_matrix_are_solved_as_the_dense_matrix_is(seed in any::<u64>(), nodes in 1_usize..24, more in 0_usize..30) {
        let mut random = fastrand::Rng::with_seed(seed);
        let edges = graph(nodes, more, &mut random);
        let pattern = Pattern::new(nodes, &edges, &[nodes - 1]);
        // As in the linear model: weights of limits above, of generators below, susceptances between.
        let mut diagonal = vec![[0.1, 0.0, 0.0, -0.1]; nodes];
        let off: Vec<Pair> = edges
            .iter()
            .map(|&(i, j)| {
                let (w, b) = (random.f64(), 1.0 + random.f64());
                for node in [i, j] {
                    diagonal[node][0] += w;
                    diagonal[node][1] += b;
                    diagonal[node][2] += b;
                    diagonal[node][3] -= random.f64();
                }
                [-w, -b, -b, 0.0]
            })
            .collect();
        let mut a = DMatrix::zeros(2 * nodes, 2 * nodes);
        let mut put = |i: usize, j: usize, block: &Pair| {
            (0..4).for_each(|k| a[(2 * i + k / 2, 2 * j + k % 2)] = block[k]);
            (0..4).for_each(|k| a[(2 * j + k % 2, 2 * i + k / 2)] = block[k]);
        };
        diagonal.iter().enumerate().for_each(|(i, block)| put(i, i, block));
        edges.iter().zip(&off).for_each(|(&(i, j), block)| put(i, j, block));
        let b: Vec<[f64; 2]> = (0..nodes).map(|_| [random.f64() - 0.5, random.f64() - 0.5]).collect();
        let expected = a.lu().solve(&DVector::from_iterator(2 * nodes, b.iter().flatten().copied())).expect("regular");
        let (mut twin, mut x) = (Twin::new(&pattern), b);
        prop_assert!(twin.factor(&pattern, &diagonal, &off), "seed {}", seed);
        twin.solve(&pattern, &mut x);
        for (x, expected) in x.iter().flatten().zip(expected.iter()) {
            prop_assert!((x - expected).abs() < 1e-9 * expected.abs().max(1.0), "seed {}: {} for {}", seed, x, expected);
        }
    }
}

#[test]
fn a_tree_is_eliminated_from_its_leaves_without_fill() {
    let mut random = fastrand::Rng::with_seed(3);
    let edges = graph(200, 0, &mut random);
    let pattern = Pattern::new(200, &edges, &[]);
    assert_eq!(pattern.rows.len(), edges.len());
    let mut steps = pattern.order.clone();
    steps.sort_unstable();
    assert!(steps.into_iter().eq(0..200));
}

#[test]
fn a_grid_of_streets_fills_as_little_as_minimum_degree_is_known_for() {
    let side = 30;
    let node = |r: usize, c: usize| r * side + c;
    let mut edges = Vec::new();
    for r in 0..side {
        for c in 0..side {
            if r + 1 < side {
                edges.push((node(r, c), node(r + 1, c)));
            }
            if c + 1 < side {
                edges.push((node(r, c), node(r, c + 1)));
            }
        }
    }
    let pattern = Pattern::new(side * side, &edges, &[]);
    // Row by row would need 30 × 900 blocks; nested dissection is of the order of n log n.
    assert!(pattern.rows.len() < 10_000, "{}", pattern.rows.len());
}

#[test]
fn what_was_added_for_the_factor_is_refined_away() {
    let mut random = fastrand::Rng::with_seed(8);
    let edges = graph(60, 40, &mut random);
    let pattern = Pattern::new(60, &edges, &[]);
    let a = saddle(60, edges, &mut random);
    let b = right(60, &mut random);
    let mut factor = Factor::new(&pattern);
    let mut x = vec![[0.0; B]; 60];
    for shift in [1e-8, 1e-4, 1e-2] {
        let mut shifted = a.clone();
        for block in &mut shifted.diagonal {
            (0..B).for_each(|k| block[k * B + k] += if k < 2 { shift } else { -shift });
        }
        factor.factor(&pattern, &shifted);
        let quality = factor.solve(&pattern, &a, &b, &[1.0; B], &mut x, 1e-12);
        assert!(quality.residual < 1e-9, "{shift} {quality:?}");
        let mut r = vec![[0.0; B]; 60];
        assert!(a.residual(&b, &x, &[1.0; B], &mut r) < 1e-9);
    }
}

#[test]
fn a_bus_whose_voltage_stands_at_its_limit_is_decided_with_the_others() {
    let mut random = fastrand::Rng::with_seed(5);
    let edges = graph(60, 20, &mut random);
    let pattern = Pattern::new(60, &edges, &[]);
    let mut a = saddle(60, edges, &mut random);
    for (node, block) in a.diagonal.iter_mut().enumerate() {
        let given = node % 10 == 9;
        (block[10], block[15]) = if given { (0.0, 0.0) } else { (-1.0, -1.0) };
        if given {
            block[5] = 1e14;
        }
    }
    let b = right(60, &mut random);
    let mut factor = Factor::new(&pattern);
    factor.factor(&pattern, &a);
    assert!(factor.is_careful());
    let mut x = vec![[0.0; B]; 60];
    let quality = factor.solve(&pattern, &a, &b, &[1.0; B], &mut x, 1e-10);
    assert!(quality.residual < 1e-9, "{quality:?}");
}

#[test]
fn a_singular_matrix_is_noticed() {
    let edges = vec![(0, 1)];
    let pattern = Pattern::new(2, &edges, &[]);
    let mut a = Matrix::new(2, edges);
    a.diagonal[0] = std::array::from_fn(|k| if k % 5 == 0 { 1.0 } else { 0.0 });
    let mut factor = Factor::new(&pattern);
    factor.factor(&pattern, &a);
    let mut x = vec![[0.0; B]; 2];
    assert!(factor.solve(&pattern, &a, &[[1.0; B]; 2], &[1.0; B], &mut x, 1e-10).residual > 0.1);
}
