// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { IProvider, Terms, UNIT, VM } from "../Interfaces.sol";
import { Street } from "./Street.sol";

/// What holds after every action on a street, whoever did it and in whatever order.
abstract contract AlwaysTest {
    Street internal street;

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(street);
    }

    /// One campaign for all of it: what is looked at costs less than what happens.
    function invariant_money_is_neither_made_nor_lost_nor_anybody_elses_and_registers_only_grow() public view {
        moneyIsNeitherMadeNorLost();
        theCoinIsThere();
        nobodyGetsWhatIsNotTheirs();
        accountsAreWhatTheModelSays();
    }

    function moneyIsNeitherMadeNorLost() private view {
        IProvider provider = street.provider();
        (uint256 paidIn, uint256 withdrawn, int256 earned, uint256 owed, uint256 refunded, , ) = provider.totals();
        (int256 balances, uint256 positive) = (0, 0);
        Street.Account[] memory accounts = street.accounts();
        for (uint256 i = 0; i < accounts.length; ++i) {
            (int256 balance, , , , ) = provider.account(accounts[i].number);
            balances += balance;
            if (balance > 0) positive += uint256(balance);
        }
        require(int256(paidIn) == balances + earned + int256(withdrawn + refunded), "the sums are not what was paid in");
        require(owed == positive, "what is owed is not the sum of what is owed to each");
        require(int256(paidIn) == street.paidIn() && earned == street.earned(), "the sums are not the model's");
        require(int256(withdrawn) == street.withdrawn() && int256(refunded) == street.refunded(), "what went out");
    }

    function theCoinIsThere() private view {
        IProvider provider = street.provider();
        (uint256 paidIn, uint256 withdrawn, , , uint256 refunded, uint256 allotted, uint256 waiting) = provider.totals();
        require(paidIn >= withdrawn + refunded, "more went out than was paid in");
        uint256 held = paidIn - withdrawn - refunded;
        require(street.coin(address(provider)) == (held + street.forced()) * UNIT, "the coin is not what the book says");
        require(allotted <= held, "more may be claimed than there is");
        uint256 available = provider.available();
        require(available == 0 || available + allotted + waiting <= held, "what is spoken for is available");
        uint256 claimable;
        address[6] memory people = street.people();
        for (uint256 i = 0; i < people.length; ++i) claimable += provider.claimable(people[i]);
        require(claimable == allotted, "what may be claimed is not what each may claim");
    }

    function nobodyGetsWhatIsNotTheirs() private view {
        address[6] memory people = street.people();
        for (uint256 i = 0; i < people.length; ++i) {
            require(street.coin(people[i]) == street.due(people[i]) * UNIT, "somebody was paid something else");
        }
    }

    function accountsAreWhatTheModelSays() private view {
        IProvider provider = street.provider();
        Street.Account[] memory accounts = street.accounts();
        for (uint256 i = 0; i < accounts.length; ++i) {
            Street.Account memory a = accounts[i];
            (int256 balance, uint40 offPeak, uint40 peak, uint40 feedIn, uint8 flags) = provider.account(a.number);
            require(balance == a.balance, "a balance");
            require(offPeak == a.registers[0] && peak == a.registers[1] && feedIn == a.registers[2], "a register");
            require((flags & 8 != 0) == a.closed && flags & 1 == 1 && (flags & 4 != 0) == (balance <= 0), "a flag");
            (address holder, uint64 dueAt) = provider.holderOf(a.number);
            require(holder == a.holder && dueAt == a.dueAt, "a holder");
        }
    }
}

contract NativeCoinTest is AlwaysTest {
    constructor() {
        Terms memory terms;
        terms.exitDelay = 1 days;
        street = new Street(terms, false, false);
    }
}

contract WindowTest is AlwaysTest {
    constructor() {
        Terms memory terms;
        (terms.exitDelay, terms.window, terms.maxNetworkFee) = (1 days, 2 days, 20);
        street = new Street(terms, false, true);
    }

    /// A walk of the same steps each time, which shows that the actions of a campaign do come to something.
    function test_a_long_walk_tries_everything() external {
        for (uint256 i = 0; i < 1_500; ++i) {
            uint256 r = uint256(keccak256(abi.encode("walk", i)));
            _step(r % 24, r >> 8, r >> 64, r & 0x20 == 0);
            if (i % 100 == 99) invariant_money_is_neither_made_nor_lost_nor_anybody_elses_and_registers_only_grow();
        }
        string[20] memory actions = [
            "wait", "deposit", "force", "settle", "tariff", "fee", "pause", "record", "member", "share",
            "claim", "withdraw", "holder", "close", "reopen", "refund", "contest", "overturn", "trespass", "embezzle"
        ];
        for (uint256 i = 0; i < 20; ++i) require(street.done(bytes32(bytes(actions[i]))) != 0, actions[i]);
    }

    function _step(uint256 action, uint256 a, uint256 b, bool yes) private {
        if (action == 0) street.wait(a);
        if (action == 1 || action == 20 || action == 21) street.deposit(a, b);
        if (action == 2) street.force(a);
        if (action == 3 || action == 22) street.settle(a, yes);
        if (action == 4) street.settleWrongly(a, b, int64(uint64(a >> 64)));
        if (action == 5) street.setTariff(uint32(a), uint32(b), uint32(b >> 32));
        if (action == 6) street.setFee(uint32(a), yes);
        if (action == 7) street.pause(a % 4 == 0);
        if (action == 8) street.record(abi.encode(a));
        if (action == 9) street.setMember(yes, uint64(b), uint32(a));
        if (action == 10) street.shareOut(a);
        if (action == 11) street.claim(a);
        if (action == 12) street.withdraw(a);
        if (action == 13) street.setHolder(a, b % 2 == 0, yes);
        if (action == 14) street.close(a, yes);
        if (action == 15 || action == 23) street.refund(a, yes);
        if (action == 16) street.reopen(a, yes);
        if (action == 17) street.contest(yes);
        if (action == 18) street.trespass(a, yes);
        if (action == 19) (a % 50 == 0) ? street.embezzle() : street.overturn(a, b);
    }
}

contract TokenTest is AlwaysTest {
    constructor() {
        Terms memory terms;
        (terms.window, terms.maxNetworkFee) = (12 hours, 1_000);
        street = new Street(terms, true, true);
    }
}

contract RoundsTest is AlwaysTest {
    constructor() {
        Terms memory terms;
        (terms.exitDelay, terms.window, terms.maxNetworkFee) = (30 days, 1 days, 20);
        (terms.offerTime, terms.supplyTime, terms.settlementTime) = (6 hours, 2 days, 1 days);
        street = new Street(terms, false, true);
    }
}
