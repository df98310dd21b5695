// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { Coin } from "../Coin.sol";
import { Settlement } from "./Settlement.sol";

/// @title Earnings: when they can be taken, by whom, and the pool that shares them
/// @notice Earnings wait until the window for challenges is over; then the grid's fee is set aside, and the rest is the
/// owner's to withdraw or, if there is a pool, the members' to share. Shares are claimed, never sent.
/// @dev Waiting is kept by epochs of one window's length: what was earned since the epoch before the present one began
/// waits, that is, between one and two windows. Two numbers and no list: a batch writes nothing for it but the first of
/// an epoch. "Ever earned" is earned + withdrawn, which taking earnings out does not change.
abstract contract Pool is Settlement {
    struct Member {
        /// Parts of the whole, or, with an account, parts for each Wh that it fed in.
        uint64 share;
        /// The account whose feed-in counts; zero if it does not.
        uint32 account;
        /// Its feed-in register when earnings were last shared out.
        uint40 seen;
        /// Place in the list, from 1.
        uint8 place;
    }

    /// @notice The most members of a pool: sharing out goes through all of them.
    uint256 public constant MAX_MEMBERS = 64;

    /// @notice The members, in no particular order.
    address[] private _members;
    /// @notice The share of a member.
    mapping(address who => Member) public memberOf;
    /// @notice What somebody may claim, in minor units.
    mapping(address who => uint256 units) public claimable;
    /// @dev Ever earned when the epoch of the last batch began, and the one before.
    int128 private _began;
    int128 private _beganBefore;
    /// @dev The sum of all claimable units.
    uint64 internal _allotted;
    /// @dev `imported` for which the grid's fee was set aside, modulo 2^64.
    uint64 private _feePaid;
    uint32 private _sharedOutIn;

    /// @notice A member's share changed; both zero if it left.
    /// @param who the member.
    /// @param share parts.
    /// @param account the account whose feed-in counts; zero if the share is a fixed one.
    event MemberSet(address indexed who, uint64 share, uint32 account);
    /// @notice A member says how much it will supply in this round. Nothing follows from it in this contract.
    /// @param round the round.
    /// @param who the member.
    /// @param wh energy.
    event SupplyOffered(uint32 indexed round, address indexed who, uint64 wh);
    /// @notice Somebody may claim more.
    /// @param who who.
    /// @param units by how much.
    event Allotted(address indexed who, uint256 units);
    /// @notice Somebody claimed.
    /// @param who whose it was.
    /// @param to the payee.
    /// @param units minor units.
    event Claimed(address indexed who, address indexed to, uint256 units);
    /// @notice Earnings were paid out to the owner's payee.
    /// @param to the payee.
    /// @param units minor units.
    event Withdrawn(address indexed to, uint256 units);

    error BadPayee();
    error NotAvailable(uint256 available, uint256 wanted);
    error PoolShares();
    error TooManyMembers();
    error NotMember();
    error NothingToShare();

    /// @notice Gives a member a share, another one, or none. Not while energy is supplied.
    /// @param who the member.
    /// @param share parts of the whole; with an account, parts for each Wh that it feeds in from now on; zero to leave.
    /// @param account_ the account whose feed-in counts; zero for a fixed share.
    function setMember(address who, uint64 share, uint32 account_) external onlyOwner {
        _notIn(Phase.Supply);
        if (who == address(0)) revert BadPayee();
        if (account_ != 0) _wordOf(account_);
        Member storage m = memberOf[who];
        if (share == 0) {
            if (m.place == 0) revert NotMember();
            address last = _members[_members.length - 1];
            _members[m.place - 1] = last;
            memberOf[last].place = m.place;
            _members.pop();
            delete memberOf[who];
            account_ = 0;
        } else {
            if (m.place == 0) {
                if (_members.length == MAX_MEMBERS) revert TooManyMembers();
                _members.push(who);
                m.place = uint8(_members.length);
            }
            (m.share, m.account, m.seen) = (share, account_, uint40(_accounts[account_] >> FEED_IN));
        }
        emit MemberSet(who, share, account_);
    }

    /// @notice Says how much the caller will supply in this round.
    /// @param wh energy.
    function offerSupply(uint64 wh) external {
        if (memberOf[msg.sender].place == 0) revert NotMember();
        emit SupplyOffered(_only(Phase.Offer), msg.sender, wh);
    }

    /// @notice Shares available earnings among the members. In the settlement phase and once a round, by anybody;
    /// without rounds by the owner or a member. What does not divide stays for the next time, and so does all of it if
    /// no member has a part.
    function shareOut() external {
        uint32 round = _only(Phase.Settlement);
        bool allowed = round == 0 ? msg.sender == owner || memberOf[msg.sender].place != 0 : round != _sharedOutIn;
        if (!allowed) revert NothingToShare();
        _sharedOutIn = round;
        _setFeeAside();
        uint256 units = available();
        address[] memory list = _members;
        uint256[] memory parts = new uint256[](list.length);
        uint256 whole;
        for (uint256 i = 0; i < list.length; ++i) {
            Member storage m = memberOf[list[i]];
            parts[i] = m.share;
            if (m.account != 0) {
                uint40 now_ = uint40(_accounts[m.account] >> FEED_IN);
                parts[i] *= now_ - m.seen;
                m.seen = now_;
            }
            whole += parts[i];
        }
        if (whole == 0 || units == 0) revert NothingToShare();
        // Below 2^62 * 2^104; and all parts together are at most `units`.
        for (uint256 i = 0; i < list.length; ++i) _allot(list[i], (units * parts[i]) / whole);
    }

    /// @notice Pays out what the caller may claim.
    /// @param to the payee.
    function claim(address to) external alone {
        uint256 units = claimable[msg.sender];
        if (to == address(0)) revert BadPayee();
        if (units == 0) revert NotAvailable(0, 1);
        claimable[msg.sender] = 0;
        _allotted -= uint64(units);
        emit Claimed(msg.sender, to, units);
        _take(to, units);
    }

    /// @notice Pays earnings out, if there is no pool that shares them, as far as they are `available`.
    /// @param to the payee.
    /// @param units how much, in minor units.
    function withdraw(address payable to, uint256 units) external onlyOwner alone {
        if (to == address(0)) revert BadPayee();
        if (_members.length != 0) revert PoolShares();
        _setFeeAside();
        uint256 free = available();
        if (units > free) revert NotAvailable(free, units);
        emit Withdrawn(to, units);
        _take(to, units);
    }

    /// @notice The members of the pool, in no particular order.
    function members() external view returns (address[] memory) {
        return _members;
    }

    /// @notice All sums of the book, in minor units: paidIn = sum of balances + earned + withdrawn + refunded.
    /// @return paidIn all that was ever paid in.
    /// @return withdrawn all earnings that were ever taken out.
    /// @return earned debits less feed-in credits plus charges less withdrawals.
    /// @return owed the sum of all positive balances.
    /// @return refunded all that was ever paid back to customers.
    /// @return allotted what may be claimed and was not yet; a part of what is earned.
    /// @return waiting what was earned and can still be challenged.
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
        )
    {
        uint256 s = _sums;
        return (_paidIn, _withdrawn, _earned(s), uint96(s), _refunded, _allotted, _waiting());
    }

    /// @notice What can be withdrawn or shared out now, in minor units: coin held that no customer is owed, that nobody
    /// may claim, and that can no longer be challenged. Debts that customers have not paid yet are earned but not here;
    /// while feed-in credits exceed all coin held, nothing is.
    function available() public view returns (uint256) {
        uint256 held = _held();
        uint256 spoken = uint256(uint96(_sums)) + _allotted + _waiting();
        return held > spoken ? held - spoken : 0;
    }

    /// @dev Begins a new epoch, if it is time.
    function _turn(uint32 last) internal override {
        if (_window == 0) return;
        uint32 epoch = uint32(block.timestamp / _window);
        if (epoch == last) return;
        int128 ever = int128(_everEarned());
        // Nothing was earned in epochs without a batch.
        _beganBefore = epoch == last + 1 ? _began : ever;
        _began = ever;
        _tariff.epoch = epoch;
    }

    /// @dev Sets the grid's fee aside, as far as it is covered; what is not covered remains due.
    function _setFeeAside() private {
        if (address(_registry) == address(0)) return;
        (uint256 fee, address treasury) = _registry.networkFee();
        if (fee > _maxNetworkFee) fee = _maxNetworkFee;
        unchecked {
            uint64 wh = uint64((_sums >> 192) - _feePaid);
            // A challenge may have taken back more than was billed since the last time: then nothing is due.
            if (wh >> 63 != 0) return;
            if (fee != 0 && treasury != address(0)) {
                uint256 covered = available() / fee;
                if (covered < wh) wh = uint64(covered);
                _allot(treasury, wh * fee);
            }
            _feePaid += wh;
        }
    }

    function _allot(address who, uint256 units) private {
        if (units == 0) return;
        claimable[who] += units;
        // At most what was available, which is below 2^62 with what was allotted before.
        _allotted += uint64(units);
        emit Allotted(who, units);
    }

    /// @dev Takes earnings out; `units` are at most what is held.
    function _take(address to, uint256 units) private {
        _withdrawn += uint64(units);
        _move(0, -int256(units), 0);
        Coin.send(_token, to, units * weiPerUnit);
    }

    function _waiting() private view returns (uint256) {
        if (_window == 0) return 0;
        uint256 epoch = block.timestamp / _window;
        uint256 last = _tariff.epoch;
        int256 ever = _everEarned();
        int256 before = epoch == last ? int256(_beganBefore) : epoch == last + 1 ? int256(_began) : ever;
        return uint256(_positive(ever - before));
    }

    function _everEarned() private view returns (int256) {
        return _earned(_sums) + int256(uint256(_withdrawn));
    }
}
