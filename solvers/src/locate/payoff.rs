//! What a prover gains by the truth and by a lie, and the deposits for which the truth is the better reply.
//!
//! Provers are drawn, deposit, and measure. All lies about one claim agree with each other: the worst case. With `n`
//! provers of which `s` may be dropped ([`spare`](super::spare)), at most `s` wrong reports leave the verdict right, and
//! are dropped or not; `n − s` or more make it wrong, and the truthful are dropped; in between nothing is known, nobody gains or
//! loses, and others are drawn. Who is not dropped is rewarded; who is, and who stays silent, forfeits the deposit.
//!
//! Beyond that a wrong verdict is worth something to somebody. The operator would pay tokens for what a meter at this
//! place fed in: a true claim that is refused saves them, a false one that is accepted costs them. Another prover may
//! compete with the device's owner, or be bribed by them. The gains are ours: the thesis's tables are not known to us.

use crate::witness::binomial;

/// The rules of one proof. Money in any unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Game {
    /// How many provers are drawn.
    pub provers: u32,
    /// How many may be dropped.
    pub spare: u32,
    /// What a prover gets that is not dropped.
    pub reward: f64,
    /// How often a truthful prover is dropped, because its measurement was far off.
    pub mistaken: f64,
    /// How often one is dropped that lies alone: loudness is so rough that many a lie passes for a measurement.
    pub caught: f64,
    /// What a prover believes of each of the others: how likely it lies.
    pub suspicion: f64,
}

/// Whose reply is sought, and what a wrong verdict is worth to them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Player {
    /// Pays `tokens` for what the device feeds in, if its claim is accepted.
    Operator {
        /// Money.
        tokens: f64,
    },
    /// Somebody else's node.
    Neighbour {
        /// What the owner of a device pays for accepting its false claim.
        bribe: f64,
        /// What it is worth that a true claim of somebody else is refused.
        rivalry: f64,
    },
}

/// What a prover does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Reports what it measured.
    Truth,
    /// Reports what the other verdict asks for.
    Lie,
    /// Reports nothing.
    Silence,
}

/// Deposits for which the truth is the only best reply, whatever the claim, and taking part is worth it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Deposits {
    /// Above this.
    pub least: f64,
    /// Up to this.
    pub most: f64,
}

impl Player {
    /// What a wrong verdict on a true or false claim is worth.
    fn gain(self, true_claim: bool) -> f64 {
        match (self, true_claim) {
            (Self::Operator { tokens }, true) => tokens,
            (Self::Operator { tokens }, false) => -tokens,
            (Self::Neighbour { rivalry, .. }, true) => rivalry,
            (Self::Neighbour { bribe, .. }, false) => bribe,
        }
    }
}

impl Game {
    /// One cell of the table: what the player gets, if `lying` of the others lie.
    #[must_use]
    pub fn payoff(&self, player: Player, true_claim: bool, reply: Reply, lying: u32, deposit: f64) -> f64 {
        // Who is silent leaves one fewer, and as many who may be dropped at most.
        let present = self.provers - u32::from(reply == Reply::Silence);
        let wrong = lying + u32::from(reply == Reply::Lie);
        let dropped = |share: f64| (1.0 - share) * self.reward - share * deposit;
        let (truth, lie, gain) = if wrong <= self.spare {
            (dropped(self.mistaken), dropped(self.caught), 0.0)
        } else if wrong + self.spare >= present {
            (-deposit, self.reward, player.gain(true_claim))
        } else {
            (0.0, 0.0, 0.0)
        };
        match reply {
            Reply::Truth => truth + gain,
            Reply::Lie => lie + gain,
            Reply::Silence => gain - deposit,
        }
    }

    /// What the player may expect, believing what [`Game::suspicion`] says.
    #[must_use]
    pub fn expected(&self, player: Player, true_claim: bool, reply: Reply, deposit: f64) -> f64 {
        let others = self.provers - 1;
        let tail = |k: u32| binomial(others, self.suspicion, k);
        (0..=others)
            .map(|lying| (tail(lying) - tail(lying + 1)) * self.payoff(player, true_claim, reply, lying, deposit))
            .sum()
    }

