// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { Coin } from "../Coin.sol";
import { Pool } from "./Pool.sol";

/// @title Leaving: a customer's way to its money without the provider's help
/// @notice An account can have a holder: the address that refunds go to. The owner names it before anything is paid in
/// or billed; after that only the holder can hand it on, so that nobody can make money its own that is there already. A
/// settler names nobody: it could credit an account of its own, and be paid.
/// Whoever pays in should look first whether `holderOf` is who it should be. The holder closes
/// the account, waits `exitDelay`, in which the last energy is billed, and what is left can be paid out, by anybody's
/// transaction, to the holder. Nobody can pause or lengthen that, and a customer who leaves cannot stop a batch: a closed
/// account is billed as before, and owes what it still draws.
/// @dev If the coin held is less than customers are owed, because credits ran ahead of payments, those who come first are
/// paid first, and the rest of a balance stays on the book. What is allotted is its claimants' and pays no refund: were
/// it spent, a claim would be paid out of what others pay in later.
abstract contract Exit is Pool {
    struct Holder {
        address who;
        uint40 dueAt;
    }

    mapping(uint32 number => Holder) private _holders;

    /// @notice An account has a holder, or another one.
    /// @param number the account.
    /// @param holder who gets its refund.
    event HolderSet(uint32 indexed number, address indexed holder);
    /// @notice An account was closed.
    /// @param number the account.
    /// @param dueAt from when what is left is refunded, in seconds since 1970.
    event AccountClosing(uint32 indexed number, uint64 dueAt);
    /// @notice An account that was closed goes on.
    /// @param number the account.
    event Reopened(uint32 indexed number);
    /// @notice What was left of an account was paid out.
    /// @param number the account.
    /// @param to the holder.
    /// @param units minor units.
    event Refunded(uint32 indexed number, address indexed to, uint256 units);

    error BadHolder();
    error TooLate(uint32 number);
    error NotHolder();
    error NotClosed(uint32 number);
    error NotDue(uint64 dueAt);
    error NothingLeft(uint32 number);

    /// @notice Names who gets the refund of an account: the owner while nothing has happened on it, then only the holder.
    /// @param number the account.
    /// @param holder who.
    function setHolder(uint32 number, address holder) external {
        _setHolder(number, holder);
    }

    /// @notice The same for many accounts, or for none if one of them is refused.
    /// @param numbers the accounts.
    /// @param holders one for each number.
    function setHolders(uint32[] calldata numbers, address[] calldata holders) external {
        if (numbers.length != holders.length) revert LengthsDiffer();
        for (uint256 i = 0; i < numbers.length; ++i) _setHolder(numbers[i], holders[i]);
    }

    /// @notice Closes an account: nothing more can be paid in. What is left is due after `exitDelay` if the holder
    /// closes it, and at once if the staff do, who thereby say that all is billed.
    /// @param number the account.
    function close(uint32 number) external {
        uint256 word = _wordOf(number);
        Holder storage h = _holders[number];
        bool holder = msg.sender == h.who;
        if (!holder && !_isStaff()) revert NotHolder();
        uint256 dueAt = holder ? block.timestamp + _exitDelay : block.timestamp;
        bool closed = (word >> FLAGS) & CLOSED != 0;
        if (closed && h.dueAt <= dueAt) revert AccountClosed(number);
        _accounts[number] = word | (uint256(CLOSED) << FLAGS);
        h.dueAt = uint40(dueAt);
        emit AccountClosing(number, uint64(dueAt));
    }

    /// @notice Lets a closed account go on: by its holder, and by the staff only if it has none.
    /// @param number the account.
    function reopen(uint32 number) external {
        uint256 word = _wordOf(number);
        address holder = _holders[number].who;
        if (holder == address(0) ? !_isStaff() : msg.sender != holder) revert NotHolder();
        if ((word >> FLAGS) & CLOSED == 0) revert NotClosed(number);
        _accounts[number] = word ^ (uint256(CLOSED) << FLAGS);
        delete _holders[number].dueAt;
        emit Reopened(number);
    }

    /// @notice Pays what is left of a closed account to its holder.
    /// @param number the account.
    function refund(uint32 number) external alone {
        uint256 word = _wordOf(number);
        Holder memory h = _holders[number];
        if (h.who == address(0)) revert BadHolder();
        if ((word >> FLAGS) & CLOSED == 0) revert NotClosed(number);
        if (block.timestamp < h.dueAt) revert NotDue(h.dueAt);
        int256 balance = _balance(word);
        uint256 units = uint256(_positive(balance));
        uint256 free = _held() - _allotted;
        if (units > free) units = free;
        if (units == 0) revert NothingLeft(number);
        _refunded += uint64(units);
        _move(-int256(units), 0, 0);
        _setBalance(number, word, balance - int256(units));
        emit Refunded(number, h.who, units);
        Coin.send(_token, h.who, units * weiPerUnit);
    }

    /// @notice Who gets the refund of an account, and from when; zero if nobody was named, or it is not closed.
    /// @param number the account.
    /// @return holder who.
    /// @return dueAt seconds since 1970.
    function holderOf(uint32 number) public view returns (address holder, uint64 dueAt) {
        return (_holders[number].who, _holders[number].dueAt);
    }

    function _setHolder(uint32 number, address holder) private {
        uint256 word = _wordOf(number);
        if (holder == address(0)) revert BadHolder();
        address now_ = _holders[number].who;
        if (msg.sender != (now_ == address(0) ? owner : now_)) revert NotHolder();
        if (now_ == address(0) && word != FRESH) revert TooLate(number);
        _holders[number].who = holder;
        emit HolderSet(number, holder);
    }
}
