// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { Book } from "./Book.sol";

/// @title Trading rounds: what may be done when
/// @notice A round is three phases, one after the other, by the time of the block alone:
/// - Offer: prices and shares may change, and pool members say how much they will supply. Nothing is billed, so no energy
///   is billed at a price that was set after it flowed.
/// - Supply: prices stand; energy is billed as it is used.
/// - Settlement: prices stand; what is left of the supply is billed, and earnings are shared out.
/// Deposits, refunds, claims, records and challenges have no phase. A contract made without rounds has one phase,
/// Continuous, in which everything may be done.
/// @dev Block times are up to the proposer by some seconds; phases are minutes at least, and nobody gains by seconds.
abstract contract Rounds is Book {
    enum Phase {
        Continuous,
        Offer,
        Supply,
        Settlement
    }

    uint256 private immutable _start;
    uint256 private immutable _offerEnds;
    uint256 private immutable _supplyEnds;
    uint256 private immutable _length;

    /// @dev The shortest that a phase can be.
    uint32 private constant SHORTEST = 1 minutes;

    error WrongPhase(Phase phase);

    constructor(Terms memory terms_) {
        uint256 shortest = terms_.offerTime < terms_.supplyTime ? terms_.offerTime : terms_.supplyTime;
        if (terms_.settlementTime < shortest) shortest = terms_.settlementTime;
        _length = uint256(terms_.offerTime) + terms_.supplyTime + terms_.settlementTime;
        if (_length != 0 && shortest < SHORTEST) revert BadTerms();
        _start = block.timestamp;
        _offerEnds = terms_.offerTime;
        _supplyEnds = uint256(terms_.offerTime) + terms_.supplyTime;
    }

    /// @notice Which round it is, from 1, which phase, and when that ends. Without rounds: 0, Continuous, 0.
    /// @return round its number.
    /// @return phase what may be done.
    /// @return endsAt seconds since 1970.
    function phaseNow() public view returns (uint32 round, Phase phase, uint64 endsAt) {
        if (_length == 0) return (0, Phase.Continuous, 0);
        uint256 since = block.timestamp - _start;
        uint256 began = since - (since % _length);
        round = uint32(since / _length + 1);
        since -= began;
        began += _start;
        if (since < _offerEnds) return (round, Phase.Offer, uint64(began + _offerEnds));
        if (since < _supplyEnds) return (round, Phase.Supply, uint64(began + _supplyEnds));
        return (round, Phase.Settlement, uint64(began + _length));
    }

    /// @notice What never changes.
    function terms() external view returns (Terms memory) {
        return
            Terms({
                token: _token,
                registry: _registry,
                window: uint32(_window),
                exitDelay: uint32(_exitDelay),
                offerTime: uint32(_offerEnds),
                supplyTime: uint32(_supplyEnds - _offerEnds),
                settlementTime: uint32(_length - _supplyEnds),
                maxNetworkFee: uint32(_maxNetworkFee)
            });
    }

    /// @dev Reverts in every phase but this one; without rounds never.
    function _only(Phase wanted) internal view returns (uint32 round) {
        Phase phase;
        (round, phase, ) = phaseNow();
        if (phase != wanted && phase != Phase.Continuous) revert WrongPhase(phase);
    }

    /// @dev Reverts in this phase; without rounds never.
    function _notIn(Phase unwanted) internal view {
        (, Phase phase, ) = phaseNow();
        if (phase == unwanted) revert WrongPhase(phase);
    }
}
