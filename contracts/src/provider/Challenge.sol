// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { IRegistry } from "../IRegistry.sol";
import { Exit } from "./Exit.sol";

/// @title Challenges: a meter's signed word against a settler's
/// @notice The holder of an account contests what was billed so far: the contract notes the energy billed at that moment.
/// Then the holder, or anybody, shows a reading that the account's meter took later and signed. Meters only count
/// upwards: if the later reading is less than what was billed before it, more was billed than was used, whatever the
/// settler has sent since. The difference is taken off the account's registers and paid back at the dearest price of the
/// window. From there the next batch bills what the meter says, once.
///
/// What it cannot do: contradict a charge, a tariff, how energy was split between peak and off-peak, or too little
/// feed-in. Nor can a settler be hurt that bills what meters said: a reading from before the contest is refused, a forged
/// one has not the meter's signature, and an honest one is no smaller than what was billed before it was taken.
/// @dev A meter's clock may be ahead of the chain's by `CLOCK_TOLERANCE` at most; the registry's operator keeps that.
abstract contract Challenge is Exit {
    struct Contest {
        uint64 imported;
        uint64 since;
    }

    /// @notice How much later than the contest a reading must be, by the meter's clock.
    uint256 public constant CLOCK_TOLERANCE = 15 minutes;

    mapping(uint32 number => Contest) private _contests;
    /// @dev The highest price for imported energy that was in force at some time since `_dearSince` less a window.
    uint32 private _dearest;
    uint64 private _dearSince;

    /// @notice What an account was billed is contested.
    /// @param number the account.
    /// @param imported Wh billed at that moment, peak and off-peak.
    event Contested(uint32 indexed number, uint64 imported);
    /// @notice A reading has shown that more was billed than was used.
    /// @param number the account.
    /// @param excess by how many Wh at least.
    /// @param units what was paid back to the account for it.
    event Overturned(uint32 indexed number, uint64 excess, uint256 units);

    error NoChallenges();
    error NotContested(uint32 number);
    error ReadingTooEarly(uint64 earliest);
    error ContestOver(uint64 since);
    error NoContradiction(uint256 imported, uint256 billed);

    /// @notice Contests what the account was billed so far. A new contest replaces the one before.
    /// @param number the account, of which the caller is the holder.
    function contest(uint32 number) external {
        if (address(_registry) == address(0) || _window == 0) revert NoChallenges();
        (address holder, ) = holderOf(number);
        if (msg.sender != holder) revert NotHolder();
        uint64 imported = _imported(_wordOf(number));
        _contests[number] = Contest(imported, uint64(block.timestamp));
        emit Contested(number, imported);
    }

    /// @notice Shows a reading that contradicts what was billed before the contest, within a window of it.
    /// @param number the account.
    /// @param reading what its meter said, at least `CLOCK_TOLERANCE` after the contest.
    /// @param signature the meter's; see `IRegistry`.
    function overturn(uint32 number, IRegistry.Reading calldata reading, bytes calldata signature) external {
        Contest memory c = _contests[number];
        if (c.since == 0) revert NotContested(number);
        if (block.timestamp > c.since + _window) revert ContestOver(c.since);
        if (reading.time < c.since + CLOCK_TOLERANCE) revert ReadingTooEarly(uint64(c.since + CLOCK_TOLERANCE));
        uint256 imported = _registry.importedBy(address(this), number, reading, signature);
        if (imported >= c.imported) revert NoContradiction(imported, c.imported);
        delete _contests[number];
        _overturn(number, c.imported - imported);
    }

    /// @notice The contest of an account, if there is one.
    /// @param number the account.
    /// @return imported Wh billed at that moment.
    /// @return since seconds since 1970; zero if there is no contest.
    function contestOf(uint32 number) external view returns (uint64 imported, uint64 since) {
        return (_contests[number].imported, _contests[number].since);
    }

    /// @dev Called when prices change, with the dearer of the two that were in force.
    function _noteDearest(uint32 was) internal {
        if (block.timestamp > _dearSince + _window || was > _dearest) _dearest = was;
        _dearSince = uint64(block.timestamp);
    }

    /// @dev Since the contest registers have only grown, so `excess` is in them. Of the two, peak gives way first.
    function _overturn(uint32 number, uint256 excess) private {
        uint256 word = _wordOf(number);
        (uint256 peak, uint256 offPeak) = ((word >> PEAK) & REGISTER, (word >> OFF_PEAK) & REGISTER);
        uint256 fromPeak = excess < peak ? excess : peak;
        uint256 registers = ((peak - fromPeak) << PEAK) | ((offPeak - (excess - fromPeak)) << OFF_PEAK);
        word = (word & ~((REGISTER << PEAK) | (REGISTER << OFF_PEAK))) | registers;
        int256 before = _balance(word);
        int256 balance = before + int256(excess * _price());
        // Nobody was billed so much; but the book's bounds hold without that argument.
        if (balance >= LIMIT) balance = before < LIMIT ? LIMIT - 1 : before;
        uint256 units = uint256(balance - before);
        unchecked {
            _move(_positive(balance) - _positive(before), -int256(units), 0 - excess);
        }
        _setBalance(number, word, balance);
        emit Overturned(number, uint64(excess), units);
    }

    /// @dev The dearest price of imported energy in the last window, at least.
    function _price() private view returns (uint256 price) {
        price = _tariff.peak > _tariff.offPeak ? _tariff.peak : _tariff.offPeak;
        if (block.timestamp <= _dearSince + _window && _dearest > price) price = _dearest;
    }

    function _imported(uint256 word) private pure returns (uint64) {
        return uint64(((word >> PEAK) & REGISTER) + ((word >> OFF_PEAK) & REGISTER));
    }
}
