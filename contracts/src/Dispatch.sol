// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {AcProof} from "./dispatch/AcProof.sol";
import {DcProof} from "./dispatch/DcProof.sol";
import {Owned} from "./Owned.sol";
import {Packed} from "./dispatch/Packed.sol";
import {ThreeBus} from "./dispatch/ThreeBus.sol";

/// @title Rounds of optimal power flow: solved by anybody, checked here, and what was dispatched compared with what was fed
/// @notice Two schemes. A DC network of three buses is solved by this contract itself (`solve`). For any other, whoever has
/// solved it commits a hash with a stake, then reveals the solution: the contract checks every balance and limit, prices
/// what is not balanced, and computes from the prices in the solution a number that no solution can cost less than. The
/// cheapest wins, of equals the one that was committed first; it is `proven` if the best such number that anybody brought
/// is within the network's tolerance. Whoever does not reveal, or cannot because the solution is none, loses the stake to
/// the winner. If nobody reveals, there may have been no solution: all stakes go back.
/// @dev A network is bytes, published once and kept as a contract's code. Its first word is a header, from the highest bit:
///   kind u8 (0 DC, 1 AC), buses u16, generators u16, branches u16, constant cost s64 (quanta),
///   what may be left of a balance u32 (1e-9 p.u.), price of what is left u48 (quanta; above every marginal price, so that
///   nothing is gained by leaving some), tolerance of the gap u32 (1e-9 of the bound), kilowatts in a p.u. u24
/// Then AC, one word each but for branches, which have two:
///   bus: Gs s48, Bs s48 (1e-8 p.u.), least and highest V^2 u40 each (1e-9 p.u.)
///   generator: bus u16, least and highest Q s40 each (1e-9 p.u.), cost: square u48 (quanta per p.u.^2), slope s48 (quanta)
///   branch, near end: bus u16, Gff s48, Bff s48, Gft s48, Bft s48 (1e-8 p.u.), rating u40 (1e-9 p.u.; 0 for none);
///     far end: bus u16, Gtt s48, Btt s48, Gtf s48, Btf s48, least and highest tangent of the angle s16 each (1/8192;
///     -32768 for none)
/// DC: generators as above, and branches: from u16, to u16, susceptance s56 (1e-8 p.u.), shift s40 (1e-9 rad), least and
///   highest flow s40 each (1e-9 p.u.), limited u8.
/// Conditions, per bus: Pd s40, Qd s40; per generator: least and highest P s40 each (1e-9 p.u.), 10 bytes each.
/// A solution, AC, per bus: e s32, f s32 (1e-9 p.u.), lambda s32, nu s32 (quanta); per generator: P s40, Q s40; per branch:
///   t u32 (2^-31), and if it has a rating uP, uQ of both ends s32 each. DC, per bus: angle s32 (1e-9 rad), lambda s32; per
///   generator: P s40; per limited branch: mu s32.
contract Dispatch is Owned {
    using Packed for uint256;

    struct Network {
        address data;
        /// How far, in millionths of what was dispatched, a generator may deviate.
        uint32 band;
    }

    struct Round {
        /// Hash of the demand and the ranges.
        bytes32 conditions;
        /// Cost of the cheapest solution and the highest bound so far, 1e-9 quanta.
        int128 cost;
        int128 bound;
        /// Who brought it; this contract in a round that it solved itself.
        address winner;
        uint32 network;
        /// How long the dispatch holds, in seconds.
        uint32 duration;
        uint40 commitUntil;
        uint40 revealUntil;
        uint32 commits;
        uint32 reveals;
        uint32 winnerOrder;
        uint8 state;
        uint96 stake;
        address opener;
        uint96 reward;
        /// Hash of the powers, in a round that was solved here.
        bytes32 powers;
    }

    uint256 private constant DC = 0;
    uint256 private constant AC = 1;
    uint8 private constant OPEN = 1;
    uint8 private constant CLOSED = 2;
    int256 private constant UNIT = 1e9;
    /// @dev The lowest 32 bits of a commitment are its place in the order of commitments, the next say whether it was
    /// revealed, and whether the winner took the stake back; the others are the hash's.
    uint256 private constant ORDER = type(uint32).max;
    uint256 private constant REVEALED = 1 << 32;
    uint256 private constant RECLAIMED = 1 << 33;
    uint256 private constant HASH = ~(ORDER | REVEALED | RECLAIMED);

    /// @notice Networks that were published, from 1.
    uint32 public networks;
    /// @notice Rounds that were opened, from 1.
    uint32 public rounds;
    /// @notice What an address may collect, in wei.
    mapping(address who => uint256 amount) public owing;

    mapping(uint32 id => Network) private _networks;
    mapping(uint32 id => Round) private _rounds;
    mapping(uint32 round => mapping(address who => uint256 commitment)) private _commitments;
    bool private transient _entered;

    /// @notice A network was published.
    /// @param network its number.
    /// @param hash Keccak-256 of its bytes.
    /// @param data the address whose code they are, behind one zero byte.
    event Published(uint32 indexed network, bytes32 hash, address data);
    /// @notice A round began.
    /// @param round its number.
    /// @param network on which.
    /// @param conditions demand and ranges.
    event Opened(uint32 indexed round, uint32 indexed network, bytes conditions);
    /// @notice Somebody committed.
    /// @param round for which.
    /// @param who the committer.
    /// @param order the place in the order of commitments, from 1.
    event Committed(uint32 indexed round, address indexed who, uint32 order);
    /// @notice A solution was revealed, and is one.
    /// @param round for which.
    /// @param who brought it.
    /// @param cost what it costs, in 1e-9 quanta an hour.
    /// @param bound what no solution can cost less than, by its prices.
    event Revealed(uint32 indexed round, address indexed who, int256 cost, int256 bound);
    /// @notice A round ended.
    /// @param round which.
    /// @param winner whose solution is dispatched; zero if there was none.
    /// @param cost of it.
    /// @param bound the highest that anybody brought.
    /// @param proven whether the two are within the tolerance.
    event Dispatched(uint32 indexed round, address indexed winner, int256 cost, int256 bound, bool proven);
    /// @notice A network of three buses was solved here.
    /// @param round which.
    /// @param power of each generator, 1e-9 p.u.
    /// @param price at each bus, 1e-9 quanta.
    /// @param cost in 1e-9 quanta an hour.
    event Solved(uint32 indexed round, int256[3] power, int256[3] price, int256 cost);
    /// @notice What a generator fed in beside what was dispatched.
    /// @param round for which.
    /// @param generator its place in the network.
    /// @param dispatched Wh.
    /// @param fed Wh, by its meter.
    /// @param payable_ Wh that are paid for: all within the band, else no more than was dispatched.
    /// @param complied whether it was within the band.
    event Complied(
        uint32 indexed round,
        uint16 indexed generator,
        int256 dispatched,
        int256 fed,
        int256 payable_,
        bool complied
    );
    /// @notice Somebody collected what was owing.
    /// @param to the payee.
    /// @param amount wei.
    event Collected(address indexed to, uint256 amount);

    error BadNetwork();
    error NoSuchNetwork();
    error NoSuchRound();
    error BadTimes();
    error WrongStake(uint256 expected, uint256 got);
    error TooLate();
    error TooEarly();
    error AlreadyCommitted();
    error NothingCommitted();
    error NotCommitted();
    error WrongConditions();
    error WrongSolution();
    error NoSolution();
    error BadLength(uint256 expected, uint256 got);
    error NothingOwing();
    error PaymentFailed();
    error Reentered();

    /// @notice Publishes a network.
    /// @param network header and elements.
    /// @param band how far, in millionths of what was dispatched, a generator may deviate.
    /// @return id its number.
    function publish(bytes calldata network, uint32 band) external onlyOwner returns (uint32 id) {
        _validate(network);
        address data;
        {
            // PUSH2 length, DUP1, PUSH1 10, PUSH0, CODECOPY, PUSH0, RETURN, then STOP and the bytes.
            bytes memory code = abi.encodePacked(
                hex"61",
                uint16(network.length + 1),
                hex"80600a5f395ff300",
                network
            );
            // solhint-disable-next-line no-inline-assembly
            assembly ("memory-safe") {
                data := create(0, add(code, 32), mload(code))
            }
        }
        if (data == address(0)) revert BadNetwork();
        id = ++networks;
        _networks[id] = Network(data, band);
        emit Published(id, keccak256(network), data);
    }

    /// @notice Opens a round.
    /// @param network on which.
    /// @param conditions demand and ranges: 10 bytes for every bus and every generator.
    /// @param commitUntil time up to which solutions are committed.
    /// @param revealUntil time up to which they are revealed.
    /// @param duration how long the dispatch holds.
    /// @param stake wei that goes with a commitment; what is sent along is the winner's reward.
    /// @return id its number.
    function open(
        uint32 network,
        bytes calldata conditions,
        uint40 commitUntil,
        uint40 revealUntil,
        uint32 duration,
        uint96 stake
    ) external payable onlyOwner returns (uint32 id) {
        if (_networks[network].data == address(0)) revert NoSuchNetwork();
        if (commitUntil < block.timestamp || revealUntil <= commitUntil) revert BadTimes();
        if (msg.value > type(uint96).max) revert WrongStake(type(uint96).max, msg.value);
        id = ++rounds;
        Round storage r = _rounds[id];
        r.conditions = keccak256(conditions);
        // Whoever reveals first should not pay for everybody's storage: what is not zero costs less to overwrite.
        (r.cost, r.bound) = (type(int128).max, type(int128).min);
        (r.network, r.duration) = (network, duration);
        (r.opener, r.commitUntil, r.revealUntil, r.state) = (msg.sender, commitUntil, revealUntil, OPEN);
        (r.stake, r.reward) = (stake, uint96(msg.value));
        emit Opened(id, network, conditions);
    }

    /// @notice Commits to a solution, with the stake.
    /// @param round for which.
    /// @param hash what `commitment` says.
    function commit(uint32 round, bytes32 hash) external payable {
        Round storage r = _rounds[round];
        if (r.state != OPEN) revert NoSuchRound();
        if (block.timestamp > r.commitUntil) revert TooLate();
        if (msg.value != r.stake) revert WrongStake(r.stake, msg.value);
        if (_commitments[round][msg.sender] != 0) revert AlreadyCommitted();
        if (uint256(hash) & HASH == 0) revert NothingCommitted();
        uint32 order = ++r.commits;
        _commitments[round][msg.sender] = (uint256(hash) & HASH) | order;
        emit Committed(round, msg.sender, order);
    }

    /// @notice Reveals a solution that the caller committed to. It reverts, and counts as not revealed, unless the solution
    /// meets every balance and limit.
    /// @param round for which.
    /// @param salt that went into the commitment.
    /// @param conditions of the round.
    /// @param solution as committed to.
    function reveal(uint32 round, bytes32 salt, bytes calldata conditions, bytes calldata solution) external {
        Round storage r = _rounds[round];
        if (r.state != OPEN) revert NoSuchRound();
        if (block.timestamp <= r.commitUntil) revert TooEarly();
        if (block.timestamp > r.revealUntil) revert TooLate();
        uint256 committed = _commitments[round][msg.sender];
        if (!_isOf(committed, round, msg.sender, salt, solution) || committed & REVEALED != 0) revert NotCommitted();
        if (keccak256(conditions) != r.conditions) revert WrongConditions();
        uint32 order = uint32(committed & ORDER);
        _commitments[round][msg.sender] = committed | REVEALED;
        (int256 cost, int256 bound) = _check(r.network, conditions, solution);
        ++r.reveals;
        if (cost < r.cost || (cost == r.cost && order < r.winnerOrder)) {
            (r.cost, r.winner, r.winnerOrder) = (int128(cost), msg.sender, order);
        }
        if (bound > r.bound) r.bound = int128(bound);
        emit Revealed(round, msg.sender, cost, bound);
    }

    /// @notice Ends a round: the winner gets the reward and the stakes of those who did not reveal.
    /// @param round which; its time to reveal is over.
    function close(uint32 round) external {
        Round storage r = _rounds[round];
        if (r.state != OPEN) revert NoSuchRound();
        if (block.timestamp <= r.revealUntil) revert TooEarly();
        r.state = CLOSED;
        if (r.reveals == 0) {
            owing[r.opener] += r.reward;
            emit Dispatched(round, address(0), 0, 0, false);
            return;
        }
        owing[r.winner] += uint256(r.reward) + uint256(r.commits - r.reveals) * r.stake;
        (int256 cost, int256 bound) = (r.cost, r.bound);
        int256 tolerance = Packed.word(_load(r.network), 0).u(200, 32);
        bool proven = (cost - bound) * UNIT <= Packed.abs(bound) * tolerance;
        emit Dispatched(round, r.winner, cost, bound, proven);
    }

    /// @notice Takes the stake back after a round: of whoever revealed, or of everybody if nobody did.
    /// @param round which.
    function reclaim(uint32 round) external {
        Round storage r = _rounds[round];
        if (r.state != CLOSED) revert TooEarly();
        uint256 committed = _commitments[round][msg.sender];
        if (committed == 0 || (r.reveals != 0 && committed & REVEALED == 0)) revert NothingOwing();
        // The winner's commitment stays, so that what was dispatched can be told from anything else.
        if (r.winner == msg.sender) {
            if (committed & RECLAIMED != 0) revert NothingOwing();
            _commitments[round][msg.sender] = committed | RECLAIMED;
        } else {
            delete _commitments[round][msg.sender];
        }
        owing[msg.sender] += r.stake;
    }

    /// @notice Pays out what is owing to the caller.
    function collect() external {
        if (_entered) revert Reentered();
        _entered = true;
        uint256 amount = owing[msg.sender];
        if (amount == 0) revert NothingOwing();
        delete owing[msg.sender];
        emit Collected(msg.sender, amount);
        (bool paid, ) = msg.sender.call{value: amount}("");
        if (!paid) revert PaymentFailed();
        _entered = false;
    }

    /// @notice Solves a DC network of three buses and closes the round with it, whoever calls.
    /// @param round which; nobody has to have committed.
    /// @param conditions of the round.
    function solve(uint32 round, bytes calldata conditions) external {
        Round storage r = _rounds[round];
        if (r.state != OPEN) revert NoSuchRound();
        if (keccak256(conditions) != r.conditions) revert WrongConditions();
        if (r.commits != 0) revert AlreadyCommitted();
        ThreeBus.Answer memory best = ThreeBus.solve(ThreeBus.read(_load(r.network), conditions));
        if (!best.solved) revert NoSolution();
        r.state = CLOSED;
        r.winner = address(this);
        r.powers = keccak256(abi.encodePacked(int40(best.power[0]), int40(best.power[1]), int40(best.power[2])));
        owing[msg.sender] += r.reward;
        emit Solved(round, best.power, best.price, best.cost);
        emit Dispatched(round, address(this), best.cost, best.cost, true);
    }

    /// @notice Compares what generators fed in with what was dispatched. Nothing is kept: the events say it.
    /// @param round which is closed.
    /// @param salt that the winner revealed it with; of a round that was solved here, anything.
    /// @param solution that won; of a round that was solved here, the three powers as s40.
    /// @param fed by every generator: s40 Wh by its meter, and u8 1 if the resource was not there (no sun, no wind), which
    /// excuses feeding in less.
    function report(
        uint32 round,
        bytes32 salt,
        bytes calldata solution,
        bytes calldata fed
    ) external onlyOwner {
        Round storage r = _rounds[round];
        if (r.state != CLOSED) revert TooEarly();
        bool here = r.winner == address(this);
        if (r.winner == address(0)) revert NoSolution();
        if (
            here
                ? keccak256(solution) != r.powers
                : !_isOf(_commitments[round][r.winner], round, r.winner, salt, solution)
        ) revert WrongSolution();
        uint256 header = Packed.word(_load(r.network), 0);
        uint256 generators = uint256(header.u(24, 16));
        if (fed.length != 6 * generators) revert BadLength(6 * generators, fed.length);
        // Where the powers begin, and how far they are apart.
        uint256 place = Packed.place(solution);
        uint256 step = 5;
        if (!here) {
            bool ac = header.u(0, 8) == int256(AC);
            place += uint256(header.u(8, 16)) * (ac ? 16 : 8);
            if (ac) step = 10;
        }
        int256 kilowatts = header.u(232, 24);
        for (uint256 i = 0; i < generators; ++i) {
            int256 energy = (Packed.read(place + step * i).s(0, 40) * kilowatts * int256(uint256(r.duration))) / (3600 * 1e6);
            _compare(round, uint16(i), energy, Packed.read(Packed.place(fed) + 6 * i), _networks[r.network].band);
        }
    }

    /// @notice What has to be committed to.
    /// @param round for which.
    /// @param who will reveal.
    /// @param salt anything, kept secret till then.
    /// @param solution the bytes.
    function commitment(
        uint32 round,
        address who,
        bytes32 salt,
        bytes calldata solution
    ) external pure returns (bytes32) {
        return keccak256(abi.encode(round, who, salt, keccak256(solution)));
    }

    /// @notice What a solution costs and what none can cost less than; reverts if it is none.
    /// @param network on which.
    /// @param conditions demand and ranges.
    /// @param solution the bytes.
    /// @return cost in 1e-9 quanta an hour.
    /// @return bound in 1e-9 quanta an hour.
    function check(
        uint32 network,
        bytes calldata conditions,
        bytes calldata solution
    ) external view returns (int256 cost, int256 bound) {
        return _check(network, conditions, solution);
    }

    /// @notice The optimum of a DC network of three buses.
    /// @param network which.
    /// @param conditions demand and ranges.
    /// @return power of each generator, 1e-9 p.u.
    /// @return price at each bus, 1e-9 quanta.
    /// @return flow on each branch, 1e-9 p.u.
    /// @return cost in 1e-9 quanta an hour, without the constant.
    function optimum(
        uint32 network,
        bytes calldata conditions
    )
        external
        view
        returns (int256[3] memory power, int256[3] memory price, int256[3] memory flow, int256 cost)
    {
        ThreeBus.Answer memory best = ThreeBus.solve(ThreeBus.read(_load(network), conditions));
        if (!best.solved) revert NoSolution();
        return (best.power, best.price, best.flow, best.cost);
    }

    /// @notice A round.
    /// @param id which.
    function roundOf(uint32 id) external view returns (Round memory) {
        return _rounds[id];
    }

    /// @notice A network's bytes.
    /// @param id which.
    function networkOf(uint32 id) external view returns (bytes memory) {
        return _load(id);
    }

    /// @dev Whether a commitment is to this.
    function _isOf(
        uint256 committed,
        uint32 id,
        address who,
        bytes32 salt,
        bytes calldata told
    ) private pure returns (bool) {
        return (committed ^ uint256(keccak256(abi.encode(id, who, salt, keccak256(told))))) & HASH == 0;
    }

    function _check(
        uint32 id,
        bytes calldata conditions,
        bytes calldata told
    ) private view returns (int256 cost, int256 bound) {
        bytes memory data = _load(id);
        if (Packed.word(data, 0) >> 248 == AC) return AcProof.check(data, conditions, told);
        return DcProof.check(data, conditions, told);
    }

    function _compare(uint32 id, uint16 generator, int256 dispatched, uint256 word, uint32 band) private {
        (int256 fed, bool excused) = (word.s(0, 40), word.u(40, 8) != 0);
        int256 off = fed - dispatched;
        bool within = Packed.abs(off) * 1e6 <= Packed.abs(dispatched) * int256(uint256(band));
        int256 paid = within || off < 0 ? fed : dispatched;
        emit Complied(id, generator, dispatched, fed, paid, within || (excused && off < 0));
    }

    /// @dev A network's bytes from where they are kept.
    function _load(uint32 id) private view returns (bytes memory data) {
        address place = _networks[id].data;
        if (place == address(0)) revert NoSuchNetwork();
        // solhint-disable-next-line no-inline-assembly
        assembly ("memory-safe") {
            data := mload(64)
            let size := sub(extcodesize(place), 1)
            mstore(data, size)
            extcodecopy(place, add(data, 32), 1, size)
            mstore(64, and(add(add(data, size), 63), not(31)))
        }
    }

    /// @dev Counts fit the length, and no element is at a bus that is not there.
    function _validate(bytes calldata data) private pure {
        if (data.length < 32) revert BadNetwork();
        uint256 place = Packed.place(data);
        uint256 header = Packed.read(place);
        uint256 kind = header >> 248;
        uint256 buses = uint256(header.u(8, 16));
        uint256 generators = uint256(header.u(24, 16));
        uint256 branches = uint256(header.u(40, 16));
        if (kind > AC || buses == 0) revert BadNetwork();
        uint256 words = 1 + generators + (kind == AC ? buses + 2 * branches : branches);
        if (data.length != 32 * words || data.length > 24000) revert BadNetwork();
        place += 32 * (1 + (kind == AC ? buses : 0));
        for (uint256 i = 0; i < generators; ++i) {
            if (uint256(Packed.read(place).u(0, 16)) >= buses) revert BadNetwork();
            place += 32;
        }
        for (uint256 i = 0; i < branches; ++i) {
            uint256 word = Packed.read(place);
            if (uint256(word.u(0, 16)) >= buses || uint256(word.u(16, 16)) >= buses) revert BadNetwork();
            place += kind == AC ? 64 : 32;
        }
    }
}
