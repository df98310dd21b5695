// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

// solhint-disable no-inline-assembly

/// @title Fields of packed words, and roundings with a direction
/// @notice What the checks of a power flow are written in.
/// @dev Everything here is total: no input makes it revert, and the bounds behind every `unchecked` stand with whoever
/// calls it.
library Packed {
    /// @dev The unsigned field of `bits` bits that begins `offset` bits below the top of a word.
    function u(uint256 packed, uint256 offset, uint256 bits) internal pure returns (int256) {
        unchecked {
            return int256((packed << offset) >> (256 - bits));
        }
    }

    /// @dev The same in two's complement.
    function s(uint256 packed, uint256 offset, uint256 bits) internal pure returns (int256) {
        unchecked {
            return int256(packed << offset) >> (256 - bits);
        }
    }

    /// @dev Room in memory, with whatever is there.
    function room(uint256 size) internal pure returns (uint256 base) {
        assembly ("memory-safe") {
            base := mload(64)
            mstore(64, add(base, size))
        }
    }

    /// @dev A field of a record in memory.
    function get(uint256 base, uint256 offset) internal pure returns (int256 value) {
        assembly ("memory-safe") {
            value := mload(add(base, offset))
        }
    }

    /// @dev Sets one.
    function put(uint256 base, uint256 offset, int256 value) internal pure {
        assembly ("memory-safe") {
            mstore(add(base, offset), value)
        }
    }

    /// @dev Adds to one.
    function increase(uint256 base, uint256 offset, int256 value) internal pure {
        assembly ("memory-safe") {
            let where := add(base, offset)
            mstore(where, add(mload(where), value))
        }
    }

    /// @dev A word of bytes in memory, counted in words.
    function word(bytes memory data, uint256 index) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := mload(add(add(data, 32), shl(5, index)))
        }
    }

    /// @dev Where bytes begin in calldata.
    function place(bytes calldata data) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := data.offset
        }
    }

    /// @dev The word of calldata at a place; zeros follow behind the end.
    function read(uint256 where) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := calldataload(where)
        }
    }

    /// @dev x / y, down; y is positive.
    function floorDiv(int256 x, int256 y) internal pure returns (int256 z) {
        assembly ("memory-safe") {
            z := sub(sdiv(x, y), slt(smod(x, y), 0))
        }
    }

    /// @dev x / y, up; x is not negative, y is positive and x + y does not overflow.
    function ceilDiv(int256 x, int256 y) internal pure returns (int256) {
        unchecked {
            return (x + y - 1) / y;
        }
    }

    /// @dev |x|; x is not the least number.
    function abs(int256 x) internal pure returns (int256 z) {
        assembly ("memory-safe") {
            let sign := sar(255, x)
            z := sub(xor(x, sign), sign)
        }
    }

    /// @dev |(x, y)|, up; both are within +-2^126. The greater of the two and half the lesser is at least the length and at
    /// most 1.12 times it. Newton's method squares the relative error, halved, at every step, so three leave less than 1e-9
    /// of it; in integers it never falls below the root's integer part, whatever it starts from, so one more is never less.
    function length(int256 x, int256 y) internal pure returns (uint256 z) {
        assembly ("memory-safe") {
            let square := add(mul(x, x), mul(y, y))
            let sign := sar(255, x)
            let most := sub(xor(x, sign), sign)
            sign := sar(255, y)
            let least := sub(xor(y, sign), sign)
            if gt(least, most) {
                let other := most
                most := least
                least := other
            }
            z := add(most, shr(1, least))
            z := shr(1, add(z, div(square, z)))
            z := shr(1, add(z, div(square, z)))
            z := add(shr(1, add(z, div(square, z))), 1)
        }
    }

    /// @dev The least of square * x^2 + slope * x for a power x between two others, down: powers in 1e-9 p.u., prices in
    /// quanta, the answer in 1e-9 quanta. `square` is not negative.
    function parabola(int256 square, int256 slope, int256 low, int256 high) internal pure returns (int256) {
        unchecked {
            // The vertex is at -slope / (2 square) p.u.
            int256 twice = 2 * square;
            int256 vertex = -slope * 1e9;
            int256 x = low;
            if (vertex > low * twice) {
                if (vertex < high * twice) return floorDiv(-slope * slope * 1e9, 2 * twice);
                x = high;
            }
            return slope * x + (square * x * x) / 1e9;
        }
    }
}
