// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title The part of ERC-20 that is used
/// @notice Everything else of it does not matter here.
interface IERC20 {
    /// @notice Moves tokens of the caller.
    /// @param to who gets them.
    /// @param amount how many.
    function transfer(address to, uint256 amount) external returns (bool);

    /// @notice Moves tokens of somebody who has allowed it.
    /// @param from whose they are.
    /// @param to who gets them.
    /// @param amount how many.
    function transferFrom(address from, address to, uint256 amount) external returns (bool);

    /// @notice How many tokens an address has.
    /// @param who the address.
    function balanceOf(address who) external view returns (uint256);
}

/// @title Moving the money that a contract is kept in
/// @notice The native coin, or one ERC-20 token. Tokens that answer nothing are taken as well as those that answer true.
library Coin {
    error PaymentFailed();
    error NotAllReceived(uint256 wanted, uint256 got);

    /// @notice Pays out.
    /// @param token the token; zero for the native coin.
    /// @param to who is paid.
    /// @param amount in wei or the token's smallest unit.
    function send(address token, address to, uint256 amount) internal {
        if (token == address(0)) {
            // solhint-disable-next-line avoid-low-level-calls
            (bool paid, ) = to.call{ value: amount }("");
            if (!paid) revert PaymentFailed();
        } else {
            _call(token, abi.encodeCall(IERC20.transfer, (to, amount)));
        }
    }

    /// @notice Takes tokens in, or reverts unless all of them arrive: a token that keeps a part of each transfer is none
    /// that a book can be kept in.
    /// @param token the token.
    /// @param from who pays, and has allowed it.
    /// @param amount in the token's smallest unit.
    function take(address token, address from, uint256 amount) internal {
        uint256 before = IERC20(token).balanceOf(address(this));
        _call(token, abi.encodeCall(IERC20.transferFrom, (from, address(this), amount)));
        uint256 got = IERC20(token).balanceOf(address(this)) - before;
        if (got != amount) revert NotAllReceived(amount, got);
    }

    function _call(address token, bytes memory data) private {
        // solhint-disable-next-line avoid-low-level-calls
        (bool done, bytes memory said) = token.call(data);
        if (!done || (said.length == 0 ? token.code.length == 0 : !abi.decode(said, (bool)))) revert PaymentFailed();
    }
}
