// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title What an account book asks the witnesses
/// @notice Whether enough of the neighbourhood stand behind a batch.
interface IWitness {
    /// @notice The digest of the batch that was last accepted of a settler; zero while its newest draw is open or was
    /// refused.
    /// @param opener the settler.
    /// @return digest of the batch.
    function accepted(address opener) external view returns (bytes32 digest);
}
