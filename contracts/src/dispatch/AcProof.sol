// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Packed} from "./Packed.sol";

/// @title Checks a solution of an AC optimal power flow, and how far from the optimum it can be
/// @notice Nothing is believed of who sends it. The point is checked against every balance and limit. From the prices that
/// come with it a number follows that no feasible point can cost less than, whatever the prices are: bad ones only make
/// the number lower.
/// @dev Voltages are rectangular, so that with w = e^2 + f^2 at a bus and c + js = V_f conj(V_t) at a branch all flows are
/// linear in w, c, s, and the check is exact in integers: there is no trigonometry, and no rounding but in the cost.
///
/// The bound is the Lagrangian of Jabr's second-order-cone relaxation (R. Jabr, "Radial distribution load flow using conic
/// programming", IEEE Trans. Power Systems 21(3), 2006), minimised in closed form. Prices lambda, nu of the balances at a
/// bus and (uP, uQ) of the limit at an end of a branch leave at every branch gamma * c + sigma * s, of which
/// c^2 + s^2 <= w_f w_t says that it is at least -rho * sqrt(w_f w_t), with rho = |(gamma, sigma)|; and by the inequality of
/// the means that is at least -rho / 2 * (t w_f + w_t / t) for any t > 0. What is left is linear in every w, between its
/// limits, and a parabola in every generator's power. All roundings go down.
///
/// Scales: power and voltage 1e-9 p.u., admittance 1e-8 p.u., a price one quantum of money an hour and p.u., the
/// publisher's choice. Costs are in 1e-9 quanta an hour. No product overflows: voltages and prices have 32 bits, admittances
/// 48, powers 40, numbers of elements 16. So w, c, s stay below 2^64, a flow below 2^(48 + 64 + 2), its square below 2^230,
/// gamma below 2^(33 + 48 + 2), kappa with rho / t below 2^(84 + 30 + 16), times w below 2^170, cost and bound below 2^190.
library AcProof {
    using Packed for uint256;

    /// @dev What the loops add up.
    struct Sums {
        int256 cost;
        int256 bound;
    }

    /// @dev A bus in memory while it is checked: 2^8 bytes, of which these words are used.
    uint256 private constant BUS = 8;
    /// @dev Voltage, and its square in 1e-18 p.u.
    uint256 private constant E = 0;
    uint256 private constant F = 32;
    uint256 private constant W = 64;
    /// @dev Prices of active and reactive power.
    uint256 private constant LAMBDA = 96;
    uint256 private constant NU = 128;
    /// @dev What is left of its balances, in 1e-26 p.u.
    uint256 private constant P = 160;
    uint256 private constant Q = 192;
    /// @dev The factor of w in the bound, in 1e-8 quanta.
    uint256 private constant KAPPA = 224;

    /// @dev Voltage squared is 1e-18 p.u., a flow 1e-26, a power 1e-9.
    int256 private constant POWER_TO_FLOW = 1e17;
    int256 private constant ADMITTANCE = 1e8;
    int256 private constant UNIT = 1e9;
    /// @dev Tangents of angles are in 1/8192.
    int256 private constant TANGENT = 8192;
    int256 private constant NO_TANGENT = type(int16).min;
    /// @dev All tangents of a branch that has no limits of its angle.
    uint256 private constant NO_TANGENTS = 0x80008000;

    error NotThatLong(uint256 expected, uint256 got);
    error VoltageOutOfRange(uint256 bus);
    error AngleOutOfRange(uint256 branch);
    error FlowOutOfRange(uint256 branch);
    error PowerOutOfRange(uint256 generator);
    error NotBalanced(uint256 bus);
    error BadRatio(uint256 branch);

    /// @notice The least a solution costs, and what no solution can cost less than.
    /// @param network header and elements, as `Dispatch` describes them.
    /// @param conditions demand of every bus and range of every generator.
    /// @param solution voltages, prices, powers, ratios.
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
            uint256 length = 10 * (buses + generators);
            if (length != conditions.length) revert NotThatLong(length, conditions.length);
            Sums memory sums = Sums(0, header.s(56, 64) * UNIT);
            sums.cost = sums.bound;
            uint256 street = Packed.room(buses << BUS);
            _buses(sums, street, network, conditions, solution);
            uint256 given = Packed.place(conditions) + 10 * buses;
            uint256 told = Packed.place(solution) + 16 * buses;
            for (uint256 i = 0; i < generators; ++i) {
                uint256 word = Packed.word(network, 1 + buses + i);
                _generator(sums, street, i, word, Packed.read(given + 10 * i), Packed.read(told + 10 * i));
            }
            told += 10 * generators;
            told = _branches(sums, street, network, 1 + buses + generators, uint256(header.u(40, 16)), told);
            length = told - Packed.place(solution);
            if (length != solution.length) revert NotThatLong(length, solution.length);
            _close(sums, street, network, header);
            return (sums.cost, sums.bound);
        }
    }

    function _buses(
        Sums memory sums,
        uint256 street,
        bytes memory network,
        bytes calldata conditions,
        bytes calldata solution
    ) private pure {
        unchecked {
            uint256 given = Packed.place(conditions);
            uint256 told = Packed.place(solution);
            int256 bound = 0;
            uint256 buses = uint256(Packed.word(network, 0).u(8, 16));
            for (uint256 i = 0; i < buses; ++i) {
                uint256 bus = street + (i << BUS);
                uint256 own = Packed.word(network, 1 + i);
                uint256 word = Packed.read(told + 16 * i);
                (int256 e, int256 f) = (word.s(0, 32), word.s(32, 32));
                int256 w = e * e + f * f;
                if (w < own.u(96, 40) * UNIT || w > own.u(136, 40) * UNIT) revert VoltageOutOfRange(i);
                Packed.put(bus, E, e);
                Packed.put(bus, F, f);
                Packed.put(bus, W, w);
                (int256 lambda, int256 nu) = (word.s(64, 32), word.s(96, 32));
                Packed.put(bus, LAMBDA, lambda);
                Packed.put(bus, NU, nu);
                (int256 gs, int256 bs) = (own.s(0, 48), own.s(48, 48));
                word = Packed.read(given + 10 * i);
                (int256 pd, int256 qd) = (word.s(0, 40), word.s(40, 40));
                Packed.put(bus, P, -pd * POWER_TO_FLOW - gs * w);
                Packed.put(bus, Q, -qd * POWER_TO_FLOW + bs * w);
                Packed.put(bus, KAPPA, lambda * gs - nu * bs);
                bound += lambda * pd + nu * qd;
            }
            sums.bound += bound;
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
            int256 power = told.s(0, 40);
            (int256 low, int256 high) = (given.s(0, 40), given.s(40, 40));
            if (power < low || power > high) revert PowerOutOfRange(index);
            Packed.increase(bus, P, power * POWER_TO_FLOW);
            (int256 square, int256 slope) = (word.u(96, 48), word.s(144, 48));
            sums.cost += slope * power + Packed.ceilDiv(square * power * power, UNIT);
            int256 bound = Packed.parabola(square, slope - Packed.get(bus, LAMBDA), low, high);
            (low, high) = (word.s(16, 40), word.s(56, 40));
            power = told.s(40, 40);
            if (power < low || power > high) revert PowerOutOfRange(index);
            Packed.increase(bus, Q, power * POWER_TO_FLOW);
            int256 nu = Packed.get(bus, NU);
            sums.bound += bound - nu * (nu > 0 ? high : low);
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
                uint256 near = Packed.word(network, first + 2 * i);
                uint256 far = Packed.word(network, first + 2 * i + 1);
                uint256 from = street + ((near >> 240) << BUS);
                uint256 to = street + ((far >> 240) << BUS);
                uint256 prices = Packed.read(told);
                told += 4;
                int256 rate = near.u(208, 40);
                if (rate != 0) {
                    told += 16;
                    sums.bound -= rate * (_size(prices << 32) + _size(prices << 96));
                } else {
                    prices &= uint256(type(uint32).max) << 224;
                }
                if (_branch(from, to, near, far, prices)) continue;
                _refuse(i, from, to, far, prices);
            }
            return told;
        }
    }

    /// @dev What flows into a branch at both ends is taken from the balances there, and what its prices make of the factors
    /// of w is added. `prices`: t, and the multipliers of its limits. Not `true` if it is beyond a limit.
    function _branch(
        uint256 from,
        uint256 to,
        uint256 near,
        uint256 far,
        uint256 prices
    ) private pure returns (bool) {
        unchecked {
            (int256 c, int256 s) = _product(from, to);
            int256 most = near.u(208, 40) * POWER_TO_FLOW;
            if ((far >> 16) & NO_TANGENTS != NO_TANGENTS && !_angle(far, c, s)) return false;
            (int256 gamma, int256 sigma, bool within) = _end(from, near, most, c, s, prices << 32);
            if (!within) return false;
            (c, s, within) = _end(to, far, most, c, -s, prices << 96);
            uint256 ratio = prices >> 224;
            if (!within || ratio == 0) return false;
            uint256 rho = Packed.length(gamma + c, sigma - s);
            Packed.increase(from, KAPPA, ~int256((rho * ratio) >> 32));
            Packed.increase(to, KAPPA, ~int256((rho << 30) / ratio));
            return true;
        }
    }

    /// @dev An end: its flow, and what its prices leave of c and s. At the far end s has the other sign.
    function _end(
        uint256 bus,
        uint256 word,
        int256 most,
        int256 c,
        int256 s,
        uint256 prices
    ) private pure returns (int256 gamma, int256 sigma, bool within) {
        unchecked {
            (int256 g, int256 b) = (word.s(112, 48), word.s(160, 48));
            {
                (int256 x, int256 y) = (
                    Packed.get(bus, LAMBDA) + prices.s(0, 32),
                    Packed.get(bus, NU) + prices.s(32, 32)
                );
                (gamma, sigma) = (x * g - y * b, x * b + y * g);
                (x, y) = (word.s(16, 48) * x - word.s(64, 48) * y, Packed.get(bus, W));
                Packed.increase(bus, KAPPA, x);
                (g, b) = (word.s(16, 48) * y + g * c + b * s, g * s - word.s(64, 48) * y - b * c);
            }
            Packed.increase(bus, P, -g);
            Packed.increase(bus, Q, -b);
            within = most == 0 || g * g + b * b <= most * most;
        }
    }

    /// @dev c + js = V_from conj(V_to), in 1e-18 p.u.
    function _product(uint256 from, uint256 to) private pure returns (int256 c, int256 s) {
        unchecked {
            (int256 e, int256 f) = (Packed.get(from, E), Packed.get(from, F));
            (int256 g, int256 h) = (Packed.get(to, E), Packed.get(to, F));
            c = e * g + f * h;
            s = f * g - e * h;
        }
    }

    function _angle(uint256 far, int256 c, int256 s) private pure returns (bool) {
        unchecked {
            (int256 low, int256 high) = (far.s(208, 16), far.s(224, 16));
            if (low != NO_TANGENT && (c <= 0 || s * TANGENT < low * c)) return false;
            return high == NO_TANGENT || (c > 0 && s * TANGENT <= high * c);
        }
    }

    /// @dev The size of the multiplier of a limit.
    function _size(uint256 prices) private pure returns (int256) {
        if (prices >> 192 == 0) return 0;
        return int256(Packed.length(prices.s(0, 32), prices.s(32, 32)));
    }

    /// @dev Says what is wrong with a branch.
    function _refuse(uint256 index, uint256 from, uint256 to, uint256 far, uint256 prices) private pure {
        (int256 c, int256 s) = _product(from, to);
        if (prices >> 224 == 0) revert BadRatio(index);
        if (!_angle(far, c, s)) revert AngleOutOfRange(index);
        revert FlowOutOfRange(index);
    }

    /// @dev What is left of the balances, and the voltages' part of the bound.
    function _close(Sums memory sums, uint256 street, bytes memory network, uint256 header) private pure {
        unchecked {
            int256 most = header.u(120, 32) * POWER_TO_FLOW;
            uint256 buses = uint256(header.u(8, 16));
            int256 left = 0;
            int256 bound = 0;
            for (uint256 i = 0; i < buses; ++i) {
                uint256 bus = street + (i << BUS);
                (int256 p, int256 q) = (Packed.abs(Packed.get(bus, P)), Packed.abs(Packed.get(bus, Q)));
                if (p > most || q > most) revert NotBalanced(i);
                left += p + q;
                int256 kappa = Packed.get(bus, KAPPA);
                uint256 word = Packed.word(network, 1 + i);
                bound += kappa * (kappa > 0 ? word.u(96, 40) : word.u(136, 40));
            }
            sums.bound += Packed.floorDiv(bound, ADMITTANCE);
            sums.cost += Packed.ceilDiv(left * header.u(152, 48), POWER_TO_FLOW);
        }
    }
}
