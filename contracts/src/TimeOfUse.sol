// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { Owned } from "./Owned.sol";

/// @title Time-of-use ranges of a street, computed where everybody can see it
/// @notice A gateway posts the forecast of a day; the contract itself finds the ranges by exact k-means, and the other
/// gateways, who have the same readings, say whether they forecast the same. Ranges hold only from a moment that was
/// announced before, and only if more than half of the gateways agree.
/// @dev Rules of the k-means, the same in the Rust crate `solvers`: labels rise with the load; of equally good borders
/// the lowest wins, the highest border first; a centroid is the mean rounded to the nearest integer, halves up; fewer
/// distinct values than clusters asked for give as many clusters as there are distinct values.
///
/// A forecast is a list of int32, big-endian, without padding: watts, or watt-hours a slot. Labels are two bits a slot,
/// the first slot's lowest; centroids 32 bits each, the lowest first, as two's complement. Times are minutes since 1970.
///
/// Why the unchecked arithmetic cannot overflow: values are moved up by 2^31 and are below 2^32, sums of at most 96
/// below 2^39, their squares below 2^78. `UNIT`, 32 times the least common multiple of 1 to 96, is below 2^135. So a
/// term is below 2^213, and at most three are added. The division by a count (times 32, because counts are byte
/// distances) has no remainder: sums of squares over counts are compared exactly.
contract TimeOfUse is Owned {
    /// @dev A day's ranges. The parts fill four words.
    struct Round {
        uint192 labels;
        uint32 number;
        uint32 startsAt;
        uint96 centroids;
        uint32 dataFrom;
        uint32 dataTo;
        /// Seats of those who forecast the same, and of those who do not.
        uint32 agree;
        uint32 disagree;
        uint8 slots;
        uint8 clusters;
        uint16 slotMinutes;
        bytes32 forecast;
        bytes32 model;
    }

    /// @dev One bit for every seat that is taken.
    uint32 private _seated;
    uint8 private _seatsGiven;

    /// @notice How long before their start ranges have to be posted, in minutes: the time to object.
    uint32 public immutable notice;

    /// @dev The day in force and the one announced, in turn.
    Round[2] private _rounds;

    /// @notice A gateway's seat, from 1; zero if it has none. Seats are never given twice.
    mapping(address gateway => uint8 seat) public seatOf;

    uint256 private constant UNIT = 32 * 718766754945489455304472257065075294400;
    uint256 private constant MAX_VALUES = 96;
    uint256 private constant MAX_SEATS = 32;
    uint256 private constant SIGN = 1 << 31;

    /// @notice A gateway was named, or is none any more.
    /// @param gateway its address.
    /// @param seat its number from 1.
    /// @param seated whether its word counts from here on.
    event Seated(address indexed gateway, uint8 seat, bool seated);
    /// @notice Ranges were posted. They do not hold yet.
    /// @param round their number.
    /// @param by the gateway.
    /// @param startsAt when they begin.
    /// @param labels the range of every slot.
    /// @param centroids the mean load of every range.
    /// @param dataFrom the first minute of the readings that the model learned from.
    /// @param dataTo the first minute after them.
    /// @param forecast Keccak-256 of the packed values.
    /// @param model hash of the model that made them.
    event Posted(
        uint32 indexed round,
        address indexed by,
        uint32 startsAt,
        uint192 labels,
        uint96 centroids,
        uint32 dataFrom,
        uint32 dataTo,
        bytes32 forecast,
        bytes32 model
    );
    /// @notice A gateway forecast the same.
    /// @param round the day.
    /// @param by the gateway.
    event Agreed(uint32 indexed round, address indexed by);
    /// @notice A gateway forecast something else from the same readings: one of the two tampers, or is broken.
    /// @param round the day.
    /// @param by the gateway.
    /// @param forecast what its own values hash to.
    /// @param model what its own model hashes to.
    event Disputed(uint32 indexed round, address indexed by, bytes32 forecast, bytes32 model);

    error NotGateway();
    error NoSeatLeft();
    error BadValues(uint256 length);
    error BadClusters(uint256 clusters);
    error BadSlot(uint256 minutes_);
    error BadData(uint32 dataFrom, uint32 dataTo);
    error WrongRanges(uint192 computed, uint192 posted);
    error WrongRound(uint32 expected, uint32 got);
    error TooLate(uint32 startsAt, uint256 earliest);
    error Overlaps(uint32 startsAt, uint256 until);
    error PreviousPending(uint32 round);
    error AlreadyPosted(uint32 round);
    error Spoken(uint32 round);
    error NothingInForce(uint32 minute);

    /// @notice Makes the deployer the owner, who names gateways; it is none by that.
    /// @param notice_ minutes between the latest moment to post ranges and their start.
    constructor(uint32 notice_) {
        notice = notice_;
    }

    /// @notice Names a gateway, or takes its seat away.
    /// @param gateway its address.
    /// @param seated whether its word is to count.
    function setGateway(address gateway, bool seated) external onlyOwner {
        uint8 seat = seatOf[gateway];
        if (seat == 0) {
            if (!seated) revert NotGateway();
            if (_seatsGiven == MAX_SEATS) revert NoSeatLeft();
            seat = ++_seatsGiven;
            seatOf[gateway] = seat;
        }
        uint32 bit = _bit(seat);
        _seated = seated ? _seated | bit : _seated & ~bit;
        emit Seated(gateway, seat, seated);
    }

    /// @notice Posts the forecast of a day. The ranges follow from it; if the caller has others, the call reverts.
    /// @param round one more than the day in force; the same again if the one posted under it failed.
    /// @param startsAt when the first slot begins: at least `notice` from now, and not before the day in force ends.
    /// @param slotMinutes how long a slot is.
    /// @param dataFrom the first minute of the readings that the model learned from.
    /// @param dataTo the first minute after them: not after now.
    /// @param clusters how many ranges, 1 to 3.
    /// @param model hash of the model.
    /// @param labels the ranges that the caller found.
    /// @param values the forecast, int32 each.
    function post(
        uint32 round,
        uint32 startsAt,
        uint16 slotMinutes,
        uint32 dataFrom,
        uint32 dataTo,
        uint8 clusters,
        bytes32 model,
        uint192 labels,
        bytes calldata values
    ) external {
        uint32 bit = _bit(seatOf[msg.sender]);
        uint32 seated = _seated;
        if (bit & seated == 0) revert NotGateway();
        uint256 time = block.timestamp / 60;
        if (slotMinutes == 0 || slotMinutes > 1440) revert BadSlot(slotMinutes);
        if (dataFrom >= dataTo || dataTo > time) revert BadData(dataFrom, dataTo);
        if (startsAt < time + notice) revert TooLate(startsAt, time + notice);
        Round storage r = _place(round, startsAt, seated, time);
        (uint192 computed, uint96 centroids, uint8 found) = kmeans(clusters, values);
        if (computed != labels) revert WrongRanges(computed, labels);
        bytes32 forecast = keccak256(values);
        (r.labels, r.number, r.startsAt) = (labels, round, startsAt);
        (r.centroids, r.dataFrom, r.dataTo, r.agree, r.disagree) = (centroids, dataFrom, dataTo, bit, 0);
        (r.slots, r.clusters, r.slotMinutes) = (uint8(values.length / 4), found, slotMinutes);
        (r.forecast, r.model) = (forecast, model);
        emit Posted(round, msg.sender, startsAt, labels, centroids, dataFrom, dataTo, forecast, model);
    }

    /// @notice Says what the caller itself forecast. To be said once, before the day begins; the poster has said it.
    /// @param round the day.
    /// @param forecast Keccak-256 of the caller's packed values.
    /// @param model hash of the caller's model.
    function attest(uint32 round, bytes32 forecast, bytes32 model) external {
        uint32 bit = _bit(seatOf[msg.sender]);
        if (bit & _seated == 0) revert NotGateway();
        Round storage r = _rounds[round & 1];
        if (r.number != round || round == 0) revert WrongRound(r.number, round);
        if (block.timestamp / 60 >= r.startsAt) revert TooLate(r.startsAt, block.timestamp / 60);
        if ((r.agree | r.disagree) & bit != 0) revert Spoken(round);
        if (r.forecast == forecast && r.model == model) {
            r.agree |= bit;
            emit Agreed(round, msg.sender);
        } else {
            r.disagree |= bit;
            emit Disputed(round, msg.sender, forecast, model);
        }
    }

    /// @notice The range of a minute: what was posted, agreed on, and has begun.
    /// @param minute since 1970.
    /// @return label the range, from 0, the one with the lowest load.
    /// @return round the day it belongs to.
    function rangeAt(uint32 minute) external view returns (uint8 label, uint32 round) {
        for (uint256 i = 0; i < 2; ++i) {
            Round memory r = _rounds[i];
            if (r.number == 0 || minute < r.startsAt || minute >= _until(r) || !_isAgreed(r, _seated)) continue;
            return (uint8((r.labels >> (((minute - r.startsAt) / r.slotMinutes) * 2)) & 3), r.number);
        }
        revert NothingInForce(minute);
    }

    /// @notice A day as it was posted, if it is one of the last two.
    /// @param round its number.
    /// @return posted all its parts.
    /// @return agreed whether more than half of the gateways forecast the same.
    /// @return failed whether that cannot come about any more.
    function day(uint32 round) external view returns (Round memory posted, bool agreed, bool failed) {
        posted = _rounds[round & 1];
        if (posted.number != round || round == 0) revert WrongRound(posted.number, round);
        uint32 seated = _seated;
        agreed = _isAgreed(posted, seated);
        failed = !agreed && (block.timestamp / 60 >= posted.startsAt || _isRefused(posted, seated));
    }

    /// @notice How many gateways have a say.
    /// @return count of seats that are taken.
    function gateways() external view returns (uint256 count) {
        count = _ones(_seated);
    }

    /// @notice The best clusters of some values: the least sum of squared distances from their means.
    /// @param clusters how many, 1 to 3.
    /// @param values int32 each: at least as many as clusters, at most 96.
    /// @return labels two bits for every value.
    /// @return centroids 32 bits for every cluster.
    /// @return found how many clusters there are.
    function kmeans(uint8 clusters, bytes calldata values)
        public
        pure
        returns (uint192 labels, uint96 centroids, uint8 found)
    {
        uint256 n = values.length / 4;
        if (values.length % 4 != 0 || n == 0 || n > MAX_VALUES) revert BadValues(values.length);
        if (clusters == 0 || clusters > 3 || clusters > n) revert BadClusters(clusters);
        (uint256 sorted, uint256 sums) = _sort(values, n * 32);
        // Where the second and the third cluster begin, as byte distances from `sorted`.
        (uint256 second, uint256 third) = (n * 32, n * 32);
        found = clusters;
        if (found == 3) {
            (second, third) = _twoBorders(sums, n * 32);
            // The best borders part equal values only if there are too few others.
            if (_parts(sorted, second) || _parts(sorted, third)) found = 2;
        }
        if (found == 2) {
            (second, third) = (_oneBorder(sums, n * 32), n * 32);
            if (_parts(sorted, second)) found = 1;
        }
        if (found == 1) second = n * 32;
        labels = _label(values, sorted, n * 32, second, third);
        centroids = _centroid(sums, 0, second);
        if (found > 1) centroids |= _centroid(sums, second, third) << 32;
        if (found > 2) centroids |= _centroid(sums, third, n * 32) << 64;
    }

    /// @dev Where a day may be kept: in the place of the day before the one in force.
    function _place(uint32 round, uint32 startsAt, uint32 seated, uint256 time) private view returns (Round storage r) {
        r = _rounds[round & 1];
        if (round == 0) revert WrongRound(1, 0);
        if (r.number == round && (_isAgreed(r, seated) || (time < r.startsAt && !_isRefused(r, seated)))) {
            revert AlreadyPosted(round);
        }
        Round storage before = _rounds[(round - 1) & 1];
        uint32 last = before.number;
        if (last != round - 1) revert WrongRound(last + 1, round);
        if (last == 0) return r;
        if (time < before.startsAt || !_isAgreed(before, seated)) revert PreviousPending(last);
        uint256 until = before.startsAt + uint256(before.slots) * before.slotMinutes;
        if (startsAt < until) revert Overlaps(startsAt, until);
    }

    function _until(Round memory r) private pure returns (uint256 minute) {
        minute = r.startsAt + uint256(r.slots) * r.slotMinutes;
    }

    /// @dev More than half of those who have a say agree.
    function _isAgreed(Round memory r, uint32 seated) private pure returns (bool agreed) {
        agreed = 2 * _ones(r.agree & seated) > _ones(seated);
    }

    /// @dev So many disagree that more than half cannot agree any more.
    function _isRefused(Round memory r, uint32 seated) private pure returns (bool refused) {
        refused = 2 * _ones(r.disagree & seated) >= _ones(seated);
    }

    function _bit(uint8 seat) private pure returns (uint32 bit) {
        if (seat != 0) bit = uint32(1 << (seat - 1));
    }

    function _ones(uint32 bits) private pure returns (uint256 count) {
        for (; bits != 0; bits &= bits - 1) ++count;
    }

    /// @dev The values in ascending order, a word each, and the sums of the first 0 to n of them. Every value is put in
    /// its place among those before it, found by halving; the rest is moved by one copy.
    function _sort(bytes calldata values, uint256 size) private pure returns (uint256 sorted, uint256 sums) {
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            sorted := mload(0x40)
            sums := add(sorted, size)
            mstore(0x40, add(add(sums, size), 32))
            let from := values.offset
            for { let done := 0 } lt(done, size) { done := add(done, 32) } {
                let value := xor(shr(224, calldataload(from)), SIGN)
                from := add(from, 4)
                let low := 0
                let high := done
                for {} lt(low, high) {} {
                    let middle := and(shr(1, add(low, high)), 0xffe0)
                    switch gt(mload(add(sorted, middle)), value)
                    case 0 { low := add(middle, 32) }
                    default { high := middle }
                }
                let place := add(sorted, low)
                mcopy(add(place, 32), place, sub(done, low))
                mstore(place, value)
            }
            let sum := 0
            mstore(sums, 0)
            for { let at := 0 } lt(at, size) { at := add(at, 32) } {
                sum := add(sum, mload(add(sorted, at)))
                mstore(add(add(sums, at), 32), sum)
            }
        }
    }

    /// @dev The best border between two clusters.
    function _oneBorder(uint256 sums, uint256 size) private pure returns (uint256 border) {
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            let all := mload(add(sums, size))
            let best := 0
            border := 32
            for { let at := 32 } lt(at, size) { at := add(at, 32) } {
                let low := mload(add(sums, at))
                let high := sub(all, low)
                let gain := add(div(mul(mul(low, low), UNIT), at), div(mul(mul(high, high), UNIT), sub(size, at)))
                if gt(gain, best) {
                    best := gain
                    border := at
                }
            }
        }
    }

    /// @dev The best two borders between three clusters. The best first border for a second one at `to` never goes down
    /// as `to` goes up, so halving the distance between those that are known leaves ever less to look at. `firsts` is what
    /// the first cluster alone gives, `known` where the best first border lies, for every end.
    function _twoBorders(uint256 sums, uint256 size) private pure returns (uint256 second, uint256 third) {
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            let firsts := mload(0x40)
            let known := add(firsts, size)
            for { let at := 32 } lt(at, size) { at := add(at, 32) } {
                let sum := mload(add(sums, at))
                mstore(add(firsts, at), div(mul(mul(sum, sum), UNIT), at))
            }
            mstore(known, 32)
            mstore(add(known, 32), 32)
            let all := mload(add(sums, size))
            let best := 0
            second := 32
            third := 64
            let stride := 32 // A power of two below the number of values.
            for {} lt(shl(1, stride), size) {} { stride := shl(1, stride) }
            for {} gt(stride, 16) { stride := shr(1, stride) } {
                let to := stride
                if lt(to, 64) { to := 96 }
                for {} lt(to, size) { to := add(to, shl(1, stride)) } {
                    let sum := mload(add(sums, to))
                    let at := mload(add(known, sub(to, stride)))
                    let last := sub(to, 32)
                    if lt(add(to, stride), size) {
                        let bound := mload(add(known, add(to, stride)))
                        if lt(bound, last) { last := bound }
                    }
                    let gain := 0
                    let border := at
                    for {} iszero(gt(at, last)) { at := add(at, 32) } {
                        let high := sub(sum, mload(add(sums, at)))
                        let here := add(mload(add(firsts, at)), div(mul(mul(high, high), UNIT), sub(to, at)))
                        if gt(here, gain) {
                            gain := here
                            border := at
                        }
                    }
                    mstore(add(known, to), border)
                    let rest := sub(all, sum)
                    gain := add(gain, div(mul(mul(rest, rest), UNIT), sub(size, to)))
                    // Of equally good ones the lowest.
                    if or(gt(gain, best), and(eq(gain, best), lt(to, third))) {
                        best := gain
                        second := border
                        third := to
                    }
                }
            }
        }
    }

    /// @dev Whether a border lies between equal values.
    function _parts(uint256 sorted, uint256 border) private pure returns (bool parts) {
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            let at := add(sorted, border)
            parts := eq(mload(at), mload(sub(at, 32)))
        }
    }

    /// @dev The label of every value in the order in which they came: how many borders it reaches.
    function _label(bytes calldata values, uint256 sorted, uint256 size, uint256 second, uint256 third)
        private
        pure
        returns (uint192 labels)
    {
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            // Just below the least value of a cluster; beyond every value if there is none.
            let low := not(0)
            let high := not(0)
            if lt(second, size) { low := sub(mload(add(sorted, second)), 1) }
            if lt(third, size) { high := sub(mload(add(sorted, third)), 1) }
            let from := add(values.offset, shr(3, size))
            for {} gt(from, values.offset) {} {
                from := sub(from, 4)
                let value := xor(shr(224, calldataload(from)), SIGN)
                labels := or(shl(2, labels), add(gt(value, low), gt(value, high)))
            }
        }
    }

    /// @dev The mean of the sorted values between two places, rounded to the nearest, halves up.
    function _centroid(uint256 sums, uint256 from, uint256 to) private pure returns (uint96 centroid) {
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            let count := shr(5, sub(to, from))
            let sum := sub(mload(add(sums, to)), mload(add(sums, from)))
            centroid := xor(div(add(shl(1, sum), count), shl(1, count)), SIGN)
        }
    }
}
