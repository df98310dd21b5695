// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title The pooled prepaid account book of one street
/// @notice Customers pay in the native coin; the provider's gateway debits them for the energy their meters counted, and
/// for whatever else stands on their bills.
/// @dev Money is counted in minor units, of which each is worth `weiPerUnit` wei; energy in whole watt-hours. Energy
/// comes as cumulative registers, never as differences: a batch that is lost, re-sent or cut in two bills the same.
/// A charge is what a bill holds beyond register times price (fixed fees, blocks, taxes; below zero: a refund, or cash
/// that was taken elsewhere). It is a difference, and the batch's sequence number sees to it that it counts once.
///
/// A settler is trusted with the customers' balances: registers and charges are its word. It is not trusted with the
/// coin, which leaves by the owner's hand only and never below what customers are owed.
///
/// Conservation, after every transaction: paidIn = sum of balances + earned + withdrawn, and the contract holds at least
/// (paidIn - withdrawn) * weiPerUnit wei. "At least", because coin can be forced on any address; such coin is nobody's.
///
/// Why the `unchecked` blocks cannot overflow. Nothing bounds the charges of an account over all time, so `settle`
/// checks: it leaves no balance below -2^86, nor at 2^86 or above (BalanceOutOfRange). Before the check a balance is what
/// int88 holds, moved by one item: debit below 2^73, credit below 2^72, charge within +-2^63. That is far from the edge
/// of int256. Between settlements only deposits move a balance; all deposits together stay below 2^80, because paidIn
/// does. So a balance is below 2^86 + 2^80 and fits int88, and a deposit is never refused for it.
/// `owed` is the sum of positive balances of fewer than 2^32 accounts: below 2^119, it fits 128 bits. `earned` moves
/// with every balance by the opposite, so it is paidIn - withdrawn - sum of balances: within +-2^120, it fits too.
/// A batch has fewer than 2^23 items, so its debits stay below 2^96, its credits below 2^95, its charges within +-2^86.
contract Provider {
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
    }

    /// @dev What the loop over a batch reads and adds up. In memory, because the compiler pays for every variable that
    /// does not fit on the stack by computing others again and again.
    struct Batch {
        uint256 offPeak;
        uint256 peak;
        uint256 feedIn;
        int256 lowAt;
        /// Off-peak, peak and feed-in energy in 64 bits each, from the lowest: below 2^40 times at most 2^23 items,
        /// which is more than a block can hold.
        uint256 energy;
        /// Debits in the lower and credits in the upper 128 bits: below 2^73 * 2^23.
        uint256 money;
        /// What the sum of positive balances moved by, plus 2^128 times the charges: both signed, within +-2^110 and
        /// within +-2^86, so the lower is the lowest 128 bits as a signed number, and the upper what is left without it.
        int256 owedAndCharged;
    }

    struct Settler {
        bool allowed;
        uint64 done;
    }

    /// @notice The account exists.
    uint8 public constant OPEN = 1;
    /// @notice The balance was at or below `lowAt` when the account was last touched.
    uint8 public constant LOW = 2;
    /// @notice The balance is zero or negative.
    uint8 public constant EXHAUSTED = 4;

    /// @dev Bytes of one settled item: uint32 number, then uint40 off-peak, peak and feed-in registers, then int64
    /// charge, all big-endian.
    uint256 private constant ITEM = 27;
    /// @dev Where the parts of an account's word begin.
    uint256 private constant REGISTERS = 88;
    uint256 private constant FEED_IN = 88;
    uint256 private constant PEAK = 128;
    uint256 private constant OFF_PEAK = 168;
    uint256 private constant FLAGS = 208;
    /// @dev How wide they are.
    uint256 private constant REGISTER = type(uint40).max;
    uint256 private constant REGISTERS_MASK = type(uint120).max;
    /// @dev The highest bit of each of three registers side by side.
    uint256 private constant LANES = (1 << 39) | (1 << 79) | (1 << 119);
    uint256 private constant BALANCE = type(uint88).max;
    /// @dev Bound on all that was ever paid in; see the overflow argument above.
    uint256 private constant MAX_PAID_IN = type(uint80).max;
    /// @dev A settled balance is at least -2^86 and below 2^86: with 2^86 added it has 87 bits.
    int256 private constant BALANCE_OFFSET = 1 << 86;
    uint256 private constant BALANCE_BITS = 87;

    /// @notice What one minor unit is worth, in wei.
    uint256 public immutable weiPerUnit;

    /// @notice Who may set the tariff, name settlers and withdraw earnings.
    address public owner;
    /// @notice To whom the ownership was offered, if to anybody.
    address public pendingOwner;

    Tariff private _tariff;
    uint80 private _paidIn;
    uint80 private _withdrawn;
    int128 private _earned;
    uint128 private _owed;
    /// @dev One word per account, so that billing one costs one read and one write. From the lowest bit: int88 balance,
    /// uint40 feed-in, uint40 peak, uint40 off-peak register (as they stand in an item), uint8 flags. Packed by hand (`_pack`, `_unpack`), because
    /// a struct that is written back costs a read and a write for every field.
    mapping(uint32 number => uint256 word) private _accounts;
    mapping(address who => Settler) private _settlers;

    /// @notice The name an account was opened with; zero if it is not open.
    mapping(uint32 number => bytes32 name) public nameOf;
    /// @notice The account of a name; zero if there is none.
    mapping(bytes32 name => uint32 number) public numberOf;

    bool private transient _entered;

    /// @notice The ownership was offered; nothing changed yet.
    /// @param from the owner.
    /// @param to who may accept; zero if an offer was withdrawn.
    event OwnershipOffered(address indexed from, address indexed to);
    /// @notice The contract has another owner.
    /// @param from the owner before; zero at deployment.
    /// @param to the owner now.
    event OwnershipTaken(address indexed from, address indexed to);
    /// @notice An address may settle, or no longer.
    /// @param settler the address.
    /// @param allowed whether it may.
    event SettlerSet(address indexed settler, bool allowed);
    /// @notice Prices changed.
    /// @param version of the tariff from here on.
    /// @param offPeak minor units per Wh taken off peak.
    /// @param peak minor units per Wh taken at peak.
    /// @param feedIn minor units per Wh fed in.
    event TariffSet(uint32 indexed version, uint32 offPeak, uint32 peak, uint32 feedIn);
    /// @notice The warning threshold changed.
    /// @param lowAt minor units.
    event LowAtSet(uint64 lowAt);
    /// @notice An account was opened.
    /// @param number its number.
    /// @param name its name.
    event Opened(uint32 indexed number, bytes32 indexed name);
    /// @notice Money was paid into an account.
    /// @param number the account.
    /// @param from who paid.
    /// @param units how much, in minor units.
    event Deposited(uint32 indexed number, address indexed from, uint256 units);
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
    /// @notice Earnings were paid out.
    /// @param to the payee.
    /// @param units minor units.
    event Withdrawn(address indexed to, uint256 units);

    error NotOwner();
    error NotPendingOwner();
    error NotSettler();
    error BadWeiPerUnit();
    error BadNumber();
    error BadName();
    error NumberTaken(uint32 number);
    error NameTaken(bytes32 name);
    error LengthsDiffer();
    error NoSuchAccount(uint32 number);
    error NotWholeUnits(uint256 value, uint256 weiPerUnit);
    error TooMuchPaidIn(uint256 units);
    error WrongSequence(uint64 expected, uint64 got);
    error WrongTariff(uint32 expected, uint32 got);
    error BadLength(uint256 length);
    error NotOpen(uint256 index);
    error RegisterStepsBack(uint256 index);
    error BalanceOutOfRange(uint256 index);
    error BadPayee();
    error NotAvailable(uint256 available, uint256 wanted);
    error PaymentFailed();
    error Reentered();

    modifier onlyOwner() {
        if (msg.sender != owner) revert NotOwner();
        _;
    }

    /// @notice Makes the deployer owner and first settler, and starts tariff version 1.
    /// @param weiPerUnit_ wei in one minor unit of money; not zero, below 2^128.
    /// @param offPeak price of a Wh taken off peak, in minor units.
    /// @param peak price of a Wh taken at peak, in minor units.
    /// @param feedIn price of a Wh fed in, in minor units.
    /// @param lowAt_ balance, in minor units, at or below which credit is called low.
    constructor(uint256 weiPerUnit_, uint32 offPeak, uint32 peak, uint32 feedIn, uint64 lowAt_) {
        if (weiPerUnit_ == 0 || weiPerUnit_ > type(uint128).max) revert BadWeiPerUnit();
        weiPerUnit = weiPerUnit_;
        owner = msg.sender;
        emit OwnershipTaken(address(0), msg.sender);
        _settlers[msg.sender].allowed = true;
        emit SettlerSet(msg.sender, true);
        _tariff = Tariff(offPeak, peak, feedIn, 1, lowAt_);
        emit TariffSet(1, offPeak, peak, feedIn);
        emit LowAtSet(lowAt_);
    }

    /// @notice Offers the ownership; nothing changes until `to` accepts, so a mistyped address loses nothing.
    /// @param to who is to become owner; zero withdraws an offer.
    function transferOwnership(address to) external onlyOwner {
        pendingOwner = to;
        emit OwnershipOffered(msg.sender, to);
    }

    /// @notice Takes the ownership that was offered to the caller.
    function acceptOwnership() external {
        if (msg.sender != pendingOwner) revert NotPendingOwner();
        emit OwnershipTaken(owner, msg.sender);
        owner = msg.sender;
        delete pendingOwner;
    }

    /// @notice Lets `who` send settlements, or no longer. A settler that returns goes on with its old sequence.
    /// @param who the settler.
    /// @param allowed whether it may settle.
    function setSettler(address who, bool allowed) external onlyOwner {
        _settlers[who].allowed = allowed;
        emit SettlerSet(who, allowed);
    }

    /// @notice Sets the prices of all energy that is settled from now on, and bumps the tariff's version.
    /// @param offPeak minor units per Wh taken off peak.
    /// @param peak minor units per Wh taken at peak.
    /// @param feedIn minor units per Wh fed in.
    function setTariff(uint32 offPeak, uint32 peak, uint32 feedIn) external onlyOwner {
        uint32 version = _tariff.version + 1;
        (_tariff.offPeak, _tariff.peak, _tariff.feedIn, _tariff.version) = (offPeak, peak, feedIn, version);
        emit TariffSet(version, offPeak, peak, feedIn);
    }

    /// @notice Sets the balance at or below which credit is called low.
    /// @param lowAt_ minor units.
    function setLowAt(uint64 lowAt_) external onlyOwner {
        _tariff.lowAt = lowAt_;
        emit LowAtSet(lowAt_);
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

    /// @notice Pays coin into an account. Anybody may pay for anybody.
    /// @param number the account.
    function deposit(uint32 number) external payable {
        uint256 units = msg.value / weiPerUnit;
        if (units == 0 || units * weiPerUnit != msg.value) revert NotWholeUnits(msg.value, weiPerUnit);
        uint256 paid = _paidIn + units;
        if (paid > MAX_PAID_IN) revert TooMuchPaidIn(units);
        uint256 word = _accounts[number];
        if (word == 0) revert NoSuchAccount(number);
        _paidIn = uint80(paid);
        unchecked {
            int256 before = _balance(word);
            int256 balance = before + int256(units);
            _owed = uint128(_owed + _positive(balance) - _positive(before));
            emit Deposited(number, msg.sender, units);
            uint256 flags = _flags(balance, int256(uint256(_tariff.lowAt)));
            _announce(number, word >> FLAGS, flags, balance);
            _accounts[number] = _pack(balance, uint120(word >> REGISTERS), flags);
        }
    }

    /// @notice Bills: every item brings an account's registers up to date, and moves its balance by the energy since the
    /// last time at the present prices, and by the charge.
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
        Tariff memory t = _tariff;
        if (tariffVersion != t.version) revert WrongTariff(t.version, tariffVersion);
        if (items.length == 0 || items.length % ITEM != 0) revert BadLength(items.length);
        Batch memory batch = Batch(t.offPeak, t.peak, t.feedIn, int256(uint256(t.lowAt)), 0, 0, 0);
        _bill(batch, items);
        _close(sequence, linesRoot, batch, items);
    }

    /// @notice Pays earnings out, as far as they are covered by coin that is not owed to customers.
    /// @param to the payee.
    /// @param units how much, in minor units.
    function withdraw(address payable to, uint256 units) external onlyOwner {
        // All state is written before the payment, so a payee that calls back meets a consistent book; that it also
        // cannot withdraw again within one call is a second bolt on the one door through which coin leaves.
        if (_entered) revert Reentered();
        _entered = true;
        if (to == address(0)) revert BadPayee();
        uint256 free = available();
        if (units > free) revert NotAvailable(free, units);
        unchecked {
            _withdrawn += uint80(units);
            _earned -= int128(int256(units));
        }
        emit Withdrawn(to, units);
        (bool paid, ) = to.call{value: units * weiPerUnit}("");
        if (!paid) revert PaymentFailed();
        _entered = false;
    }

    /// @notice The sequence number that a settler has to use next; 1 for one that never settled.
    /// @param who the settler.
    function nextSequence(address who) external view returns (uint64) {
        return _settlers[who].done + 1;
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

    /// @notice All sums of the book, in minor units: paidIn = sum of balances + earned + withdrawn.
    /// @return paidIn all that was ever paid in.
    /// @return withdrawn all that the owner ever took out.
    /// @return earned debits less feed-in credits plus charges less withdrawals.
    /// @return owed the sum of all positive balances.
    function totals() external view returns (uint256 paidIn, uint256 withdrawn, int256 earned, uint256 owed) {
        return (_paidIn, _withdrawn, _earned, _owed);
    }

    /// @notice One account.
    /// @param number which.
    /// @return balance minor units; negative is debt.
    /// @return offPeak Wh billed so far, taken off peak.
    /// @return peak Wh billed so far, taken at peak.
    /// @return feedIn Wh billed so far, fed in.
    /// @return flags OPEN, LOW and EXHAUSTED; zero if it was never opened.
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

    /// @notice What the owner can withdraw now, in minor units: coin held that no customer is owed. Debts that customers
    /// have not paid yet are earned but not here; while feed-in credits exceed all coin held, nothing is.
    function available() public view returns (uint256) {
        uint256 held = _paidIn - _withdrawn;
        return held > _owed ? held - _owed : 0;
    }

    /// @dev The loop is written for gas: sums that cannot meet share a word, and the account's slot is hashed once.
    function _bill(Batch memory batch, bytes calldata items) private {
        uint256 place;
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            place := items.offset
        }
        unchecked {
            for (uint256 end = place + items.length; place < end; place += ITEM) {
                uint256 item;
                uint256 slot;
                uint256 word;
                // The last item's word may reach past the items; what it reads there is shifted out.
                // solhint-disable-next-line no-inline-assembly
                assembly ("memory-safe") {
                    item := shr(104, calldataload(place))
                    mstore(0x00, shr(120, item))
                    mstore(0x20, _accounts.slot)
                    slot := keccak256(0x00, 0x40)
                    word := sload(slot)
                }
                if (word == 0) revert NotOpen(_index(items, place));
                // All three differences at once. If a register stepped back, its lane of 40 bits borrows from the one
                // above, which the highest bit of the lane tells.
                uint256 was = (word >> REGISTERS) & REGISTERS_MASK;
                uint256 wh = (item & REGISTERS_MASK) - was;
                if (((~item & was) | (~(item ^ was) & wh)) & LANES != 0) revert RegisterStepsBack(_index(items, place));
                (uint256 peakWh, uint256 feedInWh) = ((wh >> 40) & REGISTER, wh & REGISTER);
                wh >>= 80;
                batch.energy += wh | (peakWh << 64) | (feedInWh << 128);
                uint256 debit = wh * batch.offPeak + peakWh * batch.peak;
                uint256 credit = feedInWh * batch.feedIn;
                batch.money += debit | (credit << 128);
                int256 charge;
                // solhint-disable-next-line no-inline-assembly
                assembly ("memory-safe") {
                    charge := sar(192, shl(152, calldataload(place)))
                }
                int256 before = _balance(word);
                int256 left = before + int256(credit) - int256(debit) - charge;
                if (uint256(left + BALANCE_OFFSET) >> BALANCE_BITS != 0) revert BalanceOutOfRange(_index(items, place));
                batch.owedAndCharged += int256(_positive(left)) - int256(_positive(before)) + (charge << 128);
                word >>= FLAGS;
                uint256 flags = _flags(left, batch.lowAt);
                if (flags != word) _announce(uint32(item >> 120), word, flags, left);
                word = _pack(left, item & REGISTERS_MASK, flags);
                // solhint-disable-next-line no-inline-assembly
                assembly ("memory-safe") {
                    sstore(slot, word)
                }
            }
        }
    }

    /// @dev Enters the sums of a batch into the book, and says them.
    function _close(uint64 sequence, bytes32 linesRoot, Batch memory batch, bytes calldata items) private {
        (uint256 debited, uint256 credited) = (uint128(batch.money), batch.money >> 128);
        int256 charged;
        unchecked {
            int256 owed = int128(batch.owedAndCharged);
            charged = (batch.owedAndCharged - owed) >> 128;
            _earned += int128(int256(debited) - int256(credited) + charged);
            _owed = uint128(uint256(int256(uint256(_owed)) + owed));
        }
        emit Settled(
            msg.sender,
            sequence,
            uint32(items.length / ITEM),
            uint64(batch.energy),
            uint64(batch.energy >> 64),
            batch.energy >> 128,
            debited,
            credited,
            charged,
            keccak256(items),
            linesRoot
        );
    }

    function _open(uint32 number, bytes32 name) private {
        if (number == 0) revert BadNumber();
        if (name == 0) revert BadName();
        if (_accounts[number] != 0) revert NumberTaken(number);
        if (numberOf[name] != 0) revert NameTaken(name);
        _accounts[number] = _pack(0, 0, OPEN | LOW | EXHAUSTED);
        nameOf[number] = name;
        numberOf[name] = number;
        emit Opened(number, name);
    }

    /// @dev Says which thresholds an account crossed, once each, when it crosses them.
    function _announce(uint32 number, uint256 before, uint256 flags, int256 balance) private {
        if (flags & LOW > before & LOW) emit CreditLow(number, balance);
        if (flags & EXHAUSTED > before & EXHAUSTED) emit CreditExhausted(number, balance);
        if (flags & EXHAUSTED < before & EXHAUSTED) emit CreditRestored(number, balance);
    }

    function _onlyStaff() private view {
        if (msg.sender != owner && !_settlers[msg.sender].allowed) revert NotSettler();
    }

    /// @dev `registers` are the three of them side by side, as in the word. Flags of an open account are never zero, so
    /// neither is its word.
    function _pack(int256 balance, uint256 registers, uint256 flags) private pure returns (uint256) {
        return (uint256(balance) & BALANCE) | (registers << REGISTERS) | (flags << FLAGS);
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

    function _balance(uint256 word) private pure returns (int256) {
        return int88(uint88(word));
    }

    /// @dev Which item it is that begins at this byte of the calldata.
    function _index(bytes calldata items, uint256 place) private pure returns (uint256 index) {
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            index := div(sub(place, items.offset), ITEM)
        }
    }

    function _positive(int256 balance) private pure returns (uint256 positive) {
        // Without a jump: the sign bit, spread over the word, clears a negative number.
        positive = uint256(balance) & ~uint256(balance >> 255);
    }

    /// @dev The flags that follow from a balance.
    function _flags(int256 amount, int256 lowAt_) private pure returns (uint256 flags) {
        // Without jumps: OPEN is bit 0, LOW bit 1, EXHAUSTED bit 2.
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            flags := or(1, or(shl(1, iszero(sgt(amount, lowAt_))), shl(2, slt(amount, 1))))
        }
    }
}