    /// The range of deposits; `None` if there is none.
    #[must_use]
    pub fn deposits(&self, player: Player) -> Option<Deposits> {
        let (mut least, mut most) = (0.0_f64, f64::INFINITY);
        for claim in [true, false] {
            // All is linear in the deposit.
            let line = |reply| {
                let at = |deposit| self.expected(player, claim, reply, deposit);
                (at(0.0), at(1.0) - at(0.0))
            };
            let truth = line(Reply::Truth);
            for other in [Reply::Lie, Reply::Silence].map(line) {
                let (more, slope) = (truth.0 - other.0, truth.1 - other.1);
                match slope {
                    s if s > 0.0 => least = least.max(-more / s),
                    s if s < 0.0 => most = most.min(-more / s),
                    _ if more <= 0.0 => return None,
                    _ => {}
                }
            }
            // Taking part is worth it for the reward alone, without what the verdict brings to those who do not.
            let calm = Player::Operator { tokens: 0.0 };
            let (reward, cost) = (self.expected(calm, claim, Reply::Truth, 0.0), {
                self.expected(calm, claim, Reply::Truth, 1.0) - self.expected(calm, claim, Reply::Truth, 0.0)
            });
            if cost < 0.0 {
                most = most.min(reward / -cost);
            } else if reward <= 0.0 {
                return None;
            }
        }
        (least < most).then_some(Deposits { least, most })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAYERS: [Player; 3] = [
        Player::Operator { tokens: 50.0 },
        Player::Neighbour { bribe: 200.0, rivalry: 5.0 },
        Player::Neighbour { bribe: 0.0, rivalry: 500.0 },
    ];

    fn games() -> impl Iterator<Item = Game> {
        [5, 7, 9, 13].into_iter().flat_map(|provers| {
            [0.0, 0.01, 0.05, 0.1, 0.2].into_iter().map(move |suspicion| Game {
                provers,
                spare: 1,
                reward: 1.0,
                mistaken: 0.02,
                caught: 0.12,
                suspicion,
            })
        })
    }

    /// Every other prover's reply, one by one: two to the power of their number, each with its probability.
    fn enumerated(game: &Game, player: Player, claim: bool, reply: Reply, deposit: f64) -> f64 {
        let others = game.provers - 1;
        (0_u32..1 << others)
            .map(|lies| {
                let lying = lies.count_ones();
                let probability = (0..others)
                    .map(|i| if lies >> i & 1 == 1 { game.suspicion } else { 1.0 - game.suspicion })
                    .product::<f64>();
                probability * game.payoff(player, claim, reply, lying, deposit)
            })
            .sum()
    }

    #[test]
    fn the_truth_is_the_only_best_reply_for_every_deposit_in_the_range() {
        for game in games() {
            for player in PLAYERS {
                let Some(Deposits { least, most }) = game.deposits(player) else {
                    assert!(game.suspicion >= 0.1, "no deposit for {game:?} {player:?}");
                    continue;
                };
                for share in [0.001, 0.25, 0.5, 0.75, 0.999] {
                    let deposit = least + (most - least) * share;
                    for claim in [true, false] {
                        let of = |reply| enumerated(&game, player, claim, reply, deposit);
                        let truth = of(Reply::Truth);
                        assert!(truth > of(Reply::Lie), "{game:?} {player:?} {claim} {deposit}");
                        assert!(truth > of(Reply::Silence), "{game:?} {player:?} {claim} {deposit}");
                    }
                }
            }
        }
    }

    #[test]
    fn outside_the_range_somebody_does_better_otherwise() {
        for game in games() {
            for player in PLAYERS {
                let Some(Deposits { least, most }) = game.deposits(player) else { continue };
                let of = |claim, reply, deposit| game.expected(player, claim, reply, deposit);
                let calm = Player::Operator { tokens: 0.0 };
                let fails = |deposit: f64| {
                    [true, false].into_iter().any(|claim| {
                        let truth = of(claim, Reply::Truth, deposit);
                        truth <= of(claim, Reply::Lie, deposit)
                            || truth <= of(claim, Reply::Silence, deposit)
                            || game.expected(calm, claim, Reply::Truth, deposit) < 0.0
                    })
                };
                assert!(least == 0.0 || fails(least * 0.999), "{game:?} {player:?}");
                assert!(fails(most * 1.001), "{game:?} {player:?}");
            }
        }
    }

    #[test]
    fn among_the_truthful_the_truth_is_best_for_every_player_and_claim() {
        // With nobody else lying, in every cell of the table: an equilibrium.
        for game in games().filter(|g| g.suspicion == 0.0) {
            for player in PLAYERS {
                for claim in [true, false] {
                    let of = |reply| game.payoff(player, claim, reply, 0, 10.0);
                    assert!(of(Reply::Truth) > of(Reply::Lie) && of(Reply::Truth) > of(Reply::Silence));
                }
            }
        }
    }

    #[test]
    fn a_bribe_that_is_large_enough_has_no_deposit_against_it() {
        let game = Game { provers: 5, spare: 1, reward: 1.0, mistaken: 0.02, caught: 0.12, suspicion: 0.2 };
        assert_eq!(game.deposits(Player::Neighbour { bribe: 1e6, rivalry: 0.0 }), None);
    }
}
