//! The short fuzz that every `cargo test` runs, with nothing but the stable toolchain: the kept corpus of a target, then
//! seeded mutations of it through the same entry point. Every crate's tests include this file.

use fastrand::Rng;
use std::path::Path;
use std::time::{Duration, Instant};

/// Mutations of each target; fewer where they take longer than [`LONGEST`].
const MUTATIONS: usize = 4000;
/// Time for the mutations of one target: what keeps a bare machine's test run short.
const LONGEST: Duration = Duration::from_millis(600);
/// No mutation makes an input longer than this.
const MOST: usize = 4096;

/// One input under test. If the property fails, it says how to see it again.
struct Trial<'a> {
    target: &'a str,
    seed: u64,
    input: &'a [u8],
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { target, seed, input } = self;
            eprintln!("target {target}, FUZZ_SEED={seed}, input b\"{}\"", input.escape_ascii());
        }
    }
}

/// Puts every file of `corpus`, and after that mutations of them, through `check`. The seed is drawn, unless
/// `FUZZ_SEED` names one.
pub fn replay(corpus: &Path, target: &str, check: impl Fn(&[u8])) {
    let named = std::env::var("FUZZ_SEED").ok().map(|seed| seed.parse().expect("FUZZ_SEED is a number"));
    let seed = named.unwrap_or_else(|| fastrand::u64(..));
    let seeds = kept(&corpus.join(target));
    assert!(!seeds.is_empty(), "{target} has no corpus in {}", corpus.display());
    let trial = |input: &[u8]| {
        let trial = Trial { target, seed, input };
        check(trial.input);
    };
    seeds.iter().for_each(|input| trial(input));
    let (mut rng, until) = (Rng::with_seed(seed), Instant::now() + LONGEST);
    let mut done = 0;
    while done < MUTATIONS && Instant::now() < until {
        trial(&mutation(&seeds, &mut rng));
        done += 1;
    }
    println!("{target}: {} kept inputs and {done} mutations of them, FUZZ_SEED={seed}", seeds.len());
}

/// The files of a folder, in the order of their names, so that a seed means the same everywhere.
fn kept(folder: &Path) -> Vec<Vec<u8>> {
    let files = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// One of the seeds, with up to eight edits.
fn mutation(seeds: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut input = seeds[rng.usize(..seeds.len())].clone();
    for _ in 0..rng.usize(1..=8) {
        let at = rng.usize(..=input.len());
        let end = rng.usize(at..=input.len().min(at + 32));
        match rng.u8(..8) {
            0 | 1 if at < input.len() => input[at] ^= 1 << rng.u32(..8),
            2 if at < input.len() => input[at] = [0, 1, 0x7F, 0x80, 0xFF, b'0', b'9', b'"'][rng.usize(..8)],
            3 => drop(input.drain(at..end)),
            4 => drop(input.splice(at..at, input[at..end].to_vec())),
            5 => drop(input.splice(at..at, (0..rng.usize(..9)).map(|_| rng.u8(..)).collect::<Vec<_>>())),
            6 => {
                let other = &seeds[rng.usize(..seeds.len())];
                let from = rng.usize(..=other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ => input[at..end].iter_mut().for_each(|byte| *byte = rng.u8(..)),
        }
        input.truncate(MOST);
    }
    input
}
