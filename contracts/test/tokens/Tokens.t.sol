// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { IProvider, Terms, UNIT, VM, item, providerUnder } from "../Interfaces.sol";
import { CallsBack, Greedy, Lies, SaysFalse, SaysNothing, Standard, TakesAPart } from "./Tokens.sol";

/// Books that are kept in tokens of all kinds, and payees that call back. This contract is owner, settler and customer.
contract TokensTest {
    address private constant PURSE = address(0x1001);
    address private constant ANNA = address(0x1003);
    uint256 private constant PLENTY = 1e12;

    // What is expected by name; forge knows the selectors of all of them.
    error PaymentFailed();
    error NotAllReceived(uint256 wanted, uint256 got);
    error NotTheCoin();
    error NotWholeUnits(uint256 got, uint256 unit);

    function test_a_standard_token_goes_in_and_out_to_the_unit() external {
        Standard token = new Standard();
        token.mint(address(this), PLENTY);
        _throughAll(address(token));
        require(token.balanceOf(ANNA) == 550 * UNIT && token.balanceOf(PURSE) == 100 * UNIT, "paid out");
    }

    function test_a_token_that_returns_nothing_goes_in_and_out_to_the_unit() external {
        SaysNothing token = new SaysNothing();
        token.mint(address(this), PLENTY);
        _throughAll(address(token));
        require(token.balanceOf(ANNA) == 550 * UNIT && token.balanceOf(PURSE) == 100 * UNIT, "paid out");
    }

    function test_a_token_that_keeps_a_part_is_refused() external {
        TakesAPart token = new TakesAPart();
        token.mint(address(this), PLENTY);
        IProvider book = _book(address(token));
        token.approve(address(book), PLENTY);
        bytes memory call = abi.encodeCall(IProvider.depositToken, (1, 1_000));
        _refused(book, call, abi.encodeWithSelector(NotAllReceived.selector, 1_000 * UNIT, 990 * UNIT));
        require(token.balanceOf(address(this)) == PLENTY && _paidIn(book) == 0, "nothing moved");
    }

    function test_a_token_that_says_true_and_moves_nothing_is_refused() external {
        Lies token = new Lies();
        IProvider book = _book(address(token));
        bytes memory call = abi.encodeCall(IProvider.depositToken, (1, 7));
        _refused(book, call, abi.encodeWithSelector(NotAllReceived.selector, 7 * UNIT, 0));
    }

    function test_a_token_that_says_false_pays_nothing_in_and_takes_nothing_off_the_book() external {
        SaysFalse token = new SaysFalse();
        token.mint(address(this), PLENTY);
        IProvider book = _book(address(token));
        token.approve(address(book), PLENTY);
        bytes memory failed = abi.encodeWithSelector(PaymentFailed.selector);
        _refused(book, abi.encodeCall(IProvider.depositToken, (1, 1_000)), failed);
        token.setRefuses(false);
        book.depositToken(1, 1_000);
        token.setRefuses(true);
        book.settle(1, 1, 0, item(1, [uint40(0), 0, 0], 450));
        book.close(1);
        bytes32 before = _state(book);
        _refused(book, abi.encodeCall(IProvider.refund, (1)), failed);
        _refused(book, abi.encodeCall(IProvider.withdraw, (payable(PURSE), 100)), failed);
        book.setMember(address(this), 1, 0);
        book.shareOut();
        bytes32 shared = _state(book);
        _refused(book, abi.encodeCall(IProvider.claim, (PURSE)), failed);
        require(shared == _state(book) && shared != before, "a claim that failed is still a claim");
        token.setRefuses(false);
        book.claim(PURSE);
        book.refund(1);
        require(token.balanceOf(ANNA) == 550 * UNIT && token.balanceOf(PURSE) == 450 * UNIT, "paid out after all");
    }

    function test_an_address_without_code_is_no_token() external {
        IProvider book = _book(address(0xdead));
        (bool done, ) = address(book).call(abi.encodeCall(IProvider.depositToken, (1, 5)));
        require(!done && _paidIn(book) == 0, "nothing was paid in");
    }

    function test_without_allowance_or_tokens_nothing_is_paid_in() external {
        Standard token = new Standard();
        IProvider book = _book(address(token));
        (bool done, ) = address(book).call(abi.encodeCall(IProvider.depositToken, (1, 5)));
        require(!done, "there is no allowance");
        token.approve(address(book), PLENTY);
        (done, ) = address(book).call(abi.encodeCall(IProvider.depositToken, (1, 5)));
        require(!done, "there are no tokens");
        // 2^256 / UNIT units: the product wraps to less than UNIT, and no less than nothing may be paid for it.
        (done, ) = address(book).call(abi.encodeCall(IProvider.depositToken, (1, type(uint256).max / UNIT + 1)));
        require(!done && _paidIn(book) == 0, "a product that wraps");
    }

    function test_a_book_takes_the_coin_it_is_kept_in_and_no_other() external {
        IProvider native = _book(address(0));
        _refused(native, abi.encodeCall(IProvider.depositToken, (1, 5)), abi.encodeWithSelector(NotTheCoin.selector));
        IProvider tokens = _book(address(new Standard()));
        VM.deal(address(this), UNIT);
        (bool done, bytes memory why) = address(tokens).call{ value: UNIT }(abi.encodeCall(IProvider.deposit, (1)));
        require(!done && bytes4(why) == NotTheCoin.selector, "coin in a book of tokens");
        (done, ) = address(tokens).call{ value: UNIT }("");
        require(!done, "coin for nobody");
    }

    function test_a_payer_and_payee_that_calls_back_gets_what_is_its_own_once() external {
        CallsBack token = new CallsBack();
        IProvider book = _open(address(token));
        Greedy greedy = new Greedy(book);
        token.mint(address(greedy), PLENTY);
        _plan(book, greedy);
        greedy.run(address(token), abi.encodeCall(token.approve, (address(book), PLENTY)), 0);
        uint256 before = greedy.calls();
        require(greedy.run(address(book), abi.encodeCall(IProvider.depositToken, (1, 1_000)), 0), "a deposit");
        require(greedy.calls() == before + 1 && greedy.succeeded() == 0 && _paidIn(book) == 1_000, "it tried when it paid in");
        _payOut(book, greedy);
        require(token.balanceOf(address(greedy)) == PLENTY - 400 * UNIT, "its own");
        require(token.balanceOf(address(book)) == 400 * UNIT, "the others'");
    }

    function test_a_payee_of_native_coin_that_calls_back_gets_what_is_its_own_once() external {
        IProvider book = _open(address(0));
        Greedy greedy = new Greedy(book);
        _plan(book, greedy);
        VM.deal(address(greedy), 1_000 * UNIT);
        require(greedy.run(address(book), abi.encodeCall(IProvider.deposit, (1)), 1_000 * UNIT), "a deposit");
        _payOut(book, greedy);
        require(address(greedy).balance == 600 * UNIT && address(book).balance == 400 * UNIT, "its own");
    }

    /// Paid in, billed, withdrawn, closed and refunded; twice at most what there is.
    function _throughAll(address token) private {
        IProvider book = _book(token);
        SaysNothing(token).approve(address(book), PLENTY);
        book.depositToken(1, 1_000);
        _refused(book, abi.encodeCall(IProvider.depositToken, (1, 0)), abi.encodeWithSelector(NotWholeUnits.selector, 0, UNIT));
        book.settle(1, 1, 0, item(1, [uint40(1), 1, 0], -50));
        (int256 balance, , , , ) = book.account(1);
        require(balance == 550, "200 and 300 for a Wh each, 50 back");
        book.withdraw(payable(PURSE), 100);
        book.close(1);
        book.refund(1);
        (bool again, ) = address(book).call(abi.encodeCall(IProvider.refund, (1)));
        require(!again, "a refund is paid once");
        require(SaysNothing(token).balanceOf(address(book)) == 350 * UNIT && book.available() == 350, "earnings stay");
    }

    /// Whatever could pay it, and what could make it owner: all that a payee might try again.
    function _plan(IProvider book, Greedy greedy) private {
        book.setHolder(1, address(greedy));
        greedy.plan(abi.encodeCall(IProvider.refund, (1)));
        greedy.plan(abi.encodeCall(IProvider.refund, (2)));
        greedy.plan(abi.encodeCall(IProvider.claim, (address(greedy))));
        greedy.plan(abi.encodeCall(IProvider.withdraw, (payable(address(greedy)), 1)));
        greedy.plan(abi.encodeCall(IProvider.depositToken, (2, 1)));
        greedy.plan(abi.encodeCall(IProvider.acceptOwnership, ()));
    }

    /// 300 for its earnings, 300 for its account, of 1,000 that were paid in and 400 that are another's.
    function _payOut(IProvider book, Greedy greedy) private {
        uint256 before = greedy.calls();
        book.settle(1, 1, 0, bytes.concat(item(1, [uint40(0), 0, 0], 700), item(2, [uint40(0), 0, 0], -400)));
        book.setMember(address(greedy), 1, 0);
        book.shareOut();
        require(book.claimable(address(greedy)) == 300, "what was earned and is not owed");
        require(greedy.run(address(book), abi.encodeCall(IProvider.claim, (address(greedy))), 0), "a claim");
        require(greedy.calls() == before + 1 && greedy.succeeded() == 0, "it tried when it was paid");
        require(greedy.run(address(book), abi.encodeCall(IProvider.close, (1)), 0), "closing");
        book.close(1);
        book.refund(1);
        require(greedy.calls() == before + 2 && greedy.succeeded() == 0, "it tried when it was refunded");
        (, uint256 withdrawn, , , uint256 refunded, , ) = book.totals();
        require(withdrawn == 300 && refunded == 300, "the book knows");
    }

    function _open(address token) private returns (IProvider book) {
        Terms memory terms;
        (terms.token, terms.exitDelay) = (token, 1 hours);
        book = providerUnder(terms);
        book.open(1, "one");
        book.open(2, "two");
    }

    function _book(address token) private returns (IProvider book) {
        book = _open(token);
        book.setHolder(1, ANNA);
    }

    function _paidIn(IProvider book) private view returns (uint256 paidIn) {
        (paidIn, , , , , , ) = book.totals();
    }

    function _state(IProvider book) private view returns (bytes32) {
        (int256 balance, , , , uint8 flags) = book.account(1);
        (uint256 a, uint256 b, int256 c, uint256 d, uint256 e, uint256 f, ) = book.totals();
        return keccak256(abi.encode(balance, flags, book.claimable(address(this)), a, b, c, d, e, f));
    }

    function _refused(IProvider book, bytes memory call, bytes memory why) private {
        bytes32 before = _state(book);
        (bool done, bytes memory said) = address(book).call(call);
        require(!done && keccak256(said) == keccak256(why), "another refusal was expected");
        require(before == _state(book), "something refused moved something");
    }
}
