// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { Judge } from "./location/Judge.sol";
import { Register } from "./location/Register.sol";
import { Requests } from "./location/Requests.sol";

/// @title Proofs of location: provers who were drawn measure how far away a meter is, and the contract judges
/// @notice The drawn commit the distances that they measured, and reveal them once all are committed. The verdict and the
/// place follow here, in the integers of `solvers::locate::judge`. Who agrees with the place is rewarded; whose distance
/// is dropped, and who reveals none, forfeits the deposit. Unclear moves nothing but what the silent forfeit.
/// @dev Who keeps a distance back after it saw others' leaves the verdict to them: its own was committed before, it can
/// only take it away, and pays for that. With fewer than three left nothing is said. A distance of zero says that nothing
/// was heard; it costs nothing and earns nothing.
///
/// What distances by loudness cannot tell stands in `solvers/README.md`: an accomplice at the claimed place who relays
/// what the meter sends is believed.
contract LocationVerifier is Requests {
    /// @dev The last clear verdict on a meter.
    struct Standing {
        uint8 verdict;
        uint40 time;
        uint64 id;
    }

    bool private transient _entered;

    /// @notice The last clear verdict on a meter: 0 none, 1 here, 2 elsewhere; when it was, and of which request.
    mapping(address meter => Standing) public standingOf;

    /// @notice A prover committed a distance.
    /// @param id of the request.
    /// @param prover who.
    event Measured(uint64 indexed id, address indexed prover);
    /// @notice A prover revealed its distance.
    /// @param id of the request.
    /// @param prover who.
    /// @param distance millimetres; zero if it heard nothing.
    event Opened(uint64 indexed id, address indexed prover, uint24 distance);
    /// @notice There is a verdict.
    /// @param id of the request.
    /// @param meter on whom.
    /// @param verdict 0 unclear, 1 here, 2 elsewhere.
    /// @param east where the distances put it, in millimetres from the site's origin.
    /// @param north likewise.
    /// @param dropped provers whose distance was dropped, by place of application, bit by bit.
    /// @param off how far the distances pull away from the claim: squares of logarithms, times 2^20.
    /// @param left what they leave that no other place explains.
    event Located(
        uint64 indexed id,
        address indexed meter,
        uint8 verdict,
        int32 east,
        int32 north,
        uint64 dropped,
        uint64 off,
        uint64 left
    );
    /// @notice Somebody collected what was owing.
    /// @param to the payee.
    /// @param amount wei.
    event Collected(address indexed to, uint256 amount);

    error NotChosen();
    error BadDistance(uint256 distance);
    error LengthsDiffer();
    error NothingOwing();
    error PaymentFailed();
    error Reentered();

    /// @notice Makes the deployer the operator.
    /// @param t what never changes.
    constructor(Terms memory t) Register(t) {}

    /// @notice Commits to a distance. Once all of the drawn have, revealing begins.
    /// @param id of the request.
    /// @param place among the applicants.
    /// @param hash what `commitment` says of the distance and a salt.
    function measure(uint64 id, uint8 place, bytes32 hash) external {
        Request storage r = _requests[id];
        if (r.state != DRAWN) revert NotOpen(id);
        if (block.timestamp > r.measureUntil) revert TooLate();
        Applicant storage a = _mine(id, place);
        if ((r.chosen >> place) & 1 == 0) revert NotChosen();
        if (a.step != REVEALED) revert AlreadyCommitted();
        if (hash == 0) revert NothingCommitted();
        (a.step, a.hash) = (MEASURED, hash);
        // The second before now: from now on it is too late to commit, and time to reveal.
        if (++r.measured == _provers) r.measureUntil = uint40(block.timestamp) - 1;
        emit Measured(id, msg.sender);
    }

    /// @notice Reveals a distance.
    /// @param id of the request.
    /// @param place among the applicants.
    /// @param distance that was committed to, in millimetres; zero if nothing was heard.
    /// @param salt that went into the commitment.
    function open(uint64 id, uint8 place, uint24 distance, bytes32 salt) external {
        Request storage r = _requests[id];
        if (r.state != DRAWN) revert NotOpen(id);
        if (block.timestamp <= r.measureUntil) revert TooEarly();
        if (block.timestamp > r.measureUntil + _openTime) revert TooLate();
        Applicant storage a = _mine(id, place);
        if (a.step != MEASURED || a.hash != commitment(id, msg.sender, distance, salt)) revert NotCommitted();
        if (distance > uint256(Judge.LARGEST)) revert BadDistance(distance);
        (a.step, a.distance) = (OPENED, distance);
        ++r.opened;
        if (distance != 0) ++r.heard;
        emit Opened(id, msg.sender, distance);
    }

    /// @notice Judges, once all distances are revealed or the time for it is over. Anybody may.
    /// @param id of the request.
    function conclude(uint64 id) external {
        Request storage r = _requests[id];
        if (r.state != DRAWN) revert NotOpen(id);
        uint256 opened = r.opened;
        if (opened < _provers && block.timestamp <= r.measureUntil + _openTime) revert TooEarly();
        uint256 heard = r.heard;
        (Judge.Seen[] memory seen, uint256[] memory places) = _seen(id, r.chosen, heard);
        Judge.Judged memory judged = Judge.judge(seen, _limits());
        uint64 dropped = 0;
        for (uint256 i = 0; i < heard; ++i) {
            if ((judged.dropped >> i) & 1 == 1) dropped |= uint64(1 << places[i]);
        }
        (r.state, r.verdict, r.dropped) = (DONE, judged.verdict, dropped);
        uint256 rewarded = judged.verdict == Judge.UNCLEAR ? 0 : heard - _count(dropped);
        // A meter that most do not hear was asked for in vain.
        bool vain = 2 * heard < opened;
        uint256 lost = (_provers - opened + _count(dropped)) * _deposit + (vain ? _deposit : 0);
        if (lost != 0) owing[_sink] += lost;
        uint256 back = (_provers - rewarded) * _reward + (vain ? 0 : _deposit);
        if (back != 0) owing[r.requester] += back;
        if (judged.verdict != Judge.UNCLEAR) {
            standingOf[r.meter] = Standing(judged.verdict, uint40(block.timestamp), id);
        }
        emit Located(
            id,
            r.meter,
            judged.verdict,
            _placed(r.east, judged.x),
            _placed(r.north, judged.y),
            dropped,
            uint64(judged.off),
            uint64(judged.left)
        );
    }

    /// @notice Credits what an applicant has coming: the deposit, of whoever kept to the rules, and the reward.
    /// @param id of a request that is over.
    /// @param place among the applicants.
    function reclaim(uint64 id, uint8 place) external {
        Request storage r = _requests[id];
        if (r.state != DONE && r.state != VOID) revert TooEarly();
        Applicant storage a = _mine(id, place);
        uint256 due = _due(r, a, place);
        if (due == 0) revert NothingOwing();
        a.step = PAID;
        owing[msg.sender] += due;
    }

    /// @notice Pays out what is owing to the caller.
    function collect() external {
        if (_entered) revert Reentered();
        _entered = true;
        uint256 amount = owing[msg.sender];
        if (amount == 0) revert NothingOwing();
        delete owing[msg.sender];
        emit Collected(msg.sender, amount);
        // solhint-disable-next-line avoid-low-level-calls
        (bool paid, ) = msg.sender.call{ value: amount }("");
        if (!paid) revert PaymentFailed();
        _entered = false;
    }

    /// @notice What the contract would say of distances: so that anybody can repeat a verdict.
    /// @param sightings three numbers of each prover, in millimetres: x and y relative to the claim, and the distance.
    /// @return verdict 0 unclear, 1 here, 2 elsewhere.
    /// @return x of the place, relative to the claim.
    /// @return y of the place, relative to the claim.
    /// @return dropped bit by bit.
    /// @return off how far they pull away from the claim.
    /// @return left what they leave.
    function judge(
        int32[] calldata sightings
    ) external view returns (uint8 verdict, int256 x, int256 y, uint256 dropped, uint256 off, uint256 left) {
        if (sightings.length % 3 != 0) revert LengthsDiffer();
        if (sightings.length > 3 * Judge.MOST) revert TooMany();
        Judge.Seen[] memory seen = new Judge.Seen[](sightings.length / 3);
        for (uint256 i = 0; i < seen.length; ++i) {
            seen[i] = Judge.Seen(sightings[3 * i], sightings[3 * i + 1], sightings[3 * i + 2]);
            if (_isFar(seen[i].x) || _isFar(seen[i].y)) revert OutOfRange();
            if (seen[i].distance <= 0 || _isFar(seen[i].distance)) revert BadDistance(uint256(seen[i].distance));
        }
        Judge.Judged memory j = Judge.judge(seen, _limits());
        return (j.verdict, j.x, j.y, j.dropped, j.off, j.left);
    }

    /// @notice A request.
    /// @param id its number.
    function requestOf(uint64 id) external view returns (Request memory) {
        return _requests[id];
    }

    /// @notice An applicant.
    /// @param id of the request.
    /// @param place among the applicants, from 0.
    function applicantOf(uint64 id, uint8 place) external view returns (Applicant memory) {
        return _applicants[id][place];
    }

    /// @notice Where a prover stands.
    /// @param prover who.
    function anchorOf(address prover) external view returns (Anchor memory) {
        return _anchors[prover];
    }

    /// @notice What never changes.
    /// @return t the terms.
    function terms() external view returns (Terms memory t) {
        (t.registry, t.sink, t.provers, t.deposit, t.reward) = (
            _registry,
            _sink,
            uint8(_provers),
            uint96(_deposit),
            uint96(_reward)
        );
        (t.range, t.off, t.reach) = (uint32(_range), uint32(_off), uint32(_reach));
        (t.applyTime, t.revealTime) = (uint32(_applyTime), uint32(_revealTime));
        (t.measureTime, t.openTime) = (uint32(_measureTime), uint32(_openTime));
        for (uint256 i = 0; i < 8; ++i) t.left[i] = uint32(_low >> (32 * i));
        for (uint256 i = 8; i < 13; ++i) t.left[i] = uint32(_high >> (32 * (i - 8)));
    }

    /// @dev What the drawn who heard anything have measured, and their places among the applicants.
    function _seen(
        uint64 id,
        uint256 chosen,
        uint256 heard
    ) private view returns (Judge.Seen[] memory seen, uint256[] memory places) {
        (seen, places) = (new Judge.Seen[](heard), new uint256[](heard));
        uint256 n = 0;
        for (uint256 i = 0; i < SEATS && n < heard; ++i) {
            if ((chosen >> i) & 1 == 0) continue;
            Applicant storage a = _applicants[id][i];
            if (a.step != OPENED || a.distance == 0) continue;
            seen[n] = Judge.Seen(a.x, a.y, int256(uint256(a.distance)));
            places[n] = i;
            ++n;
        }
    }

    function _due(Request storage r, Applicant storage a, uint8 place) private view returns (uint256) {
        if (a.step == PAID || (r.revealed >> place) & 1 == 0) return 0;
        if (r.state == VOID || (r.chosen >> place) & 1 == 0) return _deposit;
        if (a.step != OPENED || (r.dropped >> place) & 1 == 1) return 0;
        return a.distance == 0 || r.verdict == Judge.UNCLEAR ? _deposit : _deposit + _reward;
    }

    function _limits() private view returns (Judge.Limits memory) {
        return Judge.Limits(int256(_off), int256(_reach), _low, _high);
    }

    function _isFar(int256 v) private pure returns (bool) {
        return v > Judge.LARGEST || v < -Judge.LARGEST;
    }

    /// @dev A coordinate from one relative to the claim; the nearest that there is.
    function _placed(int32 from, int256 by) private pure returns (int32) {
        int256 sum = from + by;
        return int32(sum > type(int32).max ? type(int32).max : sum < type(int32).min ? type(int32).min : sum);
    }
}
