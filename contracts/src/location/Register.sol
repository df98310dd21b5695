// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { IRegistry } from "../IRegistry.sol";
import { Judge } from "./Judge.sol";
import { Owned } from "../Owned.sol";

/// @title What proofs of location keep: terms, requests, applicants, and where provers stand
/// @notice Everything that moves a request builds on it.
abstract contract Register is Owned {
    /// @dev What was agreed when the contract was made, and never changes.
    struct Terms {
        /// The operator's registry: meters with their places, and who may be a prover.
        IRegistry registry;
        /// Who gets what is forfeited: somebody to whom no verdict matters, or else provers may gain by each other's loss.
        address sink;
        /// How many provers are drawn, from 3 to 15.
        uint8 provers;
        /// What each prover, the operator and the requester put in, in wei.
        uint96 deposit;
        /// What each prover gets who is not dropped, in wei.
        uint96 reward;
        /// How far from the claimed place a prover may stand, in millimetres.
        uint32 range;
        /// Seconds to apply, to reveal numbers, to measure, and to reveal distances.
        uint32 applyTime;
        uint32 revealTime;
        uint32 measureTime;
        uint32 openTime;
        /// What a claim is held against: see `solvers::locate::Limits`.
        uint32 off;
        uint32 reach;
        uint32[13] left;
    }

    /// @dev A proof of location in the making.
    struct Request {
        address requester;
        uint40 applyUntil;
        uint8 state;
        uint8 applicants;
        /// How many of the drawn have committed a distance, have revealed it, and heard anything.
        uint8 measured;
        uint8 opened;
        uint8 heard;
        address meter;
        uint40 revealUntil;
        uint40 measureUntil;
        /// Where the meter is said to stand.
        int32 east;
        int32 north;
        /// The block whose hash draws; zero before.
        uint64 pinned;
        /// By place of application, bit by bit: who revealed its number.
        uint64 revealed;
        /// And who was drawn.
        uint64 chosen;
        /// And whose distance was dropped.
        uint64 dropped;
        uint8 verdict;
        /// What was revealed, hashed on and on; from the draw on its seed, from which beacons follow.
        bytes32 seed;
        /// The operator's commitment, until it is revealed.
        bytes32 pledged;
    }

    /// @dev Who applied: the place relative to the claim, and the commitment, to a number and then to a distance.
    struct Applicant {
        address who;
        int24 x;
        int24 y;
        uint24 distance;
        uint8 step;
        bytes32 hash;
    }

    /// @dev Where a prover stands, and the last request for which it applied.
    struct Anchor {
        int32 east;
        int32 north;
        bool placed;
        uint64 last;
    }

    /// @notice States of a request.
    uint8 public constant OPEN = 1;
    /// @notice Provers are drawn.
    uint8 public constant DRAWN = 2;
    /// @notice There is a verdict.
    uint8 public constant DONE = 3;
    /// @notice There were too few provers.
    uint8 public constant VOID = 4;

    /// @dev Steps of an applicant.
    uint8 internal constant APPLIED = 1;
    uint8 internal constant REVEALED = 2;
    uint8 internal constant MEASURED = 3;
    uint8 internal constant OPENED = 4;
    uint8 internal constant PAID = 5;
    /// @dev The most applicants.
    uint256 internal constant SEATS = 64;

    IRegistry internal immutable _registry;
    address internal immutable _sink;
    uint256 internal immutable _provers;
    uint256 internal immutable _deposit;
    uint256 internal immutable _reward;
    uint256 internal immutable _range;
    uint256 internal immutable _applyTime;
    uint256 internal immutable _revealTime;
    uint256 internal immutable _measureTime;
    uint256 internal immutable _openTime;
    uint256 internal immutable _off;
    uint256 internal immutable _reach;
    uint256 internal immutable _low;
    uint256 internal immutable _high;

    /// @notice How many requests there were; the number of the last.
    uint64 public requests;
    mapping(uint64 id => Request) internal _requests;
    mapping(uint64 id => mapping(uint256 place => Applicant)) internal _applicants;
    mapping(address prover => Anchor) internal _anchors;
    /// @notice How many requests a meter has signed that were used; the number of the next.
    mapping(address meter => uint64 count) public asked;
    /// @notice What may be collected, in wei.
    mapping(address who => uint256 amount) public owing;

    /// @notice A prover stands somewhere, or no longer anywhere.
    /// @param prover who.
    /// @param placed whether it may apply.
    /// @param east millimetres from the site's origin.
    /// @param north millimetres from the site's origin.
    event AnchorSet(address indexed prover, bool placed, int32 east, int32 north);
    /// @notice A proof of location is wanted.
    /// @param id number of the request.
    /// @param meter whose place is to be proven.
    /// @param requester who pays.
    /// @param applyUntil until when provers can apply.
    event Requested(uint64 indexed id, address indexed meter, address indexed requester, uint40 applyUntil);
    /// @notice The operator committed to a number.
    /// @param id of the request.
    /// @param hash of the number.
    event Pledged(uint64 indexed id, bytes32 hash);
    /// @notice A prover applied.
    /// @param id of the request.
    /// @param prover who.
    /// @param place among the applicants, from 0.
    event Applied(uint64 indexed id, address indexed prover, uint8 place);
    /// @notice A number was revealed.
    /// @param id of the request.
    /// @param who whose.
    event Revealed(uint64 indexed id, address indexed who);
    /// @notice The block is fixed whose hash draws the provers.
    /// @param id of the request.
    /// @param number of the block.
    event Pinned(uint64 indexed id, uint64 number);
    /// @notice There are too few provers; everybody who kept to the rules gets back what was put in.
    /// @param id of the request.
    event Voided(uint64 indexed id);
    /// @notice Provers are drawn.
    /// @param id of the request.
    /// @param seed of the draw, from which beacons follow.
    /// @param chosen by place of application, bit by bit.
    /// @param measureUntil until when distances are committed.
    event Drawn(uint64 indexed id, bytes32 seed, uint64 chosen, uint40 measureUntil);

    error BadTerms();
    error NoMeter();
    error BadSignature();
    error WrongStake(uint256 expected, uint256 got);
    error NotOpen(uint256 id);
    error NotProver(address who);
    error OutOfRange();
    error AlreadyCommitted();
    error NothingCommitted();
    error NotCommitted();
    error TooMany();
    error TooEarly();
    error TooLate();
    error TooSoon();
    error Lapsed(uint64 id);

    constructor(Terms memory t) {
        if (address(t.registry) == address(0) || t.provers < 3 || t.provers > Judge.MOST) revert BadTerms();
        if (t.range == 0 || t.range > uint256(Judge.LARGEST) || t.reach == 0 || t.off == 0) revert BadTerms();
        if (t.applyTime == 0 || t.revealTime == 0 || t.measureTime == 0 || t.openTime == 0) revert BadTerms();
        (_registry, _sink, _provers, _deposit, _reward) = (t.registry, t.sink, t.provers, t.deposit, t.reward);
        (_range, _off, _reach) = (t.range, t.off, t.reach);
        (_applyTime, _revealTime, _measureTime, _openTime) = (t.applyTime, t.revealTime, t.measureTime, t.openTime);
        (uint256 low, uint256 high) = (0, 0);
        for (uint256 i = 0; i < 8; ++i) low |= uint256(t.left[i]) << (32 * i);
        for (uint256 i = 8; i < 13; ++i) high |= uint256(t.left[i]) << (32 * (i - 8));
        (_low, _high) = (low, high);
    }

    /// @notice Says where a prover stands. Requests for which it has applied are not touched.
    /// @param prover who; the registry has to know it as one.
    /// @param placed whether it may apply.
    /// @param east millimetres from the site's origin.
    /// @param north millimetres from the site's origin.
    function setAnchor(address prover, bool placed, int32 east, int32 north) external onlyOwner {
        Anchor storage a = _anchors[prover];
        (a.east, a.north, a.placed) = (east, north, placed);
        emit AnchorSet(prover, placed, east, north);
    }

    /// @notice What has to be committed to: nobody else's, and for nothing else.
    /// @param id of the request.
    /// @param who will reveal.
    /// @param value a number, or a distance in millimetres.
    /// @param salt zero with a number; with a distance anything that cannot be guessed.
    /// @return hash to commit to.
    function commitment(uint64 id, address who, uint256 value, bytes32 salt) public view returns (bytes32 hash) {
        hash = keccak256(abi.encode(block.chainid, address(this), id, who, value, salt));
    }

    /// @dev The caller's own application.
    function _mine(uint64 id, uint8 place) internal view returns (Applicant storage a) {
        a = _applicants[id][place];
        if (a.who != msg.sender) revert NotCommitted();
    }

    /// @dev What a request costs.
    function _price() internal view returns (uint256) {
        return _provers * _reward + _deposit;
    }

    /// @dev How many bits are set.
    function _count(uint256 bits) internal pure returns (uint256 n) {
        for (; bits != 0; bits &= bits - 1) ++n;
    }
}
