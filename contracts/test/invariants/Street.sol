// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { IOperator, IProvider, Reading, Terms, UNIT, VM, item, operatorAt, providerUnder } from "../Interfaces.sol";
import { Standard } from "../tokens/Tokens.sol";

/// What people can do with an account book, in any order, at any time; with a model of it that shares nothing with the
/// contract. Each action says what has to come of it, and reverts if something else does. This contract is the owner.
contract Street {
    struct Account {
        uint32 number;
        int256 balance;
        uint40[3] registers;
        address holder;
        bool closed;
        uint256 dueAt;
    }

    address public constant PURSE = address(0x1001);
    address public constant SETTLER = address(0x1002);
    address public constant ANNA = address(0x1003);
    address public constant BEN = address(0x1004);
    address public constant TREASURY = address(0x1005);
    address public constant STRANGER = address(0x1006);
    uint256 private constant METER = 0xA11CE;
    uint256 private constant OFFER = 1;
    uint256 private constant SUPPLY = 2;

    IProvider public provider;
    IOperator public register;
    Standard public token;
    Terms public terms;
    Account[] private _accounts;
    int256 public paidIn;
    int256 public withdrawn;
    int256 public earned;
    int256 public refunded;
    /// Coin that nobody paid in, in units.
    uint256 public forced;
    /// What the book ought to have paid to each, in units.
    mapping(address who => uint256) public due;
    uint32 private _fee;
    uint256 public now_ = 1_800_000_000;
    /// How often each action came to something: a run in which nothing happens proves nothing.
    mapping(bytes32 action => uint256) public done;

    modifier timed() {
        VM.warp(now_);
        _;
    }

    constructor(Terms memory terms_, bool inTokens, bool registered) {
        VM.warp(now_);
        register = operatorAt();
        if (inTokens) token = new Standard();
        terms_.token = address(token);
        if (registered) terms_.registry = address(register);
        terms = terms_;
        provider = providerUnder(terms_);
        register.route("point", address(provider), 1, address(0));
        register.putMeter("point", VM.addr(METER), 0, 0, 0, 0);
        provider.setSettler(SETTLER, true);
        for (uint32 n = 1; n <= 3; ++n) {
            provider.open(n, bytes32(uint256(n)));
            address holder = n == 3 ? address(0) : n == 1 ? ANNA : BEN;
            if (holder != address(0)) provider.setHolder(n, holder);
            _accounts.push(Account(n, 0, [uint40(0), 0, 0], holder, false, 0));
        }
    }

    // What happens.

    function wait(uint256 seconds_) external {
        now_ += seconds_ % 4 days;
        ++done["wait"];
    }

    function deposit(uint256 which, uint256 units) external timed {
        Account storage a = _some(which);
        units = 1 + (units % 3_000_000);
        bool open = !provider.depositsPaused() && !a.closed;
        _want(_pay(a.number, units) == open, "a deposit");
        if (!open) return;
        paidIn += int256(units);
        a.balance += int256(units);
        ++done["deposit"];
    }

    /// Coin arrives that is nobody's.
    function force(uint256 units) external timed {
        units %= 3_000_000;
        forced += units;
        if (address(token) == address(0)) VM.deal(address(provider), address(provider).balance + units * UNIT);
        else token.mint(address(provider), units * UNIT);
        ++done["force"];
    }

    function settle(uint256 seed, bool owner) external timed {
        bytes memory items;
        (uint32 offPeak, uint32 peak, uint32 feedIn, uint32 version) = provider.tariff();
        bool billed = _phase() != OFFER;
        for (uint256 i = 0; i < 1 + (seed % 5); ++i) {
            uint256 r = uint256(keccak256(abi.encode(seed, i)));
            Account storage a = _some(r);
            uint40[3] memory registers = a.registers;
            // Energy, money, both or neither.
            for (uint256 k = 0; k < 3 && r & 0x80 == 0; ++k) registers[k] += uint40(uint16(r >> (16 + 16 * k)) % 3_000);
            int64 charge = r & 0x100 == 0 ? int64(0) : int64(uint64((r >> 80) % 1_000_000)) - 400_000;
            if ((r >> 120) % 16 == 0) charge -= 4_000_000;
            items = bytes.concat(items, item(a.number, registers, charge));
            if (!billed) continue;
            int256 cost = charge;
            cost += int256(uint256(registers[0] - a.registers[0]) * offPeak);
            cost += int256(uint256(registers[1] - a.registers[1]) * peak);
            cost -= int256(uint256(registers[2] - a.registers[2]) * feedIn);
            a.registers = registers;
            a.balance -= cost;
            earned += cost;
        }
        _want(_settle(owner ? address(this) : SETTLER, 0, version, items) == billed, "a batch");
        if (billed) ++done["settle"];
    }

    /// Batches that are wrong: late, early, for another tariff, backwards, for nobody, cut short.
    function settleWrongly(uint256 which, uint256 register_, int64 charge) external timed {
        Account storage a = _some(which);
        (, , , uint32 version) = provider.tariff();
        bytes memory right = item(a.number, a.registers, charge % 1_000);
        _want(!_settle(SETTLER, -1, version, right), "a batch of the past");
        _want(!_settle(SETTLER, 1, version, right), "a batch of the future");
        _want(!_settle(SETTLER, 0, version + 1, right), "a batch for another tariff");
        _want(!_settle(SETTLER, 0, version, bytes.concat(right, hex"00")), "a batch with a byte more");
        _want(!_settle(SETTLER, 0, version, bytes.concat(right, item(999, a.registers, 0))), "a batch for nobody");
        uint40[3] memory back = a.registers;
        if (back[register_ % 3] == 0) return;
        back[register_ % 3] -= 1;
        _want(!_settle(SETTLER, 0, version, bytes.concat(right, item(a.number, back, charge))), "a register goes back");
    }

    function setTariff(uint32 offPeak, uint32 peak, uint32 feedIn) external timed {
        uint256 phase = _phase();
        bytes memory call = abi.encodeCall(IProvider.setTariff, (offPeak % 1_000, peak % 1_000, feedIn % 1_000));
        _want(_by(address(this), call) == (phase == 0 || phase == OFFER), "prices");
        provider.setLowAt(uint64(peak));
        ++done["tariff"];
    }

    function setFee(uint32 fee, bool somebody) external timed {
        _fee = fee % 40;
        register.setNetworkFee(_fee, somebody ? TREASURY : address(0));
        ++done["fee"];
    }

    function pause(bool paused) external timed {
        provider.pauseDeposits(paused);
        ++done["pause"];
    }

    function record(bytes calldata steps) external timed {
        uint64 next = provider.nextRecord(SETTLER);
        _want(!_by(SETTLER, abi.encodeCall(IProvider.record, (next + 1, 1, 0, steps))), "a record of the future");
        _want(_by(SETTLER, abi.encodeCall(IProvider.record, (next, 1, 0, steps))), "a record");
        ++done["record"];
    }

    // Earnings.

    function setMember(bool anna, uint64 share, uint32 account) external timed {
        (address who, uint256 members) = (anna ? ANNA : BEN, provider.members().length);
        _by(address(this), abi.encodeCall(IProvider.setMember, (who, share % 3, account % 4)));
        if (provider.members().length != members) ++done["member"];
    }

    function shareOut(uint256 who) external timed {
        address[4] memory any = [address(this), ANNA, BEN, STRANGER];
        uint256 before = provider.available();
        bool shared = _by(any[who % 4], abi.encodeCall(IProvider.shareOut, ()));
        _want(!shared || provider.available() <= before, "sharing out makes no money");
        if (shared) ++done["share"];
    }

    function claim(uint256 which) external timed {
        address[4] memory any = [ANNA, BEN, TREASURY, STRANGER];
        address who = any[which % 4];
        uint256 units = provider.claimable(who);
        bool paid = _exit(who, who, abi.encodeCall(IProvider.claim, (who)));
        _want(paid == (units != 0), "what may be claimed is there");
        if (paid) _earningsTaken(who, units);
        if (paid) ++done["claim"];
    }

    function withdraw(uint256 units) external timed {
        uint256 free = provider.available();
        units = 1 + (units % (free + 1 < 10_000_000 ? free + 1 : 10_000_000));
        bool pool = provider.members().length != 0;
        bool paid = _exit(address(this), PURSE, abi.encodeCall(IProvider.withdraw, (payable(PURSE), units)));
        _want(!paid || (units <= free && !pool), "more is withdrawn than is available");
        _want(paid || units > free || pool || terms.maxNetworkFee != 0, "what is available is not to be had");
        if (!paid) return;
        _earningsTaken(PURSE, units);
        (, , , uint256 owed, , uint256 allotted, uint256 waiting) = provider.totals();
        _want(held() >= int256(owed + allotted + waiting), "earnings that are not free were withdrawn");
        ++done["withdraw"];
    }

    // Customers.

    function setHolder(uint256 which, bool anna, bool byHolder) external timed {
        Account storage a = _some(which);
        address holder = anna ? ANNA : BEN;
        // Nobody but the holder hands an account on; and what has moved, nobody at all can claim.
        address by = byHolder && a.holder != address(0) ? a.holder : address(this);
        bool may = a.holder != address(0) ? by == a.holder : _fresh(a);
        _want(_by(by, _naming(a.number, holder, which % 2 == 0)) == may, "a holder");
        if (!may) return;
        a.holder = holder;
        ++done["holder"];
    }

    function close(uint256 which, bool byHolder) external timed {
        Account storage a = _some(which);
        address by = byHolder && a.holder != address(0) ? a.holder : address(this);
        uint256 dueAt = by == a.holder ? now_ + terms.exitDelay : now_;
        bool may = !a.closed || a.dueAt > dueAt;
        _want(_by(by, abi.encodeCall(IProvider.close, (a.number))) == may, "closing");
        if (!may) return;
        (a.closed, a.dueAt) = (true, dueAt);
        ++done["close"];
    }

    function reopen(uint256 which, bool byHolder) external timed {
        Account storage a = _some(which);
        address by = byHolder && a.holder != address(0) ? a.holder : address(this);
        bool may = a.closed && (a.holder == address(0) || by == a.holder);
        _want(_by(by, abi.encodeCall(IProvider.reopen, (a.number))) == may, "reopening");
        if (may) (a.closed, a.dueAt) = (false, 0);
        if (may) ++done["reopen"];
    }

    function refund(uint256 which, bool stranger) external timed {
        Account storage a = _some(which);
        int256 free = held() - int256(_allotted());
        int256 units = a.balance < free ? a.balance : free;
        bool may = a.closed && a.holder != address(0) && now_ >= a.dueAt && units > 0;
        address by = stranger ? STRANGER : SETTLER;
        _want(_exit(by, a.holder, abi.encodeCall(IProvider.refund, (a.number))) == may, "a refund");
        if (!may) return;
        (refunded, a.balance) = (refunded + units, a.balance - units);
        due[a.holder] += uint256(units);
        ++done["refund"];
    }

    function contest(bool anna) external timed {
        address who = anna ? ANNA : BEN;
        bool may = terms.registry != address(0) && terms.window != 0 && _accounts[0].holder == who;
        _want(_by(who, abi.encodeCall(IProvider.contest, (1))) == may, "a contest");
        if (may) ++done["contest"];
    }

    /// The meter of account 1 says less, or not, than what was billed when it was contested.
    function overturn(uint256 short, uint256 later) external timed {
        Account storage a = _accounts[0];
        (uint64 billed, uint64 since) = provider.contestOf(1);
        short %= 2_000;
        Reading memory reading = Reading(since + uint64(later % 1 hours), 0, 0);
        reading.imported = billed > short ? billed - uint64(short) : 0;
        bool may = since != 0 && now_ <= since + terms.window && reading.time >= since + 15 minutes;
        may = may && reading.time <= now_ && reading.imported < billed;
        (uint8 v, bytes32 r, bytes32 s) = VM.sign(METER, register.readingHash(reading));
        bytes memory seal = abi.encodePacked(r, s, v);
        uint64 imported = reading.imported;
        reading.imported += 1;
        _want(!_by(ANNA, abi.encodeCall(IProvider.overturn, (1, reading, seal))), "a forged reading");
        reading.imported = imported;
        _want(_by(STRANGER, abi.encodeCall(IProvider.overturn, (1, reading, seal))) == may, "a challenge");
        if (may) _overturned(a, billed - imported);
    }

    // What nobody may do.

    function trespass(uint256 which, bool settler) external timed {
        Account storage a = _some(which);
        address who = settler ? SETTLER : STRANGER;
        bytes[13] memory owners = [
            abi.encodeCall(IProvider.withdraw, (payable(who), 1)),
            abi.encodeCall(IProvider.setMember, (who, 1, 0)),
            abi.encodeCall(IProvider.setTariff, (0, 0, 0)),
            abi.encodeCall(IProvider.setLowAt, (0)),
            abi.encodeCall(IProvider.setSettler, (who, true)),
            abi.encodeCall(IProvider.pauseDeposits, (true)),
            abi.encodeCall(IProvider.transferOwnership, (who)),
            abi.encodeCall(IProvider.acceptOwnership, ()),
            abi.encodeCall(IProvider.claim, (who)),
            abi.encodeCall(IProvider.offerSupply, (1)),
            abi.encodeCall(IProvider.contest, (a.number)),
            abi.encodeCall(IProvider.setHolder, (a.number, who)),
            abi.encodeCall(IProvider.settle, (provider.nextSequence(STRANGER), 1, 0, item(1, a.registers, -1)))
        ];
        uint256 count = settler ? 12 : 13;
        for (uint256 i = 0; i < count; ++i) _want(!_by(who, owners[i]), "somebody does what is the owner's");
        if (settler) return;
        _want(!_by(who, abi.encodeCall(IProvider.close, (a.number))), "a stranger closes");
        _want(!_by(who, abi.encodeCall(IProvider.reopen, (a.number))), "a stranger reopens");
        _want(!_by(who, abi.encodeCall(IProvider.open, (77, "mine"))), "a stranger opens");
        ++done["trespass"];
    }

    /// A settler opens an account, credits it, and tries to be paid.
    function embezzle() external timed {
        if (_phase() == OFFER || _accounts.length == 6) return;
        uint32 number = uint32(_accounts.length + 1);
        _want(_by(SETTLER, abi.encodeCall(IProvider.open, (number, bytes32(uint256(number))))), "a settler opens");
        _by(SETTLER, abi.encodeCall(IProvider.setHolder, (number, SETTLER)));
        (, , , uint32 version) = provider.tariff();
        _want(_settle(SETTLER, 0, version, item(number, [uint40(0), 0, 0], -1_000_000)), "a credit");
        _by(SETTLER, _naming(number, SETTLER, true));
        _want(_by(SETTLER, abi.encodeCall(IProvider.close, (number))), "a settler closes");
        _by(SETTLER, abi.encodeCall(IProvider.refund, (number)));
        _accounts.push(Account(number, 1_000_000, [uint40(0), 0, 0], address(0), true, now_));
        earned -= 1_000_000;
        ++done["embezzle"];
    }

    // For whoever looks at it.

    function accounts() external view returns (Account[] memory) {
        return _accounts;
    }

    function people() external pure returns (address[6] memory) {
        return [PURSE, SETTLER, ANNA, BEN, TREASURY, STRANGER];
    }

    function held() public view returns (int256) {
        return paidIn - withdrawn - refunded;
    }

    function coin(address who) public view returns (uint256) {
        return address(token) == address(0) ? who.balance : token.balanceOf(who);
    }

    function _pay(uint32 number, uint256 units) private returns (bool) {
        address from = address(0x2000);
        if (address(token) == address(0)) {
            VM.deal(from, units * UNIT);
            VM.prank(from);
            try provider.deposit{ value: units * UNIT }(number) {
                return true;
            } catch {
                return false;
            }
        }
        token.mint(from, units * UNIT);
        VM.prank(from);
        token.approve(address(provider), units * UNIT);
        return _by(from, abi.encodeCall(IProvider.depositToken, (number, units)));
    }

    function _settle(address by, int64 off, uint32 version, bytes memory items) private returns (bool) {
        uint64 sequence = uint64(int64(provider.nextSequence(by)) + off);
        return _by(by, abi.encodeCall(IProvider.settle, (sequence, version, bytes32(0), items)));
    }

    /// Pays somebody, in the same way whether deposits are paused or not.
    function _exit(address by, address payee, bytes memory call) private returns (bool paid) {
        uint256 before = VM.snapshotState();
        provider.pauseDeposits(!provider.depositsPaused());
        bool otherwise = _by(by, call);
        uint256 then = coin(payee);
        VM.revertToState(before);
        paid = _by(by, call);
        _want(paid == otherwise && coin(payee) == then, "pausing deposits matters to what is paid out");
    }

    /// Takes the model along, if what the contract did is right: peak gives way first, and the price is one that was asked.
    function _overturned(Account storage a, uint256 excess) private {
        (int256 balance, uint40 offPeak, uint40 peak, , ) = provider.account(1);
        uint40 fromPeak = excess < a.registers[1] ? uint40(excess) : a.registers[1];
        _want(peak == a.registers[1] - fromPeak, "peak energy goes back by something else");
        _want(offPeak == a.registers[0] - (uint40(excess) - fromPeak), "off-peak energy goes back by something else");
        (uint32 low, uint32 high, , ) = provider.tariff();
        int256 back = balance - a.balance;
        _want(back >= int256(excess * (low > high ? low : high)), "too little is paid back");
        _want(back <= int256(excess * 1_000), "more is paid back than energy ever cost");
        earned -= back;
        (a.balance, a.registers[0], a.registers[1]) = (balance, offPeak, peak);
        ++done["overturn"];
    }

    function _earningsTaken(address who, uint256 units) private {
        (withdrawn, earned) = (withdrawn + int256(units), earned - int256(units));
        due[who] += units;
    }

    function _by(address who, bytes memory call) private returns (bool succeeded) {
        VM.prank(who);
        (succeeded, ) = address(provider).call(call);
    }

    function _some(uint256 which) private view returns (Account storage) {
        return _accounts[which % _accounts.length];
    }

    /// @dev Alone, or in a list of one: the same rules.
    function _naming(uint32 number, address holder, bool listed) private pure returns (bytes memory) {
        if (!listed) return abi.encodeCall(IProvider.setHolder, (number, holder));
        (uint32[] memory numbers, address[] memory holders) = (new uint32[](1), new address[](1));
        (numbers[0], holders[0]) = (number, holder);
        return abi.encodeCall(IProvider.setHolders, (numbers, holders));
    }

    function _fresh(Account storage a) private view returns (bool) {
        bool still = a.registers[0] | a.registers[1] | a.registers[2] == 0;
        return still && a.balance == 0 && !a.closed;
    }

    function _phase() private view returns (uint256 phase) {
        (, phase, ) = provider.phaseNow();
    }

    function _allotted() private view returns (uint256 allotted) {
        (, , , , , allotted, ) = provider.totals();
    }

    function _want(bool so, string memory what) private pure {
        require(so, what);
    }
}
