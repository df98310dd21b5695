//! A network, a round's conditions and a solution are what their bytes say, and are judged without a panic.

use contracts::dispatch::network::{Conditions, Network, Solution};
use contracts::dispatch::verify;

/// Bytes are a network in one spelling, or none; so are conditions and solutions for it. Whatever they say is judged.
pub fn check(bytes: &[u8]) {
    let Some((cut, bytes)) = bytes.split_first_chunk::<2>() else { return };
    let (network, rest) = bytes.split_at(usize::from(u16::from_be_bytes(*cut)).min(bytes.len()));
    let Some(network) = Network::unpack(network) else { return };
    assert_eq!(Network::unpack(&network.pack().unwrap()).unwrap(), network);
    let length = 10 * (network.buses() + network.generators.len());
    let (conditions, solution) = rest.split_at(length.min(rest.len()));
    let Some(conditions) = Conditions::unpack(&network, conditions) else { return };
    assert_eq!(Conditions::unpack(&network, &conditions.pack().unwrap()).unwrap(), conditions);
    let Some(solution) = Solution::unpack(&network, solution) else { return };
    assert_eq!(solution.pack().unwrap(), rest[length..]);
    let _ = verify(&network, &conditions, &solution);
}
