// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Packed} from "./Packed.sol";

/// @title Checks a solution of a DC optimal power flow, and how far from the optimum it can be
/// @notice As `AcProof`, for the linear model: P = beta * (theta_from - theta_to - shift) on a branch, no losses.
/// @dev The bound: with a price lambda at every bus, a multiplier mu at every limited branch and kappa = lambda_from -
/// lambda_to + mu, every feasible point costs at least
///   sum(lambda * demand) + sum(min over a generator's range of cost - lambda * p) - sum(limit * mu)
///   - sum(beta * shift * kappa) - THETA * sum over buses of |sum over their branches of +-beta * kappa|,
/// where no angle is beyond +-THETA. The last sum is zero for exact multipliers; it pays for rounded ones.
///
/// Scales as in `AcProof`; angles are in 1e-9 rad, susceptances in 1e-8 p.u. No product overflows: angles, prices and
/// multipliers have 32 bits, susceptances 56, powers 40, so a flow stays below 2^(56 + 34) and beta * kappa * shift below
/// 2^(56 + 34 + 40).
library DcProof {
    using Packed for uint256;

    /// @dev A bus in memory while it is checked: 2^7 bytes, in words its angle, its price, what is left of its balance in
    /// 1e-17 p.u., and the sum of +-beta * kappa in 1e-8 quanta.
    uint256 private constant BUS = 7;
    uint256 private constant ANGLE = 0;
    uint256 private constant LAMBDA = 32;
    uint256 private constant P = 64;
    uint256 private constant PULL = 96;

    /// @dev What the loops add up.
    struct Sums {
        int256 cost;
        int256 bound;
    }

    int256 private constant POWER_TO_FLOW = 1e8;
    int256 private constant SUSCEPTANCE = 1e8;
    int256 private constant UNIT = 1e9;
    /// @dev What an angle's 32 bits can hold, in 1e-9 rad: it is part of the problem that no angle is beyond it.
    int256 private constant THETA = 2 ** 31;

    error NotThatLong(uint256 expected, uint256 got);
    error FlowOutOfRange(uint256 branch);
    error PowerOutOfRange(uint256 generator);
    error NotBalanced(uint256 bus);

    /// @notice The least a solution costs, and what no solution can cost less than.
    /// @param network header and elements, as `Dispatch` describes them.
    /// @param conditions demand of every bus and range of every generator.
    /// @param solution angles, prices, powers, multipliers.
    /// @return cost in 1e-9 quanta an hour, what is not balanced included.
    /// @return bound in 1e-9 quanta an hour.
    function check(
        bytes memory network,
        bytes calldata conditions,
        bytes calldata solution
    ) internal pure returns (int256 cost, int256 bound) {
        unchecked {
            uint256 header = Packed.word(network, 0);
            uint256 buses = uint256(header.u(8, 16));
            uint256 generators = uint256(header.u(24, 16));
            Sums memory sums = Sums(0, header.s(56, 64) * UNIT);
            sums.cost = sums.bound;
            uint256 street = Packed.room(buses << BUS);
            uint256 given = Packed.place(conditions);
            uint256 told = Packed.place(solution);
            for (uint256 i = 0; i < buses; ++i) {
                uint256 bus = street + (i << BUS);
                uint256 word = Packed.read(told);
                int256 lambda = word.s(32, 32);
                int256 demand = Packed.read(given).s(0, 40);
                Packed.put(bus, ANGLE, word.s(0, 32));
                Packed.put(bus, LAMBDA, lambda);
                Packed.put(bus, P, -demand * POWER_TO_FLOW);
                Packed.put(bus, PULL, 0);
                sums.bound += lambda * demand;
                given += 10;
                told += 8;
            }
            for (uint256 i = 0; i < generators; ++i) {
                _generator(sums, street, i, Packed.word(network, 1 + i), Packed.read(given), Packed.read(told));
                given += 10;
                told += 5;
            }
            told = _branches(sums, street, network, 1 + generators, uint256(header.u(40, 16)), told);
            uint256 length = told - Packed.place(solution);
            if (length != solution.length) revert NotThatLong(length, solution.length);
            length = given - Packed.place(conditions);
            if (length != conditions.length) revert NotThatLong(length, conditions.length);
            _close(sums, street, buses, header);
            return (sums.cost, sums.bound);
        }
    }

    function _generator(
        Sums memory sums,
        uint256 street,
        uint256 index,
        uint256 word,
        uint256 given,
        uint256 told
    ) private pure {
        unchecked {
            uint256 bus = street + (uint256(word.u(0, 16)) << BUS);
            int256 p = told.s(0, 40);
            (int256 low, int256 high) = (given.s(0, 40), given.s(40, 40));
            if (p < low || p > high) revert PowerOutOfRange(index);
            Packed.increase(bus, P, p * POWER_TO_FLOW);
            (int256 square, int256 slope) = (word.u(96, 48), word.s(144, 48));
            sums.cost += slope * p + Packed.ceilDiv(square * p * p, UNIT);
            sums.bound += Packed.parabola(square, slope - Packed.get(bus, LAMBDA), low, high);
        }
    }

    function _branches(
        Sums memory sums,
        uint256 street,
        bytes memory network,
        uint256 first,
        uint256 branches,
        uint256 told
    ) private pure returns (uint256) {
        unchecked {
            for (uint256 i = 0; i < branches; ++i) {
                uint256 word = Packed.word(network, first + i);
                uint256 from = street + (uint256(word.u(0, 16)) << BUS);
                uint256 to = street + (uint256(word.u(16, 16)) << BUS);
                (int256 beta, int256 shift) = (word.s(32, 56), word.s(88, 40));
                int256 flow = beta * (Packed.get(from, ANGLE) - Packed.get(to, ANGLE) - shift);
                int256 kappa = Packed.get(from, LAMBDA) - Packed.get(to, LAMBDA);
                if (word.u(208, 8) != 0) {
                    (int256 low, int256 high) = (word.s(128, 40), word.s(168, 40));
                    if (flow < low * POWER_TO_FLOW || flow > high * POWER_TO_FLOW) revert FlowOutOfRange(i);
                    int256 mu = Packed.read(told).s(0, 32);
                    told += 4;
                    kappa += mu;
                    sums.bound -= mu * (mu > 0 ? high : low);
                }
                Packed.increase(from, P, -flow);
                Packed.increase(to, P, flow);
                int256 pull = beta * kappa;
                Packed.increase(from, PULL, pull);
                Packed.increase(to, PULL, -pull);
                if (shift != 0) sums.bound += Packed.floorDiv(-pull * shift, SUSCEPTANCE);
            }
            return told;
        }
    }

    /// @dev What is left of the balances, and the angles' part of the bound.
    function _close(Sums memory sums, uint256 street, uint256 buses, uint256 header) private pure {
        unchecked {
            int256 most = header.u(120, 32) * POWER_TO_FLOW;
            int256 left = 0;
            int256 pulls = 0;
            for (uint256 i = 0; i < buses; ++i) {
                int256 p = Packed.abs(Packed.get(street + (i << BUS), P));
                if (p > most) revert NotBalanced(i);
                left += p;
                pulls += Packed.abs(Packed.get(street + (i << BUS), PULL));
            }
            sums.bound -= Packed.ceilDiv(pulls * THETA, SUSCEPTANCE);
            sums.cost += Packed.ceilDiv(left * header.u(152, 48), POWER_TO_FLOW);
        }
    }
}
