// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { IWitness } from "./IWitness.sol";
import { Owned } from "./Owned.sol";

/// @title The witnesses of one neighbourhood
/// @notice A member that has a batch to settle opens a draw for its digest. The batch counts when enough of a set of
/// members, drawn for it, have signed the digest; it is refused when as many have signed the digest's refusal. Either way
/// the draw has come to a finding, and who signed another one dissents; so does who opened a draw whose batch was refused.
/// Who dissents too often within a window of findings is flagged: it is neither drawn nor heard, and opens no draw, until it
/// is cleared.
/// @dev The digest is fixed when a draw is opened; the set follows from the hash of the block that opens it. So nobody
/// picks a digest to suit a set. Whoever makes that block can try several hashes, as with any randomness that a block
/// brings; and a draw that is let lapse is another try. Draws are numbered, so tries are seen. Each member has one draw at
/// a time, and none waits for another's.
///
/// How many signatures are enough, and how many dissents flag, are not computed here: they follow from the share of
/// members that is reckoned to lie, off the chain (`solvers::witness`). The owner admits, removes and clears members, and
/// sets the rules.
contract Witness is Owned, IWitness {
    /// @dev A member. Its place in `_list` plus one, or zero; dissents count in one window only.
    struct Member {
        uint8 place;
        bool flagged;
        uint16 dissents;
        uint64 window;
    }

    /// @dev How members are drawn, and when they are flagged.
    struct Rules {
        /// How many are drawn; all members, if they are fewer.
        uint8 set;
        /// Dissents within a window that flag.
        uint16 dissents;
        /// Findings of a window.
        uint32 batches;
        /// Blocks after which a draw lapses, below 256: older hashes are not to be had.
        uint8 patience;
        /// How often the rules were set: with others, windows begin anew.
        uint32 version;
    }

    /// @dev A member's newest draw. `made` is zero if it is not open; then the digest was accepted, or not.
    struct Draw {
        uint64 number;
        uint64 made;
        uint64 epoch;
        bool accepted;
    }

    /// @dev Bytes of a signature: a place in the set, r, s, v.
    uint256 private constant VOTE = 66;
    /// @dev Half of the order of secp256k1: of the two values of s, only the lower counts.
    uint256 private constant HALF = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;
    // solhint-disable-next-line gas-small-strings
    bytes32 private constant DOMAIN = keccak256("EIP712Domain(string name,uint256 chainId,address verifyingContract)");
    // solhint-disable-next-line gas-small-strings
    bytes32 private constant FINDING = keccak256("Finding(uint64 draw,bytes32 digest)");
    bytes32 private constant REFUSAL = keccak256("refused");

    Rules private _rules;
    /// @dev By the size of a set less one: signatures that are enough; zero if none are.
    bytes private _needed;
    address[] private _list;
    mapping(address who => Member) private _members;
    mapping(address opener => Draw) private _draws;
    mapping(address opener => bytes32 digest) private _digests;
    /// @dev Draws that were opened, findings that were made, and what moves whenever the list does: a draw from another
    /// list is void.
    uint64 private _opened;
    uint64 private _findings;
    uint64 private _epoch;

    /// @notice What was found: the hash of the draw's number, the digest or its refusal, and the set, by the number of the
    /// finding; zero if there is none.
    mapping(uint64 batch => bytes32 record) public recordOf;
    /// @dev Members of the set that were reported, bit by bit, by finding.
    mapping(uint64 batch => uint256 places) private _reported;

    /// @notice An address may witness.
    /// @param member the address.
    event Admitted(address indexed member);
    /// @notice An address may witness no longer.
    /// @param member the address.
    event Removed(address indexed member);
    /// @notice A member dissented too often.
    /// @param member who.
    /// @param window how often the rules were set, times 2^32, plus the window of batches, counted from zero.
    /// @param dissents how often.
    event Flagged(address indexed member, uint64 window, uint16 dissents);
    /// @notice A flagged member may witness again.
    /// @param member who.
    event Cleared(address indexed member);
    /// @notice How members are drawn, and when they are flagged, changed.
    /// @param set how many are drawn.
    /// @param batches batches of a window.
    /// @param dissents dissents within it that flag.
    /// @param patience blocks after which a draw lapses.
    /// @param needed signatures that are enough, a byte each, by the size of the set less one.
    event RulesSet(uint8 set, uint32 batches, uint16 dissents, uint8 patience, bytes needed);
    /// @notice A set is drawn for a batch.
    /// @param draw number of the draw.
    /// @param by who opened the draw.
    /// @param digest what its members are to check.
    event Opened(uint64 indexed draw, address indexed by, bytes32 digest);
    /// @notice A batch counts.
    /// @param batch number of the finding.
    /// @param digest the batch's digest.
    /// @param draw number of the draw.
    /// @param set who was drawn, in order.
    /// @param agreed how many of them signed.
    event Confirmed(uint64 indexed batch, bytes32 indexed digest, uint64 draw, address[] set, uint8 agreed);
    /// @notice A batch does not count, and its opener dissents.
    /// @param batch number of the finding.
    /// @param digest the refusal of the batch's digest.
    /// @param draw number of the draw.
    /// @param set who was drawn, in order.
    /// @param agreed how many of them signed the refusal.
    event Refused(uint64 indexed batch, bytes32 indexed digest, uint64 draw, address[] set, uint8 agreed);
    /// @notice A member stood behind another digest than the one that was found.
    /// @param batch number of the finding.
    /// @param member who.
    /// @param digest what it signed, or opened the draw with.
    event Dissented(uint64 indexed batch, address indexed member, bytes32 digest);

    error NotMember(address who);
    error AlreadyMember(address who);
    error NotFlagged(address who);
    error TooMany();
    error BadRules();
    error StillOpen(uint64 draw);
    error NothingOpen();
    error TooSoon();
    error Lapsed(uint64 draw);
    error NoThreshold(uint256 set);
    error BadLength(uint256 length);
    error BadOrder(uint256 index);
    error BadSignature(uint256 index);
    error TooFew(uint256 needed, uint256 got);
    error NotTheRecord(uint64 batch);
    error NoDissent();
    error Reported(address who);
    error TooLate(uint64 window);

    /// @notice Makes the deployer the owner.
    /// @param set how many are drawn; see `setRules`.
    /// @param batches batches of a window.
    /// @param dissents dissents within it that flag.
    /// @param patience blocks after which a draw lapses.
    /// @param needed signatures that are enough, a byte each, by the size of the set less one.
    constructor(uint8 set, uint32 batches, uint16 dissents, uint8 patience, bytes memory needed) {
        _setRules(set, batches, dissents, patience, needed);
    }

    /// @notice Sets how members are drawn, and when they are flagged. An open draw is void.
    /// @param set how many are drawn; not zero, and as many thresholds are needed.
    /// @param batches batches of a window; not zero.
    /// @param dissents dissents within it that flag; not zero.
    /// @param patience blocks after which a draw lapses; from 2 to 255.
    /// @param needed signatures that are enough, a byte each, by the size of the set less one: more than half of the set
    /// and no more than all, or zero where no number is enough.
    function setRules(uint8 set, uint32 batches, uint16 dissents, uint8 patience, bytes calldata needed) external onlyOwner {
        _setRules(set, batches, dissents, patience, needed);
    }

    /// @notice Lets an address witness. An open draw is void.
    /// @param member the address.
    function admit(address member) external onlyOwner {
        if (_members[member].place != 0 || _members[member].flagged) revert AlreadyMember(member);
        _enlist(member);
        emit Admitted(member);
    }

    /// @notice Lets an address witness no longer, flagged or not. An open draw is void.
    /// @param member the address.
    function remove(address member) external onlyOwner {
        Member storage m = _members[member];
        if (m.place == 0 && !m.flagged) revert NotMember(member);
        if (m.place != 0) _delist(m);
        delete _members[member];
        emit Removed(member);
    }

    /// @notice Lets a flagged member witness again; its count begins anew. An open draw is void.
    /// @param member who.
    function clear(address member) external onlyOwner {
        if (!_members[member].flagged) revert NotFlagged(member);
        delete _members[member];
        _enlist(member);
        emit Cleared(member);
    }

    /// @notice Opens a draw: from the next block on it is known who is to check the digest.
    /// @param digest what the batch says.
    function open(bytes32 digest) external {
        if (_members[msg.sender].place == 0) revert NotMember(msg.sender);
        Draw memory d = _draws[msg.sender];
        if (d.made != 0 && d.epoch == _epoch && block.number <= d.made + _rules.patience) revert StillOpen(d.number);
        uint64 number = _opened + 1;
        _opened = number;
        _draws[msg.sender] = Draw(number, uint64(block.number), _epoch, false);
        _digests[msg.sender] = digest;
        emit Opened(number, msg.sender, digest);
    }

    /// @notice Accepts the batch of an open draw, if enough of its set have signed its digest.
    /// @param opener whose draw.
    /// @param votes 66 bytes each: place in the set, rising; r; s; v (27 or 28).
    function confirm(address opener, bytes calldata votes) external {
        (uint64 batch, Draw memory d, address[] memory set, uint256 agreed) = _find(opener, _digests[opener], votes);
        d.accepted = true;
        _draws[opener] = d;
        emit Confirmed(batch, _digests[opener], d.number, set, uint8(agreed));
    }

    /// @notice Refuses the batch of an open draw, if as many of its set have signed the refusal of its digest as would have
    /// been enough to accept it. The opener dissents.
    /// @param opener whose draw.
    /// @param votes as for `confirm`.
    function refuse(address opener, bytes calldata votes) external {
        bytes32 digest = _digests[opener];
        bytes32 refusal = refusalOf(digest);
        (uint64 batch, Draw memory d, address[] memory set, uint256 agreed) = _find(opener, refusal, votes);
        _draws[opener] = d;
        emit Refused(batch, refusal, d.number, set, uint8(agreed));
        // Once for the batch that it opened, whatever it also signed.
        for (uint256 i = 0; i < set.length; ++i) {
            if (set[i] == opener) _reported[batch] |= 1 << i;
        }
        if (_members[opener].place != 0) _dissent(opener, batch, digest);
    }

    /// @dev Checks the votes for a digest, and writes down what was found. The draw that comes back is to be kept.
    function _find(
        address opener,
        bytes32 digest,
        bytes calldata votes
    ) private returns (uint64 batch, Draw memory d, address[] memory set, uint256 agreed) {
        d = _draws[opener];
        set = _drawn(d);
        uint256 enough = uint8(_needed[set.length - 1]);
        if (enough == 0) revert NoThreshold(set.length);
        if (votes.length == 0 || votes.length % VOTE != 0) revert BadLength(votes.length);
        agreed = votes.length / VOTE;
        if (agreed < enough) revert TooFew(enough, agreed);
        bytes32 finding = findingHash(d.number, digest);
        uint256 least = 0;
        for (uint256 i = 0; i < agreed; ++i) {
            bytes calldata vote = votes[i * VOTE:(i + 1) * VOTE];
            uint256 place = uint8(vote[0]);
            if (place < least || place >= set.length) revert BadOrder(i);
            least = place + 1;
            if (_signer(finding, vote[1:]) != set[place]) revert BadSignature(i);
        }
        batch = _findings + 1;
        _findings = batch;
        recordOf[batch] = keccak256(abi.encode(d.number, digest, set));
        d.made = 0;
    }

    /// @notice Counts a dissent: a member of the set that signed another digest for the same draw. Anybody may report, once
    /// for a member and finding.
    /// @param batch number of the finding.
    /// @param draw its draw.
    /// @param digest what was found: the batch's digest, or its refusal.
    /// @param set its set, in order.
    /// @param place the member's place in it.
    /// @param other what the member signed.
    /// @param signature r, s, v of that: 65 bytes.
    function report(
        uint64 batch,
        uint64 draw,
        bytes32 digest,
        address[] calldata set,
        uint8 place,
        bytes32 other,
        bytes calldata signature
    ) external {
        if (recordOf[batch] == 0 || recordOf[batch] != keccak256(abi.encode(draw, digest, set))) revert NotTheRecord(batch);
        if (other == digest) revert NoDissent();
        if (place >= set.length) revert BadOrder(place);
        address member = set[place];
        if (_signer(findingHash(draw, other), signature) != member) revert BadSignature(0);
        if (_reported[batch] >> place & 1 == 1) revert Reported(member);
        _reported[batch] |= 1 << place;
        if (_members[member].place == 0) revert NotMember(member);
        _dissent(member, batch, other);
    }

    function _dissent(address member, uint64 batch, bytes32 other) private {
        Member storage m = _members[member];
        uint64 window = (uint64(_rules.version) << 32) | uint32((batch - 1) / _rules.batches);
        if (window < m.window) revert TooLate(m.window);
        uint16 dissents = window == m.window ? m.dissents + 1 : 1;
        (m.dissents, m.window) = (dissents, window);
        emit Dissented(batch, member, other);
        if (dissents >= _rules.dissents) {
            _delist(m);
            (m.place, m.flagged) = (0, true);
            emit Flagged(member, window, dissents);
        }
    }

    /// @notice Who is drawn for the open batch of a member.
    /// @param opener the member.
    /// @return set in order.
    function drawn(address opener) external view returns (address[] memory set) {
        set = _drawn(_draws[opener]);
    }

    /// @notice The newest draw of a member.
    /// @param opener the member.
    /// @return number of the draw; zero if there was none.
    /// @return made the block that opened it; zero once something was found.
    /// @return counts whether the batch counts.
    /// @return digest what is to be checked.
    function state(address opener) external view returns (uint64 number, uint64 made, bool counts, bytes32 digest) {
        Draw memory d = _draws[opener];
        (number, made, counts, digest) = (d.number, d.made, d.accepted, _digests[opener]);
    }

    /// @inheritdoc IWitness
    function accepted(address opener) external view returns (bytes32 digest) {
        if (_draws[opener].accepted) digest = _digests[opener];
    }

    /// @notice How many findings there are.
    /// @return count of them.
    function findings() external view returns (uint64 count) {
        count = _findings;
    }

    /// @notice What a member signs that found a batch to be wrong.
    /// @param digest the batch's.
    /// @return refusal of it.
    function refusalOf(bytes32 digest) public pure returns (bytes32 refusal) {
        refusal = keccak256(abi.encode(REFUSAL, digest));
    }

    /// @notice Who may be drawn.
    /// @return list in no order.
    function members() external view returns (address[] memory list) {
        list = _list;
    }

    /// @notice How an address stands.
    /// @param who the address.
    /// @return member whether it may be drawn.
    /// @return flagged whether it was flagged.
    /// @return dissents how often it dissented in that window.
    /// @return window the last window in which it dissented.
    function standing(address who) external view returns (bool member, bool flagged, uint16 dissents, uint64 window) {
        Member memory m = _members[who];
        (member, flagged, dissents, window) = (m.place != 0, m.flagged, m.dissents, m.window);
    }

    /// @notice How members are drawn, and when they are flagged.
    /// @return set how many are drawn.
    /// @return batches batches of a window.
    /// @return dissents dissents within it that flag.
    /// @return patience blocks after which a draw lapses.
    /// @return needed signatures that are enough, by the size of the set less one.
    function rules() external view returns (uint8 set, uint32 batches, uint16 dissents, uint8 patience, bytes memory needed) {
        Rules memory r = _rules;
        (set, batches, dissents, patience, needed) = (r.set, r.batches, r.dissents, r.patience, _needed);
    }

    /// @notice What a member signs: EIP-712, so that it counts on this chain and for this contract only.
    /// @param draw number of the draw.
    /// @param digest what the member found.
    /// @return hash to sign.
    function findingHash(uint64 draw, bytes32 digest) public view returns (bytes32 hash) {
        bytes32 domain = keccak256(abi.encode(DOMAIN, keccak256("microgrid witness"), block.chainid, address(this)));
        hash = keccak256(abi.encodePacked(hex"1901", domain, keccak256(abi.encode(FINDING, draw, digest))));
    }

    function _setRules(uint8 set, uint32 batches, uint16 dissents, uint8 patience, bytes memory needed) private {
        if (set == 0 || batches == 0 || dissents == 0 || patience < 2 || needed.length != set) revert BadRules();
        for (uint256 i = 0; i < needed.length; ++i) {
            uint256 n = uint8(needed[i]);
            if (n != 0 && (2 * n <= i + 1 || n > i + 1)) revert BadRules();
        }
        _rules = Rules(set, dissents, batches, patience, _rules.version + 1);
        _needed = needed;
        ++_epoch;
        emit RulesSet(set, batches, dissents, patience, needed);
    }

    function _enlist(address member) private {
        // Zero is what no signature is from.
        if (member == address(0)) revert NotMember(member);
        if (_list.length == type(uint8).max) revert TooMany();
        _list.push(member);
        _members[member].place = uint8(_list.length);
        ++_epoch;
    }

    /// @dev The last of the list takes the place that is free.
    function _delist(Member storage m) private {
        address last = _list[_list.length - 1];
        _list[m.place - 1] = last;
        _members[last].place = m.place;
        _list.pop();
        ++_epoch;
    }

    /// @dev The first places of a shuffle (Fisher and Yates), by the hash of the block that opened the draw.
    function _drawn(Draw memory d) private view returns (address[] memory set) {
        if (d.made == 0) revert NothingOpen();
        if (block.number <= d.made) revert TooSoon();
        bytes32 hash = blockhash(d.made);
        if (d.epoch != _epoch || hash == 0 || block.number > d.made + _rules.patience) revert Lapsed(d.number);
        bytes32 seed = keccak256(abi.encode(hash, d.number, address(this)));
        uint256 count = _list.length;
        uint256 size = count < _rules.set ? count : _rules.set;
        if (size == 0) revert NoThreshold(0);
        uint256[] memory places = new uint256[](count);
        for (uint256 i = 0; i < count; ++i) places[i] = i;
        set = new address[](size);
        for (uint256 i = 0; i < size; ++i) {
            uint256 other = i + (uint256(keccak256(abi.encode(seed, i))) % (count - i));
            set[i] = _list[places[other]];
            places[other] = places[i];
        }
    }

    /// @dev Zero, which is no member, for what is no signature.
    function _signer(bytes32 hash, bytes calldata signature) private pure returns (address) {
        if (signature.length != 65) return address(0);
        bytes32 s = bytes32(signature[32:64]);
        if (uint256(s) > HALF) return address(0);
        return ecrecover(hash, uint8(signature[64]), bytes32(signature[:32]), s);
    }
}
