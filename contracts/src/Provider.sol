// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { Owned } from "./Owned.sol";
import { Book } from "./provider/Book.sol";
import { Challenge } from "./provider/Challenge.sol";
import { Rounds } from "./provider/Rounds.sol";

/// @title The pooled prepaid account book of one street
/// @notice Customers pay in coin; the provider's gateway debits them for the energy their meters counted, and for
/// whatever else stands on their bills; what is earned is shared among the prosumers of the pool.
/// @dev Energy comes as cumulative registers, never as differences: a batch that is lost, re-sent or cut in two bills the
/// same. A charge is what a bill holds beyond register times price (fixed fees, blocks, taxes; below zero: a refund, or
/// cash that was taken elsewhere). It is a difference, and the batch's sequence number sees to it that it counts once.
///
/// A settler is trusted with the customers' balances: registers and charges are its word, which a customer's meter can
/// contradict (`Challenge`). It is not trusted with the coin, which leaves to holders (`Exit`) and as earnings (`Pool`),
/// and as earnings never below what customers are owed. The parts, each in its file, from the bottom:
/// `Owned`, `Book`, `Rounds`, `Settlement`, `Pool`, `Exit`, `Challenge`.
contract Provider is Challenge {
    /// @notice Prices changed.
    /// @param version of the tariff from here on.
    /// @param offPeak minor units per Wh taken off peak.
    /// @param peak minor units per Wh taken at peak.
    /// @param feedIn minor units per Wh fed in.
    event TariffSet(uint32 indexed version, uint32 offPeak, uint32 peak, uint32 feedIn);
    /// @notice The warning threshold changed.
    /// @param lowAt minor units.
    event LowAtSet(uint64 lowAt);

    /// @notice Makes the deployer owner and first settler, and starts tariff version 1.
    /// @param weiPerUnit_ wei, or the token's smallest unit, in one minor unit of money; not zero, below 2^128.
    /// @param offPeak price of a Wh taken off peak, in minor units.
    /// @param peak price of a Wh taken at peak, in minor units.
    /// @param feedIn price of a Wh fed in, in minor units.
    /// @param lowAt_ balance, in minor units, at or below which credit is called low.
    /// @param terms_ what never changes; see `Book.Terms`. All zero: native coin, no registry, no window, no rounds.
    constructor(
        uint256 weiPerUnit_,
        uint32 offPeak,
        uint32 peak,
        uint32 feedIn,
        uint64 lowAt_,
        Terms memory terms_
    ) Owned() Book(weiPerUnit_, terms_) Rounds(terms_) {
        _setSettler(msg.sender, true);
        _tariff = Tariff(offPeak, peak, feedIn, 1, lowAt_, 0);
        emit TariffSet(1, offPeak, peak, feedIn);
        emit LowAtSet(lowAt_);
    }

    /// @notice Sets the prices of all energy that is settled from now on, and bumps the tariff's version. With rounds,
    /// only while offers are made.
    /// @param offPeak minor units per Wh taken off peak.
    /// @param peak minor units per Wh taken at peak.
    /// @param feedIn minor units per Wh fed in.
    function setTariff(uint32 offPeak, uint32 peak, uint32 feedIn) external onlyOwner {
        _only(Phase.Offer);
        Tariff memory t = _tariff;
        _noteDearest(t.peak > t.offPeak ? t.peak : t.offPeak);
        uint32 version = t.version + 1;
        (_tariff.offPeak, _tariff.peak, _tariff.feedIn, _tariff.version) = (offPeak, peak, feedIn, version);
        emit TariffSet(version, offPeak, peak, feedIn);
    }

    /// @notice Sets the balance at or below which credit is called low.
    /// @param lowAt_ minor units.
    function setLowAt(uint64 lowAt_) external onlyOwner {
        _tariff.lowAt = lowAt_;
        emit LowAtSet(lowAt_);
    }
}
