use super::*;

#[test]
fn a_cost_is_what_its_points_and_powers_say() {
    let poly = Cost::Polynomial(vec![1.0, 2.0, 0.5]);
    assert_eq!(poly.at(4.0), 1.0 + 8.0 + 8.0);
    let piecewise = Cost::Piecewise(vec![(0.0, 0.0), (10.0, 20.0), (20.0, 60.0)]);
    assert_eq!([-1.0, 0.0, 5.0, 10.0, 15.0, 25.0].map(|p| piecewise.at(p)), [-2.0, 0.0, 10.0, 20.0, 40.0, 80.0]);
    assert_eq!(Cost::Polynomial(vec![]).at(7.0), 0.0);
}

#[test]
fn a_cost_that_bends_down_is_not_convex() {
    let convex = |c: Cost| c.is_convex(-10.0, 10.0);
    assert!(convex(Cost::Polynomial(vec![0.0, -3.0])));
    assert!(convex(Cost::Polynomial(vec![0.0, -3.0, 0.1])));
    assert!(!convex(Cost::Polynomial(vec![0.0, -3.0, -0.1])));
    assert!(!convex(Cost::Polynomial(vec![0.0, 0.0, 0.0, 1.0])));
    assert!(convex(Cost::Polynomial(vec![0.0, 0.0, 60.0, 1.0])));
    assert!(!convex(Cost::Piecewise(vec![(0.0, 0.0), (1.0, 5.0), (2.0, 6.0)])));
    assert!(convex(Cost::Piecewise(vec![(0.0, 0.0), (1.0, 5.0), (2.0, 10.0), (3.0, 20.0)])));
}
