// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Packed} from "./Packed.sol";

/// @title Solves the DC optimal power flow of three buses, wholly in a contract
/// @notice The Lagrange function of the problem, with the limits that bind as equations, gives linear equations in the
/// price at bus 3 and one multiplier a binding branch; the powers follow. The problem is convex, so a solution within all
/// limits whose multipliers have the right signs is the optimum: sets of binding limits are tried until one is.
/// @dev With bus 3 as the reference, the flow on branch k is sum(r_ki * (P_i - D_i)), and
///   2 a_i P_i + b_i = lambda - sum over binding branches of mu_k * r_ki
/// for every generator between its limits. Where as many generators are free as there are equations, these say the powers
/// alone, and the costs only the multipliers.
///
/// Scales: power 1e-9 p.u., prices and multipliers 1e-9 quanta, r 1e-9. No product overflows: powers have 41 bits, square
/// and slope of a cost 48, r 31; so 1 / (2 a) has at most 80 bits in 1e-24, an entry of the equations 113 at most before it
/// is divided and 82 after, a right side 82 + 79, and a product of the two, the largest number here, 82 + 161.
library ThreeBus {
    using Packed for uint256;

    struct Problem {
        int256[3] square;
        int256[3] slope;
        int256[3] low;
        int256[3] high;
        int256[3] demand;
        /// Of each branch: r of buses 1 and 2, and its limits.
        int256[2][3] r;
        int256[3] least;
        int256[3] most;
    }

    struct Answer {
        int256[3] power;
        /// Locational prices in 1e-9 quanta.
        int256[3] price;
        int256[3] flow;
        /// In 1e-9 quanta an hour, without the constant.
        int256 cost;
        /// Branches that bind, as bits; at their lower limit three bits higher.
        uint256 binding;
        bool solved;
    }

    /// @dev A set of limits that are taken to bind, while it is tried.
    struct Trial {
        /// Of each generator: 0 between its limits, 1 at the lower, 2 at the upper.
        uint256[3] state;
        /// Branches that bind, and which of their limits.
        uint256 count;
        uint256[2] branch;
        int256[2] limit;
        int256[2] sign;
        int256 lambda;
        int256[2] mu;
    }

    int256 private constant UNIT = 1e9;
    /// @dev Scale of 1 / (2 a).
    int256 private constant STEEP = 1e24;
    /// @dev What rounding may cost, in 1e-9 p.u. and in 1e-9 quanta.
    int256 private constant POWER_SLACK = 8;
    int256 private constant PRICE_SLACK = 1e6;

    /// @dev Beyond any power of 40 bits, and small enough to be added to.
    int256 private constant UNLIMITED = 2 ** 60;

    error NotThreeBuses();
    error NotQuadratic(uint256 generator);

    /// @notice The problem in a network of three buses, a generator at each in their order, and three branches.
    /// @param network header and elements, as `Dispatch` describes them for a DC network.
    /// @param conditions demand of every bus and range of every generator.
    /// @return problem what to solve.
    function read(bytes memory network, bytes calldata conditions) internal pure returns (Problem memory problem) {
        unchecked {
            // Kind, 3 buses, 3 generators, 3 branches: the first 56 bits of a DC header.
            if (Packed.word(network, 0) >> 200 != 0x000003_0003_0003 || conditions.length != 60) revert NotThreeBuses();
            uint256 given = Packed.place(conditions);
            for (uint256 i = 0; i < 3; ++i) {
                uint256 word = Packed.word(network, 1 + i);
                (problem.square[i], problem.slope[i]) = (word.u(96, 48), word.s(144, 48));
                problem.demand[i] = Packed.read(given + 10 * i).s(0, 40);
                uint256 range = Packed.read(given + 30 + 10 * i);
                (problem.low[i], problem.high[i]) = (range.s(0, 40), range.s(40, 40));
                if (word.u(0, 16) != int256(i)) revert NotThreeBuses();
                if (problem.square[i] == 0 && problem.low[i] != problem.high[i]) revert NotQuadratic(i);
            }
            _factors(problem, network);
        }
    }

    /// @dev How the flows follow from the injections at buses 1 and 2: the inverse of the reduced susceptance matrix.
    function _factors(Problem memory problem, bytes memory network) private pure {
        unchecked {
            int256[3] memory beta;
            uint256[3] memory ends;
            // Susceptances by the pair of buses: 1-2, 1-3, 2-3.
            for (uint256 k = 0; k < 3; ++k) {
                uint256 word = Packed.word(network, 4 + k);
                ends[k] = uint256(word.u(0, 32));
                uint256 pair = ends[k] == 1 || ends[k] == 0x10000 ? 0 : ends[k] == 2 || ends[k] == 0x20000 ? 1 : 2;
                if (pair == 2 && ends[k] != 0x10002 && ends[k] != 0x20001) revert NotThreeBuses();
                beta[pair] += word.s(32, 56);
                if (word.s(88, 40) != 0) revert NotThreeBuses();
                bool limited = word.u(208, 8) != 0;
                problem.least[k] = limited ? word.s(128, 40) : -UNLIMITED;
                problem.most[k] = limited ? word.s(168, 40) : UNLIMITED;
            }
            int256 whole = beta[0] * beta[1] + beta[0] * beta[2] + beta[1] * beta[2];
            if (whole <= 0) revert NotThreeBuses();
            // Angles of buses 1 and 2 for a p.u. more at bus 1, and for one more at bus 2, times `whole`.
            int256[3][2] memory angle = [
                [beta[0] + beta[2], beta[0], int256(0)],
                [beta[0], beta[0] + beta[1], int256(0)]
            ];
            for (uint256 k = 0; k < 3; ++k) {
                int256 own = Packed.word(network, 4 + k).s(32, 56) * UNIT;
                (uint256 from, uint256 to) = (ends[k] >> 16, ends[k] & 0xffff);
                problem.r[k][0] = (own * (angle[0][from] - angle[0][to])) / whole;
                problem.r[k][1] = (own * (angle[1][from] - angle[1][to])) / whole;
            }
        }
    }

    /// @notice Solves it.
    /// @param problem what to solve.
    /// @return best the optimum; not `solved` if no point is within all limits.
    function solve(Problem memory problem) internal pure returns (Answer memory best) {
        unchecked {
            // First without branches that bind; then only those that this overloads; then whatever there is.
            uint256 overloaded = 0;
            if (_tryGenerators(problem, best, 0)) return best;
            overloaded = best.binding;
            for (uint256 set = 1; set < 64; ++set) {
                if (set & ~overloaded == 0 && _tryGenerators(problem, best, set)) return best;
            }
            for (uint256 set = 1; set < 64; ++set) {
                if (set & ~overloaded != 0 && _tryGenerators(problem, best, set)) return best;
            }
            best.solved = false;
        }
    }

    /// @dev Tries all states of the generators with these branches binding. Without any, `best.binding` becomes the
    /// branches that the cheapest powers overload.
    function _tryGenerators(Problem memory problem, Answer memory best, uint256 set) private pure returns (bool) {
        unchecked {
            Trial memory trial;
            if (!_choose(problem, trial, set)) return false;
            for (uint256 n = 0; n < 27; ++n) {
                (trial.state[0], trial.state[1], trial.state[2]) = (n % 3, (n / 3) % 3, n / 9);
                if (!_sensible(problem, trial)) continue;
                if (!_equations(problem, trial, best)) continue;
                uint256 overloaded = _overloaded(problem, best);
                if (!_signs(problem, trial, best)) continue;
                if (overloaded & ~set == 0) {
                    best.binding = set;
                    best.solved = true;
                    best.cost = _cost(problem, best);
                    return true;
                }
                if (set == 0) best.binding = overloaded;
            }
            return false;
        }
    }

    /// @dev Takes the branches of a set as binding: at most two, neither at both of its limits.
    function _choose(Problem memory problem, Trial memory trial, uint256 set) private pure returns (bool) {
        unchecked {
            if (set & (set >> 3) != 0) return false;
            for (uint256 k = 0; k < 3; ++k) {
                if ((set >> k) & 9 == 0) continue;
                if (trial.count == 2) return false;
                bool upper = (set >> k) & 1 != 0;
                trial.branch[trial.count] = k;
                trial.limit[trial.count] = upper ? problem.most[k] : problem.least[k];
                trial.sign[trial.count] = upper ? int256(1) : int256(-1);
                ++trial.count;
            }
            return true;
        }
    }

    /// @dev Of a generator without a range only one state is tried; and there are no more equations than free generators.
    function _sensible(Problem memory problem, Trial memory trial) private pure returns (bool) {
        unchecked {
            uint256 free = 0;
            for (uint256 i = 0; i < 3; ++i) {
                bool fixed_ = problem.low[i] == problem.high[i];
                if (fixed_ && trial.state[i] != 1) return false;
                if (trial.state[i] == 0) ++free;
            }
            return free > trial.count;
        }
    }

    /// @dev The powers of the free generators and the multipliers; `false` if they are not determined.
    function _equations(Problem memory problem, Trial memory trial, Answer memory best) private pure returns (bool) {
        unchecked {
            for (uint256 i = 0; i < 3; ++i) {
                if (trial.state[i] == 0) continue;
                best.power[i] = trial.state[i] == 1 ? problem.low[i] : problem.high[i];
            }
            if (trial.count == 2) return _corner(problem, trial, best);
            // sum over the free of (lambda - b - mu r) / (2 a) = what they have to bring, and over the branch likewise.
            int256 branch = trial.count == 0 ? int256(-1) : int256(trial.branch[0]);
            int256[6] memory m;
            if (branch >= 0) m[5] = trial.limit[0] * STEEP;
            for (uint256 i = 0; i < 3; ++i) {
                int256 r = branch < 0 ? int256(0) : _r(problem, uint256(branch), i);
                int256 held = -problem.demand[i];
                if (trial.state[i] != 0) held += best.power[i];
                m[4] -= held * STEEP;
                m[5] -= held * r * (STEEP / UNIT);
                if (trial.state[i] != 0) continue;
                int256 steep = STEEP / (2 * problem.square[i]);
                int256 base = steep * problem.slope[i] * UNIT;
                int256 tilted = (steep * r) / UNIT;
                m[0] += steep;
                m[1] += tilted;
                m[3] += (tilted * r) / UNIT;
                m[4] += base;
                m[5] += (base / UNIT) * r;
            }
            if (trial.count == 0) {
                if (m[0] == 0) return false;
                trial.lambda = m[4] / m[0];
            } else {
                int256 determinant = m[0] * m[3] - m[1] * m[1];
                // The entries are rounded: what is left of a determinant that is nothing is not more than this.
                if (determinant <= 4 * m[0]) return false;
                trial.lambda = _quotient(m[4], m[3], m[5], m[1], determinant);
                trial.mu[0] = _quotient(m[4], m[1], m[5], m[0], determinant);
            }
            return _powers(problem, trial, best);
        }
    }

    /// @dev (a * b - c * d) / e.
    function _quotient(int256 a, int256 b, int256 c, int256 d, int256 e) private pure returns (int256) {
        unchecked {
            return (a * b - c * d) / e;
        }
    }

    /// @dev Powers from the prices; the last free generator takes what rounding leaves.
    function _powers(Problem memory problem, Trial memory trial, Answer memory best) private pure returns (bool) {
        unchecked {
            int256 left = 0;
            uint256 last = 0;
            for (uint256 i = 0; i < 3; ++i) {
                if (trial.state[i] == 0) {
                    int256 push = trial.lambda - problem.slope[i] * UNIT;
                    if (trial.count != 0) push -= (trial.mu[0] * _r(problem, trial.branch[0], i)) / UNIT;
                    best.power[i] = push / (2 * problem.square[i]);
                    last = i;
                }
                left += problem.demand[i] - best.power[i];
            }
            if (Packed.abs(left) > POWER_SLACK) return false;
            best.power[last] += left;
            return _within(problem, trial, best);
        }
    }

    /// @dev Two branches bind: the flows say the injections at buses 1 and 2, the balance that at 3, and the costs of all
    /// three the multipliers.
    function _corner(Problem memory problem, Trial memory trial, Answer memory best) private pure returns (bool) {
        unchecked {
            int256[2] memory first = problem.r[trial.branch[0]];
            int256[2] memory second = problem.r[trial.branch[1]];
            int256 determinant = first[0] * second[1] - first[1] * second[0];
            if (determinant == 0) return false;
            (int256 f, int256 g) = (trial.limit[0] * UNIT, trial.limit[1] * UNIT);
            best.power[0] = problem.demand[0] + _quotient(f, second[1], g, first[1], determinant);
            best.power[1] = problem.demand[1] + _quotient(g, first[0], f, second[0], determinant);
            best.power[2] = problem.demand[0] + problem.demand[1] + problem.demand[2] - best.power[0] - best.power[1];
            if (!_within(problem, trial, best)) return false;
            trial.lambda = _marginal(problem, best, 2);
            (f, g) = ((trial.lambda - _marginal(problem, best, 0)) * UNIT, (trial.lambda - _marginal(problem, best, 1)) * UNIT);
            trial.mu[0] = _quotient(f, second[1], g, second[0], determinant);
            trial.mu[1] = _quotient(g, first[0], f, first[1], determinant);
            return true;
        }
    }

    /// @dev What the next p.u. of a generator costs, in 1e-9 quanta.
    function _marginal(Problem memory problem, Answer memory best, uint256 i) private pure returns (int256) {
        unchecked {
            return 2 * problem.square[i] * best.power[i] + problem.slope[i] * UNIT;
        }
    }

    /// @dev Whether the free generators are within their limits, but for what rounding may cost.
    function _within(Problem memory problem, Trial memory trial, Answer memory best) private pure returns (bool) {
        unchecked {
            for (uint256 i = 0; i < 3; ++i) {
                if (trial.state[i] != 0) continue;
                if (best.power[i] < problem.low[i] - POWER_SLACK) return false;
                if (best.power[i] > problem.high[i] + POWER_SLACK) return false;
            }
            return true;
        }
    }

    /// @dev Flows, and which branches they overload.
    function _overloaded(Problem memory problem, Answer memory best) private pure returns (uint256 set) {
        unchecked {
            (int256 first, int256 second) = (best.power[0] - problem.demand[0], best.power[1] - problem.demand[1]);
            for (uint256 k = 0; k < 3; ++k) {
                int256 flow = (problem.r[k][0] * first + problem.r[k][1] * second) / UNIT;
                best.flow[k] = flow;
                if (flow > problem.most[k] + POWER_SLACK) set |= 1 << k;
                if (flow < problem.least[k] - POWER_SLACK) set |= 8 << k;
            }
        }
    }

    /// @dev Whether no multiplier pushes the wrong way: a branch at its upper limit has none below zero, and a generator at a
    /// limit would not rather leave it.
    function _signs(Problem memory problem, Trial memory trial, Answer memory best) private pure returns (bool) {
        unchecked {
            for (uint256 k = 0; k < trial.count; ++k) {
                if (trial.mu[k] * trial.sign[k] < -PRICE_SLACK) return false;
            }
            for (uint256 i = 0; i < 3; ++i) {
                best.price[i] = trial.lambda;
                for (uint256 k = 0; k < trial.count; ++k) {
                    best.price[i] -= (trial.mu[k] * _r(problem, trial.branch[k], i)) / UNIT;
                }
                if (trial.state[i] == 0 || problem.low[i] == problem.high[i]) continue;
                int256 gain = best.price[i] - _marginal(problem, best, i);
                if (trial.state[i] == 1 ? gain > PRICE_SLACK : gain < -PRICE_SLACK) return false;
            }
            return true;
        }
    }

    function _cost(Problem memory problem, Answer memory best) private pure returns (int256 cost) {
        unchecked {
            for (uint256 i = 0; i < 3; ++i) {
                int256 p = best.power[i];
                cost += problem.slope[i] * p + Packed.ceilDiv(problem.square[i] * p * p, UNIT);
            }
        }
    }

    function _r(Problem memory problem, uint256 branch, uint256 bus) private pure returns (int256) {
        return bus == 2 ? int256(0) : problem.r[branch][bus];
    }
}
