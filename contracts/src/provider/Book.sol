// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { Coin } from "../Coin.sol";
import { IRegistry } from "../IRegistry.sol";
import { Owned } from "../Owned.sol";

/// @title The book: accounts, tariff and sums, and the terms under which it was opened
/// @notice Deposits go in here; everything that moves money otherwise builds on it.
/// @dev Money is counted in minor units, of which each is worth `weiPerUnit` of the coin; energy in whole watt-hours.
///
/// Conservation, after every transaction: paidIn = sum of balances + earned + withdrawn + refunded, and the contract
/// holds at least (paidIn - withdrawn - refunded) * weiPerUnit of its coin. "At least", because coin can be forced on
/// any address; such coin is nobody's.
///
/// Why the `unchecked` blocks cannot overflow. Nothing bounds the charges of an account over all time, so whatever
/// settles checks: it leaves no balance below -2^62, nor at 2^62 or above. All deposits together stay below 2^62, because
/// paidIn does, so a balance is always below 2^63 and a deposit is never refused for it. `owed` is the sum of positive
/// balances of at most 2^32 accounts, of which deposits explain 2^62 at most: below 2^94 + 2^62, it fits 96 bits.
/// `earned` is paidIn - withdrawn - refunded - sum of balances: within +-2^95, it fits as well. `withdrawn` and
/// `refunded` only grow by what `held` covers, so both stay below paidIn: what is allotted was held, and no refund and no
/// withdrawal touches it. `imported` counts modulo 2^64 Wh, and only the difference between two times is used.
abstract contract Book is Owned {
    /// @dev An account as views state it; see `_accounts` for how it is kept.
    struct Account {
        int88 balance;
        uint40 offPeak;
        uint40 peak;
        uint40 feedIn;
        uint8 flags;
    }

    struct Tariff {
        uint32 offPeak;
        uint32 peak;
        uint32 feedIn;
        uint32 version;
        uint64 lowAt;
        /// The epoch of the last batch; see `Pool`. Here, because every batch reads this word anyway.
        uint32 epoch;
    }

    /// @dev What was agreed when the contract was made, and never changes.
    struct Terms {
        /// The ERC-20 token in which money is kept; zero for the native coin.
        address token;
        /// The grid operator's registry; zero if there is none, and then no challenges and no network fee.
        IRegistry registry;
        /// Seconds for which earnings can be challenged before they can be taken; zero for none.
        uint32 window;
        /// Seconds from a customer's wish to leave to the refund.
        uint32 exitDelay;
        /// Seconds of the phases of a round; all zero if there are no rounds.
        uint32 offerTime;
        uint32 supplyTime;
        uint32 settlementTime;
        /// The most that the grid's fee can be, in minor units per Wh.
        uint32 maxNetworkFee;
    }

    struct Settler {
        bool allowed;
        uint64 done;
        uint64 recorded;
    }

    /// @notice The account exists.
    uint8 public constant OPEN = 1;
    /// @notice The balance was at or below `lowAt` when the account was last touched.
    uint8 public constant LOW = 2;
    /// @notice The balance is zero or negative.
    uint8 public constant EXHAUSTED = 4;
    /// @notice The customer leaves or has left: nothing more is paid in.
    uint8 public constant CLOSED = 8;
    /// @notice The longest that a customer can be kept waiting for a refund.
    uint32 public constant MAX_EXIT_DELAY = 90 days;

    /// @dev Where the parts of an account's word begin, and how wide they are.
    uint256 internal constant FEED_IN = 88;
    uint256 internal constant PEAK = 128;
    uint256 internal constant OFF_PEAK = 168;
    uint256 internal constant FLAGS = 208;
    uint256 internal constant REGISTER = 0xffffffffff;
    /// @dev The three registers, where they stand in the word. Spelt out, as assembly wants it.
    uint256 internal constant REGISTERS = 0xffffffffffffffffffffffffffffff0000000000000000000000;
    uint256 internal constant BALANCE = 0xffffffffffffffffffffff;
    /// @dev The word of an account on which nothing was paid or billed, or that is as if it were so.
    uint256 internal constant FRESH = uint256(OPEN | LOW | EXHAUSTED) << FLAGS;
    /// @dev Where balances end after a settlement, on both sides; see the overflow argument above.
    int256 internal constant LIMIT = 1 << 62;
    /// @dev All that was ever paid in stays below it.
    uint256 internal constant PAID_IN_LIMIT = 1 << 62;

    /// @notice What one minor unit is worth, in wei or in the token's smallest unit.
    uint256 public immutable weiPerUnit;
    address internal immutable _token;
    IRegistry internal immutable _registry;
    uint256 internal immutable _window;
    uint256 internal immutable _exitDelay;
    uint256 internal immutable _maxNetworkFee;

    Tariff internal _tariff;
    uint64 internal _paidIn;
    uint64 internal _withdrawn;
    uint64 internal _refunded;
    /// @notice Whether nothing can be paid in for the time being. Money can always be taken out.
    bool public depositsPaused;
    /// @dev uint96 owed, int96 earned, uint64 imported, from the lowest bit. Packed by hand, as the accounts are: every
    /// batch moves all three, and this way with one read and one write.
    uint256 internal _sums;
    mapping(address who => Settler) internal _settlers;
    /// @notice The name an account was opened with; zero if it is not open.
    mapping(uint32 number => bytes32 name) public nameOf;
    /// @notice The account of a name; zero if there is none.
    mapping(bytes32 name => uint32 number) public numberOf;
    /// @dev One word per account, so that billing one costs one read and one write. From the lowest bit: int88 balance,
    /// uint40 feed-in, uint40 peak, uint40 off-peak register (in an item's order), uint8 flags. Packed by hand, because
    /// a struct that is written back costs a read and a write for every field. An array rather than a mapping, because
    /// numbers have 32 bits: adding is cheaper than hashing.
    uint256[2 ** 32] internal _accounts;

    bool private transient _entered;

    /// @notice An address may settle, or no longer.
    /// @param settler the address.
    /// @param allowed whether it may.
    event SettlerSet(address indexed settler, bool allowed);
    /// @notice An account was opened.
    /// @param number its number.
    /// @param name its name.
    event Opened(uint32 indexed number, bytes32 indexed name);
    /// @notice Money was paid into an account.
    /// @param number the account.
    /// @param from who paid.
    /// @param units how much, in minor units.
    event Deposited(uint32 indexed number, address indexed from, uint256 units);
    /// @notice Nothing can be paid in, or it can again.
    /// @param paused whether it cannot.
    event DepositsPaused(bool paused);
    /// @notice A balance came down to the warning threshold.
    /// @param number the account.
    /// @param balance minor units.
    event CreditLow(uint32 indexed number, int256 balance);
    /// @notice A balance came down to zero or below.
    /// @param number the account.
    /// @param balance minor units.
    event CreditExhausted(uint32 indexed number, int256 balance);
    /// @notice A balance came up from zero or below.
    /// @param number the account.
    /// @param balance minor units.
    event CreditRestored(uint32 indexed number, int256 balance);

    error NotSettler();
    error BadWeiPerUnit();
    error BadTerms();
    error BadNumber();
    error BadName();
    error NumberTaken(uint32 number);
    error NameTaken(bytes32 name);
    error LengthsDiffer();
    error NoSuchAccount(uint32 number);
    error AccountClosed(uint32 number);
    error NotWholeUnits(uint256 value, uint256 weiPerUnit);
    error NotTheCoin();
    error Paused();
    error TooMuchPaidIn(uint256 units);
    error Reentered();

    /// @dev Only one at a time of the functions through which coin moves. All of them write their state before they pay,
    /// so a payee that calls back meets a consistent book; this is the second bolt on the door.
    modifier alone() {
        if (_entered) revert Reentered();
        _entered = true;
        _;
        _entered = false;
    }

    constructor(uint256 weiPerUnit_, Terms memory terms_) {
        if (weiPerUnit_ == 0 || weiPerUnit_ > type(uint128).max) revert BadWeiPerUnit();
        if (terms_.exitDelay > MAX_EXIT_DELAY) revert BadTerms();
        weiPerUnit = weiPerUnit_;
        _token = terms_.token;
        _registry = terms_.registry;
        _window = terms_.window;
        _exitDelay = terms_.exitDelay;
        _maxNetworkFee = terms_.maxNetworkFee;
    }

    /// @notice Lets `who` send settlements, or no longer. A settler that returns goes on with its old sequence.
    /// @param who the settler.
    /// @param allowed whether it may settle.
    function setSettler(address who, bool allowed) external onlyOwner {
        _setSettler(who, allowed);
    }

    /// @notice Stops deposits, or lets them in again. Nothing stops what is paid out.
    /// @param paused whether to stop them.
    function pauseDeposits(bool paused) external onlyOwner {
        depositsPaused = paused;
        emit DepositsPaused(paused);
    }

    /// @notice Opens an account with nothing on it.
    /// @param number its number: not zero, never used before.
    /// @param name its name: not zero, never used before.
    function open(uint32 number, bytes32 name) external {
        _onlyStaff();
        _open(number, name);
    }

    /// @notice Opens many accounts, or none if one of them cannot be opened.
    /// @param numbers see `open`.
    /// @param names one for each number.
    function openMany(uint32[] calldata numbers, bytes32[] calldata names) external {
        _onlyStaff();
        if (numbers.length != names.length) revert LengthsDiffer();
        for (uint256 i = 0; i < numbers.length; ++i) _open(numbers[i], names[i]);
    }

    /// @notice Pays native coin into an account. Anybody may pay for anybody.
    /// @param number the account.
    function deposit(uint32 number) external payable {
        if (_token != address(0)) revert NotTheCoin();
        uint256 units = msg.value / weiPerUnit;
        if (units == 0 || units * weiPerUnit != msg.value) revert NotWholeUnits(msg.value, weiPerUnit);
        _deposit(number, units);
    }

    /// @notice Pays tokens into an account; the caller has to have allowed the transfer. Anybody may pay for anybody.
    /// @param number the account.
    /// @param units how much, in minor units.
    function depositToken(uint32 number, uint256 units) external alone {
        if (_token == address(0)) revert NotTheCoin();
        if (units == 0) revert NotWholeUnits(0, weiPerUnit);
        _deposit(number, units);
        Coin.take(_token, msg.sender, units * weiPerUnit);
    }

    /// @notice The sequence number that a settler has to use next; 1 for one that never settled.
    /// @param who the settler.
    function nextSequence(address who) external view returns (uint64) {
        return _settlers[who].done + 1;
    }

    /// @notice The number that a settler's next record has to bear; 1 for one that never recorded.
    /// @param who the settler.
    function nextRecord(address who) external view returns (uint64) {
        return _settlers[who].recorded + 1;
    }

    /// @notice Whether an address may settle.
    /// @param who the address.
    function isSettler(address who) external view returns (bool) {
        return _settlers[who].allowed;
    }

    /// @notice The tariff in force, in minor units per Wh.
    /// @return offPeak price of energy taken off peak.
    /// @return peak price of energy taken at peak.
    /// @return feedIn price of energy fed in.
    /// @return version which setting of the tariff this is, from 1.
    function tariff() external view returns (uint32 offPeak, uint32 peak, uint32 feedIn, uint32 version) {
        return (_tariff.offPeak, _tariff.peak, _tariff.feedIn, _tariff.version);
    }

    /// @notice The balance in minor units at or below which credit is called low.
    function lowAt() external view returns (uint64) {
        return _tariff.lowAt;
    }

    /// @notice One account.
    /// @param number which.
    /// @return balance minor units; negative is debt.
    /// @return offPeak Wh billed so far, taken off peak.
    /// @return peak Wh billed so far, taken at peak.
    /// @return feedIn Wh billed so far, fed in.
    /// @return flags OPEN, LOW, EXHAUSTED and CLOSED; zero if it was never opened.
    function account(
        uint32 number
    ) external view returns (int256 balance, uint40 offPeak, uint40 peak, uint40 feedIn, uint8 flags) {
        Account memory a = _unpack(_accounts[number]);
        return (a.balance, a.offPeak, a.peak, a.feedIn, a.flags);
    }

    /// @notice Many accounts at one block.
    /// @param numbers which.
    /// @return list in the order asked for.
    function accounts(uint32[] calldata numbers) external view returns (Account[] memory list) {
        list = new Account[](numbers.length);
        for (uint256 i = 0; i < numbers.length; ++i) list[i] = _unpack(_accounts[numbers[i]]);
    }

    function _setSettler(address who, bool allowed) internal {
        _settlers[who].allowed = allowed;
        emit SettlerSet(who, allowed);
    }

    /// @dev Moves a balance, with all that follows from it but the sums: flags, and the events that say so.
    function _setBalance(uint32 number, uint256 word, int256 balance) internal {
        uint256 flags = _flags(balance, int256(uint256(_tariff.lowAt))) | ((word >> FLAGS) & CLOSED);
        _announce(number, word >> FLAGS, flags, balance);
        _accounts[number] = _pack(balance, word & REGISTERS, flags);
    }

    /// @dev Moves the sums. `energy` is taken modulo 2^64.
    function _move(int256 owed, int256 earned, uint256 energy) internal {
        unchecked {
            uint256 s = _sums;
            _sums =
                uint96(uint256(int256(uint256(uint96(s))) + owed)) |
                (uint256(uint96(uint256(_earned(s) + earned))) << 96) |
                (((s >> 192) + energy) << 192);
        }
    }

    /// @dev Says which thresholds an account crossed, once each, when it crosses them.
    function _announce(uint32 number, uint256 before, uint256 flags, int256 balance) internal {
        if (flags & LOW > before & LOW) emit CreditLow(number, balance);
        if (flags & EXHAUSTED > before & EXHAUSTED) emit CreditExhausted(number, balance);
        if (flags & EXHAUSTED < before & EXHAUSTED) emit CreditRestored(number, balance);
    }

    /// @dev An account's word, which has to be open.
    function _wordOf(uint32 number) internal view returns (uint256 word) {
        word = _accounts[number];
        if (word == 0) revert NoSuchAccount(number);
    }

    /// @dev Minor units that the contract has in coin: what came in and has not gone out.
    function _held() internal view returns (uint256) {
        unchecked {
            return uint256(_paidIn) - _withdrawn - _refunded;
        }
    }

    function _onlyStaff() internal view {
        if (!_isStaff()) revert NotSettler();
    }

    function _isStaff() internal view returns (bool) {
        return msg.sender == owner || _settlers[msg.sender].allowed;
    }

    /// @dev `registers` are the three of them where they stand in the word. Flags of an open account are never zero, so
    /// neither is its word.
    function _pack(int256 balance, uint256 registers, uint256 flags) internal pure returns (uint256) {
        return (uint256(balance) & BALANCE) | registers | (flags << FLAGS);
    }

    function _balance(uint256 word) internal pure returns (int256) {
        return int88(uint88(word));
    }

    function _earned(uint256 sums) internal pure returns (int256) {
        return int96(uint96(sums >> 96));
    }

    function _positive(int256 balance) internal pure returns (int256) {
        return balance > 0 ? balance : int256(0);
    }

    /// @dev The flags that follow from a balance.
    function _flags(int256 amount, int256 lowAt_) internal pure returns (uint256 flags) {
        flags = OPEN;
        if (amount <= lowAt_) flags |= LOW;
        if (amount <= 0) flags |= EXHAUSTED;
    }

    function _deposit(uint32 number, uint256 units) private {
        if (depositsPaused) revert Paused();
        // Written so that no size of `units` makes the sum wrap.
        if (units >= PAID_IN_LIMIT - _paidIn) revert TooMuchPaidIn(units);
        uint256 word = _wordOf(number);
        if ((word >> FLAGS) & CLOSED != 0) revert AccountClosed(number);
        unchecked {
            _paidIn += uint64(units);
            int256 before = _balance(word);
            int256 balance = before + int256(units);
            _move(_positive(balance) - _positive(before), 0, 0);
            emit Deposited(number, msg.sender, units);
            _setBalance(number, word, balance);
        }
    }

    function _open(uint32 number, bytes32 name) private {
        if (number == 0) revert BadNumber();
        if (name == 0) revert BadName();
        if (_accounts[number] != 0) revert NumberTaken(number);
        if (numberOf[name] != 0) revert NameTaken(name);
        _accounts[number] = FRESH;
        nameOf[number] = name;
        numberOf[name] = number;
        emit Opened(number, name);
    }

    function _unpack(uint256 word) private pure returns (Account memory) {
        return
            Account(
                int88(_balance(word)),
                uint40(word >> OFF_PEAK),
                uint40(word >> PEAK),
                uint40(word >> FEED_IN),
                uint8(word >> FLAGS)
            );
    }
}
