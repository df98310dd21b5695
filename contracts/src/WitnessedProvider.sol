// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { IWitness } from "./IWitness.sol";
import { Provider } from "./Provider.sol";

/// @title An account book that takes no batch on one settler's word
/// @notice A `Provider` that bills a batch only if enough of the neighbourhood's witnesses, drawn for it, have signed it.
/// Which witnesses never changes. `record`, which bills nothing, needs none.
contract WitnessedProvider is Provider {
    /// @notice The witnesses.
    IWitness public immutable witness;

    error NotWitnessed(bytes32 digest);

    /// @notice As `Provider`, with witnesses.
    /// @param weiPerUnit_ see `Provider`.
    /// @param offPeak see `Provider`.
    /// @param peak see `Provider`.
    /// @param feedIn see `Provider`.
    /// @param lowAt_ see `Provider`.
    /// @param terms_ see `Provider`.
    /// @param witness_ the witnesses: a contract.
    constructor(
        uint256 weiPerUnit_,
        uint32 offPeak,
        uint32 peak,
        uint32 feedIn,
        uint64 lowAt_,
        Terms memory terms_,
        IWitness witness_
    ) Provider(weiPerUnit_, offPeak, peak, feedIn, lowAt_, terms_) {
        if (address(witness_).code.length == 0) revert BadTerms();
        witness = witness_;
    }

    /// @notice What witnesses sign for: everything that a batch says, by whom and to which book. The chain stands in what
    /// they sign.
    /// @param settler who settles it.
    /// @param sequence see `settle`.
    /// @param tariffVersion see `settle`.
    /// @param linesRoot see `settle`.
    /// @param itemsHash Keccak-256 of the packed items.
    /// @return digest of it all.
    function batchDigest(
        address settler,
        uint64 sequence,
        uint32 tariffVersion,
        bytes32 linesRoot,
        bytes32 itemsHash
    ) public view returns (bytes32 digest) {
        digest = keccak256(abi.encode(address(this), settler, sequence, tariffVersion, linesRoot, itemsHash));
    }

    /// @dev The witnesses are a contract that is fixed when the book is made, and are only asked.
    function _checked(
        uint64 sequence,
        uint32 tariffVersion,
        bytes32 linesRoot,
        bytes calldata items
    ) internal view override {
        bytes32 digest = batchDigest(msg.sender, sequence, tariffVersion, linesRoot, keccak256(items));
        if (witness.accepted(msg.sender) != digest) revert NotWitnessed(digest);
    }
}
