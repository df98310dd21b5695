// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { IProvider, Terms, UNIT, VM, item, providerUnder } from "../Interfaces.sol";

/// Two books of the same street. Everything happens to both; but one gets its batches whole, from one settler, and the
/// other in pieces, in another order, from two.
contract TwoBooks {
    IProvider public whole;
    IProvider public pieces;
    uint40[3][5] private _registers;
    address private constant OTHER = address(0x1002);

    constructor() {
        VM.warp(1_800_000_000);
        Terms memory terms;
        terms.window = 2 days;
        (whole, pieces) = (providerUnder(terms), providerUnder(terms));
        for (uint32 n = 1; n <= 5; ++n) {
            whole.open(n, bytes32(uint256(n)));
            pieces.open(n, bytes32(uint256(n)));
        }
        pieces.setSettler(OTHER, true);
    }

    function wait(uint256 seconds_) external {
        VM.warp(block.timestamp + (seconds_ % 1 days));
    }

    function deposit(uint32 number, uint256 units) external {
        units = 1 + (units % 3_000_000);
        VM.deal(address(this), 2 * units * UNIT);
        whole.deposit{ value: units * UNIT }(1 + (number % 5));
        pieces.deposit{ value: units * UNIT }(1 + (number % 5));
    }

    function setTariff(uint32 offPeak, uint32 peak, uint32 feedIn) external {
        whole.setTariff(offPeak % 1_000, peak % 1_000, feedIn % 1_000);
        pieces.setTariff(offPeak % 1_000, peak % 1_000, feedIn % 1_000);
        whole.setLowAt(uint64(peak) * 100);
        pieces.setLowAt(uint64(peak) * 100);
    }

    function withdraw(uint256 units) external {
        uint256 free = whole.available();
        require(free == pieces.available(), "what is available differs");
        if (free == 0) return;
        whole.withdraw(payable(address(0x1001)), 1 + (units % free));
        pieces.withdraw(payable(address(0x1001)), 1 + (units % free));
    }

    /// All five accounts. The first `twice` of them are billed on the way as well, in the pieces only.
    function settle(uint256 seed, uint256 twice) external {
        (, , , uint32 version) = whole.tariff();
        bytes memory all;
        bytes[] memory items = new bytes[](5);
        for (uint256 i = 0; i < 5; ++i) {
            uint256 r = uint256(keccak256(abi.encode(seed, i)));
            uint40[3] memory halfway = _advance(i, r);
            uint40[3] memory there = _advance(i, r >> 64);
            // The charge is a difference: a part of it now, the rest with the rest.
            int64 charge = int64(uint64((r >> 128) % 1_000_000)) - 400_000;
            int64 early = i < twice % 6 ? charge / 3 : int64(0);
            if (i < twice % 6) _settle(pieces, r, version, item(uint32(i + 1), halfway, early));
            items[i] = item(uint32(i + 1), there, charge - early);
            all = bytes.concat(all, item(uint32(i + 1), there, charge));
        }
        _settle(whole, 0, version, all);
        // From somewhere on, in steps that go round all of them.
        uint256 at = seed % 5;
        bytes memory some;
        for (uint256 i = 0; i < 5; ++i) {
            some = bytes.concat(some, items[at]);
            at = (at + 1 + ((seed >> 8) % 4)) % 5;
            if (i != 4 && (seed >> (16 + i)) % 2 == 0) continue;
            _settle(pieces, seed >> (32 + i), version, some);
            some = "";
        }
    }

    function _advance(uint256 i, uint256 by) private returns (uint40[3] memory) {
        for (uint256 k = 0; k < 3; ++k) _registers[i][k] += uint40(uint16(by >> (16 * k)) % 2_000);
        return _registers[i];
    }

    function _settle(IProvider book, uint256 who, uint32 version, bytes memory items) private {
        address by = who % 2 == 0 || book == whole ? address(this) : OTHER;
        uint64 sequence = book.nextSequence(by);
        VM.prank(by);
        book.settle(sequence, version, 0, items);
    }
}

contract OrderTest {
    TwoBooks private _books = new TwoBooks();

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(_books);
    }

    function invariant_how_a_batch_is_cut_and_in_what_order_it_comes_changes_nothing() external view {
        (IProvider whole, IProvider pieces) = (_books.whole(), _books.pieces());
        for (uint32 n = 1; n <= 5; ++n) {
            bytes32 one = _account(whole, n);
            require(one == _account(pieces, n), "an account differs");
        }
        require(_sums(whole) == _sums(pieces), "the sums differ");
        require(whole.available() == pieces.available(), "what is available differs");
    }

    function _account(IProvider book, uint32 n) private view returns (bytes32) {
        (int256 balance, uint40 offPeak, uint40 peak, uint40 feedIn, uint8 flags) = book.account(n);
        return keccak256(abi.encode(balance, offPeak, peak, feedIn, flags));
    }

    function _sums(IProvider book) private view returns (bytes32) {
        (uint256 a, uint256 b, int256 c, uint256 d, uint256 e, uint256 f, uint256 g) = book.totals();
        return keccak256(abi.encode(a, b, c, d, e, f, g));
    }
}
