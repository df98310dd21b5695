// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { Rounds } from "./Rounds.sol";

/// @title Billing, and proving what will be billed
/// @notice A settler brings accounts up to date with `settle`, or binds itself with `record` to what it has metered.
/// @dev A settler's word is taken for registers and charges; see `Challenge` for what a customer can do about it.
abstract contract Settlement is Rounds {
    /// @dev What the loop over a batch needs and adds up. `_billGood` knows the order.
    struct Batch {
        /// Factors of energy; see `_billGood`. Modulo 2^256.
        uint256 byOffPeak;
        uint256 byPeak;
        uint256 byFeedIn;
        /// The lowest word, without registers, of an account in good standing: open, and one above `lowAt`.
        uint256 lowest;
        /// Sum of feed-in energy from bit 88 and off-peak energy from bit 168: each below 2^40 times at most 2^23 items,
        /// which is more than a block can hold.
        uint256 outer;
        /// Sum of peak energy plus 2^40 times the sum of off-peak energy.
        uint256 inner;
        /// Sum of charges, within +-2^86.
        int256 charged;
        /// By how much debts grew: the sum of negative balances, with the sign turned.
        int256 debts;
    }

    /// @dev Bytes of one settled item: uint32 number, then uint40 off-peak, peak and feed-in registers, then int64
    /// charge, all big-endian.
    uint256 private constant ITEM = 27;
    /// @dev The lowest bit above each of the three registers in a word.
    uint256 private constant BORROWS = 0x10000000001000000000100000000000000000000000000000000;
    /// @dev With a higher threshold every account goes the long way.
    uint256 private constant MAX_LOW_AT = 1 << 61;
    /// @dev The feed-in and the off-peak register, between which the peak register leaves room to add.
    uint256 private constant OUTER = 0xffffffffff0000000000ffffffffff0000000000000000000000;
    /// @dev `FLAGS` of an account in good standing: open and nothing else.
    uint256 private constant GOOD = 0x10000000000000000000000000000000000000000000000000000;

    /// @notice A batch was billed.
    /// @param settler who sent it.
    /// @param sequence its number among the settler's batches.
    /// @param count items in it.
    /// @param offPeakWh energy taken off peak since the items' accounts were last billed.
    /// @param peakWh energy taken at peak.
    /// @param feedInWh energy fed in.
    /// @param debited minor units taken from the accounts for energy.
    /// @param credited minor units given to the accounts for feed-in.
    /// @param charged sum of the charges: minor units taken from the accounts beyond that; below zero, given to them.
    /// @param itemsHash Keccak-256 of the packed items.
    /// @param linesRoot root of the salted Merkle tree over the bill lines behind the batch, as the settler states it;
    /// zero if it commits to none. The contract neither checks nor keeps it.
    event Settled(
        address indexed settler,
        uint64 indexed sequence,
        uint32 count,
        uint256 offPeakWh,
        uint256 peakWh,
        uint256 feedInWh,
        uint256 debited,
        uint256 credited,
        int256 charged,
        bytes32 itemsHash,
        bytes32 linesRoot
    );
    /// @notice A settler bound itself to what it metered. No account moved.
    /// @param settler who.
    /// @param sequence its number among the settler's records.
    /// @param count accounts in it, as the settler states it.
    /// @param stepsHash Keccak-256 of the steps, which stand in the transaction's calldata.
    /// @param root root of a Merkle tree over what the settler wants to prove later, as it states it.
    event Recorded(address indexed settler, uint64 indexed sequence, uint32 count, bytes32 stepsHash, bytes32 root);

    error WrongSequence(uint64 expected, uint64 got);
    error WrongTariff(uint32 expected, uint32 got);
    error BadLength(uint256 length);
    error NotOpen(uint256 index);
    error RegisterStepsBack(uint256 index);
    error BalanceOutOfRange(uint256 index);

    /// @notice Bills: every item brings an account's registers up to date, and moves its balance by the energy since the
    /// last time at the present prices, and by the charge. With rounds, not while offers are made.
    /// @param sequence one more than the caller's last: a batch that arrives twice reverts the second time.
    /// @param tariffVersion the version of the tariff that the caller means.
    /// @param linesRoot only said in `Settled`: what the bill lines behind the charges can be proved against.
    /// @param items 27 bytes each, big-endian: uint32 number, uint40 off-peak, uint40 peak, uint40 feed-in register in Wh,
    /// int64 charge in minor units. Registers may stay where they are when only money moves.
    function settle(uint64 sequence, uint32 tariffVersion, bytes32 linesRoot, bytes calldata items) external {
        Settler memory s = _settlers[msg.sender];
        if (!s.allowed) revert NotSettler();
        if (sequence != s.done + 1) revert WrongSequence(s.done + 1, sequence);
        _settlers[msg.sender].done = sequence;
        _notIn(Phase.Offer);
        Tariff memory t = _tariff;
        if (tariffVersion != t.version) revert WrongTariff(t.version, tariffVersion);
        if (items.length == 0 || items.length % ITEM != 0) revert BadLength(items.length);
        _checked(sequence, tariffVersion, linesRoot, items);
        _turn(t.epoch);
        Batch memory batch;
        unchecked {
            batch.byOffPeak = (uint256(t.peak) << 40) - t.offPeak;
            batch.byPeak = 0 - uint256(t.peak) - (uint256(t.feedIn) << 40);
            batch.byFeedIn = t.feedIn;
            batch.lowest = GOOD + (t.lowAt < MAX_LOW_AT ? uint256(t.lowAt) + 1 : type(uint128).max);
        }
        _bill(batch, items);
        _close(sequence, linesRoot, t, batch, items);
    }

    /// @notice Binds the caller to metered energy without billing it, at a small part of the price. It proves that at
    /// this block the caller stated these steps and this root under this number, and will never state others under it;
    /// the steps can be had from the chain by everybody. It does not prove that they are true or complete, and the
    /// contract does not read them: that the next `settle` agrees is for whoever compares the two to say. Registers are
    /// cumulative, so that `settle` catches up with any number of records.
    /// @param sequence one more than the caller's last record.
    /// @param count accounts in it.
    /// @param root only said in `Recorded`.
    /// @param steps by how much registers rose since the record before; how they are packed is between the settler and
    /// those who read it.
    function record(uint64 sequence, uint32 count, bytes32 root, bytes calldata steps) external {
        Settler memory s = _settlers[msg.sender];
        if (!s.allowed) revert NotSettler();
        if (sequence != s.recorded + 1) revert WrongSequence(s.recorded + 1, sequence);
        _settlers[msg.sender].recorded = sequence;
        emit Recorded(msg.sender, sequence, count, keccak256(steps), root);
    }

    /// @dev Called before a batch is billed, for books that do not take it on the settler's word alone.
    function _checked(
        uint64 sequence,
        uint32 tariffVersion,
        bytes32 linesRoot,
        bytes calldata items
    ) internal view virtual {} // solhint-disable-line no-empty-blocks

    /// @dev Called before earnings change, with the epoch of the last batch.
    function _turn(uint32 last) internal virtual;

    function _bill(Batch memory batch, bytes calldata items) private {
        uint256 place;
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            place := items.offset
        }
        unchecked {
            for (uint256 end = place + items.length; ; place += ITEM) {
                place = _billGood(batch, place, end);
                if (place == end) return;
                _billOther(batch, items, place);
            }
        }
    }

    /// @dev Bills items from `place` on, as long as their accounts were in good standing and stay so: their flags stay as
    /// they are, no event is due, and nothing can be wrong with them. Returns where that ends. Written for gas; it reads
    /// and writes nothing in memory but the batch and the scratch space.
    ///
    /// Nothing is masked that need not be. With wh = off-peak * 2^168 + peak * 2^128 + feed-in * 2^88, the sum
    /// off-peak * a + peak * b + feed-in * c is (wh >> 168) * (a - 2^40 * b) + (wh >> 128) * (b - 2^40 * c) + (wh >> 88) * c,
    /// modulo 2^256. The first three words of the batch hold those factors, for what energy moves a balance by.
    ///
    /// Without overflow: before the check a balance is within +-2^63, moved by one item: debit below 2^73, credit below
    /// 2^72, charge within +-2^63. After it, it is above `lowAt` and at most 2^61 more, below 2^62.
    function _billGood(Batch memory batch, uint256 place, uint256 end) private returns (uint256) {
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            mstore(0x00, mload(add(batch, 0x80)))
            mstore(0x20, mload(add(batch, 0xa0)))
            for {} lt(place, end) { place := add(place, ITEM) } {
                // The last item's word may reach past the items; what it reads there is shifted or masked out.
                let item := calldataload(place)
                let word := sload(add(_accounts.slot, shr(224, item)))
                let registers := and(shr(16, item), REGISTERS)
                let was := and(word, REGISTERS)
                // All three differences at once. If a register stepped back, its 40 bits borrow from the bit above, which
                // then is not the sum without carry of the two bits that were subtracted.
                let wh := sub(registers, was)
                let charge := signextend(7, shr(40, item))
                // Flags and balance. Other flags than good ones are as far from `lowest` as no balance is.
                let left := sub(
                    add(
                        add(xor(word, was), mul(shr(FEED_IN, wh), mload(add(batch, 0x40)))),
                        add(mul(shr(PEAK, wh), mload(add(batch, 0x20))), mul(shr(OFF_PEAK, wh), mload(batch)))
                    ),
                    charge
                )
                let wrong := and(xor(xor(registers, was), wh), BORROWS)
                if or(shr(61, sub(left, mload(add(batch, 0x60)))), wrong) { break }
                sstore(add(_accounts.slot, shr(224, item)), or(registers, left))
                mstore(0x00, add(mload(0x00), and(wh, OUTER)))
                mstore(0x20, add(mload(0x20), shr(PEAK, wh)))
                mstore(add(batch, 0xc0), add(mload(add(batch, 0xc0)), charge))
            }
            mstore(add(batch, 0x80), mload(0x00))
            mstore(add(batch, 0xa0), mload(0x20))
        }
        return place;
    }

    /// @dev Bills the item at `place`, whatever its account's standing, or says what is wrong with it.
    function _billOther(Batch memory batch, bytes calldata items, uint256 place) private {
        uint256 item;
        uint256 index;
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            item := calldataload(place)
            index := div(sub(place, items.offset), ITEM)
        }
        uint32 number = uint32(item >> 224);
        uint256 word = _accounts[number];
        if (word == 0) revert NotOpen(index);
        (uint256 registers, uint256 was) = ((item >> 16) & REGISTERS, word & REGISTERS);
        unchecked {
            uint256 wh = registers - was;
            if ((registers ^ was ^ wh) & BORROWS != 0) revert RegisterStepsBack(index);
            int256 charge = int64(uint64(item >> 40));
            int256 before = _balance(word);
            uint256 moved = (wh >> OFF_PEAK) * batch.byOffPeak + (wh >> PEAK) * batch.byPeak;
            int256 balance = before + int256(moved + (wh >> FEED_IN) * batch.byFeedIn) - charge;
            if (balance < -LIMIT || balance >= LIMIT) revert BalanceOutOfRange(index);
            batch.outer += wh & OUTER;
            batch.inner += wh >> PEAK;
            batch.charged += charge;
            batch.debts += _positive(-balance) - _positive(-before);
            _setBalance(number, (word & ~REGISTERS) | registers, balance);
        }
    }

    /// @dev Enters the sums of a batch into the book, and says them. Without overflow: energy below 2^63, so debits stay
    /// below 2^96 and credits below 2^95. Balances moved by the opposite of what was earned, and what they moved by is
    /// what positive ones moved by less what debts did.
    function _close(
        uint64 sequence,
        bytes32 linesRoot,
        Tariff memory t,
        Batch memory batch,
        bytes calldata items
    ) private {
        unchecked {
            uint256 offPeakWh = batch.outer >> OFF_PEAK;
            uint256 peakWh = batch.inner - (offPeakWh << 40);
            uint256 feedInWh = (batch.outer >> FEED_IN) & type(uint80).max;
            uint256 debited = offPeakWh * t.offPeak + peakWh * t.peak;
            uint256 credited = feedInWh * t.feedIn;
            int256 earned = int256(debited) - int256(credited) + batch.charged;
            _move(batch.debts - earned, earned, offPeakWh + peakWh);
            emit Settled(
                msg.sender,
                sequence,
                uint32(items.length / ITEM),
                offPeakWh,
                peakWh,
                feedInWh,
                debited,
                credited,
                batch.charged,
                keccak256(items),
                linesRoot
            );
        }
    }
}
