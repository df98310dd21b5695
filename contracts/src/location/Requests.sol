// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { Register } from "./Register.sol";

/// @title Requests for a proof of location, up to the draw of provers
/// @notice A meter signs a request, somebody pays for it. Provers apply with a deposit and a hidden number, the operator
/// commits one too before applications close; all reveal. Then a block is pinned: its hash, which nobody knew while
/// numbers were revealed, and all the numbers draw the provers.
/// @dev So who keeps its number back does not know what it prevents: it loses its deposit, cannot be drawn, and the draw
/// goes on without it, without the operator's number too. What remains: whoever makes the pinned block can try several
/// hashes, as with any randomness that a block brings.
abstract contract Requests is Register {
    /// @dev Half of the order of secp256k1: of the two values of s, only the lower counts.
    uint256 private constant HALF = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;
    // solhint-disable-next-line gas-small-strings
    bytes32 private constant DOMAIN = keccak256("EIP712Domain(string name,uint256 chainId,address verifyingContract)");
    // solhint-disable-next-line gas-small-strings
    bytes32 private constant ASK = keccak256("LocationRequest(uint64 number,address requester)");

    /// @notice Asks for a proof that a meter is where the registry says. Costs the rewards of all provers and a deposit,
    /// which is lost if most of them hear nothing of the meter.
    /// @param meter the address of its signing key.
    /// @param signature of the meter: r, s and v over `askHash`, so that nobody is asked for in vain.
    /// @return id number of the request.
    function request(address meter, bytes calldata signature) external payable returns (uint64 id) {
        if (msg.value != _price()) revert WrongStake(_price(), msg.value);
        (bool active, , int32 east, int32 north, ) = _registry.meterAt(meter);
        if (!active) revert NoMeter();
        if (_signer(askHash(asked[meter], msg.sender), signature) != meter) revert BadSignature();
        ++asked[meter];
        id = ++requests;
        Request storage r = _requests[id];
        uint40 applyUntil = uint40(block.timestamp + _applyTime);
        (r.requester, r.applyUntil, r.state) = (msg.sender, applyUntil, OPEN);
        (r.meter, r.revealUntil) = (meter, uint40(applyUntil + _revealTime));
        (r.east, r.north) = (east, north);
        emit Requested(id, meter, msg.sender, applyUntil);
    }

    /// @notice The operator commits to a number, with the deposit, while provers can still apply.
    /// @param id of the request.
    /// @param hash what `commitment` says of the number, without a salt.
    function pledge(uint64 id, bytes32 hash) external payable onlyOwner {
        Request storage r = _requests[id];
        _toApply(r, id, hash);
        if (r.pledged != 0) revert AlreadyCommitted();
        r.pledged = hash;
        emit Pledged(id, hash);
    }

    /// @notice Applies for measuring, with the deposit. A prover applies for requests in the order of their numbers, for
    /// each once.
    /// @param id of the request.
    /// @param hash what `commitment` says of a number, without a salt: random, and new for each request.
    /// @return place among the applicants.
    function applyFor(uint64 id, bytes32 hash) external payable returns (uint8 place) {
        Request storage r = _requests[id];
        _toApply(r, id, hash);
        Anchor storage a = _anchors[msg.sender];
        if (!a.placed || !_registry.isProver(msg.sender)) revert NotProver(msg.sender);
        if (a.last >= id) revert AlreadyCommitted();
        a.last = id;
        (int256 x, int256 y) = (int256(a.east) - r.east, int256(a.north) - r.north);
        if (uint256(x * x + y * y) > _range * _range) revert OutOfRange();
        place = r.applicants;
        if (place == SEATS) revert TooMany();
        r.applicants = place + 1;
        _applicants[id][place] = Applicant(msg.sender, int24(x), int24(y), 0, APPLIED, hash);
        emit Applied(id, msg.sender, place);
    }

    /// @notice The operator reveals its number, and has its deposit back.
    /// @param id of the request.
    /// @param number that was committed to.
    function disclose(uint64 id, uint256 number) external {
        Request storage r = _requests[id];
        _toReveal(r, id);
        if (r.pledged != commitment(id, msg.sender, number, 0)) revert NotCommitted();
        (r.pledged, r.seed) = (0, keccak256(abi.encode(r.seed, number)));
        owing[msg.sender] += _deposit;
        emit Revealed(id, msg.sender);
    }

    /// @notice A prover reveals its number, or it cannot be drawn.
    /// @param id of the request.
    /// @param place among the applicants.
    /// @param number that was committed to.
    function reveal(uint64 id, uint8 place, uint256 number) external {
        Request storage r = _requests[id];
        _toReveal(r, id);
        Applicant storage a = _mine(id, place);
        if (a.step != APPLIED || a.hash != commitment(id, msg.sender, number, 0)) revert NotCommitted();
        a.step = REVEALED;
        r.revealed |= uint64(1 << place);
        r.seed = keccak256(abi.encode(r.seed, number));
        emit Revealed(id, msg.sender);
    }

    /// @notice Fixes the block whose hash draws: this one. Anybody may, once numbers are in; again only if nobody drew
    /// while the hash was to be had, which is 256 blocks.
    /// @param id of the request.
    function pin(uint64 id) external {
        Request storage r = _requests[id];
        if (r.state != OPEN) revert NotOpen(id);
        if (block.timestamp <= r.revealUntil) revert TooEarly();
        if (r.pinned != 0) {
            if (block.number <= r.pinned || blockhash(r.pinned) != 0) revert AlreadyCommitted();
        } else if (r.applicants < _provers) {
            // Nobody had to reveal anything: all is given back.
            r.revealed = type(uint64).max;
            if (r.pledged != 0) owing[owner] += _deposit;
            _void(r, id);
            return;
        } else {
            uint256 kept = r.applicants - _count(r.revealed);
            if (r.pledged != 0) ++kept;
            if (kept != 0) owing[_sink] += kept * _deposit;
            if (_count(r.revealed) < _provers) {
                _void(r, id);
                return;
            }
        }
        r.pinned = uint64(block.number);
        emit Pinned(id, uint64(block.number));
    }

    /// @notice Draws provers among those who have revealed, each once. Anybody may, in the blocks after the pinned one.
    /// @param id of the request.
    function draw(uint64 id) external {
        Request storage r = _requests[id];
        if (r.state != OPEN || r.pinned == 0) revert NotOpen(id);
        if (block.number <= r.pinned) revert TooSoon();
        bytes32 hash = blockhash(r.pinned);
        if (hash == 0) revert Lapsed(id);
        bytes32 seed = keccak256(abi.encode(hash, r.seed, id, address(this)));
        uint64 chosen = _drawn(seed, r.revealed);
        uint40 until = uint40(block.timestamp + _measureTime);
        (r.state, r.chosen, r.seed, r.measureUntil) = (DRAWN, chosen, seed, until);
        emit Drawn(id, seed, chosen, until);
    }

    /// @notice What a meter signs to ask: EIP-712, for one requester, once, on this chain and for this contract.
    /// @param number how many requests of the meter were used before.
    /// @param requester who will send it.
    /// @return hash to sign.
    function askHash(uint64 number, address requester) public view returns (bytes32 hash) {
        bytes32 domain = keccak256(abi.encode(DOMAIN, keccak256("microgrid location"), block.chainid, address(this)));
        hash = keccak256(abi.encodePacked(hex"1901", domain, keccak256(abi.encode(ASK, number, requester))));
    }

    function _void(Request storage r, uint64 id) private {
        r.state = VOID;
        owing[r.requester] += _price();
        emit Voided(id);
    }

    function _toApply(Request storage r, uint64 id, bytes32 hash) private view {
        if (r.state != OPEN) revert NotOpen(id);
        if (block.timestamp > r.applyUntil) revert TooLate();
        if (msg.value != _deposit) revert WrongStake(_deposit, msg.value);
        if (hash == 0) revert NothingCommitted();
    }

    function _toReveal(Request storage r, uint64 id) private view {
        if (r.state != OPEN) revert NotOpen(id);
        if (block.timestamp <= r.applyUntil) revert TooEarly();
        if (block.timestamp > r.revealUntil) revert TooLate();
    }

    /// @dev The first places of a shuffle (Fisher and Yates) of those whose bit is set, bit by bit.
    function _drawn(bytes32 seed, uint256 from) private view returns (uint64 chosen) {
        uint256[] memory places = new uint256[](SEATS);
        uint256 count = 0;
        for (uint256 i = 0; i < SEATS; ++i) {
            if ((from >> i) & 1 == 0) continue;
            places[count] = i;
            ++count;
        }
        for (uint256 i = 0; i < _provers; ++i) {
            uint256 other = i + (uint256(keccak256(abi.encode(seed, i))) % (count - i));
            chosen |= uint64(1 << places[other]);
            places[other] = places[i];
        }
    }

    /// @dev Zero, which is no meter, for what is no signature.
    function _signer(bytes32 hash, bytes calldata signature) private pure returns (address) {
        if (signature.length != 65) return address(0);
        bytes32 s = bytes32(signature[32:64]);
        if (uint256(s) > HALF) return address(0);
        return ecrecover(hash, uint8(signature[64]), bytes32(signature[:32]), s);
    }
}
