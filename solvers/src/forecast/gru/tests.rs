use super::*;
use serde_json::Value;

fn numbers(v: &Value) -> Vec<f64> {
    v.as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect()
}

fn drawn(shape: Shape, steps: usize, seed: u64) -> (Gru, Sequence) {
    let mut rng = Rng(seed);
    let weights = (0..shape.weights()).map(|_| rng.even()).collect();
    let inputs = (0..steps * shape.inputs).map(|_| 2.0 * rng.even()).collect();
    let targets = (0..steps).map(|i| (i % 3 != 0).then(|| rng.even())).collect();
    (Gru { shape, weights }, Sequence { inputs, targets })
}

#[test]
fn pytorch_says_the_same_of_the_same_weights() {
    let v: Value = serde_json::from_str(include_str!("../../../tests/data/gru.json")).unwrap();
    let size = |name: &str| usize::try_from(v[name].as_u64().unwrap()).unwrap();
    let shape = Shape { inputs: size("inputs"), hidden: size("hidden") };
    let unit = Gru { shape, weights: numbers(&v["weights"]) };
    let targets = v["targets"].as_array().unwrap().iter().map(Value::as_f64).collect();
    let sequence = Sequence { inputs: numbers(&v["x"]), targets };
    let near = |ours: &[f64], theirs: &Value| {
        let theirs = numbers(theirs);
        assert_eq!(ours.len(), theirs.len());
        for (a, b) in ours.iter().zip(&theirs) {
            assert!((a - b).abs() < 1e-12, "{a} {b}");
        }
    };
    near(&unit.run(&sequence.inputs), &v["y"]);
    let mut gradient = vec![0.0; shape.weights()];
    let loss = unit.learn(&sequence, usize::MAX, &mut gradient);
    assert!((loss - v["loss"].as_f64().unwrap()).abs() < 1e-12);
    near(&gradient, &v["gradient"]);
}

#[test]
fn the_gradient_is_what_moving_each_weight_a_little_shows() {
    for seed in 0..4 {
        let (unit, sequence) = drawn(Shape { inputs: 3, hidden: 6 }, 12, seed);
        let mut gradient = vec![0.0; unit.weights.len()];
        unit.learn(&sequence, usize::MAX, &mut gradient);
        for (i, analytic) in gradient.iter().enumerate() {
            let loss = |by: f64| {
                let mut other = unit.clone();
                other.weights[i] += by;
                other.learn(&sequence, usize::MAX, &mut vec![0.0; gradient.len()])
            };
            let numeric = (loss(1e-5) - loss(-1e-5)) / 2e-5;
            assert!((numeric - analytic).abs() < 1e-8, "seed {seed}, weight {i}: {numeric} {analytic}");
        }
    }
}

#[test]
fn a_way_back_that_is_cut_sees_less_but_the_same_loss() {
    let (unit, mut sequence) = drawn(Shape { inputs: 2, hidden: 4 }, 20, 3);
    sequence.targets[..15].fill(None);
    let learn = |reach| {
        let mut gradient = vec![0.0; unit.weights.len()];
        (unit.learn(&sequence, reach, &mut gradient), gradient)
    };
    let (whole, cut) = (learn(usize::MAX), learn(2));
    assert_eq!(whole.0.to_bits(), cut.0.to_bits());
    assert!(whole.1 != cut.1 && learn(20).1 == whole.1);
}

#[test]
fn it_learns_what_it_heard_some_steps_ago() {
    let shape = Shape { inputs: 1, hidden: 8 };
    let mut rng = Rng(11);
    let make = |rng: &mut Rng| {
        let inputs: Vec<f64> = (0..16).map(|_| rng.even()).collect();
        let targets = (0..16).map(|i| (i >= 3).then(|| inputs[i - 2])).collect();
        Sequence { inputs, targets }
    };
    let all: Vec<Sequence> = (0..200).map(|_| make(&mut rng)).collect();
    let how = Training { hidden: 8, epochs: 60, batch: 4, rate: 0.02, decay: 0.0, patience: 60 };
    let (learn, check) = all.split_at(150);
    let units = train(shape, learn, check, &all, &how, &[1, 2]);
    let nothing = [Gru::new(shape, &mut Rng(1))];
    let missed = |units: &[Gru]| absolute(&mean(units, check), check, 1.0);
    assert!(units.len() == 2 && units[0] != units[1]);
    assert!(missed(&units) < 0.25 * missed(&nothing), "{} of {}", missed(&units), missed(&nothing));
    assert_eq!(units, train(shape, learn, check, &all, &how, &[1, 2]), "the same seeds, other units");
}

#[test]
fn what_was_learned_is_left_where_it_does_not_serve_later_days() {
    let shape = Shape { inputs: 1, hidden: 4 };
    let mut rng = Rng(5);
    let mut make = |sign: f64| {
        let inputs: Vec<f64> = (0..8).map(|_| rng.even()).collect();
        let targets = inputs.iter().map(|x| Some(sign * x)).collect();
        Sequence { inputs, targets }
    };
    let (mut all, later): (Vec<_>, Vec<_>) =
        ((0..40).map(|_| make(1.0)).collect(), (0..10).map(|_| make(-1.0)).collect());
    all.extend(later);
    let (learn, check) = all.split_at(40);
    let how = Training { hidden: 4, epochs: 8, batch: 4, rate: 0.05, decay: 0.0, patience: 8 };
    assert!(train(shape, learn, check, &all, &how, &[1]).is_empty());
    assert!(!train(shape, learn, &learn[..10], &all, &how, &[1]).is_empty());
}
