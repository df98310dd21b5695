//! Case files of MATPOWER, format version 2 (MATPOWER manual, appendix B): a MATLAB function that fills a structure.
//!
//! Data is read: `baseMVA`, `bus`, `gen`, `branch`, `gencost`, `bus_name`. Of program text, only what public case files do
//! to their own columns is followed: constants, `mpc.bus(:, [PD, QD]) = mpc.bus(:, [PD, QD]) / 1e3` and the like, and `if` on
//! a constant. Anything else that touches those fields is a problem, since what it does to them is not known; anything
//! else is a note.

mod formula;
mod matrix;
mod program;
mod scan;
mod table;

use std::collections::BTreeSet;

use super::{Draft, Network, Problem};

/// At most so many problems are listed.
const MOST: usize = 200;

/// A network read from a case file, with what is worth knowing about it.
///
/// # Errors
/// Everything that is wrong with the text, each with its line.
///
/// ```
/// let (network, notes) = domain::network::matpower::read(
///     "function mpc = two
///      mpc.version = '2';
///      mpc.baseMVA = 100;
///      mpc.bus = [ 1 3 0 0 0 0 1 1 0 230 1 1.1 0.9; 2 1 50 10 0 0 1 1 0 230 1 1.1 0.9 ];
///      mpc.gen = [ 1 50 0 99 -99 1 100 1 200 0 ];
///      mpc.branch = [ 1 2 0.01 0.1 0 60 0 0 0 0 1 -360 360 ];
///      mpc.gencost = [ 2 0 0 2 25 0 ];",
/// )
/// .unwrap();
/// assert_eq!((network.buses.len(), network.branches[0].rate_mva, notes.len()), (2, Some(60.0), 0));
/// ```
pub fn read(text: &str) -> Result<(Network, Vec<Problem>), Vec<Problem>> {
    let (case, mut problems, mut notes) = program::run(text);
    let draft: Option<Draft> = table::draft(&case, &mut problems, &mut notes);
    // The rows that could be read are checked even when others could not: all mistakes at once.
    let checked = draft.map(Draft::check);
    match checked {
        Some(Ok((network, more))) if problems.is_empty() => {
            notes.extend(more);
            notes.sort();
            Ok((network, notes))
        }
        checked => {
            if let Some(Err(more)) = checked {
                // A number that could not be read has been named; that it is none now is no second problem.
                let named: BTreeSet<usize> = problems.iter().map(|p| p.line).collect();
                problems.extend(more.into_iter().filter(|p| !(p.is_unknown() && named.contains(&p.line))));
            }
            problems.sort();
            problems.dedup();
            let left = problems.len().saturating_sub(MOST);
            problems.truncate(MOST);
            if left > 0 {
                problems.push(Problem::new(0, "", format!("and {left} more problems: mend these first")));
            }
            Err(problems)
        }
    }
}

#[cfg(test)]
mod tests;
