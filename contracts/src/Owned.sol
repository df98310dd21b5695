// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title A contract with one owner, who is replaced in two steps
/// @notice The owner offers, the next one accepts: a mistyped address loses nothing.
abstract contract Owned {
    /// @notice Who may do what only the owner may.
    address public owner;
    /// @notice To whom the ownership was offered, if to anybody.
    address public pendingOwner;

    /// @notice The ownership was offered; nothing changed yet.
    /// @param from the owner.
    /// @param to who may accept; zero if an offer was withdrawn.
    event OwnershipOffered(address indexed from, address indexed to);
    /// @notice The contract has another owner.
    /// @param from the owner before; zero at deployment.
    /// @param to the owner now.
    event OwnershipTaken(address indexed from, address indexed to);

    error NotOwner();
    error NotPendingOwner();

    modifier onlyOwner() {
        if (msg.sender != owner) revert NotOwner();
        _;
    }

    constructor() {
        owner = msg.sender;
        emit OwnershipTaken(address(0), msg.sender);
    }

    /// @notice Offers the ownership; nothing changes until `to` accepts.
    /// @param to who is to become owner; zero withdraws an offer.
    function transferOwnership(address to) external onlyOwner {
        pendingOwner = to;
        emit OwnershipOffered(msg.sender, to);
    }

    /// @notice Takes the ownership that was offered to the caller.
    function acceptOwnership() external {
        if (msg.sender != pendingOwner) revert NotPendingOwner();
        emit OwnershipTaken(owner, msg.sender);
        owner = msg.sender;
        delete pendingOwner;
    }
}
