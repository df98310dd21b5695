// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title What other contracts ask the grid operator's registry
/// @notice Who is a gateway, who is a prover, which key is a meter's and where it stands, and what a meter has signed.
interface IRegistry {
    /// @dev What a meter says of itself. Registers are the meter's own, in Wh since it was made.
    struct Reading {
        /// Seconds since 1970 by the meter's clock.
        uint64 time;
        uint64 imported;
        uint64 exported;
    }

    /// @notice Whether an address may read meters, and switch and attest what it was given.
    /// @param who the address.
    function isGateway(address who) external view returns (bool);

    /// @notice Whether an address may vouch for positions and dispatches.
    /// @param who the address.
    function isProver(address who) external view returns (bool);

    /// @notice Where a meter stands.
    /// @param key the address of the meter's signing key.
    /// @return active whether the key is a meter's now.
    /// @return point the connection point that it measures.
    /// @return east millimetres from the site's origin.
    /// @return north millimetres from the site's origin.
    /// @return up millimetres from the site's origin.
    function meterAt(
        address key
    ) external view returns (bool active, bytes32 point, int32 east, int32 north, int32 up);

    /// @notice The key of the meter behind a provider's account; zero if there is none.
    /// @param provider the provider's contract.
    /// @param account the number of the account there.
    function meterOf(address provider, uint32 account) external view returns (address);

    /// @notice What an account had imported by a reading, in Wh as the account counts. Reverts unless the account's
    /// meter signed the reading, and took it after it was put in and not in the future.
    /// @param provider the provider's contract.
    /// @param account the number of the account there.
    /// @param reading what the meter says.
    /// @param signature r, s and v: 65 bytes over the EIP-712 hash of the reading.
    function importedBy(
        address provider,
        uint32 account,
        Reading calldata reading,
        bytes calldata signature
    ) external view returns (uint256);

    /// @notice What the grid takes for carrying energy, and who gets it.
    /// @return fee minor units per Wh that was taken from the grid.
    /// @return treasury who may claim it; zero if nothing is taken.
    function networkFee() external view returns (uint32 fee, address treasury);
}
