// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

// What the tests use of the contracts, written by hand from their documentation. The code that is tried is not compiled
// here: it is the bytes in artifacts/ that are deployed everywhere else, so that a test of other bytes is not possible.

struct Terms {
    address token;
    address registry;
    uint32 window;
    uint32 exitDelay;
    uint32 offerTime;
    uint32 supplyTime;
    uint32 settlementTime;
    uint32 maxNetworkFee;
}

struct Reading {
    uint64 time;
    uint64 imported;
    uint64 exported;
}

interface IProvider {
    function acceptOwnership() external;
    function account(uint32) external view returns (int256, uint40, uint40, uint40, uint8);
    function available() external view returns (uint256);
    function claim(address to) external;
    function claimable(address who) external view returns (uint256);
    function close(uint32) external;
    function contest(uint32) external;
    function contestOf(uint32) external view returns (uint64 imported, uint64 since);
    function deposit(uint32) external payable;
    function depositToken(uint32, uint256 units) external;
    function depositsPaused() external view returns (bool);
    function holderOf(uint32) external view returns (address holder, uint64 dueAt);
    function members() external view returns (address[] memory);
    function nextRecord(address) external view returns (uint64);
    function nextSequence(address) external view returns (uint64);
    function offerSupply(uint64 wh) external;
    function open(uint32, bytes32 name) external;
    function overturn(uint32, Reading calldata, bytes calldata signature) external;
    function owner() external view returns (address);
    function pauseDeposits(bool) external;
    function phaseNow() external view returns (uint32 round, uint8 phase, uint64 endsAt);
    function record(uint64 sequence, uint32 count, bytes32 root, bytes calldata steps) external;
    function refund(uint32) external;
    function reopen(uint32) external;
    function setHolder(uint32, address) external;
    function setHolders(uint32[] calldata, address[] calldata) external;
    function setLowAt(uint64) external;
    function setMember(address, uint64 share, uint32 account) external;
    function setSettler(address, bool) external;
    function setTariff(uint32 offPeak, uint32 peak, uint32 feedIn) external;
    function settle(uint64 sequence, uint32 version, bytes32 root, bytes calldata items) external;
    function shareOut() external;
    function tariff() external view returns (uint32 offPeak, uint32 peak, uint32 feedIn, uint32 version);
    function totals()
        external
        view
        returns (
            uint256 paidIn,
            uint256 withdrawn,
            int256 earned,
            uint256 owed,
            uint256 refunded,
            uint256 allotted,
            uint256 waiting
        );
    function transferOwnership(address to) external;
    function withdraw(address payable to, uint256 units) external;
}

interface IOperator {
    function putMeter(bytes32 point, address key, int32 east, int32 north, int32 up, int64 offset) external;
    function readingHash(Reading calldata) external view returns (bytes32);
    function route(bytes32 point, address provider, uint32 account, address gateway) external;
    function setNetworkFee(uint32 fee, address treasury) external;
}

/// What forge answers at this address; the part of it that is used.
interface Vm {
    function addr(uint256 key) external pure returns (address);
    function deal(address who, uint256 wei_) external;
    function deployCode(string calldata artefact, bytes calldata arguments) external returns (address);
    function prank(address from) external;
    function revertToState(uint256 id) external returns (bool);
    function sign(uint256 key, bytes32 digest) external pure returns (uint8 v, bytes32 r, bytes32 s);
    function snapshotState() external returns (uint256 id);
    function warp(uint256 time) external;
}

Vm constant VM = Vm(0x7109709ECfa91a80626fF3989D68f67F5b1DD12D);
uint256 constant UNIT = 1000;

/// The grid operator's register, and an account book, from the committed artefacts.
function operatorAt() returns (IOperator) {
    return IOperator(VM.deployCode("artifacts/Operator.json", ""));
}

function providerUnder(Terms memory terms) returns (IProvider) {
    bytes memory arguments = abi.encode(UNIT, uint32(200), uint32(300), uint32(80), uint64(50_000), terms);
    return IProvider(VM.deployCode("artifacts/Provider.json", arguments));
}

/// An item of a batch: 27 bytes.
function item(uint32 number, uint40[3] memory registers, int64 charge) pure returns (bytes memory) {
    return abi.encodePacked(number, registers[0], registers[1], registers[2], charge);
}
